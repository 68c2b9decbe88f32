package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/pkcs8"
	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// full reports whether tests run in their full scope, which is slow. It is a
// function, because the go command does not see what an initializer reads of
// the environment, and would use a cached result.
func full() bool { return os.Getenv("KMSSIGN_FULL") == "1" }

// TestMain runs the program itself if a test of this file started it.
func TestMain(m *testing.M) {
	if os.Getenv("FAKEKMS_TEST_RUN_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// program is a running fakekms.
type program struct {
	env      map[string]string
	comments string
	stop     func() (status int, stderr string)
}

// start runs the program in this process, on a free port.
func start(t *testing.T, args ...string) program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), writer, &errs)
		writer.Close()
	}()
	p := readEnvironment(reader, strings.Count(strings.Join(args, " "), "-key "))
	stopped := false
	p.stop = func() (int, string) {
		if stopped {
			return 0, ""
		}
		stopped = true
		cancel()
		return <-done, errs.String()
	}
	t.Cleanup(func() { p.stop() })
	if p.env["AWS_ENDPOINT_URL_KMS"] == "" {
		_, stderr := p.stop()
		t.Fatalf("fakekms %q: %s", args, stderr)
	}
	return p
}

// readEnvironment reads what the program prints.
func readEnvironment(r io.Reader, keys int) program {
	p := program{env: map[string]string{}}
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		line := scanner.Text()
		if pair, ok := strings.CutPrefix(line, "export "); ok {
			name, value, _ := strings.Cut(pair, "=")
			p.env[name] = value
		} else {
			p.comments += line + "\n"
		}
		if len(p.env) == 5 && strings.Count(p.comments, "# arn:") == keys {
			break
		}
	}
	return p
}

// client returns a client for what the program printed, in a Region.
func (p program) client(region string, creds ...string) *kms.Client {
	if creds == nil {
		creds = []string{p.env["AWS_ACCESS_KEY_ID"], p.env["AWS_SECRET_ACCESS_KEY"], ""}
	}
	if region == "" {
		region = p.env["AWS_REGION"]
	}
	return kms.New(kms.Options{
		Region:       region,
		BaseEndpoint: aws.String(p.env["AWS_ENDPOINT_URL_KMS"]),
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: creds[0], SecretAccessKey: creds[1], SessionToken: creds[2]}, nil
		}),
	})
}

func sign(t *testing.T, client *kms.Client, key string, alg types.SigningAlgorithmSpec) *kms.SignOutput {
	t.Helper()
	out, err := client.Sign(t.Context(), &kms.SignInput{KeyId: &key, Message: []byte("m"), SigningAlgorithm: alg})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func publicKey(t *testing.T, client *kms.Client, key string) *kms.GetPublicKeyOutput {
	t.Helper()
	out, err := client.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &key})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	es256    = types.SigningAlgorithmSpecEcdsaSha256
	givenID  = "1234abcd-12ab-34cd-56ef-1234567890ab"
	otherID  = "4321abcd-12ab-34cd-56ef-1234567890ab"
	stateKey = "alias/jwt=ECC_NIST_P256"
)

// TestEnvironment uses what the program prints.
func TestEnvironment(t *testing.T) {
	p := start(t, "-v", "-region", "eu-central-1", "-key", stateKey, "-key", "HMAC_256")
	if !strings.Contains(p.comments, "# arn:aws:kms:eu-central-1:111122223333:key/") || !strings.Contains(p.comments, "ECC_NIST_P256 alias/jwt") ||
		!strings.Contains(p.comments, "\nunset AWS_SESSION_TOKEN AWS_PROFILE\n") {
		t.Errorf("comments:\n%s", p.comments)
	}
	if p.env["AWS_REGION"] != "eu-central-1" || p.env["AWS_DEFAULT_REGION"] != "eu-central-1" {
		t.Errorf("%q", p.env)
	}
	client := p.client("")
	out := sign(t, client, "alias/jwt", es256)
	if _, err := client.Verify(t.Context(), &kms.VerifyInput{
		KeyId: out.KeyId, Message: []byte("m"), SigningAlgorithm: es256, Signature: out.Signature,
	}); err != nil {
		t.Error(err)
	}
	if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/none")}); err == nil {
		t.Error("alias/none exists")
	}
	status, stderr := p.stop()
	if status != 0 || !strings.Contains(stderr, "Sign 200\n") || !strings.Contains(stderr, "DescribeKey 400 NotFoundException\n") {
		t.Errorf("status %d, standard error:\n%s", status, stderr)
	}
}

