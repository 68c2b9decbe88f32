package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner"
)

// invoke runs the program.
func invoke(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "issue", run, args, cli.Stdio{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// issued runs the program, which must succeed, and returns the token.
func issued(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	status, stdout, stderr := invoke(t, stdin, args...)
	token, ok := strings.CutSuffix(stdout, "\n")
	if status != 0 || !ok || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
		t.Fatalf("issue %q: status %d, standard output %q, standard error:\n%s", args, status, stdout, stderr)
	}
	return token
}

func TestDefault(t *testing.T) {
	token := issued(t, "")
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Method.Alg() != "ES256" || parsed.Header["kid"] == "" {
		t.Errorf("header %v, want ES256 and a kid", parsed.Header)
	}
	if err := jwt.NewValidator(jwt.WithExpirationRequired()).Validate(parsed.Claims); err != nil {
		t.Errorf("the sample claims: %v", err)
	}
}

func TestReport(t *testing.T) {
	_, _, stderr := invoke(t, "")
	for _, want := range []string{
		"key        arn:aws:kms:us-east-1:111122223333:key/",
		"alg        ES256\n",
		"kid        ",
		"KMS calls  1 GetPublicKey, 1 Sign, in ",
		"signature  verified by golang-jwt's stock parser with the public key alone\n",
		"claims     would pass golang-jwt's stock parser now, which does not look at iss, sub and aud\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
}

// The report says what becomes of the claims, whatever they are.
func TestClaimsReport(t *testing.T) {
	soon := time.Now().Add(time.Hour).Unix()
	for claims, want := range map[string]string{
		fmt.Sprintf(`{"exp":%d}`, soon):               "would pass golang-jwt's stock parser now, which does not look at iss, sub and aud\n",
		`{"sub":"bob"}`:                               "sub and aud; without exp the token never expires\n",
		`{"exp":1}`:                                   "would be refused by golang-jwt's stock parser now: token is expired\n",
		`{"exp":"soon"}`:                              "would be refused by golang-jwt's stock parser now: invalid type for claim: exp is invalid",
		`{"exp":1e400}`:                               "would be refused by golang-jwt's stock parser now: ",
		fmt.Sprintf(`{"nbf":%d}`, soon):               "would be refused by golang-jwt's stock parser now: token is not valid yet\n",
		fmt.Sprintf(`{"exp":1,"nbf":%d}`, soon):       "token is expired, token is not valid yet\n",
		fmt.Sprintf(`{"exp":%d,"nbf":"later"}`, soon): "would be refused by golang-jwt's stock parser now: ",
	} {
		for _, alg := range []string{"ES256", "ES256K", "HS256"} {
			status, stdout, stderr := invoke(t, claims, "-claims", "-", "-alg", alg)
			if status != 0 || stdout == "" || !strings.Contains(stderr, want) {
				t.Errorf("%s, %s: status %d, standard error lacks %q:\n%s", claims, alg, status, want, stderr)
			}
		}
	}
}

func TestEveryAlg(t *testing.T) {
	for _, a := range algs {
		alg := a.Method.Alg()
		if strings.HasPrefix(alg, "HS") {
			issued(t, "", "-alg", alg)
			continue
		}
		for _, raw := range []string{"-raw=false", "-raw=true"} {
			pub := filepath.Join(t.TempDir(), "pub.pem")
			token := issued(t, "", "-alg", alg, "-public-key", pub, raw)
			data, err := os.ReadFile(pub)
			if err != nil {
				t.Fatal(err)
			}
			block, rest := pem.Decode(data)
			if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
				t.Fatalf("-public-key wrote %q", data)
			}
			key, err := kmssigner.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			_, err = jwt.Parse(token, a.Method.Keyfunc(key), jwt.WithValidMethods([]string{alg}))
			if err != nil {
				t.Errorf("%s %s: %v", alg, raw, err)
			}
		}
	}
}

// With -key and no -alg the key decides, whatever kind it is.
func TestEveryKeySpec(t *testing.T) {
	fake := awsenv.Serve(t)
	for spec, alg := range map[types.KeySpec]string{
		types.KeySpecEccNistP256:         "ES256",
		types.KeySpecEccNistP384:         "ES384",
		types.KeySpecEccNistP521:         "ES512",
		types.KeySpecEccSecgP256k1:       "ES256K",
		types.KeySpecEccNistEdwards25519: "EdDSA",
		types.KeySpecRsa2048:             "RS256",
		types.KeySpecRsa3072:             "RS256",
		types.KeySpecRsa4096:             "RS256",
		types.KeySpecMlDsa44:             "ML-DSA-44",
		types.KeySpecMlDsa65:             "ML-DSA-65",
		types.KeySpecMlDsa87:             "ML-DSA-87",
		types.KeySpecHmac256:             "HS256",
		types.KeySpecHmac384:             "HS384",
		types.KeySpecHmac512:             "HS512",
	} {
		status, stdout, stderr := invoke(t, "", "-key", fake.AddKey(spec))
		if status != 0 || stdout == "" || !strings.Contains(stderr, "alg        "+alg+"\n") {
			t.Errorf("%s: status %d, standard error:\n%s", spec, status, stderr)
		}
	}
	fails(t, "no method signs with a *kmssigner.HMAC with MACs of 28 bytes", 1, "", "-key", fake.AddKey(types.KeySpecHmac224))
	fails(t, "its key spec is SYMMETRIC_DEFAULT", 1, "", "-key", fake.AddKey(types.KeySpecSymmetricDefault))
	fails(t, "its key usage is", 1, "", "-key", fake.AddKey(types.KeySpecMlKem512))
	fails(t, "HS256 wants a MAC of 32 bytes", 1, "", "-key", fake.AddKey(types.KeySpecHmac512), "-alg", "HS256")
	fails(t, "for a key that signs use New", 1, "", "-key", fake.AddKey(types.KeySpecEccNistP256), "-alg", "HS256")
	fails(t, "unsupported key", 1, "", "-key", fake.AddKey(types.KeySpecHmac256), "-alg", "ES256")
	hmac, none := fake.AddKey(types.KeySpecHmac256), filepath.Join(t.TempDir(), "pub.pem")
	fails(t, "-public-key: an HMAC key has no public key", 1, "", "-key", hmac, "-public-key", none)
	fails(t, "-raw: KMS takes a message for a MAC in one way only", 1, "", "-key", hmac, "-raw")
	fails(t, "-public-key is given with -alg HS256, and an HMAC key has no public key", 2, "", "-alg", "HS256", "-public-key", none)
	fails(t, "-raw is given with -alg HS512", 2, "", "-alg", "HS512", "-raw")
	if _, err := os.Stat(none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want none", none, err)
	}
}

// TestPublicKeyFile gives the public key in a file, in both encodings, so that
// KMS is not asked for it.
func TestPublicKeyFile(t *testing.T) {
	fake := awsenv.Serve(t)
	dir := t.TempDir()
	for _, a := range cli.Signatures {
		keyID := fake.AddKey(a.Spec)
		file := filepath.Join(dir, "pub.pem")
		status, _, stderr := invoke(t, "", "-key", keyID, "-alg", a.Method.Alg(), "-public-key", file)
		if status != 0 {
			t.Fatal(stderr)
		}
		_, arn, _ := strings.Cut(stderr, "arn:")
		arn, _, _ = strings.Cut("arn:"+arn, "\n")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		der := filepath.Join(dir, "pub.der")
		if err := os.WriteFile(der, block.Bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{file, der} {
			status, token, stderr := invoke(t, "", "-key", arn, "-alg", a.Method.Alg(), "-known-public-key", file)
			if status != 0 || token == "" || !strings.Contains(stderr, "KMS calls  1 Sign, in ") {
				t.Errorf("%s, %s: status %d, standard error:\n%s", a.Spec, file, status, stderr)
			}
		}
	}
	write := func(text string) string {
		file := filepath.Join(dir, "other")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	keyID, good := fake.AddKey(types.KeySpecEccNistP256), filepath.Join(dir, "pub.pem")
	fails(t, "-known-public-key is given without -key", 2, "", "-known-public-key", good)
	fails(t, "must be a full key ARN", 1, "", "-key", keyID, "-known-public-key", good)
	fails(t, "an HMAC key has no public key", 2, "", "-key", keyID, "-alg", "HS256", "-known-public-key", good)
	fails(t, "no such file", 1, "", "-key", keyID, "-known-public-key", filepath.Join(dir, "none"))
	fails(t, "parse public key", 1, "", "-key", keyID, "-known-public-key", write("garbage"))
	fails(t, `has a PEM block of type "CERTIFICATE", want PUBLIC KEY`, 1, "", "-key", keyID, "-known-public-key",
		write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
}

// The program does not wait for standard input without end.
func TestStandardInputTimesOut(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	var out, errs bytes.Buffer
	status := cli.Run(t.Context(), "issue", run, []string{"-claims", "-", "-timeout", "20ms"}, cli.Stdio{In: reader, Out: &out, Err: &errs})
	if status != 1 || out.Len() != 0 || !strings.Contains(errs.String(), "standard input: context deadline exceeded") {
		t.Errorf("status %d, standard output %q, standard error %q", status, &out, &errs)
	}
}

// Numbers that no float64 holds are claims like others.
func TestHugeNumbers(t *testing.T) {
	issued(t, `{"n":1e400,"i":123456789012345678901234567890}`, "-claims", "-")
}

func TestTooLong(t *testing.T) {
	claims := `{"long":"` + strings.Repeat("a", 5000) + `"}`
	issued(t, claims, "-claims", "-", "-alg", "ML-DSA-44")
	fails(t, "KMS takes 1 to 4096 for Ed25519; shorten the message, or use an ECDSA, RSA or ML-DSA key, which signs messages of any length\n", 1, claims, "-claims", "-", "-alg", "EdDSA")
	fails(t, "KMS takes 1 to 4096 for a MAC; shorten the message, ", 1, claims, "-claims", "-", "-alg", "HS256")
}

func TestClaims(t *testing.T) {
	long := strings.Repeat("a", 5000)
	claims := `{"sub":"bob","big":9007199254740993,"exact":1.10,"long":"` + long + `"}`
	file := filepath.Join(t.TempDir(), "claims.json")
	if err := os.WriteFile(file, []byte(claims), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{
		issued(t, "", "-claims", file),
		issued(t, claims, "-claims", "-"),
		issued(t, claims, "-claims", "-", "-raw"),
	} {
		payload, err := jwt.NewParser().DecodeSegment(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"sub": `"bob"`, "big": "9007199254740993", "exact": "1.10", "long": `"` + long + `"`} {
			if string(got[name]) != want {
				t.Errorf("claim %s came out as %.40s, want %.40s", name, got[name], want)
			}
		}
	}
}

// fails runs the program, which must fail with one clear line and no output.
func fails(t *testing.T, want string, status int, stdin string, args ...string) {
	t.Helper()
	got, stdout, stderr := invoke(t, stdin, args...)
	if got != status || stdout != "" {
		t.Errorf("issue %q: status %d, standard output %q; want status %d and no output\n%s", args, got, stdout, status, stderr)
	}
	if !strings.Contains(stderr, want) {
		t.Errorf("issue %q: standard error lacks %q:\n%s", args, want, stderr)
	}
	if status == 1 && (strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "issue: ")) {
		t.Errorf("issue %q: want one line on standard error, got:\n%s", args, stderr)
	}
}

func TestWrongUsage(t *testing.T) {
	fails(t, "flag provided but not defined: -nonsense", 2, "", "-nonsense")
	fails(t, `unknown -alg "ES999", want one of ES256, `, 2, "", "-alg", "ES999")
	fails(t, `unknown -alg "none"`, 2, "", "-alg", "none")
	fails(t, `unexpected argument "extra"`, 2, "", "extra")
	fails(t, `-timeout is 0s, want more than 0`, 2, "", "-timeout", "0")
	fails(t, `invalid value "soon" for flag -timeout`, 2, "", "-timeout", "soon")
	fails(t, "-key is empty; leave it out for its default", 2, "", "-key", "")
	fails(t, "-claims is empty", 2, "", "-claims=")
	fails(t, "-alg is empty", 2, "", "-alg", "")
	status, stdout, stderr := invoke(t, "", "-h")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "Issue issues one JWT") || !strings.Contains(stdout, "Usage of issue:") {
		t.Errorf("-h: status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
}

func TestBadClaims(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none", "file")
	fails(t, "no such file or directory", 1, "", "-claims", none)
	fails(t, "claims: standard input is not a JSON object: ", 1, "{", "-claims", "-")
	fails(t, "claims: standard input is not a JSON object: ", 1, "", "-claims", "-")
	fails(t, "claims: standard input is not a JSON object: ", 1, `["a"]`, "-claims", "-")
	fails(t, "claims: standard input is null", 1, "null", "-claims", "-")
	fails(t, "claims: standard input has more after the JSON object", 1, "{} {}", "-claims", "-")
	fails(t, "-public-key: open "+filepath.Dir(none), 1, "", "-public-key", none)
	file := filepath.Join(t.TempDir(), "claims")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, "which is also read", 2, "", "-claims", file, "-public-key", file)
}

func TestKey(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP384)
	alias := "alias/token-signing"
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{key, alias} {
		_, stdout, stderr := invoke(t, "", "-key", id)
		if !strings.Contains(stderr, "alg        ES384\n") || !strings.Contains(stderr, ":key/"+key) || stdout == "" {
			t.Errorf("-key %s: standard output %q, standard error:\n%s", id, stdout, stderr)
		}
	}
	issued(t, "", "-key", key, "-alg", "ES384", "-raw")
	fails(t, "ES256 wants an ECDSA key on P-256, got an ECDSA key on P-384", 1, "", "-key", key, "-alg", "ES256")
	fails(t, "RS256 wants an RSA key", 1, "", "-key", key, "-alg", "RS256")
	fails(t, "NotFoundException", 1, "", "-key", "alias/none")

	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	fails(t, " is disabled; enable the key with aws kms enable-key, or use another key\n", 1, "", "-key", key)
	if _, err := fake.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	fails(t, " is pending deletion; cancel the deletion with aws kms cancel-key-deletion and ", 1, "", "-key", key)
}

// With no Region configured the ARN's own will do.
func TestRegionOfARN(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	os.Unsetenv("AWS_REGION")
	fails(t, "no AWS Region: set AWS_REGION", 1, "", "-key", key)
	issued(t, "", "-key", "arn:aws:kms:us-east-1:111122223333:key/"+key)
}

func TestCredentials(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	fails(t, "InvalidSignatureException", 1, "", "-key", key)
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	fails(t, "no AWS credentials: set AWS_ACCESS_KEY_ID", 1, "", "-key", key)
}

func TestNoNetwork(t *testing.T) {
	awsenv.Serve(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	// Connections to a listener that nobody accepts from are never answered.
	t.Setenv("AWS_ENDPOINT_URL_KMS", fmt.Sprintf("http://%s", listener.Addr()))
	fails(t, context.DeadlineExceeded.Error(), 1, "", "-key", "alias/a", "-timeout", "50ms")
	listener.Close()
	fails(t, "connection refused", 1, "", "-key", "alias/a")
}
