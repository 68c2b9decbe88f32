package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// serve makes the ordinary AWS environment one that reaches a fake KMS in which
// alias/jwt names a key.
func serve(t *testing.T) *kmstest.KMS {
	t.Helper()
	fake := awsenv.Serve(t)
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	return fake
}

func createAlias(t *testing.T, fake *kmstest.KMS, name, key string) {
	t.Helper()
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
}

func keyOf(t *testing.T, fake *kmstest.KMS, id string) *types.KeyMetadata {
	t.Helper()
	out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		t.Fatal(err)
	}
	return out.KeyMetadata
}

func invoke(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "rotate", run, args, cli.Stdio{Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// works runs the program, which must succeed and print all of want.
func works(t *testing.T, args []string, want ...string) {
	t.Helper()
	status, stdout, stderr := invoke(t, args...)
	if status != 0 || stderr != "" {
		t.Errorf("rotate %q: status %d, standard error %q", args, status, stderr)
	}
	contains(t, args, stdout, want)
}

func contains(t *testing.T, args []string, output string, want []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(output, w) {
			t.Errorf("rotate %q lacks %q:\n%s", args, w, output)
		}
	}
}

// fails runs the program, which must fail with one clear line and no output.
func fails(t *testing.T, want string, status int, args ...string) {
	t.Helper()
	got, stdout, stderr := invoke(t, args...)
	if got != status || stdout != "" {
		t.Errorf("rotate %q: status %d, standard output %q; want status %d and no output\n%s", args, got, stdout, status, stderr)
	}
	contains(t, args, stderr, []string{want})
	if status == 1 && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "rotate: ")) {
		t.Errorf("rotate %q: want one line on standard error, got:\n%s", args, stderr)
	}
}

func TestDemonstration(t *testing.T) {
	works(t, nil, "create a key of spec ECC_NIST_P256", "point alias/jwt-prev to arn:", "disable arn:",
		"next: prepare, now", "next: promote, but now is too early: the verifiers", "next: retire, but now is too early: the tokens")
	works(t, []string{"-spec", "ML_DSA_65"}, "create a key of spec ML_DSA_65")
}

func TestSteps(t *testing.T) {
	fake := serve(t)
	first := keyOf(t, fake, "alias/jwt")
	alias := func(args ...string) []string { return append([]string{"-alias", "alias/jwt"}, args...) }

	works(t, alias(), "alias/jwt-next  -   ", "next: prepare, now or at any time")
	works(t, alias("-step", "prepare", "-dry-run"), "would point alias/jwt-prev to "+*first.Arn+"\n", "would create a key of spec ECC_NIST_P256\nwould point alias/jwt-next to the new key\n")
	works(t, alias("-step", "status"), "alias/jwt-next  -   ")
	works(t, alias("-step", "prepare"), "create a key of spec ECC_NIST_P256\npoint alias/jwt-next to arn:")
	works(t, alias("-step", "prepare"), "nothing to do for prepare\n")
	second := keyOf(t, fake, "alias/jwt-next")

	tooEarly := "too early: the verifiers do not all have the next key yet, wait 11m"
	works(t, alias(), *second.KeyId, "next: promote, but now is "+tooEarly)
	fails(t, "rotate: keyring: rotate alias/jwt: promote: "+tooEarly, 1, alias("-step", "promote")...)
	fails(t, "too early: the verifiers do not all have the next key yet, wait 3h", 1, alias("-step", "promote", "-propagation-delay", "3h", "-dry-run")...)
	works(t, alias("-step", "promote", "-force", "-dry-run"), "would point alias/jwt to "+*second.Arn)
	works(t, alias("-step", "promote", "-force"), "point alias/jwt to "+*second.Arn+"\n")

	fails(t, "too early: the tokens of the previous key have not expired yet, wait 1h17m", 1, alias("-step", "retire")...)
	fails(t, "wait 27m", 1, alias("-step", "retire", "-max-lifetime", "10m")...)
	works(t, alias("-step", "retire", "-force"), "disable "+*first.Arn+"\npoint alias/jwt-prev to "+*second.Arn+"\n")
	works(t, alias("-step", "retire"), "nothing to do for retire\n")
	if state := keyOf(t, fake, *first.KeyId).KeyState; state != types.KeyStateDisabled {
		t.Errorf("the retired key is %s", state)
	}
}

