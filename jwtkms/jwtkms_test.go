//lint:file-ignore SA1019 There is no constructor for the broken keys.

package jwtkms_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// methods lists the methods for keys with a public key. stock is golang-jwt's
// method of the same name, or nil. spec is a key to sign with, and size is the
// length of its signatures in bytes.
var methods = []struct {
	method *jwtkms.SigningMethod
	stock  jwt.SigningMethod
	spec   types.KeySpec
	size   int
}{
	{jwtkms.ES256, jwt.SigningMethodES256, types.KeySpecEccNistP256, 64},
	{jwtkms.ES384, jwt.SigningMethodES384, types.KeySpecEccNistP384, 96},
	{jwtkms.ES512, jwt.SigningMethodES512, types.KeySpecEccNistP521, 132},
	{jwtkms.ES256K, nil, types.KeySpecEccSecgP256k1, 64},
	{jwtkms.RS256, jwt.SigningMethodRS256, types.KeySpecRsa2048, 256},
	{jwtkms.RS384, jwt.SigningMethodRS384, types.KeySpecRsa3072, 384},
	{jwtkms.RS512, jwt.SigningMethodRS512, types.KeySpecRsa4096, 512},
	{jwtkms.PS256, jwt.SigningMethodPS256, types.KeySpecRsa2048, 256},
	{jwtkms.PS384, jwt.SigningMethodPS384, types.KeySpecRsa3072, 384},
	{jwtkms.PS512, jwt.SigningMethodPS512, types.KeySpecRsa4096, 512},
	{jwtkms.EdDSA, jwt.SigningMethodEdDSA, types.KeySpecEccNistEdwards25519, 64},
	{jwtkms.Ed25519, nil, types.KeySpecEccNistEdwards25519, 64},
	{jwtkms.MLDSA44, nil, types.KeySpecMlDsa44, 2420},
	{jwtkms.MLDSA65, nil, types.KeySpecMlDsa65, 3309},
	{jwtkms.MLDSA87, nil, types.KeySpecMlDsa87, 4627},
}

// foreignVerify verifies a signature with code from outside this module: stock,
// or the package of the algorithm if stock is nil.
func foreignVerify(stock jwt.SigningMethod, signed string, sig []byte, pub crypto.PublicKey) error {
	if stock != nil {
		return stock.Verify(signed, sig, pub)
	}
	valid := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey: // secp256k1, through crypto/elliptic's generic code
		digest := sha256.Sum256([]byte(signed))
		valid = len(sig) == 64 && ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		valid = ed25519.Verify(pub, []byte(signed), sig)
	case *mldsa.PublicKey:
		return mldsa.Verify(pub, []byte(signed), sig, nil)
	}
	if !valid {
		return fmt.Errorf("%T: the signature does not verify", pub)
	}
	return nil
}

