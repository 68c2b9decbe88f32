package jwtkms_test

import (
	"crypto"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A canned Signer always returns the same signature, without allocating.
type canned struct {
	public crypto.PublicKey
	sig    []byte
}

func (c *canned) Public() crypto.PublicKey { return c.public }
func (c *canned) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return c.sig, nil
}
func (c *canned) SignMessage(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return c.sig, nil
}

// A noop is a jwt.SigningMethod that does nothing. It shows what golang-jwt
// itself costs.
type noop struct{ sig []byte }

func (noop) Alg() string                        { return "ES256" }
func (n noop) Sign(string, any) ([]byte, error) { return n.sig, nil }
func (noop) Verify(string, []byte, any) error   { return nil }

// A recordingSigner keeps the last signature of a Signer.
type recordingSigner struct {
	crypto.Signer
	sig []byte
}

func (r *recordingSigner) SignMessage(rand io.Reader, msg []byte, opts crypto.SignerOpts) (sig []byte, err error) {
	r.sig, err = crypto.SignMessage(r.Signer, rand, msg, opts)
	return r.sig, err
}

// Sign makes at most two allocations in addition to those of the Signer: the
// bytes of the signing string and R‖S. A token makes at most four in addition
// to those of golang-jwt.
func TestAllocations(t *testing.T) {
	fake := kmstest.New()
	for _, m := range methods {
		real := &recordingSigner{Signer: newSigner(t, fake, fake.AddKey(m.spec))}
		jws, err := m.method.Sign("signing string", real)
		if err != nil {
			t.Fatal(err)
		}
		signer := &canned{real.Public(), real.sig}
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := m.method.Sign("signing string", signer); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 2 {
			t.Errorf("%s: Sign makes %v allocations beside the Signer's, want at most 2", m.method.Alg(), allocs)
		}
		token := func(method jwt.SigningMethod) float64 {
			claims := jwt.MapClaims{"sub": "alice"}
			return testing.AllocsPerRun(100, func() {
				if _, err := jwt.NewWithClaims(method, claims).SignedString(signer); err != nil {
					t.Fatal(err)
				}
			})
		}
		own, whole := token(noop{jws}), token(m.method)
		if whole-own > 4 {
			t.Errorf("%s: a token makes %v allocations beside golang-jwt's %v, want at most 4", m.method.Alg(), whole-own, own)
		}
	}
}

// Each token makes one Sign call. Verifying it makes no call.
func TestCalls(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	for range 10 {
		token, err := jwt.New(jwtkms.ES256).SignedString(signer.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(token, jwtkms.ES256.Keyfunc(signer)); err != nil {
			t.Fatal(err)
		}
	}
	if fake.Calls("Sign") != 10 || fake.Calls("") != 11 {
		t.Errorf("%d Sign calls of %d, want 10 of 11", fake.Calls("Sign"), fake.Calls(""))
	}
}