// The time passes in a bubble, in which the fake needs no server.
func TestWholeRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		var opts keyring.RotateOptions
		says := func(want ...string) {
			t.Helper()
			var b strings.Builder
			if err := describe(t.Context(), fake, "alias/jwt", opts, &b); err != nil {
				t.Fatal(err)
			}
			contains(t, nil, b.String(), want)
		}
		step := func(step keyring.Step) {
			t.Helper()
			if err := take(t.Context(), fake, "alias/jwt", step, nil, opts, new(strings.Builder)); err != nil {
				t.Fatal(err)
			}
		}
		since := time.Now().UTC().Format(time.RFC3339)
		says("next: prepare, now", "Enabled  "+since)
		step(keyring.Prepare)
		time.Sleep(4 * time.Minute)
		says("next: promote, but now is too early: the verifiers do not all have the next key yet, wait 7m")
		time.Sleep(7*time.Minute + time.Second)
		says("next: promote, now", "Enabled  "+since)
		step(keyring.Promote)
		time.Sleep(time.Hour)
		says("next: retire, but now is too early: the tokens of the previous key have not expired yet, wait 6m")
		time.Sleep(6*time.Minute + time.Second)
		says("next: retire, now")
		step(keyring.Retire)
		says("next: prepare, but now is too early: alias/jwt-prev was moved a moment ago")
		time.Sleep(2 * time.Minute)
		step(keyring.Prepare)
		time.Sleep(11*time.Minute + time.Second)
		step(keyring.Promote)
		says("next: retire, but now is too early", "alias/jwt-prev  "+*keyOf(t, fake, "alias/jwt-prev").KeyId)
	})
}

// A step that was interrupted is the next one.
func TestInterrupted(t *testing.T) {
	fake := serve(t)
	args := []string{"-alias", "alias/jwt", "-force", "-step"}
	remove := fake.Inject(kmstest.Match{Operation: "CreateAlias", Skip: 2}, kmstest.Fail(&types.KMSInternalException{}))
	status, stdout, stderr := invoke(t, append(args, "prepare")...)
	if status != 1 || !strings.HasSuffix(stdout, "create a key of spec ECC_NIST_P256\n") || !strings.Contains(stderr, "point alias/jwt-next to arn:") {
		t.Errorf("status %d, standard output %q, standard error %q; want what was done, and what failed", status, stdout, stderr)
	}
	remove()
	works(t, args[:2], "next: prepare, but now is too early: alias/jwt was moved a moment ago")
	works(t, append(args, "prepare"))
	remove = fake.Inject(kmstest.Match{Operation: "UpdateAlias"}, kmstest.Throttle())
	status, stdout, stderr = invoke(t, append(args, "promote")...)
	if status != 1 || stdout != "" || !strings.Contains(stderr, "ThrottlingException") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
	remove()
	works(t, args[:2], "next: promote, but now is too early")
	works(t, append(args, "promote"), "point alias/jwt to arn:")
	works(t, args[:2], "next: retire, but now is too early")
}

