package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// serve makes the live KMS of these tests.
func serve(t *testing.T) *kmstest.KMS {
	return awsenv.Serve(t, func(o *kmstest.Options) { o.Region, o.AccountID = "eu-central-1", "444455556666" })
}

func livecheck(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "livecheck", run, args, cli.Stdio{Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// oneOfEach are key specs of every kind that there is.
var oneOfEach = []types.KeySpec{
	types.KeySpecRsa2048,
	types.KeySpecEccNistP256,
	types.KeySpecEccSecgP256k1,
	types.KeySpecEccNistEdwards25519,
	types.KeySpecMlDsa44,
	types.KeySpecMlKem512,
	types.KeySpecHmac256,
	types.KeySpecSymmetricDefault,
}

// Two fakes agree, whatever the key. With KMSSIGN_FULL set all key specs are
// compared.
func TestNoDifference(t *testing.T) {
	specs := oneOfEach
	if os.Getenv("KMSSIGN_FULL") != "" {
		specs = slices.DeleteFunc(types.KeySpec("").Values(), func(spec types.KeySpec) bool {
			return spec == types.KeySpecSm2 // which only the Regions in China have
		})
	}
	fake := serve(t)
	for _, spec := range specs {
		status, stdout, stderr := livecheck(t, "-key", fake.AddKey(spec))
		if status != 0 || strings.Contains(stdout, "\ndiffer") || strings.Contains(stdout, "\ntext") || strings.Count(stdout, "\npass") < 20 {
			t.Errorf("%s: status %d\n%s%s", spec, status, stdout, stderr)
		}
	}
	if status, stdout, _ := livecheck(t); status != 0 || !strings.Contains(stdout, "pass  CheckSigner") {
		t.Errorf("the fake with itself: status %d\n%s", status, stdout)
	}
	out, err := fake.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(out.Keys), len(specs); got != want {
		t.Errorf("there are %d keys, want the %d that the test made: livecheck makes none", got, want)
	}
}

// With -create it makes one key, and schedules it for deletion.
func TestCreate(t *testing.T) {
	fake := serve(t)
	for _, spec := range []string{"ECC_NIST_P256", "HMAC_256"} {
		status, stdout, stderr := livecheck(t, "-create", spec)
		if status != 0 || !strings.Contains(stdout, "pass  DisableKey: ") || !strings.Contains(stdout, "pass  ScheduleKeyDeletion: ") {
			t.Errorf("%s: status %d\n%s%s", spec, status, stdout, stderr)
		}
	}
	out, err := fake.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil || len(out.Keys) != 2 {
		t.Fatalf("%d keys, %v; want two", len(out.Keys), err)
	}
	for _, key := range out.Keys {
		described, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyArn})
		if err != nil || described.KeyMetadata.KeyState != types.KeyStatePendingDeletion {
			t.Errorf("a key is left %s, %v; want it pending deletion", described.KeyMetadata.KeyState, err)
		}
	}
}

// A KMS that is not as it should be is found out.
func TestDifferences(t *testing.T) {
	fake := serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	for reason, tt := range map[string]struct {
		match  kmstest.Match
		effect kmstest.Effect
		want   string
	}{
		"a signature of another key":     {kmstest.Match{Operation: "Sign"}, kmstest.OtherKey(fake.AddKey(types.KeySpecEccNistP256)), "differ  CheckSigner"},
		"a bare key ID for an ARN":       {kmstest.Match{Operation: "Sign"}, kmstest.Set("KeyId", nil), "differ  Sign ECDSA_SHA_256 RAW 1 bytes"},
		"a no that is not an exception":  {kmstest.Match{Operation: "Verify"}, kmstest.Respond(200, `{"SignatureValid":false}`), "differ  Verify, a flipped bit"},
		"another status":                 {kmstest.Match{Operation: "Verify"}, kmstest.Status(404), "differ  Verify, another message"},
		"an error where there is none":   {kmstest.Match{Operation: "GetPublicKey"}, kmstest.Fail(&types.DisabledException{}), "differ  GetPublicKey"},
		"another text of the same error": {kmstest.Match{Operation: "GenerateMac"}, kmstest.Fail(&types.InvalidKeyUsageException{}), "text  GenerateMac HMAC_SHA_256 1 bytes"},
	} {
		remove := fake.Inject(tt.match, tt.effect)
		status, stdout, stderr := livecheck(t, "-key", key)
		remove()
		if !strings.Contains(stdout, "\n"+tt.want) {
			t.Errorf("%s: want a row %q:\n%s", reason, tt.want, stdout)
		}
		if differs := strings.HasPrefix(tt.want, "differ"); differs != (status == 1) || differs != strings.Contains(stderr, " differences") {
			t.Errorf("%s: status %d, standard error %q", reason, status, stderr)
		}
	}
}

func TestFailures(t *testing.T) {
	fake := serve(t)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"extra"}, 2, `unexpected argument "extra"`},
		{[]string{"-key", "a", "-create", "RSA_2048"}, 2, "-key and -create are both given"},
		{[]string{"-create", "P256"}, 2, `unknown -create "P256"`},
		{[]string{"-recordings", "-key", "a"}, 2, "-recordings is given with -key"},
		{[]string{"-yes"}, 2, "-yes is given without -recordings"},
		{[]string{"-timeout", "0"}, 2, "-timeout is 0s"},
		{[]string{"-key", "alias/none"}, 1, "NotFoundException"},
		{[]string{"-key", fake.AddKey(types.KeySpecRsa2048), "-timeout", "1ns"}, 1, "context deadline exceeded"},
	} {
		if status, _, stderr := livecheck(t, tt.args...); status != tt.status || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: status %d, standard error %q; want %d and %q", tt.args, status, stderr, tt.status, tt.want)
		}
	}
	if status, stdout, stderr := livecheck(t, "-h"); status != 0 || stderr != "" || !strings.HasPrefix(stdout, "Livecheck compares AWS KMS") || !strings.Contains(stdout, "Usage of livecheck:") {
		t.Errorf("-h: status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
}
