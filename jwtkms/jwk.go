package jwtkms

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A JWK is a public key as a JSON Web Key (RFC 7517), which is what a JWKS
// endpoint serves. It has no fields for private keys. Numbers and keys are in
// base64url without padding. A field that the key type does not use is empty
// and does not appear in the JSON.
type JWK struct {
	// The fields are in the lexicographic order of their JSON names, so
	// that a JWK with only the required members marshals to the input of
	// the RFC 7638 hash.

	Alg string `json:"alg,omitempty"` // the only algorithm that the key is for
	Crv string `json:"crv,omitempty"` // EC and OKP: P-256, P-384, P-521, secp256k1 or Ed25519
	E   string `json:"e,omitempty"`   // RSA: public exponent
	Kid string `json:"kid,omitempty"` // RFC 7638 thumbprint
	Kty string `json:"kty"`           // EC, RSA, OKP or AKP
	N   string `json:"n,omitempty"`   // RSA: modulus
	Pub string `json:"pub,omitempty"` // AKP: public key
	Use string `json:"use,omitempty"` // sig
	X   string `json:"x,omitempty"`   // EC: x coordinate; OKP: public key
	Y   string `json:"y,omitempty"`   // EC: y coordinate
}

// A JWKSet is a JWK Set, which is what a JWKS endpoint serves (RFC 7517 section
// 5). Keys must not be nil, because a nil slice marshals to null, which is not
// a JWK Set.
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// JWK returns the JWK of a public key whose tokens are signed with m. Its alg
// is that of m, its use is "sig" and its kid is the [Thumbprint]. key is a
// public key or a value whose method Public returns one, such as a Signer. If
// key does not fit m, or is a [MAC], the error wraps [jwt.ErrInvalidKeyType].
// JWK does not call KMS.
func (m *SigningMethod) JWK(key crypto.PublicKey) (JWK, error) {
	if m.isZero() {
		return JWK{}, errNoMethod
	}
	pub := publicOf(key)
	if !m.fits(pub) {
		return JWK{}, m.misfit(pub)
	}
	jwk, err := m.jwk(pub)
	if err != nil {
		return JWK{}, fmt.Errorf("jwtkms: %s: JWK of %s: %w", m.alg, describe(pub), err)
	}
	kid, err := thumbprint(jwk)
	if err != nil {
		return JWK{}, err
	}
	jwk.Alg, jwk.Kid, jwk.Use = m.alg, kid, "sig"
	return jwk, nil
}

// Thumbprint returns the RFC 7638 thumbprint of a public key with SHA-256, in
// base64url without padding, which has 43 characters. It serves well as a kid.
// It depends only on the key, so all issuers and all replicas of a multi-Region
// key have the same one. Unlike an ARN, it does not reveal the AWS account.
//
// key is one that [MethodFor] takes, except for a [MAC], which has no public
// key. For any other key the error describes it and wraps
// [jwt.ErrInvalidKeyType]. Thumbprint does not call KMS.
func Thumbprint(key crypto.PublicKey) (string, error) {
	pub := publicOf(key)
	jwk, err := JWK{}, jwt.ErrInvalidKeyType
	if a := algorithmOf(pub); a != nil {
		jwk, err = a.jwk(pub)
	}
	if err != nil {
		return "", fmt.Errorf("jwtkms: thumbprint of %s: %w", describe(pub), err)
	}
	return thumbprint(jwk)
}

// thumbprint returns the thumbprint of a key with the required members (RFC
// 7638 section 3.2 for EC and RSA, RFC 8037 section 2 for OKP, RFC 9964 section
// 6 for AKP).
func thumbprint(required JWK) (string, error) {
	data, err := json.Marshal(required)
	if err != nil {
		return "", fmt.Errorf("jwtkms: thumbprint: %w", err)
	}
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
