package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const message = "the message"

// specs has a key spec of every type, with the algorithms that it signs with.
var specs = map[types.KeySpec][]types.SigningAlgorithmSpec{
	types.KeySpecRsa2048: {
		types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, types.SigningAlgorithmSpecRsassaPkcs1V15Sha384, types.SigningAlgorithmSpecRsassaPkcs1V15Sha512,
		types.SigningAlgorithmSpecRsassaPssSha256, types.SigningAlgorithmSpecRsassaPssSha384, types.SigningAlgorithmSpecRsassaPssSha512,
	},
	types.KeySpecEccNistP256:         {types.SigningAlgorithmSpecEcdsaSha256},
	types.KeySpecEccNistP384:         {types.SigningAlgorithmSpecEcdsaSha384},
	types.KeySpecEccNistP521:         {types.SigningAlgorithmSpecEcdsaSha512},
	types.KeySpecEccSecgP256k1:       {types.SigningAlgorithmSpecEcdsaSha256},
	types.KeySpecEccNistEdwards25519: {types.SigningAlgorithmSpecEd25519Sha512},
	types.KeySpecMlDsa44:             {types.SigningAlgorithmSpecMlDsaShake256},
	types.KeySpecMlDsa65:             {types.SigningAlgorithmSpecMlDsaShake256},
	types.KeySpecMlDsa87:             {types.SigningAlgorithmSpecMlDsaShake256},
}

