package kmstest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func ExampleCheckSigner() {
	ctx := context.Background()
	client := kmstest.New()
	signer, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecEccNistP384))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(kmstest.CheckSigner(signer.WithContext(ctx)))

	// This signer has only one padding.
	err = kmstest.CheckSigner(pkcs1Signer{rsaKey()})
	for violation := range strings.Lines(err.Error()) {
		before, _, _ := strings.Cut(violation, ";")
		fmt.Println(before)
		break
	}
	// Output:
	// <nil>
	// Sign of a digest of 32 bytes with RSASSA-PSS, SHA-256 and PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input
}

type pkcs1Signer struct{ *rsa.PrivateKey }

func (s pkcs1Signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return rsa.SignPKCS1v15(rand, s.PrivateKey, opts.HashFunc(), digest)
}

// full reports whether tests run in their full scope, which is slow. It is a
// function, because the go command does not see what an initializer reads of the
// environment, and would use a cached result.
func full() bool { return os.Getenv("KMSSIGN_FULL") == "1" }

// TestCheckSignerPrivateKeys checks keys that keep the promises: those of the
// standard library and of filippo.io/mldsa, and softSigners.
func TestCheckSignerPrivateKeys(t *testing.T) {
	keys := map[string]crypto.Signer{
		"P-256":      ecKey(elliptic.P256()),
		"any digest": signsAnyDigest(ecKey(elliptic.P256())),
		"P-384":      ecKey(elliptic.P384()),
		"P-521":      ecKey(elliptic.P521()),
		"secp256k1":  secpKey().ToECDSA(),
		"RSA 2048":   rsaKey(),
		"Ed25519":    edKey(),
		"ML-DSA-44":  mldsaKey(mldsa.MLDSA44()),
		"ML-DSA-65":  mldsaKey(mldsa.MLDSA65()),
		"ML-DSA-87":  mldsaKey(mldsa.MLDSA87()),
		"soft P-256": soft(ecKey(elliptic.P256())),
		"soft RSA":   soft(rsaKey()),
		"soft Ed":    soft(edKey()),
		"soft ML":    soft(mldsaKey(mldsa.MLDSA44())),
	}
	if full() {
		rsa3072, err := rsa.GenerateKey(rand.Reader, 3072)
		if err != nil {
			t.Fatal(err)
		}
		keys["RSA 3072"] = rsa3072
	}
	for name, key := range keys {
		if err := kmstest.CheckSigner(key); err != nil {
			t.Errorf("%s:\n%v", name, err)
		}
	}
}

// signCounter counts the calls of Sign that reach KMS.
type signCounter struct {
	kmssigner.Client
	calls atomic.Int64
}

func (c *signCounter) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.calls.Add(1)
	return c.Client.Sign(ctx, in, optFns...)
}

// maxSignatures is the documented maximum of signatures.
const maxSignatures = 60

// TestCheckSignerKMS checks a kmssigner.Signer with each key spec, in memory
// and over HTTP. The large RSA keys are slow, and are checked in the full scope
// only.
func TestCheckSignerKMS(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	t.Cleanup(server.Close)
	specs := []types.KeySpec{
		types.KeySpecEccNistP256,
		types.KeySpecEccNistP384,
		types.KeySpecEccNistP521,
		types.KeySpecEccSecgP256k1,
		types.KeySpecRsa2048,
		types.KeySpecEccNistEdwards25519,
		types.KeySpecMlDsa44,
		types.KeySpecMlDsa65,
		types.KeySpecMlDsa87,
	}
	if full() {
		specs = append(specs, types.KeySpecRsa3072, types.KeySpecRsa4096)
	}
	for _, spec := range specs {
		for name, client := range map[string]kmssigner.Client{"memory": fake, "wire": server.Client()} {
			t.Run(string(spec)+"/"+name, func(t *testing.T) {
				t.Parallel()
				client := &signCounter{Client: client}
				signer, err := kmssigner.New(t.Context(), client, fake.AddKey(spec))
				if err != nil {
					t.Fatal(err)
				}
				if err := kmstest.CheckSigner(signer); err != nil {
					t.Error(err)
				}
				if n := client.calls.Load(); n > maxSignatures {
					t.Errorf("got %d calls of Sign, want at most %d", n, maxSignatures)
				}
			})
		}
	}
}