// TestHealth asks whether the program is there.
func TestHealth(t *testing.T) {
	p := start(t)
	for _, path := range []string{"/", "/health"} {
		for _, method := range []string{"GET", "HEAD"} {
			r, err := http.NewRequestWithContext(t.Context(), method, p.env["AWS_ENDPOINT_URL_KMS"]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || strings.Count(string(body), "\n") != 1 && method == "GET" {
				t.Errorf("%s %s: %d %q", method, path, resp.StatusCode, body)
			}
		}
	}
	resp, err := http.Get(p.env["AWS_ENDPOINT_URL_KMS"] + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("GET /keys: %d", resp.StatusCode)
	}
}

// TestRegions reaches a replica, and a Region that has nothing, on the one
// port.
func TestRegions(t *testing.T) {
	p := start(t)
	out, err := p.client("us-east-1").CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY", MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	id := aws.ToString(out.KeyMetadata.KeyId)
	if _, err := p.client("us-east-1").ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &id, ReplicaRegion: aws.String("eu-west-1")}); err != nil {
		t.Fatal(err)
	}
	if got := sign(t, p.client("eu-west-1"), id, es256); aws.ToString(got.KeyId) != "arn:aws:kms:eu-west-1:111122223333:key/"+id {
		t.Error(aws.ToString(got.KeyId))
	}
	if _, err := p.client("ap-south-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}); err == nil {
		t.Error("a Region has a key that is not its own")
	}
}

// TestCredentials has the pairs that setups have, and what the log says about
// those that are refused.
func TestCredentials(t *testing.T) {
	for _, tt := range []struct {
		flag  string
		creds []string
		log   string // of a refusal, or empty
	}{
		{"", nil, ""},
		{"", []string{"test", "test", ""}, "ListKeys refused: fakekms accepts the access key AKIAIOSFODNN7EXAMPLE only; set"},
		{"", []string{accessKeyID, secretAccessKey, "token"}, "ListKeys refused: it has a session token; unset AWS_SESSION_TOKEN"},
		{"", []string{accessKeyID, "other", ""}, "ListKeys refused: the signature does not fit; AWS_SECRET_ACCESS_KEY must be"},
		{"any", nil, ""},
		{"any", []string{"test", "test", ""}, ""},
		{"any", []string{"ASIA", "x", "left by SSO"}, ""},
		{"test:te st", nil, ""},
		{"test:te st", []string{"test", "te st", ""}, ""},
		{"test:te st", []string{accessKeyID, secretAccessKey, ""}, "fakekms accepts the access key test only"},
	} {
		var args []string
		if tt.flag != "" {
			args = []string{"-credentials", tt.flag}
		}
		p := start(t, args...)
		if tt.creds == nil {
			tt.creds = []string{p.env["AWS_ACCESS_KEY_ID"], strings.Trim(p.env["AWS_SECRET_ACCESS_KEY"], "'"), ""}
		}
		_, err := p.client("", tt.creds...).ListKeys(t.Context(), nil)
		_, stderr := p.stop()
		if (err == nil) != (tt.log == "") || !strings.Contains(stderr, tt.log) || tt.log == "" && stderr != "" {
			t.Errorf("-credentials %q, %q: %v, log %q, want %q", tt.flag, tt.creds, err, stderr, tt.log)
		}
	}
}

