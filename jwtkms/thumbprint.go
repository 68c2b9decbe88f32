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

// Thumbprint returns the RFC 7638 thumbprint of a public key with SHA-256, in
// base64url without padding: 43 characters. It is a good kid: it follows from
// the key alone, so that every issuer and every replica of a multi-Region key
// arrives at the same one, and it says nothing about the AWS account, as an
// ARN would. pub is of a type that [MethodFor] takes; for any other, a [MAC]
// included, whose key nobody has, the error names it and wraps
// [jwt.ErrInvalidKeyType]. Thumbprint never calls KMS.
func Thumbprint(pub crypto.PublicKey) (string, error) {
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

// The members that a thumbprint is over, in the lexicographic order that
// RFC 7638 section 3.2 demands: encoding/json writes fields as they stand.
// Every value is plain base64url or a name without characters to escape.
type (
	// RFC 7638 section 3.2.
	ecMembers struct {
		Crv string `json:"crv"`
		Kty string `json:"kty"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	// RFC 7638 section 3.2.
	rsaMembers struct {
		E   string `json:"e"`
		Kty string `json:"kty"`
		N   string `json:"n"`
	}
	// RFC 8037 section 2.
	okpMembers struct {
		Crv string `json:"crv"`
		Kty string `json:"kty"`
		X   string `json:"x"`
	}
	// RFC 9964 section 6.
	akpMembers struct {
		Alg string `json:"alg"`
		Kty string `json:"kty"`
		Pub string `json:"pub"`
	}
)

func requiredMembers(pub crypto.PublicKey) (any, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := uncompressedPoint(pub)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", jwt.ErrInvalidKeyType, err)
		}
		// RFC 7518 section 6.2.1.2 wants the coordinates at full width, and so
		// they stand in the uncompressed point, 04 ‖ X ‖ Y.
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		return ecMembers{Crv: pub.Curve.Params().Name, Kty: "EC", X: b64(x), Y: b64(y)}, nil
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			break
		}
		// RFC 7518 section 6.3.1: unsigned, big-endian, without leading zeros.
		return rsaMembers{E: b64(big.NewInt(int64(pub.E)).Bytes()), Kty: "RSA", N: b64(pub.N.Bytes())}, nil
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			break
		}
		return okpMembers{Crv: "Ed25519", Kty: "OKP", X: b64(pub)}, nil
	case *mldsa.PublicKey:
		if !usableMLDSA(pub) {
			break
		}
		return akpMembers{Alg: pub.Parameters().String(), Kty: "AKP", Pub: b64(pub.Bytes())}, nil
	}
	return nil, jwt.ErrInvalidKeyType
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
