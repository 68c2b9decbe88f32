package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
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
	for _, args := range [][]string{nil, {"-spec", "ML_DSA_65"}, {"-propagation-delay", "3h", "-max-lifetime", "10m"}} {
		works(t, args, "promote: too early: the verifiers", "retire: too early: the tokens",
			"The ring is at rest.\nThe next step is prepare, in 1m31s", "The ring is rolled back.\nThe next step is retire", "-step revoke -key ", "mark the key as revoked")
	}
	works(t, []string{"-spec", "ML_DSA_65"}, "verifiers refuse the whole JWKS", "-step prepare -force\n", "create a key of spec ML_DSA_65", "ML_DSA_65  Enabled")

	// The issuers sign with the new key, with the old one after the rollback,
	// and with the standby key after the emergency.
	_, stdout, _ := invoke(t)
	var signs, publish [][]string
	for line := range strings.Lines(stdout) {
		if key, ok := strings.CutPrefix(line, "Issuers sign with "); ok {
			signs, publish = append(signs, []string{key}), append(publish, nil)
		}
		for _, prefix := range []string{"and publish ", "        and "} {
			if key, ok := strings.CutPrefix(line, prefix); ok {
				publish[len(publish)-1] = append(publish[len(publish)-1], key)
			}
		}
	}
	if len(signs) != 4 || signs[1][0] != signs[0][0] || signs[2][0] != signs[0][0] || signs[3][0] == signs[0][0] ||
		len(publish[0]) != 2 || len(publish[2]) != 2 || !slices.Equal(publish[3], signs[3]) {
		t.Errorf("issuers sign with %q and publish %q:\n%s", signs, publish, stdout)
	}
}

func TestSteps(t *testing.T) {
	fake := serve(t)
	first := keyOf(t, fake, "alias/jwt")
	alias := func(args ...string) []string { return append([]string{"-alias", "alias/jwt"}, args...) }

	works(t, alias(), "-       -                                     alias/jwt-next\n", "The ring is at rest.\nThe next step is prepare, now or at any time.\n")
	works(t, alias("-step", "prepare", "-dry-run"), "would point alias/jwt-prev to "+*first.Arn+"\n", "would create a key of spec ECC_NIST_P256\nwould point alias/jwt-next to the new key\n")
	works(t, alias("-step", "status"), "-       -                                     alias/jwt-next\n")
	works(t, alias("-step", "prepare"), "create a key of spec ECC_NIST_P256\npoint alias/jwt-next to arn:")
	works(t, alias("-step", "prepare"), "nothing to do for prepare\n")
	second := keyOf(t, fake, "alias/jwt-next")

	const tooEarly = "too early: the verifiers do not all have the next key yet, wait 11m"
	works(t, alias(), *second.KeyId, "The ring is prepared.\nThe next step is promote, in 11m")
	fails(t, "rotate: keyring: rotate alias/jwt: promote: "+tooEarly, 1, alias("-step", "promote")...)
	fails(t, "too early: the verifiers do not all have the next key yet, wait 3h", 1, alias("-step", "promote", "-propagation-delay", "3h", "-dry-run")...)
	works(t, alias("-step", "advance"), "nothing to do for advance\n")
	works(t, alias("-step", "promote", "-force", "-dry-run"), "would point alias/jwt to "+*second.Arn)
	works(t, alias("-step", "promote", "-force"), "point alias/jwt to "+*second.Arn+"\n")

	fails(t, "too early: the tokens of the previous key have not expired yet, wait 1h17m", 1, alias("-step", "retire")...)
	fails(t, "wait 27m", 1, alias("-step", "retire", "-max-lifetime", "10m")...)
	fails(t, "too early: alias/jwt was moved a moment ago, wait 1m3", 1, alias("-step", "rollback")...)
	works(t, alias("-step", "rollback", "-force", "-dry-run"), "would point alias/jwt to "+*first.Arn)
	works(t, alias("-step", "retire", "-force"), "disable "+*first.Arn+"\npoint alias/jwt-prev to "+*second.Arn+"\n")
	works(t, alias("-step", "retire"), "nothing to do for retire\n")
	if state := keyOf(t, fake, *first.KeyId).KeyState; state != types.KeyStateDisabled {
		t.Errorf("the retired key is %s", state)
	}

	// With no standby key, the replacement of a revoked key is new.
	works(t, alias("-step", "revoke", "-key", *second.KeyId, "-spec", "RSA_2048", "-dry-run"), "would create a key of spec RSA_2048")
	works(t, alias("-step", "revoke", "-key", *second.Arn, "-force"), "create a key of spec ECC_NIST_P256", "mark the key as revoked", "disable "+*second.Arn)
	works(t, alias("-step", "revoke", "-key", *second.KeyId), "nothing to do for revoke\n")
	fails(t, "an alias may name another key later", 2, alias("-step", "revoke", "-key", "alias/jwt")...)
}