// invoke runs the program.
func invoke(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "sign", run, args, cli.Stdio{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// succeeds runs the program, which must succeed, and returns its output.
func succeeds(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	status, stdout, stderr := invoke(t, stdin, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("sign %q: status %d, standard error:\n%s", args, status, stderr)
	}
	return stdout
}

// fails runs the program, which must fail with one clear line and no output.
func fails(t *testing.T, want string, status int, stdin string, args ...string) {
	t.Helper()
	got, stdout, stderr := invoke(t, stdin, args...)
	if got != status || stdout != "" {
		t.Errorf("sign %q: status %d, standard output %q; want status %d and no output\n%s", args, got, stdout, status, stderr)
	}
	if !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "sign: ") {
		t.Errorf("sign %q: standard error lacks %q, or is not one line:\n%s", args, want, stderr)
	}
}

// write writes a file into a new directory.
func write(t *testing.T, data string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// read returns what is in a file.
func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Without a flag there is no account, and the signature is a P-256 one.
func TestDefault(t *testing.T) {
	pub := filepath.Join(t.TempDir(), "pub.pem")
	sig := succeeds(t, message, "-public-key", pub)
	block, rest := pem.Decode([]byte(read(t, pub)))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) != 0 {
		t.Fatalf("-public-key wrote %q", read(t, pub))
	}
	key, err := kmssigner.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	check(t, key, crypto.SHA256, message, sig)
}

// TestSignAndVerify signs with every algorithm and in every way that the
// algorithm allows, and verifies locally and by the fake KMS.
func TestSignAndVerify(t *testing.T) {
	fake := awsenv.Serve(t)
	in, other := write(t, message), write(t, message+"!")
	long := write(t, strings.Repeat("long ", 4096))
	for spec, algs := range specs {
		key := fake.AddKey(spec)
		for _, alg := range algs {
			base := []string{"-key", key, "-alg", string(alg)}
			runs := []struct{ sign, verify []string }{
				{nil, nil},
				{[]string{"-raw"}, nil},
				{[]string{"-format", "base64"}, []string{"-format", "base64"}},
				{[]string{"-format", "hex"}, []string{"-format", "hex"}},
			}
			if strings.HasPrefix(string(alg), "ECDSA") {
				runs = append(runs, []struct{ sign, verify []string }{
					{[]string{"-format", "p1363"}, []string{"-format", "p1363"}},
					{[]string{"-format", "p1363,base64"}, []string{"-format", "base64,p1363"}},
					{[]string{"-format", "der,hex"}, []string{"-format", "hex"}},
				}...)
				for _, h := range hashes {
					runs = append(runs, struct{ sign, verify []string }{[]string{"-hash", h.name}, []string{"-hash", h.name}})
				}
			}
			files := []string{in}
			if alg != types.SigningAlgorithmSpecEd25519Sha512 {
				files = append(files, long)
			}
			for _, r := range runs {
				for _, file := range files {
					if file == long && slices.Contains(r.sign, "-raw") {
						fails(t, "has more than 4096 bytes, want 1 to 4096 with -raw", 1, "", slices.Concat(base, r.sign, []string{"-in", long})...)
						continue
					}
					sig := filepath.Join(t.TempDir(), "sig")
					succeeds(t, "", slices.Concat(base, r.sign, []string{"-in", file, "-out", sig})...)
					verify := slices.Concat(base, r.verify, []string{"-verify", sig})
					for _, remote := range [][]string{nil, {"-remote"}} {
						verify := append(verify, remote...)
						got := succeeds(t, "", append(verify, "-in", file)...)
						if want := "good signature by arn:aws:kms:us-east-1:111122223333:key/" + key + "\n"; got != want {
							t.Errorf("%q: %q, want %q", verify, got, want)
						}
						fails(t, "the signature does not verify", 1, "", append(verify, "-in", other)...)
					}
				}
			}
		}
	}
}

// The digest of a file, given with -digest, has the signatures of the file.
func TestDigest(t *testing.T) {
	fake := awsenv.Serve(t)
	digest := sha256.Sum256([]byte(message))
	sum := hex.EncodeToString(digest[:])
	p256, p384, rsa := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP384), fake.AddKey(types.KeySpecRsa2048)
	ed25519, mldsa := fake.AddKey(types.KeySpecEccNistEdwards25519), fake.AddKey(types.KeySpecMlDsa44)
	for _, args := range [][]string{{"-key", p256}, {"-key", p384, "-hash", "sha-256"}, {"-key", rsa}, {"-key", rsa, "-alg", "RSASSA_PSS_SHA_256"}} {
		sig := write(t, succeeds(t, string(digest[:]), append(args, "-digest")...))
		succeeds(t, message, append(args, "-verify", sig)...)
		succeeds(t, string(digest[:]), append(args, "-verify", sig, "-digest", "-remote")...)
	}
	fails(t, "standard input has 32 bytes, want 48, the length of SHA-384", 1, string(digest[:]), "-key", p384, "-digest")
	fails(t, "standard input has 31 bytes, want 32, the length of SHA-256", 1, string(digest[:31]), "-key", rsa, "-digest")
	fails(t, "standard input has 0 bytes, want 32", 1, "", "-key", rsa, "-digest")
	fails(t, "standard input has 71 bytes, want 32, the length of SHA-256; it begins like one in hex, and must be binary", 1, sum+"  file\n", "-key", p256, "-digest")
	fails(t, "has more than 4096 bytes, want 32", 1, strings.Repeat("a", 5000), "-key", p256, "-digest")
	fails(t, "-digest is given, but ED25519_SHA_512 signs the input itself", 1, message, "-key", ed25519, "-digest")
	fails(t, "-digest is given, but ML_DSA_SHAKE_256 signs the input itself", 1, message, "-key", mldsa, "-digest")
	if n := fake.Calls("Sign"); n != 4 {
		t.Errorf("%d Sign calls, want the 4 that succeeded", n)
	}
}

// Each form of key ID names the key.
func TestKeyIDs(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/release"), TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:kms:us-east-1:111122223333:"
	for _, id := range []string{key, arn + "key/" + key, "alias/release", arn + "alias/release"} {
		var rep report
		if err := json.Unmarshal([]byte(succeeds(t, message, "-key", id, "-json")), &rep); err != nil {
			t.Fatal(err)
		}
		if rep.Key != arn+"key/"+key {
			t.Errorf("%s: key_arn is %q", id, rep.Key)
		}
	}
	os.Unsetenv("AWS_REGION")
	succeeds(t, message, "-key", arn+"alias/release")
	fails(t, "no AWS Region: set AWS_REGION", 1, message, "-key", "alias/release")
}