func TestSpec(t *testing.T) {
	fake := serve(t)
	multi, err := fake.CreateKey(t.Context(), &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	createAlias(t, fake, "alias/multi", *multi.KeyMetadata.KeyId)
	for _, alias := range []string{"alias/jwt", "alias/multi"} {
		works(t, []string{"-alias", alias, "-step", "prepare", "-spec", "RSA_3072"}, "create a key of spec RSA_3072")
		key := keyOf(t, fake, alias+"-next")
		if key.KeySpec != types.KeySpecRsa3072 || *key.MultiRegion != (alias == "alias/multi") {
			t.Errorf("%s-next is a %s, multi-Region %v", alias, key.KeySpec, *key.MultiRegion)
		}
	}
	works(t, []string{"-alias", "alias/jwt"}, "ECC_NIST_P256", "RSA_3072")
}

func TestOtherAliases(t *testing.T) {
	fake := serve(t)
	names := []string{"-next", "alias/coming", "-previous", "alias/going", "-alias", "alias/jwt", "-force", "-step"}
	works(t, append(names, "prepare"), "point alias/coming to")
	works(t, append(names, "promote"), "point alias/jwt to")
	works(t, names[:6], "alias/coming", "alias/going", "next: retire")
	works(t, append(names, "retire"), "point alias/going to")
	keyOf(t, fake, "alias/coming")
}

// KMS finds an alias in its own Region only, and an ARN names it.
func TestARN(t *testing.T) {
	serve(t)
	named := "arn:aws:kms:us-east-1:111122223333:alias/jwt"
	os.Unsetenv("AWS_REGION")
	fails(t, "no AWS Region: set AWS_REGION", 1, "-alias", "alias/jwt")
	works(t, []string{"-alias", named, "-step", "prepare"}, "point alias/jwt-next to arn:aws:kms:us-east-1:")
	t.Setenv("AWS_REGION", "eu-central-1")
	works(t, []string{"-alias", named}, "next: promote")
	// Aliases are moved by name: it must not be a namesake in the caller's own account.
	fails(t, "is in another account than the credentials' own, 111122223333", 1, "-alias", strings.Replace(named, "111122223333", "444455556666", 1), "-step", "promote")
}

func TestWrongUsage(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"flag provided but not defined: -nonsense", []string{"-nonsense"}},
		{`unexpected argument "prepare"`, []string{"-alias", "alias/jwt", "prepare"}},
		{`unknown -step "demote", want prepare, promote, retire or status`, []string{"-alias", "alias/jwt", "-step", "demote"}},
		{"want an -alias", []string{"-step", "prepare"}},
		{"want an -alias", []string{"-force"}},
		{"-dry-run and -force want a -step", []string{"-alias", "alias/jwt", "-force"}},
		{"-spec goes with -step prepare", []string{"-alias", "alias/jwt", "-step", "promote", "-spec", "RSA_2048"}},
		{`-spec is "P256", want one that signs`, []string{"-spec", "P256"}},
		{`-spec is "HMAC_256", want one that signs`, []string{"-spec", "HMAC_256"}},
		{`-spec is "SM2", want one that signs`, []string{"-spec", "SM2"}},
		{"-max-age is 0s, want more than 0", []string{"-max-age", "0"}},
		{"-timeout is -1s, want more than 0", []string{"-timeout", "-1s"}},
		{"-propagation-delay is -1s, want 0 or more", []string{"-propagation-delay", "-1s"}},
		{"only an alias can be pointed to another key", []string{"-alias", "1234abcd-12ab-34cd-56ef-1234567890ab"}},
		{"only an alias can be pointed to another key", []string{"-alias", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}},
		{`-next is "jwt2", want an alias name, such as alias/jwt-next`, []string{"-alias", "alias/jwt", "-next", "jwt2"}},
	} {
		fails(t, tt.want, 2, tt.args...)
	}
	fails(t, "Usage of rotate:", 0, "-h")
}

func TestFailures(t *testing.T) {
	fake := serve(t)
	fails(t, "there is no alias/none: create a key and the alias first", 1, "-alias", "alias/none")
	fails(t, "there is no alias/none: create a key and the alias first", 1, "-alias", "alias/none", "-step", "prepare")
	fails(t, "there is no alias/jwt-next: prepare first", 1, "-alias", "alias/jwt", "-step", "promote")
	remove := fake.Inject(kmstest.Match{Operation: "ListAliases"}, kmstest.Throttle())
	fails(t, "ThrottlingException", 1, "-alias", "alias/jwt")
	remove()

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	fails(t, "InvalidSignatureException", 1, "-alias", "alias/jwt")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	// Connections to a listener that nobody accepts from are never answered.
	t.Setenv("AWS_ENDPOINT_URL_KMS", fmt.Sprintf("http://%s", listener.Addr()))
	fails(t, context.DeadlineExceeded.Error(), 1, "-alias", "alias/jwt", "-timeout", "50ms")
}