func newSigner(t *testing.T, client kmssigner.Client, keyID string) *kmssigner.Signer {
	t.Helper()
	signer, err := kmssigner.New(t.Context(), client, keyID)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// stockVerify parses a token as a receiver does that has only golang-jwt and
// the public key.
func stockVerify(token, alg string, pub crypto.PublicKey) (*jwt.Token, error) {
	return jwt.Parse(token, func(*jwt.Token) (any, error) { return pub, nil }, jwt.WithValidMethods([]string{alg}))
}

func TestTokens(t *testing.T) {
	if err := jwtkms.Register(); err != nil {
		t.Fatal(err)
	}
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	wire := server.Client()
	for _, m := range methods {
		t.Run(m.method.Alg(), func(t *testing.T) {
			keyID := fake.AddKey(m.spec)
			for backend, client := range map[string]kmssigner.Client{"memory": fake, "wire": wire} {
				signer := newSigner(t, client, keyID)
				// The second token is longer than the messages
				// that KMS takes.
				for _, subject := range []string{"alice", strings.Repeat("a", 5000)} {
					token := jwt.NewWithClaims(m.method, jwt.MapClaims{"sub": subject})
					compact, err := token.SignedString(signer.WithContext(t.Context()))
					if m.spec == types.KeySpecEccNistEdwards25519 && len(subject) > 4096 {
						if compact != "" || !errors.Is(err, kmssigner.ErrMessageLength) {
							t.Errorf("%s: %q, %v; want ErrMessageLength", backend, compact, err)
						}
						continue
					}
					if err != nil {
						t.Fatalf("%s: %v", backend, err)
					}
					parsed, err := stockVerify(compact, m.method.Alg(), signer.Public())
					if err != nil {
						t.Fatalf("%s: %v", backend, err)
					}
					if m.stock != nil && parsed.Method != m.stock {
						t.Errorf("parsed with the method %v, want golang-jwt's own", parsed.Method)
					}
					if got, _ := parsed.Claims.GetSubject(); got != subject {
						t.Errorf("the subject came back as %q", got)
					}
					if len(parsed.Signature) != m.size {
						t.Errorf("signature of %d bytes, want %d", len(parsed.Signature), m.size)
					}
					signed := compact[:strings.LastIndex(compact, ".")]
					if err := foreignVerify(m.stock, signed, parsed.Signature, signer.Public()); err != nil {
						t.Error(err)
					}
					for _, key := range []any{signer.Public(), signer} {
						if err := m.method.Verify(signed, parsed.Signature, key); err != nil {
							t.Errorf("Verify with a %T: %v", key, err)
						}
						if err := m.method.Verify(signed+"x", parsed.Signature, key); err == nil {
							t.Errorf("Verify with a %T: accepts another message", key)
						}
						again, err := jwt.Parse(compact, m.method.Keyfunc(key))
						if err != nil || again.Method != m.method {
							t.Errorf("Keyfunc of a %T: %v", key, err)
						}
					}
				}
			}
		})
	}
}

// A Keyfunc accepts only tokens of its own algorithm.
func TestKeyfuncRefusesOtherAlgs(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecRsa2048))
	token, err := jwt.New(jwtkms.RS256).SignedString(signer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jwt.Parse(token, jwtkms.PS256.Keyfunc(signer))
	if !errors.Is(err, jwt.ErrTokenUnverifiable) || !strings.Contains(err.Error(), "the token's alg is RS256, want PS256") {
		t.Errorf("error %v, want ErrTokenUnverifiable and both algs", err)
	}
	none, err := jwt.New(jwt.SigningMethodNone).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Parse(none, jwtkms.PS256.Keyfunc(signer)); !errors.Is(err, jwt.ErrTokenUnverifiable) {
		t.Errorf("alg none: %v, want ErrTokenUnverifiable", err)
	}
}

// A plain private key signs as well. R or S is shorter than its field in about
// one signature of 128, so 600 tokens include some.
func TestPlainPrivateKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 600 {
		token, err := jwt.New(jwtkms.ES256).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stockVerify(token, "ES256", key.Public()); err != nil {
			t.Fatalf("%s: %v", token, err)
		}
	}
}

// registered is the content of golang-jwt's registry before any test has run.
var registered = jwt.GetAlgorithms()

func TestImportRegistersNothing(t *testing.T) {
	stock := []string{"none", "HS256", "HS384", "HS512"}
	for _, m := range methods {
		if m.stock == nil {
			continue
		}
		stock = append(stock, m.stock.Alg())
		if got := jwt.GetSigningMethod(m.stock.Alg()); got != m.stock {
			t.Errorf("GetSigningMethod(%q) is %T, want golang-jwt's own", m.stock.Alg(), got)
		}
	}
	slices.Sort(stock)
	if got := slices.Sorted(slices.Values(registered)); !slices.Equal(got, stock) {
		t.Errorf("registered algorithms %q, want golang-jwt's own %q", got, stock)
	}
}

// A stub is a crypto.Signer that returns fixed values and counts its calls.
type stub struct {
	public crypto.PublicKey
	sig    []byte
	err    error
	calls  *int
}

func (s stub) Public() crypto.PublicKey { return s.public }
func (s stub) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	if s.calls != nil {
		*s.calls++
	}
	return s.sig, s.err
}