func TestReports(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP384)
	file := filepath.Join(t.TempDir(), "sig")
	var rep report
	if err := json.Unmarshal([]byte(succeeds(t, message, "-key", key, "-json", "-out", file, "-hash", "SHA-256")), &rep); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(message))
	if rep.Algorithm != "ECDSA_SHA_384" || rep.Hash != "SHA-256" || rep.Digest != hex.EncodeToString(digest[:]) || rep.MessageType != "DIGEST" {
		t.Errorf("%+v", rep)
	}
	if sig, err := base64.StdEncoding.DecodeString(rep.Signature); err != nil || string(sig) != read(t, file) {
		t.Errorf("the signature is %q, and %q in the file", rep.Signature, read(t, file))
	}
	if len(rep.RequestID) != len("1234abcd-12ab-34cd-56ef-1234567890ab") {
		t.Errorf("the request ID is %q, want a UUID", rep.RequestID)
	}

	status, stdout, stderr := invoke(t, message, "-key", key, "-v", "-format", "p1363,hex", "-raw")
	if status != 0 || len(stdout) != 2*96+1 {
		t.Errorf("status %d, standard output %q", status, stdout)
	}
	for _, want := range []string{"key           arn:aws:kms:", "algorithm     ECDSA_SHA_384\n", "digest        SHA-384 ", "message type  RAW\n", "request id    ", "verified      with the public key\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}

	// Ed25519 has no digest, and local verification no call.
	ed25519 := fake.AddKey(types.KeySpecEccNistEdwards25519)
	status, stdout, stderr = invoke(t, message, "-key", ed25519, "-v")
	if status != 0 || strings.Contains(stderr, "digest") {
		t.Errorf("status %d, standard error:\n%s", status, stderr)
	}
	report := succeeds(t, message, "-key", ed25519, "-json", "-verify", write(t, stdout))
	want := fmt.Sprintf("{\n  \"key_arn\": \"arn:aws:kms:us-east-1:111122223333:key/%s\",\n  \"algorithm\": \"ED25519_SHA_512\",\n  \"verified\": \"with the public key\"\n}\n", ed25519)
	if report != want {
		t.Errorf("got %s, want %s", report, want)
	}
	fails(t, "the signature does not verify", 1, message+"!", "-key", ed25519, "-json", "-verify", write(t, stdout))
}