func TestJSON(t *testing.T) {
	fake := serve(t)
	first := keyOf(t, fake, "alias/jwt")
	decode := func(wantStatus int, v any, args ...string) {
		t.Helper()
		status, stdout, stderr := invoke(t, append([]string{"-alias", "alias/jwt", "-json"}, args...)...)
		dec := json.NewDecoder(strings.NewReader(stdout))
		dec.DisallowUnknownFields()
		if err := dec.Decode(v); err != nil || status != wantStatus || (stderr == "") != (status == 0) {
			t.Errorf("rotate %q: status %d, %v\n%s%s", args, status, err, stdout, stderr)
		}
	}
	var s jsonStatus
	decode(0, &s)
	if s.State != keyring.Rest || s.Step != keyring.Prepare || s.Signing.KeyARN != *first.Arn || s.Next != (jsonAlias{Alias: "alias/jwt-next"}) || s.Odd == nil || s.Leftovers == nil {
		t.Errorf("%+v", s)
	}
	var o outcome
	decode(0, &o, "-step", "prepare", "-dry-run")
	if o.Step != keyring.Prepare || !o.DryRun || len(o.Done) != 4 || o.TooEarly || o.Error != "" {
		t.Errorf("%+v", o)
	}
	decode(0, &o, "-step", "prepare")
	o = outcome{}
	decode(1, &o, "-step", "promote")
	if !o.TooEarly || o.Done == nil || len(o.Done) != 0 || !strings.Contains(o.Error, "too early") {
		t.Errorf("%+v", o)
	}
	s = jsonStatus{}
	decode(0, &s)
	if s.State != keyring.Prepared || s.WaitSeconds < 600 || s.WaitSeconds > 662 || s.Next.KeySpec != "ECC_NIST_P256" {
		t.Errorf("%+v", s)
	}
}

// An interrupted Prepare leaves a key behind, which -leftovers finds.
func TestLeftovers(t *testing.T) {
	fake := serve(t)
	remove := fake.Inject(kmstest.Match{Operation: "CreateAlias", Skip: 2}, kmstest.Fail(&types.KMSInternalException{}))
	if status, _, _ := invoke(t, "-alias", "alias/jwt", "-step", "prepare"); status != 1 {
		t.Fatal("it was not interrupted")
	}
	remove()
	works(t, []string{"-alias", "alias/jwt", "-leftovers"}, "Keys that were made for the ring and have no alias:\n- arn:")
	works(t, []string{"-alias", "alias/jwt"}, "The ring is at rest.")
}

