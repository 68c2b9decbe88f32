package jwtkms_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

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