// writeFile writes a file and returns its name.
func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// writeKey writes a private key in PKCS #8 and PEM, and returns the name of the
// file.
func writeKey(t *testing.T, private crypto.PrivateKey) string {
	t.Helper()
	der, err := pkcs8.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// TestGivenKeys gives keys in the forms that files have, with a known key ID.
func TestGivenKeys(t *testing.T) {
	private := newEd25519(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := writeKey(t, private)
	p := start(t, "-key", "alias/jwt="+file+",id="+givenID, "-key", "alias/mac="+writeFile(t, "mac", bytes.Repeat([]byte("k"), 48)))
	out := publicKey(t, p.client(""), "alias/jwt")
	if want, _ := x509.MarshalPKIXPublicKey(private.Public()); !bytes.Equal(out.PublicKey, want) || !strings.HasSuffix(aws.ToString(out.KeyId), ":key/"+givenID) {
		t.Errorf("%s, %x", aws.ToString(out.KeyId), out.PublicKey)
	}
	if !strings.Contains(p.comments, ":key/"+givenID+" ECC_NIST_EDWARDS25519 alias/jwt\n") || !strings.Contains(p.comments, " HMAC_384 alias/mac\n") {
		t.Error(p.comments)
	}
	// Without an ID, it is the same at each start, from PEM and from DER.
	var ids []string
	for _, file := range []string{file, file, writeFile(t, "der", der)} {
		ids = append(ids, aws.ToString(publicKey(t, start(t, "-key", "alias/jwt="+file).client(""), "alias/jwt").KeyId))
	}
	if ids[0] != ids[1] || ids[0] != ids[2] {
		t.Errorf("%q", ids)
	}
}

// TestGivenSpecs gives a key of each type as a file.
func TestGivenSpecs(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	pq, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		t.Fatal(err)
	}
	for spec, private := range map[types.KeySpec]crypto.PrivateKey{
		"ECC_NIST_P521": ec, "RSA_3072": rsaKey, "ML_DSA_65": pq, "ECC_NIST_EDWARDS25519": newEd25519(t),
	} {
		p := start(t, "-key", "alias/jwt="+writeKey(t, private))
		if got := publicKey(t, p.client(""), "alias/jwt"); got.KeySpec != spec {
			t.Errorf("spec %s, want %s", got.KeySpec, spec)
		}
	}
	// A key on secp256k1 by "openssl genpkey -algorithm EC -pkeyopt
	// ec_paramgen_curve:secp256k1" and "openssl pkcs8 -topk8 -nocrypt -outform
	// DER".
	const openssl = "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgY9KAlqnRVXyUuFhEefgQeIrbYStV48yd3hk5tikcqd+hRANCAARJtlPOKn735vm2i/5CsTArD43gGp7atLzA/EgOpxxjvAvmd3FQ+v2qjWecbh8twJuaJ6RQsKG99hc6kLhiSrDs"
	der, err := base64.StdEncoding.DecodeString(openssl)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "-key", "alias/jwt="+writeFile(t, "secp256k1.der", der))
	if got := publicKey(t, p.client(""), "alias/jwt"); got.KeySpec != types.KeySpecEccSecgP256k1 {
		t.Errorf("spec %s", got.KeySpec)
	}
}