// The table fits a terminal, and says all that is odd.
func TestStatusFits(t *testing.T) {
	keyARN := func(id string) string { return "arn:aws:kms:us-east-1:111122223333:key/" + id }
	s := keyring.Status{
		State:    keyring.Mixed,
		Signing:  keyring.AliasStatus{Name: "alias/token-signing", KeyARN: keyARN("mrk-1234abcd12ab34cd56ef1234567890ab"), KeySpec: types.KeySpecEccNistEdwards25519, KeyState: types.KeyStatePendingDeletion, Age: 100*24*time.Hour + time.Minute},
		Next:     keyring.AliasStatus{Name: "alias/token-signing-next", KeyARN: keyARN("1234abcd-12ab-34cd-56ef-1234567890ab"), KeySpec: types.KeySpecRsa4096, KeyState: types.KeyStateDisabled, Revoked: true, Age: 47*time.Hour + 59*time.Minute},
		Previous: keyring.AliasStatus{Name: "alias/token-signing-prev"},
		Step:     keyring.Retire, Wait: time.Hour,
		Odd:       []string{strings.Repeat("word ", 40), keyARN("1234abcd-12ab-34cd-56ef-1234567890ab") + " is odd"},
		Leftovers: []string{keyARN("1234abcd-12ab-34cd-56ef-1234567890ab")},
	}
	got := text(s, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	for line := range strings.Lines(got) {
		if len(line) > 81 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	contains(t, nil, got, []string{"100d ago ", "47h59m ago ", "-           -   ", "ECC_NIST_EDWARDS25519  PendingDeletion\n", "RSA_4096               Revoked\n",
		"The ring is prepared before the previous key was retired.\nThe next step is retire, in 1h0m0s, at 2026-01-02T04:04:05Z.\nOdd:\n- word", "\n  word", "ab is\n  odd\n"})
	s.Step = ""
	contains(t, nil, text(s, time.Now()), []string{"No step is next.\n"})

	for _, state := range types.KeyState("").Values() {
		s.Signing.KeyState = state
		got := text(s, time.Now())
		contains(t, nil, got, []string{" " + string(state) + "\n"})
		for line := range strings.Lines(got) {
			if len(line) > 81 {
				t.Errorf("%s: %d columns: %s", state, len(line)-1, line)
			}
		}
	}
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
	works(t, args[:2], "The next step is prepare, in 1m3")
	works(t, append(args, "prepare"))
	remove = fake.Inject(kmstest.Match{Operation: "UpdateAlias"}, kmstest.Throttle())
	status, stdout, stderr = invoke(t, append(args, "promote")...)
	if status != 1 || stdout != "" || !strings.Contains(stderr, "ThrottlingException") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
	remove()
	works(t, args[:2], "The next step is promote, in 1")
	works(t, append(args, "promote"), "point alias/jwt to arn:")
	works(t, args[:2], "The next step is retire, in 1")
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
	works(t, names[:6], "alias/coming", "alias/going", "The next step is retire")
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
	works(t, []string{"-alias", named}, "The next step is promote")
	// Aliases are moved by name: it must not be a namesake in the caller's own
	// account.
	fails(t, "is not in the account of the credentials, 111122223333", 1, "-alias", strings.Replace(named, "111122223333", "444455556666", 1), "-step", "promote")
}

func TestWrongUsage(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"flag provided but not defined: -nonsense", []string{"-nonsense"}},
		{`unexpected argument "prepare"`, []string{"-alias", "alias/jwt", "prepare"}},
		{`unknown -step "demote", want one of prepare, promote, retire, rollback, revoke, advance or status`, []string{"-alias", "alias/jwt", "-step", "demote"}},
		{"want an -alias", []string{"-step", "prepare"}},
		{"want an -alias", []string{"-force"}},
		{"-dry-run and -force want a -step", []string{"-alias", "alias/jwt", "-force"}},
		{"want an -alias", []string{"-json"}},
		{"-step revoke wants the -key", []string{"-alias", "alias/jwt", "-step", "revoke"}},
		{"-key goes with -step revoke", []string{"-alias", "alias/jwt", "-step", "promote", "-key", "1234abcd-12ab-34cd-56ef-1234567890ab"}},
		{"-leftovers goes with -step status", []string{"-alias", "alias/jwt", "-step", "promote", "-leftovers"}},
		{"-max-key-age and -standby go with -step advance", []string{"-alias", "alias/jwt", "-step", "prepare", "-standby"}},
		{"-max-key-age is -1s", []string{"-alias", "alias/jwt", "-step", "advance", "-max-key-age", "-1s"}},
		{"-spec goes with a step that makes a key", []string{"-alias", "alias/jwt", "-step", "promote", "-spec", "RSA_2048"}},
		{`-spec is "P256", want one that signs`, []string{"-spec", "P256"}},
		{`-spec is "HMAC_256", want one that signs`, []string{"-spec", "HMAC_256"}},
		{`-spec is "SM2", want one that signs`, []string{"-spec", "SM2"}},
		{"-max-age is 0s, want more than 0", []string{"-max-age", "0"}},
		{"-timeout is -1s, want more than 0", []string{"-timeout", "-1s"}},
		{"-propagation-delay -1s, want 0 or more", []string{"-propagation-delay", "-1s"}},
		{"only an alias can be pointed to another key", []string{"-alias", "1234abcd-12ab-34cd-56ef-1234567890ab"}},
		{"only an alias can be pointed to another key", []string{"-alias", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}},
		{"want an -alias", []string{"-regions", "us-east-1,eu-west-1"}},
		{`-regions is "eu-west-1", want two Regions or more`, []string{"-alias", "alias/jwt", "-regions", "eu-west-1"}},
		{"want two Regions or more, each once", []string{"-alias", "alias/jwt", "-regions", "eu-west-1,us-east-1,eu-west-1"}},
		{"want two Regions or more", []string{"-alias", "alias/jwt", "-regions", "eu-west-1,"}},
		{"-alias is in us-east-1 and -regions begins with eu-west-1", []string{"-alias", "arn:aws:kms:us-east-1:111122223333:alias/jwt", "-regions", "eu-west-1,us-east-1"}},
		{"-alias and -next are both alias/x, want two aliases", []string{"-alias", "alias/x", "-next", "alias/x"}},
		{"-alias and -next are both alias/x", []string{"-alias", "arn:aws:kms:us-east-1:111122223333:alias/x", "-next", "alias/x", "-step", "prepare"}},
		{"-alias and -previous are both alias/x", []string{"-alias", "alias/x", "-previous", "alias/x"}},
		{"-next and -previous are both alias/y", []string{"-alias", "alias/x", "-next", "alias/y", "-previous", "alias/y"}},
		{"-next and -previous are both alias/x-prev", []string{"-alias", "alias/x", "-next", "alias/x-prev"}},
		{"-next and -previous are both alias/x-next", []string{"-alias", "alias/x", "-previous", "alias/x-next"}},
		{`-next is "jwt2", want an alias name, such as alias/jwt-next`, []string{"-alias", "alias/jwt", "-next", "jwt2"}},
	} {
		fails(t, tt.want, 2, tt.args...)
	}
	if status, stdout, stderr := invoke(t, "-h"); status != 0 || !strings.HasPrefix(stdout, "Rotate rotates the KMS key") || !strings.Contains(stdout, "Usage of rotate:") {
		t.Errorf("-h: status %d\n%s%s", status, stdout, stderr)
	}
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
