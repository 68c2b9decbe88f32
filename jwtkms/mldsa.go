package jwtkms

import (
	"crypto"
	"encoding/base64"
	"fmt"

	"filippo.io/mldsa"
	"github.com/golang-jwt/jwt/v5"
)

// An mldsaAlgorithm is ML-DSA with one parameter set (RFC 9964).
type mldsaAlgorithm struct {
	signature
	params mldsa.Parameters
}

func newMLDSA(params mldsa.Parameters) *SigningMethod {
	return &SigningMethod{params.String(), mldsaAlgorithm{signature{crypto.Hash(0)}, params}}
}

func (a mldsaAlgorithm) wants() string { return "an " + a.params.String() + " key" }

func (a mldsaAlgorithm) fits(pub any) bool {
	key, ok := pub.(*mldsa.PublicKey)
	return ok && usableMLDSA(key) && key.Parameters() == a.params
}

// usableMLDSA reports whether key has parameters. Parameters panics on a zero
// key.
func usableMLDSA(key *mldsa.PublicKey) bool {
	return key != nil && !key.Equal(&mldsa.PublicKey{})
}

func (a mldsaAlgorithm) encode(sig []byte, _ any) ([]byte, error) {
	return sig, checkLength(sig, a.params.SignatureSize())
}

func (mldsaAlgorithm) verify(signingString string, sig []byte, pub any) error {
	// RFC 9964 section 5: the context is empty.
	if mldsa.Verify(pub.(*mldsa.PublicKey), []byte(signingString), sig, nil) != nil {
		return jwt.ErrSignatureInvalid
	}
	return nil
}

func (mldsaAlgorithm) describe(pub any) string {
	key, ok := pub.(*mldsa.PublicKey)
	switch {
	case !ok:
		return ""
	case !usableMLDSA(key):
		return "an empty ML-DSA key"
	}
	return fmt.Sprintf("an %v key", key.Parameters())
}

// jwk returns the members of RFC 9964 section 3. alg is one of the required
// members.
func (mldsaAlgorithm) jwk(pub any) (JWK, error) {
	key := pub.(*mldsa.PublicKey)
	if !usableMLDSA(key) {
		return JWK{}, jwt.ErrInvalidKeyType
	}
	return JWK{Kty: "AKP", Alg: key.Parameters().String(), Pub: base64.RawURLEncoding.EncodeToString(key.Bytes())}, nil
}