// counter is a MessageSigner that counts its signatures. It refuses only what
// its key refuses.
type counter struct {
	crypto.Signer
	made *atomic.Int64
}

func (c counter) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := c.Signer.Sign(rand, digest, opts)
	if err == nil {
		c.made.Add(1)
	}
	return sig, err
}

func (c counter) SignMessage(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return crypto.SignMessage(struct{ crypto.Signer }{c}, rand, msg, opts)
}

// TestCheckSignerCost checks the documented maximum of signatures.
func TestCheckSignerCost(t *testing.T) {
	for _, key := range []crypto.Signer{ecKey(elliptic.P256()), rsaKey(), edKey(), mldsaKey(mldsa.MLDSA44())} {
		c := counter{key, new(atomic.Int64)}
		kmstest.CheckSigner(c)
		t.Logf("%T: %d signatures", key, c.made.Load())
		if n := c.made.Load(); n > maxSignatures {
			t.Errorf("%T: got %d signatures, want at most %d", key, n, maxSignatures)
		}
	}
}

// A brokenSigner breaks one promise.
type brokenSigner struct {
	name  string
	key   func() crypto.Signer
	spoil func(s *softSigner, key crypto.Signer)
	want  []string // each violation contains one of these, and each of these is in one
}

// TestCheckSignerBroken checks that CheckSigner finds what each broken signer
// breaks, and nothing else.
func TestCheckSignerBroken(t *testing.T) {
	for _, tt := range slices.Concat(brokenPublic, brokenAnyKey, brokenRSA, brokenECDSA, brokenEd25519, brokenMLDSA) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := tt.key()
			s := soft(key)
			tt.spoil(s, key)
			err := kmstest.CheckSigner(s)
			if err == nil {
				t.Fatal("CheckSigner found nothing")
			}
			violations := err.(interface{ Unwrap() []error }).Unwrap()
			for i, v := range violations {
				if slices.ContainsFunc(violations[:i], func(other error) bool { return other.Error() == v.Error() }) {
					t.Errorf("found twice:\n%v", v)
				}
				if !slices.ContainsFunc(tt.want, func(want string) bool { return strings.Contains(v.Error(), want) }) {
					t.Errorf("found something else than %q:\n%v", tt.want, v)
				}
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("did not find %q, but:\n%v", want, err)
				}
			}
		})
	}
}

// TestCheckSignerNil checks signers that are nil or incomplete.
func TestCheckSignerNil(t *testing.T) {
	half := &ecdsa.PrivateKey{PublicKey: ecKey(elliptic.P256()).PublicKey} // its Sign panics
	for _, signer := range []crypto.Signer{nil, (*rsa.PrivateKey)(nil), (*ecdsa.PrivateKey)(nil), ed25519.PrivateKey(nil), half} {
		if err := kmstest.CheckSigner(signer); err == nil {
			t.Errorf("%T: CheckSigner found nothing", signer)
		}
	}
}

// TestCheckSignerWrapped checks that a type that wraps a key of the standard
// library must not panic.
func TestCheckSignerWrapped(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), edKey()} {
		err := kmstest.CheckSigner(struct{ crypto.Signer }{key})
		if err == nil {
			t.Fatalf("%T: CheckSigner found nothing", key)
		}
		for violation := range strings.Lines(err.Error()) {
			if !strings.Contains(violation, "panicked") {
				t.Errorf("%T: found something else than panics: %s", key, violation)
			}
		}
		if !strings.Contains(err.Error(), "nil options: panicked") {
			t.Errorf("%T: did not find the panic on nil options, but:\n%v", key, err)
		}
	}
}

// TestCheckSignerErrors checks that violations wrap the error of the signer.
func TestCheckSignerErrors(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(t.Context(), fake, keyID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
	err = kmstest.CheckSigner(signer)
	if _, ok := errors.AsType[*types.DisabledException](err); !ok {
		t.Errorf("no DisabledException in:\n%v", err)
	}
}
