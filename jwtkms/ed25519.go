package jwtkms

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// An ed25519Algorithm is Ed25519. RFC 8037 and RFC 9864 have different names
// for it.
type ed25519Algorithm struct {
	signature
}

func newEd25519(alg string) *SigningMethod {
	return &SigningMethod{alg, ed25519Algorithm{signature{crypto.Hash(0)}}}
}

func (ed25519Algorithm) wants() string { return "an Ed25519 key" }

func (ed25519Algorithm) fits(pub any) bool {
	key, ok := pub.(ed25519.PublicKey)
	return ok && len(key) == ed25519.PublicKeySize
}

func (ed25519Algorithm) encode(sig []byte, _ any) ([]byte, error) {
	return sig, checkLength(sig, ed25519.SignatureSize)
}

func (ed25519Algorithm) verify(signingString string, sig []byte, pub any) error {
	return jwt.SigningMethodEdDSA.Verify(signingString, sig, pub)
}

func (ed25519Algorithm) describe(pub any) string {
	key, ok := pub.(ed25519.PublicKey)
	if !ok {
		return ""
	}
	return fmt.Sprintf("an Ed25519 key of %d bytes", len(key))
}

// jwk returns the members of RFC 8037 section 2.
func (a ed25519Algorithm) jwk(pub any) (JWK, error) {
	if !a.fits(pub) {
		return JWK{}, jwt.ErrInvalidKeyType
	}
	return JWK{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(pub.(ed25519.PublicKey))}, nil
}