func publicKeys(t *testing.T) map[string]crypto.PublicKey {
	t.Helper()
	keys := map[string]crypto.PublicKey{}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys[curve.Params().Name] = key.Public()
	}
	for size, name := range map[int]string{1024: "RSA-1024", 2048: "RSA-2048"} {
		key, err := rsa.GenerateKey(nil, size)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key.Public()
	}
	ed, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	koblitz, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, params := range []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()} {
		key, err := mldsa.GenerateKey(params)
		if err != nil {
			t.Fatal(err)
		}
		keys[params.String()] = key.Public()
	}
	keys["zero ML-DSA"] = &mldsa.PublicKey{}
	keys["nil ML-DSA"] = (*mldsa.PublicKey)(nil)
	keys["short Ed25519"] = ed25519.PublicKey("short")
	keys["Ed25519"] = ed
	keys["secp256k1"] = koblitz.PubKey().ToECDSA()
	keys["nil"] = nil
	keys["nil ECDSA"] = (*ecdsa.PublicKey)(nil)
	keys["nil RSA"] = (*rsa.PublicKey)(nil)
	keys["zero ECDSA"] = &ecdsa.PublicKey{}
	keys["ECDSA on a nil curve"] = &ecdsa.PublicKey{Curve: (*elliptic.CurveParams)(nil), X: big.NewInt(1), Y: big.NewInt(1)}
	keys["ECDSA on a nil secp256k1"] = &ecdsa.PublicKey{Curve: (*secp256k1.KoblitzCurve)(nil), X: big.NewInt(1), Y: big.NewInt(1)}
	keys["ECDSA with half a point"] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1)}
	keys["secp256k1 with half a point"] = &ecdsa.PublicKey{Curve: koblitz.PubKey().ToECDSA().Curve, Y: big.NewInt(1)}
	keys["RSA with a negative exponent"] = &rsa.PublicKey{N: keys["RSA-2048"].(*rsa.PublicKey).N, E: -3}
	keys["RSA with a negative modulus"] = &rsa.PublicKey{N: new(big.Int).Neg(keys["RSA-2048"].(*rsa.PublicKey).N), E: 3}
	keys["ECDSA without a point"] = &ecdsa.PublicKey{Curve: elliptic.P256()}
	keys["zero RSA"] = &rsa.PublicKey{}
	keys["string"] = "key"
	return keys
}

// A method signs and verifies only with keys that fit it. In particular, ES256
// refuses keys on secp256k1, whose coordinates have 32 bytes as on P-256.
func TestKeyMustFit(t *testing.T) {
	keys := publicKeys(t)
	fits := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "RSA-2048": "RS256 RS384 RS512 PS256 PS384 PS512",
		"secp256k1": "ES256K", "Ed25519": "EdDSA Ed25519", "ML-DSA-44": "ML-DSA-44", "ML-DSA-65": "ML-DSA-65", "ML-DSA-87": "ML-DSA-87"}
	for _, m := range methods {
		for name, pub := range keys {
			if slices.Contains(strings.Fields(fits[name]), m.method.Alg()) {
				continue
			}
			calls := 0
			sig, err := m.method.Sign("signing string", stub{public: pub, calls: &calls})
			if sig != nil || !errors.Is(err, jwt.ErrInvalidKeyType) || !strings.HasPrefix(err.Error(), "jwtkms: "+m.method.Alg()+" wants an ") {
				t.Errorf("%s, Sign with %s: %x, %v; want jwt.ErrInvalidKeyType and what is wanted", m.method.Alg(), name, sig, err)
			}
			if calls != 0 {
				t.Errorf("%s: a key %s was made to sign", m.method.Alg(), name)
			}
			for _, key := range []any{pub, stub{public: pub}} {
				err := m.method.Verify("signing string", make([]byte, m.size), key)
				if !errors.Is(err, jwt.ErrInvalidKeyType) {
					t.Errorf("%s, Verify with %s: %v; want jwt.ErrInvalidKeyType", m.method.Alg(), name, err)
				}
			}
		}
		for _, key := range []any{nil, "secret", []byte("secret"), keys["P-256"]} {
			if _, err := m.method.Sign("signing string", key); !errors.Is(err, jwt.ErrInvalidKeyType) || !strings.Contains(err.Error(), "crypto.Signer") {
				t.Errorf("%s, Sign with a %T: %v; want jwt.ErrInvalidKeyType", m.method.Alg(), key, err)
			}
		}
	}
}

