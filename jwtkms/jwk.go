package jwtkms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/mldsa"
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
	if m.macSize != 0 {
		return JWK{}, fmt.Errorf("jwtkms: %s has no public key: %w", m.alg, jwt.ErrInvalidKeyType)
	}
	if !m.fits(pub) {
		return JWK{}, m.misfit(pub)
	}
	kid, err := Thumbprint(pub)
	if err != nil {
		return JWK{}, err
	}
	jwk, err := requiredMembers(pub)
	jwk.Alg, jwk.Kid, jwk.Use = m.alg, kid, "sig"
	return jwk, err
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
	jwk, err := requiredMembers(pub)
	if err != nil {
		return "", fmt.Errorf("jwtkms: thumbprint of %s: %w", describe(pub), err)
	}
	data, err := json.Marshal(jwk)
	if err != nil {
		return "", fmt.Errorf("jwtkms: thumbprint: %w", err)
	}
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// requiredMembers are those that define a key, and that a thumbprint is over:
// RFC 7638 section 3.2 for EC and RSA, RFC 8037 section 2 for OKP, RFC 9964
// section 6 for AKP. No library at hand has all of them: go-jose lacks secp256k1
// and, before Go 1.27, ML-DSA.
func requiredMembers(pub crypto.PublicKey) (JWK, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := uncompressedPoint(pub)
		if err != nil {
			return JWK{}, fmt.Errorf("%w: %w", jwt.ErrInvalidKeyType, err)
		}
		// RFC 7518 section 6.2.1.2 wants the coordinates at full width, and so
		// they stand in the uncompressed point, 04 ‖ X ‖ Y.
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		return JWK{Kty: "EC", Crv: pub.Curve.Params().Name, X: b64(x), Y: b64(y)}, nil
	case *rsa.PublicKey:
		if !usableRSA(pub) {
			break
		}
		// RFC 7518 section 6.3.1: unsigned, big-endian, without leading zeros.
		return JWK{Kty: "RSA", E: b64(big.NewInt(int64(pub.E)).Bytes()), N: b64(pub.N.Bytes())}, nil
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			break
		}
		return JWK{Kty: "OKP", Crv: "Ed25519", X: b64(pub)}, nil
	case *mldsa.PublicKey:
		if !usableMLDSA(pub) {
			break
		}
		return JWK{Kty: "AKP", Alg: pub.Parameters().String(), Pub: b64(pub.Bytes())}, nil
	}
	return JWK{}, jwt.ErrInvalidKeyType
}

// uncompressedPoint encodes the point of a key (SEC 1 section 2.3.3), and makes
// sure that it is on its curve, and that JWK has a name for the curve.
func uncompressedPoint(pub *ecdsa.PublicKey) ([]byte, error) {
	switch {
	case isOn(elliptic.P256(), pub), isOn(elliptic.P384(), pub), isOn(elliptic.P521(), pub):
		return pub.Bytes()
	case isOn(curveSecp256k1, pub):
		key, err := secp256k1Key(pub)
		if err != nil {
			return nil, err
		}
		return key.SerializeUncompressed(), nil
	}
	return nil, errors.New("want a key on P-256, P-384, P-521 or secp256k1")
}
