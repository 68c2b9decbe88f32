package jwtkms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// A nil or zero SigningMethod returns an error that says so.
func TestZeroMethod(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for _, m := range []*jwtkms.SigningMethod{nil, {}} {
		check := func(call string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), "jwtkms: the SigningMethod is nil or zero") {
				t.Errorf("%s: %v", call, err)
			}
		}
		if m.Alg() != "" {
			t.Errorf("Alg = %q", m.Alg())
		}
		_, err := m.Sign("signing string", key)
		check("Sign", err)
		_, err = jwt.New(m).SignedString(key)
		check("SignedString", err)
		check("Verify", m.Verify("signing string", nil, key))
		_, err = m.JWK(key)
		check("JWK", err)
		_, err = m.Keyfunc(key)(&jwt.Token{})
		check("Keyfunc", err)
		check("Register", jwtkms.Register(m))
		check("Register with another", jwtkms.Register(jwtkms.MLDSA44, m))
	}
	if keys, err := jwtkms.ES256.Keyfunc(key)(nil); keys != nil || err == nil {
		t.Errorf("Keyfunc of a nil token: %v, %v", keys, err)
	}
}

// fragile and fragileMAC panic if they are nil.
type fragile struct{ crypto.Signer }

func (f *fragile) Public() crypto.PublicKey { return f.Signer.Public() }

type fragileMAC struct{ jwtkms.MAC }

func (f *fragileMAC) Size() int { return f.MAC.Size() }

// A noPublic is a Signer without a public key.
type noPublic struct{}

func (noPublic) Public() crypto.PublicKey                                  { return nil }
func (noPublic) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("must not sign") }

// A key that is nil or zero is an error that names its type.
func TestZeroKeys(t *testing.T) {
	all := []*jwtkms.SigningMethod{jwtkms.HS256, jwtkms.HS384, jwtkms.HS512}
	for _, m := range methods {
		all = append(all, m.method)
	}
	for _, key := range []any{
		nil,
		(*kmssigner.Signer)(nil), (*kmssigner.HMAC)(nil), &kmssigner.HMAC{},
		crypto.Signer(nil), jwtkms.MAC(nil), (*fragile)(nil), (*fragileMAC)(nil), noPublic{},
		(*ecdsa.PrivateKey)(nil), (*rsa.PrivateKey)(nil), ed25519.PrivateKey(nil), ed25519.PrivateKey("short"), (*mldsa.PrivateKey)(nil),
		&ecdsa.PrivateKey{}, &rsa.PrivateKey{}, &mldsa.PrivateKey{},
		(*ecdsa.PublicKey)(nil), (*rsa.PublicKey)(nil), ed25519.PublicKey(nil), (*mldsa.PublicKey)(nil),
		&ecdsa.PublicKey{}, &rsa.PublicKey{}, &mldsa.PublicKey{},
	} {
		for _, m := range all {
			if sig, err := m.Sign("signing string", key); sig != nil || !errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s: Sign with %s: %x, %v", m.Alg(), name(key), sig, err)
			}
			if err := m.Verify("signing string", make([]byte, 64), key); !errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s: Verify with %s: %v", m.Alg(), name(key), err)
			}
			if _, err := m.JWK(key); !errors.Is(err, jwt.ErrInvalidKeyType) {
				t.Errorf("%s: JWK of %s: %v", m.Alg(), name(key), err)
			}
		}
		if m, err := jwtkms.MethodFor(key); m != nil || !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("MethodFor(%s): %v, %v", name(key), m, err)
		}
		if kid, err := jwtkms.Thumbprint(key); kid != "" || !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("Thumbprint(%s): %q, %v", name(key), kid, err)
		}
	}
	_, err := jwtkms.ES256.Sign("signing string", (*kmssigner.Signer)(nil))
	if want := "jwtkms: ES256 wants an ECDSA key on P-256, got a nil *kmssigner.Signer: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func name(key any) string { return fmt.Sprintf("%T %.20v", key, key) }