// golang-jwt's ES256 accepts a token signed with a secp256k1 key. Ours does
// not.
func TestVerifyRefusesSecp256k1(t *testing.T) {
	private, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	key := private.ToECDSA()
	const signed = "header.payload"
	sig, err := jwt.SigningMethodES256.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := jwt.SigningMethodES256.Verify(signed, sig, key.Public()); err != nil {
		t.Fatalf("golang-jwt has changed: %v", err)
	}
	if err := jwtkms.ES256.Verify(signed, sig, key.Public()); !errors.Is(err, jwt.ErrInvalidKeyType) {
		t.Errorf("Verify: %v, want jwt.ErrInvalidKeyType", err)
	}
}

// Signatures come from untrusted parties. Verify must refuse every other length
// than the exact one, and must not panic.
func TestVerifyRefusesSignatures(t *testing.T) {
	fake := kmstest.New()
	for _, m := range methods {
		signer := newSigner(t, fake, fake.AddKey(m.spec))
		const signed = "header.payload"
		good, err := m.method.Sign(signed, signer)
		if err != nil {
			t.Fatal(err)
		}
		bad := map[string][]byte{
			"empty":             {},
			"one byte":          {0},
			"short by one":      good[:len(good)-1],
			"half":              good[:len(good)/2],
			"long by one":       append(slices.Clone(good), 0),
			"leading zero":      append([]byte{0}, good...),
			"twice":             append(slices.Clone(good), good...),
			"zeros":             make([]byte, len(good)),
			"a flipped bit":     append([]byte{good[0] ^ 1}, good[1:]...),
			"S with more zeros": slices.Insert(slices.Clone(good), len(good)/2, 0),
		}
		for name, sig := range bad {
			err := m.method.Verify(signed, sig, signer.Public())
			if err == nil {
				t.Errorf("%s: Verify accepts a signature that is %s", m.method.Alg(), name)
			}
			if strings.HasPrefix(m.method.Alg(), "ML-DSA") && !errors.Is(err, jwt.ErrSignatureInvalid) {
				t.Errorf("%s: %v, want jwt.ErrSignatureInvalid", m.method.Alg(), err)
			}
		}
	}
}

// RFC 7518 section 3.5 allows only a salt as long as the hash. golang-jwt's
// methods accept all lengths.
func TestVerifyRefusesOtherSalts(t *testing.T) {
	key, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const signed = "header.payload"
	digest := crypto.SHA256.New()
	digest.Write([]byte(signed))
	for _, salt := range []int{20, 31, 32, 33, rsa.PSSSaltLengthAuto} {
		sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		err = jwtkms.PS256.Verify(signed, sig, key.Public())
		if (err == nil) != (salt == 32) {
			t.Errorf("salt %d: Verify = %v", salt, err)
		}
	}
}

// Sign passes the message, not a digest, to a Signer that takes messages. A
// policy that demands MessageType RAW would refuse a digest.
func TestMessagesReachTheSigner(t *testing.T) {
	fake := kmstest.New()
	signer, err := kmssigner.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.PreferRaw = true })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwtkms.ES256.Sign("signing string", signer); err != nil {
		t.Fatal(err)
	}
	requests := fake.Requests()
	in := requests[len(requests)-1].Input.(*kms.SignInput)
	if in.MessageType != types.MessageTypeRaw || string(in.Message) != "signing string" {
		t.Errorf("KMS got %q as %s, want the signing string as RAW", in.Message, in.MessageType)
	}
}

// ES256K signs and verifies in FIPS 140-only mode, in which crypto/ecdsa panics
// on secp256k1.
func TestES256KInFIPSMode(t *testing.T) {
	if os.Getenv("JWTKMS_TEST_FIPS") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestES256KInFIPSMode$", "-test.v")
		cmd.Env = append(os.Environ(), "JWTKMS_TEST_FIPS=1", "GODEBUG=fips140=only")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestES256KInFIPSMode") {
			t.Errorf("with GODEBUG=fips140=only: %v\n%s", err, out)
		}
		return
	}
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccSecgP256k1))
	sig, err := jwtkms.ES256K.Sign("signing string", signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := jwtkms.ES256K.Verify("signing string", sig, signer); err != nil {
		t.Error(err)
	}
	if err := jwtkms.ES256K.Verify("signing strings", sig, signer); !errors.Is(err, jwt.ErrECDSAVerification) {
		t.Errorf("another string: %v, want jwt.ErrECDSAVerification", err)
	}
}

