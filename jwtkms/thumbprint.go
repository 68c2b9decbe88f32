package jwtkms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Thumbprint returns the RFC 7638 thumbprint of a public key with SHA-256, in
// base64url without padding: 43 characters. It is a good kid: it follows from
// the key alone, so that every issuer and every replica of a multi-Region key
// arrives at the same one, and it says nothing about the AWS account, as an
// ARN would. pub is an *ecdsa.PublicKey on P-256, P-384 or P-521 or an
// *rsa.PublicKey; for any other the error names it and wraps
// [jwt.ErrInvalidKeyType]. Thumbprint never calls KMS.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	jwk, err := requiredMembers(pub)
	if err != nil {
		return "", err
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
	ecMembers struct {
		Crv string `json:"crv"`
		Kty string `json:"kty"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	rsaMembers struct {
		E   string `json:"e"`
		Kty string `json:"kty"`
		N   string `json:"n"`
	}
)

func requiredMembers(pub crypto.PublicKey) (any, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if ES256.checkKey(pub) != nil && ES384.checkKey(pub) != nil && ES512.checkKey(pub) != nil {
			break
		}
		// RFC 7518 section 6.2.1.2 wants the coordinates at full width, and so
		// they stand in the uncompressed point, 04 ‖ X ‖ Y. Bytes refuses points
		// that are not on the curve.
		point, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("jwtkms: thumbprint of %s: %w: %w", describe(pub), jwt.ErrInvalidKeyType, err)
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		return ecMembers{Crv: pub.Curve.Params().Name, Kty: "EC", X: b64(x), Y: b64(y)}, nil
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			break
		}
		// RFC 7518 section 6.3.1: unsigned, big-endian, without leading zeros.
		return rsaMembers{E: b64(big.NewInt(int64(pub.E)).Bytes()), Kty: "RSA", N: b64(pub.N.Bytes())}, nil
	}
	return nil, fmt.Errorf("jwtkms: thumbprint of %s: %w", describe(pub), jwt.ErrInvalidKeyType)
}