// TestJWKS publishes the same JWKS after a restart, with a new key and with a
// given one.
func TestJWKS(t *testing.T) {
	jwks := func(p program, alias string) string {
		ring, err := keyring.New(t.Context(), p.client(""), alias)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		ring.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks.json", nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"kid"`) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	state, file := filepath.Join(t.TempDir(), "state"), writeKey(t, newEd25519(t))
	args := []string{"-state", state, "-key", stateKey, "-key", "alias/given=" + file}
	p := start(t, args...)
	made, given := jwks(p, "alias/jwt"), jwks(p, "alias/given")
	p.stop()
	p = start(t, args...)
	if got := jwks(p, "alias/jwt"); got != made {
		t.Errorf("before %s, after %s", made, got)
	}
	if got := jwks(start(t, "-key", "alias/other="+file), "alias/other"); got != given {
		t.Errorf("without a state: before %s, after %s", given, got)
	}
}

// TestRestart keeps a key and its alias, and what was changed by hand, whatever
// -key says.
func TestRestart(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"-state", state, "-key", stateKey, "-key", "alias/given=" + writeKey(t, newEd25519(t)) + ",id=" + givenID}
	p := start(t, args...)
	client := p.client("")
	before, given := publicKey(t, client, "alias/jwt"), publicKey(t, client, "alias/given")
	// alias/given moves, as in a rotation.
	next, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: "ECC_NIST_P384", KeyUsage: "SIGN_VERIFY"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String("alias/given"), TargetKeyId: next.KeyMetadata.KeyId}); err != nil {
		t.Fatal(err)
	}
	if status, stderr := p.stop(); status != 0 || stderr != "" {
		t.Fatalf("%d %s", status, stderr)
	}

	p = start(t, args...)
	client = p.client("")
	if after := publicKey(t, client, "alias/jwt"); aws.ToString(after.KeyId) != aws.ToString(before.KeyId) || !bytes.Equal(after.PublicKey, before.PublicKey) {
		t.Error("alias/jwt is another key")
	}
	if after := publicKey(t, client, "alias/given"); aws.ToString(after.KeyId) != aws.ToString(next.KeyMetadata.Arn) {
		t.Error("alias/given has moved back")
	}
	if after := publicKey(t, client, givenID); !bytes.Equal(after.PublicKey, given.PublicKey) {
		t.Error("the given key is another")
	}
	list, err := client.ListKeys(t.Context(), nil)
	if err != nil || len(list.Keys) != 3 {
		t.Errorf("%d keys, %v", len(list.Keys), err)
	}

	// A second process is refused, and does not disturb the first.
	var out, errs bytes.Buffer
	if status := run(t.Context(), append([]string{"-listen", "127.0.0.1:0"}, args...), &out, &errs); status != 1 || !strings.Contains(errs.String(), "in use by another process") {
		t.Errorf("%d %s", status, &errs)
	}
	sign(t, client, "alias/jwt", es256)
	p.stop()

	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-key", "alias/jwt=" + writeKey(t, newEd25519(t))}, 1, "the state has alias/jwt for another key, " + aws.ToString(before.KeyId)},
		{[]string{"-key", "alias/given=" + writeKey(t, newEd25519(t)) + ",id=" + givenID}, 1, givenID + " exists with other key material"},
		{[]string{"-key", "alias/jwt=" + writeKey(t, newEd25519(t)) + ",id=" + otherID}, 1, "the state has alias/jwt for another key"},
		{[]string{"-key", "RSA_2048"}, 2, "with -state, a new key needs an alias"},
		{[]string{"-account", "444455556666"}, 1, "it is of account 111122223333"},
	} {
		errs.Reset()
		status := run(t.Context(), append([]string{"-listen", "127.0.0.1:0", "-state", state}, tt.args...), &out, &errs)
		if status != tt.status || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: %d %s", tt.args, status, &errs)
		}
	}
	// Another spec is no error: the state wins, and the log says so.
	p = start(t, "-state", state, "-key", "alias/jwt=RSA_2048", "-key", "alias/new=HMAC_256")
	if _, stderr := p.stop(); !strings.Contains(stderr, "the state wins, in which alias/jwt is a key of spec ECC_NIST_P256") {
		t.Error(stderr)
	}
	// A damaged file is refused and left as it is.
	if err := os.WriteFile(state, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	errs.Reset()
	status := run(t.Context(), []string{"-listen", "127.0.0.1:0", "-state", state}, &out, &errs)
	if content, err := os.ReadFile(state); status != 1 || !strings.Contains(errs.String(), "it is not a state file of kmstest, or it is damaged") || string(content) != "{}" || err != nil {
		t.Errorf("%d %s %q %v", status, &errs, content, err)
	}
}