// Sign checks what the Signer returns and wraps its errors.
func TestSignChecksTheSigner(t *testing.T) {
	keys := publicKeys(t)
	outage := errors.New("outage")
	tests := []struct {
		reason string
		method *jwtkms.SigningMethod
		signer stub
		want   string
	}{
		{"not DER", jwtkms.ES256, stub{public: keys["P-256"], sig: []byte("garbage")}, "jwtkms: ES256: jwtkms_test.stub made a bad signature: derconv:"},
		{"nothing", jwtkms.ES256, stub{public: keys["P-256"]}, "made a bad signature: derconv:"},
		{"R‖S already", jwtkms.ES256, stub{public: keys["P-256"], sig: make([]byte, 64)}, "made a bad signature: derconv:"},
		{"RSA, short by one", jwtkms.PS256, stub{public: keys["RSA-2048"], sig: make([]byte, 255)}, "made a bad signature: it has 255 bytes, want 256"},
		{"Ed25519, short by one", jwtkms.EdDSA, stub{public: keys["Ed25519"], sig: make([]byte, 63)}, "made a bad signature: it has 63 bytes, want 64"},
		{"ML-DSA, long by one", jwtkms.MLDSA44, stub{public: keys["ML-DSA-44"], sig: make([]byte, 2421)}, "made a bad signature: it has 2421 bytes, want 2420"},
		{"RSA, nothing", jwtkms.RS256, stub{public: keys["RSA-2048"]}, "it has 0 bytes, want 256"},
		{"an error", jwtkms.RS256, stub{public: keys["RSA-2048"], err: outage}, "jwtkms: RS256: outage"},
	}
	for _, tt := range tests {
		sig, err := tt.method.Sign("signing string", tt.signer)
		if sig != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %x, %v; want %q", tt.reason, sig, err, tt.want)
		}
		if tt.signer.err != nil && !errors.Is(err, outage) {
			t.Errorf("%s: the Signer's error is not in the chain of %v", tt.reason, err)
		}
	}
}

// A pending KMS does not answer Sign before the context is done.
type pending struct {
	kmssigner.Client
	started chan struct{}
}

func (p pending) Sign(ctx context.Context, _ *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	close(p.started)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCancelInFlight(t *testing.T) {
	fake := kmstest.New()
	client := pending{fake, make(chan struct{})}
	signer := newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-client.started
		cancel()
	}()
	token, err := jwt.New(jwtkms.ES256).SignedString(signer.WithContext(ctx))
	if token != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("SignedString = %q, %v; want context.Canceled", token, err)
	}
}

// The error of SignedString wraps the typed errors of KMS.
func TestErrorsOfKMS(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer := newSigner(t, fake, keyID)
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(keyID)}); err != nil {
		t.Fatal(err)
	}
	_, err := jwt.New(jwtkms.ES256).SignedString(signer)
	var disabled *types.DisabledException
	if !errors.As(err, &disabled) {
		t.Errorf("error %v, want a *types.DisabledException in the chain", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			token, err := jwt.New(jwtkms.ES256).SignedString(signer.WithContext(t.Context()))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := stockVerify(token, "ES256", signer.Public()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMethodFor(t *testing.T) {
	want := map[string]*jwtkms.SigningMethod{
		"P-256": jwtkms.ES256, "P-384": jwtkms.ES384, "P-521": jwtkms.ES512, "RSA-2048": jwtkms.RS256,
		"secp256k1": jwtkms.ES256K, "Ed25519": jwtkms.EdDSA,
		"ML-DSA-44": jwtkms.MLDSA44, "ML-DSA-65": jwtkms.MLDSA65, "ML-DSA-87": jwtkms.MLDSA87,
	}
	for name, pub := range publicKeys(t) {
		got, err := jwtkms.MethodFor(pub)
		if got != want[name] {
			t.Errorf("MethodFor(%s) = %v, %v", name, got, err)
		}
		if (err == nil) != (want[name] != nil) || err != nil && !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("MethodFor(%s): error %v", name, err)
		}
	}
	fake := kmstest.New()
	if got, err := jwtkms.MethodFor(newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP384))); got != jwtkms.ES384 {
		t.Errorf("MethodFor a Signer = %v, %v", got, err)
	}
	if _, err := jwtkms.MethodFor("key"); err == nil || !strings.Contains(err.Error(), "a string") {
		t.Errorf("MethodFor of a string: %v, want an error that names the type", err)
	}
}
