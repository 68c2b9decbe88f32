package jwtkms

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A JWK is a public key as a JSON Web Key (RFC 7517), in the form that a JWKS
// endpoint serves. It has no field for anything private. Values are base64url
// without padding, or names; those that do not belong to the kind of key are empty
// and left out of the JSON.
//
// The fields stand in the lexicographic order of their JSON names, so that a JWK
// with the required members alone marshals to what RFC 7638 hashes.
type JWK struct {
	Alg string `json:"alg,omitempty"` // the only algorithm that the key is for
	Crv string `json:"crv,omitempty"` // EC and OKP: P-256, P-384, P-521, secp256k1 or Ed25519
	E   string `json:"e,omitempty"`   // RSA: the public exponent
	Kid string `json:"kid,omitempty"` // the RFC 7638 thumbprint
	Kty string `json:"kty"`           // EC, RSA, OKP or AKP
	N   string `json:"n,omitempty"`   // RSA: the modulus
	Pub string `json:"pub,omitempty"` // AKP: the public key
	Use string `json:"use,omitempty"` // sig
	X   string `json:"x,omitempty"`   // EC and OKP
	Y   string `json:"y,omitempty"`   // EC
}

// A JWKSet is what a JWKS endpoint serves (RFC 7517 section 5).
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// JWK returns the public key of tokens signed with this method, with the method's
// alg, the use "sig" and its [Thumbprint] as kid. key is the public key or anything
// with a method Public() crypto.PublicKey, such as a Signer. A key that does not fit the
// method, and any [MAC], is an error that wraps [jwt.ErrInvalidKeyType]. JWK never
// calls KMS.
func (m *SigningMethod) JWK(key crypto.PublicKey) (JWK, error) {
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
// base64url without padding: 43 characters. It is a good kid: it follows from the
// key alone, so that every issuer and every replica of a multi-Region key arrives
// at the same one, and it says nothing about the AWS account, as an ARN would. key
// is what [MethodFor] takes; for any other key, and for a [MAC], whose key nobody
// has, the error names it and wraps [jwt.ErrInvalidKeyType]. Thumbprint never calls
// KMS.
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

// thumbprint returns the thumbprint of a key with these members, which are the
// required ones (RFC 7638 section 3.2 for EC and RSA, RFC 8037 section 2 for
// OKP, RFC 9964 section 6 for AKP).
func thumbprint(required JWK) (string, error) {
	data, err := json.Marshal(required)
	if err != nil {
		return "", fmt.Errorf("jwtkms: thumbprint: %w", err)
	}
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}