func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := writeFile(t, "pkcs1.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}))
	encrypted := writeFile(t, "encrypted.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	public := writeFile(t, "public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))
	good := writeKey(t, newEd25519(t))
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-listen", taken.Addr().String()}, 1, "address already in use"},
		{[]string{"-listen", "nonsense"}, 1, "missing port in address"},
		{[]string{"-listen", "0.0.0.0:0"}, 2, "-listen 0.0.0.0:0 is not a loopback address: "},
		{[]string{"-listen", ":0"}, 2, "add -closed-network if"},
		{[]string{"-nonsense"}, 2, "flag provided but not defined"},
		{[]string{"extra"}, 2, `unexpected argument "extra"`},
		{[]string{"-key", "alias/jwt=P256"}, 2, `"P256" is not a file (no such file or directory) and not a key spec, which are [`},
		{[]string{"-key", "alias/jwt="}, 2, `want a key spec or a file`},
		{[]string{"-key", "jwt=ECC_NIST_P256"}, 2, `alias "jwt", want one that begins with alias/`},
		{[]string{"-key", "ECC_NIST_P256,id=" + givenID}, 2, `id= is for the key of a file`},
		{[]string{"-key", "alias/jwt=" + good + ",id=x"}, 1, `key ID "x", want a lower-case UUID`},
		{[]string{"-key", pkcs1}, 1, "has an RSA PRIVATE KEY, want PKCS #8; convert it with: openssl pkcs8 -topk8"},
		{[]string{"-key", encrypted}, 1, "is encrypted"},
		{[]string{"-key", public}, 1, "has no PRIVATE KEY in PEM"},
		{[]string{"-key", writeFile(t, "short", []byte("secret\n"))}, 1, "short has no private key in PKCS #8, and as an HMAC key: kmstest: AddPrivateKey: an HMAC key has 7 bytes, want 28, 32, 48 or 64"},
		{[]string{"-account", "1"}, 2, "want twelve digits"},
		{[]string{"-region", ""}, 2, "-region is empty"},
		{[]string{"-credentials", "test"}, 2, "want ID:SECRET or any"},
		{[]string{"-key", "alias/aws/x=ECC_NIST_P256"}, 2, "alias/aws/x"},
		{[]string{"-key", "alias/x=ECC_NIST_P256", "-key", "alias/x=RSA_2048"}, 2, "AlreadyExistsException"},
		{[]string{"-key", "SM2"}, 1, "-key SM2"},
		{[]string{"-state", "/nonexistent/state"}, 1, "lock state file /nonexistent/state: "},
	} {
		args := append([]string{"-listen", "127.0.0.1:0"}, tt.args...)
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != tt.status || out.Len() != 0 || !strings.Contains(errs.String(), tt.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%q: status %d, standard output %q, standard error %q; want %d and %q", tt.args, status, &out, &errs, tt.status, tt.want)
		}
	}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &out, &errs); status != 0 || errs.Len() != 0 ||
		!strings.HasPrefix(out.String(), "Fakekms serves a fake AWS KMS over HTTP") || !strings.Contains(out.String(), "\n  -state file\n") {
		t.Errorf("-h: %d %s %s", status, &out, &errs)
	}
}

// TestClosedNetwork prints an address that can be used.
func TestClosedNetwork(t *testing.T) {
	p := start(t, "-closed-network", "-listen", "0.0.0.0:0", "-key", stateKey)
	if !strings.HasPrefix(p.env["AWS_ENDPOINT_URL_KMS"], "http://127.0.0.1:") || !strings.Contains(p.comments, "# From other machines of the closed network") {
		t.Errorf("%q\n%s", p.env, p.comments)
	}
	sign(t, p.client(""), "alias/jwt", es256)
}

// TestDocs starts the program as docs/fake.md does in docker-compose, apart
// from the address and the place of the state.
func TestDocs(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/fake.md")
	if err != nil {
		t.Fatal(err)
	}
	_, command, ok := strings.Cut(string(docs), "        exec fakekms ")
	command, _, end := strings.Cut(command, "\n    environment:")
	if !ok || !end {
		t.Fatal("docs/fake.md has no command of docker-compose")
	}
	args := strings.Fields(command)
	for i, arg := range args {
		switch {
		case strings.HasSuffix(arg, ":4599"):
			args[i] = "0.0.0.0:0"
		case strings.HasPrefix(arg, "/state/"):
			args[i] = filepath.Join(t.TempDir(), "kms")
		}
	}
	p := start(t, args...)
	publicKey(t, p.client("", "test", "test", ""), "alias/jwt")

	// Each flag of -h is a flag that the page or the package comment explains.
	comment, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ = bytes.Cut(comment, []byte("\npackage "))
	var out, errs bytes.Buffer
	run(t.Context(), []string{"-h"}, &out, &errs)
	for line := range strings.Lines(out.String()) {
		if name, ok := strings.CutPrefix(line, "  -"); ok {
			name = "-" + strings.Fields(name)[0]
			if !strings.Contains(string(docs)+string(comment), name) {
				t.Errorf("%s is not explained", name)
			}
		}
	}
}