// Nothing is written unless the signature is good.
func TestNothingWritten(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, effect := range []kmstest.Effect{kmstest.Corrupt(), kmstest.Truncate(), kmstest.Throttle(), kmstest.OtherMessage()} {
		remove := fake.Inject(kmstest.Match{Operation: "Sign"}, effect)
		for _, out := range []string{old, filepath.Join(dir, "new")} {
			fails(t, "sign", 1, message, "-key", key, "-out", out, "-public-key", filepath.Join(dir, "pub"))
		}
		remove()
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || read(t, old) != "old" {
		t.Errorf("the directory has %v, want the file old, unchanged; %v", entries, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(old, link); err != nil {
		t.Fatal(err)
	}
	succeeds(t, message, "-key", key, "-out", link)
	info, err := os.Stat(old)
	if err != nil || read(t, old) == "old" || info.Mode().Perm() != 0o640 {
		t.Errorf("%s has mode %v, %v", old, info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	succeeds(t, message, "-key", key, "-out", os.DevNull)
}

// Files are checked before any call.
func TestFiles(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	dir, file := t.TempDir(), write(t, message)
	none := filepath.Join(dir, "none", "file")
	fails(t, "-in: open "+none, 1, "", "-key", key, "-in", none)
	fails(t, "-in: "+dir+" is a directory", 1, "", "-key", key, "-in", dir)
	fails(t, "-out: "+dir+" is a directory", 1, message, "-key", key, "-out", dir)
	fails(t, "-out: open "+filepath.Dir(none), 1, message, "-key", key, "-out", none)
	fails(t, "-public-key: open "+filepath.Dir(none), 1, message, "-key", key, "-public-key", none)
	fails(t, "-verify: open "+none, 1, message, "-key", key, "-verify", none)
	fails(t, "-verify: "+os.DevNull+" is empty", 1, message, "-key", key, "-verify", os.DevNull)
	fails(t, "has more than 65536 bytes", 1, message, "-key", key, "-verify", write(t, strings.Repeat("a", 70000)))
	fails(t, "-in and -out are both", 2, "", "-key", key, "-in", file, "-out", file)
	fails(t, "-in and -out are both", 2, "", "-key", key, "-in", file, "-out", filepath.Dir(file)+"/./file")
	fails(t, "-out and -public-key are both", 2, "", "-key", key, "-out", dir+"/a", "-public-key", dir+"/a")
	fails(t, "-verify and -public-key are both", 2, "", "-key", key, "-verify", file, "-public-key", file)
	if n := len(fake.Requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{"flag provided but not defined: -nonsense; the flags are listed by -h", []string{"-nonsense"}},
		{`unexpected argument "file"`, []string{"file"}},
		{"-key is empty", []string{"-key", ""}},
		{`unknown -alg "ES256", want one of RSASSA_PKCS1_V1_5_SHA_256, `, []string{"-alg", "ES256"}},
		{`unknown -alg "ED25519_PH_SHA_512"`, []string{"-alg", "ED25519_PH_SHA_512"}},
		{`unknown -hash "SHA-1", want one of SHA-224, `, []string{"-hash", "SHA-1"}},
		{`unknown -format "pem", want der, p1363, base64 or hex`, []string{"-format", "pem"}},
		{`unknown -format "der,"`, []string{"-format", "der,"}},
		{`-format is "hex,base64", which has both hex and base64`, []string{"-format", "hex,base64"}},
		{"-raw and -digest are both given", []string{"-raw", "-digest"}},
		{"-raw and -hash are both given", []string{"-raw", "-hash", "SHA-512"}},
		{"-v and -json are both given", []string{"-v", "-json"}},
		{"-hash is for ECDSA keys, and -alg is RSASSA_PSS_SHA_256", []string{"-alg", "RSASSA_PSS_SHA_256", "-hash", "SHA-384"}},
		{"-format der is for ECDSA keys", []string{"-alg", "ML_DSA_SHAKE_256", "-format", "der"}},
		{"-digest is given, but ED25519_SHA_512 signs the input itself", []string{"-alg", "ED25519_SHA_512", "-digest"}},
		{"-remote is for -verify", []string{"-remote"}},
		{"-verify is given without -key", []string{"-verify", "file"}},
		{"-out is for signing, and -verify is given", []string{"-key", "alias/a", "-verify", "file", "-out", "other"}},
		{"-verify is standard input, so -in must name a file", []string{"-key", "alias/a", "-verify", "-", "-in", "-"}},
		{"-raw goes with -verify only if -remote is given", []string{"-key", "alias/a", "-verify", "file", "-raw"}},
		{"-timeout is 0s, want more than 0", []string{"-timeout", "0"}},
	} {
		fails(t, tt.want, 2, "", tt.args...)
	}
	status, stdout, stderr := invoke(t, "", "-h")
	if status != 0 || stderr != "" || !strings.HasPrefix(stdout, "Sign signs any file with a KMS key") || !strings.Contains(stdout, "Usage of sign:\n  -alg algorithm\n") {
		t.Errorf("-h: status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
	for line := range strings.Lines(stdout) {
		if len(line) > 81 {
			t.Errorf("-h: %d columns: %s", len(line)-1, line)
		}
	}
}

// What only the key can tell is an error of status 1, before the Sign call.
func TestKeyRefuses(t *testing.T) {
	fake := awsenv.Serve(t)
	p256, rsa, ed25519 := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecRsa2048), fake.AddKey(types.KeySpecEccNistEdwards25519)
	for _, tt := range []struct {
		want  string
		stdin string
		args  []string
	}{
		{"-alg is ECDSA_SHA_512, and the key signs with ECDSA_SHA_256; -hash SHA-512 makes it sign with that hash", message, []string{"-key", p256, "-alg", "ECDSA_SHA_512"}},
		{"-alg is ECDSA_SHA_256, and the key signs with RSASSA_PKCS1_V1_5_SHA_256, ", message, []string{"-key", rsa, "-alg", "ECDSA_SHA_256"}},
		{"-hash is for ECDSA keys; -alg names the hash of an RSA key", message, []string{"-key", rsa, "-hash", "SHA-512"}},
		{"-hash is for ECDSA keys, and the key signs with ED25519_SHA_512", message, []string{"-key", ed25519, "-hash", "SHA-512"}},
		{"-format der is for ECDSA keys, and the key signs with RSASSA_PKCS1_V1_5_SHA_256", message, []string{"-key", rsa, "-format", "der"}},
		{"standard input has more than 4096 bytes, want 1 to 4096 for an Ed25519 key", strings.Repeat("a", 4097), []string{"-key", ed25519}},
		{"standard input is empty, want 1 to 4096 bytes for an Ed25519 key", "", []string{"-key", ed25519}},
		{"standard input is empty, want 1 to 4096 bytes with -raw", "", []string{"-key", p256, "-raw"}},
		{"UnsupportedOperationException", message, []string{"-key", fake.AddKey(types.KeySpecHmac256)}},
		{"its key usage is", message, []string{"-key", fake.AddKey(types.KeySpecMlKem512)}},
		{"NotFoundException", message, []string{"-key", "alias/none"}},
		{"the signature is not base64", message, []string{"-key", p256, "-verify", write(t, "?"), "-format", "base64"}},
		{"the signature is not hex", message, []string{"-key", p256, "-verify", write(t, "3"), "-format", "hex"}},
		{"the signature is not DER (-format says what else it is)", message, []string{"-key", p256, "-verify", write(t, strings.Repeat("a", 64))}},
		{"the signature is not in the format p1363", message, []string{"-key", p256, "-verify", write(t, strings.Repeat("a", 63)), "-format", "p1363"}},
		{"the signature does not verify", message, []string{"-key", rsa, "-verify", write(t, "short")}},
	} {
		fails(t, tt.want, 1, tt.stdin, tt.args...)
	}
	if n := fake.Calls("Sign"); n != 0 {
		t.Errorf("%d Sign calls, want none", n)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &p256}); err != nil {
		t.Fatal(err)
	}
	fails(t, " is disabled; enable the key with aws kms enable-key, or use another key", 1, message, "-key", p256)
}

// An empty file is a file.
func TestEmpty(t *testing.T) {
	fake := awsenv.Serve(t)
	for _, spec := range []types.KeySpec{types.KeySpecEccNistP521, types.KeySpecRsa2048, types.KeySpecMlDsa44} {
		key := fake.AddKey(spec)
		sig := write(t, succeeds(t, "", "-key", key))
		succeeds(t, "", "-key", key, "-verify", sig)
		succeeds(t, "", "-key", key, "-verify", sig, "-remote")
	}
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
	fails(t, context.DeadlineExceeded.Error(), 1, message, "-key", "alias/a", "-timeout", "50ms")
	listener.Close()
	fails(t, "connection refused", 1, message, "-key", "alias/a")
	awsenv.Isolate(t)
	t.Setenv("AWS_REGION", "us-east-1")
	fails(t, "no AWS credentials: set AWS_ACCESS_KEY_ID", 1, message, "-key", "alias/a")
}

// An interrupt ends the program while it waits for standard input.
func TestInterrupt(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(t.Context())
	reads := &notifier{reader, cancel}
	var out, errs bytes.Buffer
	status := cli.Run(ctx, "sign", run, nil, cli.Stdio{In: reads, Out: &out, Err: &errs})
	if status != 1 || out.Len() != 0 || errs.String() != "sign: standard input: interrupted\n" {
		t.Errorf("status %d, standard output %q, standard error %q", status, &out, &errs)
	}
}

// A notifier calls f when it is read.
type notifier struct {
	io.Reader
	f func()
}

func (n *notifier) Read(p []byte) (int, error) {
	n.f()
	return n.Reader.Read(p)
}
