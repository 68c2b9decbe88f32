package jwtkms

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// An rsaAlgorithm is RSASSA-PKCS1-v1_5 or RSASSA-PSS with one hash (RFC 7518
// sections 3.3 and 3.5).
type rsaAlgorithm struct {
	signature
	stock jwt.SigningMethod
}

func newRS(stock *jwt.SigningMethodRSA) *SigningMethod {
	return &SigningMethod{stock.Alg(), rsaAlgorithm{signature{stock.Hash}, stock}}
}

// newPS returns a method that verifies only signatures whose salt is as long as
// the hash, as RFC 7518 section 3.5 demands. golang-jwt's method accepts salts
// of any length.
func newPS(lax *jwt.SigningMethodRSAPSS) *SigningMethod {
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: lax.Hash}
	strict := &jwt.SigningMethodRSAPSS{SigningMethodRSA: lax.SigningMethodRSA, Options: opts}
	return &SigningMethod{lax.Alg(), rsaAlgorithm{signature{opts}, strict}}
}

// The limits for the length of the modulus. RFC 7518 sections 3.3 and 3.5
// demand the minimum. The maximum is that of OpenSSL. It bounds the time that
// it takes to verify with a key from elsewhere. KMS has keys of up to 4096
// bits.
const (
	minRSABits = 2048
	maxRSABits = 16384
)

func (rsaAlgorithm) wants() string {
	return fmt.Sprintf("an RSA key of %d to %d bits", minRSABits, maxRSABits)
}

func (rsaAlgorithm) fits(pub any) bool {
	key, ok := pub.(*rsa.PublicKey)
	return ok && usableRSA(key) && minRSABits <= key.N.BitLen() && key.N.BitLen() <= maxRSABits
}

// usableRSA reports whether key has a modulus and an exponent that may be those
// of a public key.
func usableRSA(key *rsa.PublicKey) bool {
	return key != nil && key.N != nil && key.N.Sign() > 0 && key.E > 1
}

func (rsaAlgorithm) encode(sig []byte, pub any) ([]byte, error) {
	return sig, checkLength(sig, pub.(*rsa.PublicKey).Size())
}

func (a rsaAlgorithm) verify(signingString string, sig []byte, pub any) error {
	// crypto/rsa checks the length only after it has computed with the key.
	if len(sig) != pub.(*rsa.PublicKey).Size() {
		return rsa.ErrVerification
	}
	return a.stock.Verify(signingString, sig, pub)
}

func (rsaAlgorithm) describe(pub any) string {
	key, ok := pub.(*rsa.PublicKey)
	switch {
	case !ok:
		return ""
	case key == nil || key.N == nil:
		return "an RSA key without a modulus"
	}
	return fmt.Sprintf("an RSA key of %d bits", key.N.BitLen())
}

// jwk returns the members of RFC 7518 section 6.3.1.
func (rsaAlgorithm) jwk(pub any) (JWK, error) {
	key := pub.(*rsa.PublicKey)
	if !usableRSA(key) {
		return JWK{}, jwt.ErrInvalidKeyType
	}
	// Both numbers are unsigned, big-endian and without leading zeros.
	b64 := base64.RawURLEncoding.EncodeToString
	return JWK{Kty: "RSA", E: b64(big.NewInt(int64(key.E)).Bytes()), N: b64(key.N.Bytes())}, nil
}
