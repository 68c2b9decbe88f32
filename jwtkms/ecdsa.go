package jwtkms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/internal/secp256k1"
)

// An es is ECDSA on one curve with one hash (RFC 7518 section 3.4).
type es struct {
	signature
	curve elliptic.Curve
	stock *jwt.SigningMethodECDSA
}

func newES(curve elliptic.Curve, hash crypto.Hash, stock *jwt.SigningMethodECDSA) *SigningMethod {
	return &SigningMethod{stock.Alg(), es{signature{hash}, curve, stock}}
}

func (a es) wants() string { return "an ECDSA key on " + a.curve.Params().Name }

func (a es) fits(pub any) bool { return isOn(a.curve, pub) }

// isOn reports whether pub is an ECDSA key on the curve. golang-jwt's methods
// do not check this, so its ES256 accepts a key on secp256k1.
func isOn(curve elliptic.Curve, pub any) bool {
	key, ok := pub.(*ecdsa.PublicKey)
	return ok && hasPoint(key) && key.Curve == curve
}

// hasPoint reports whether key has a curve and a point. crypto/ecdsa panics if
// it does not.
func hasPoint(key *ecdsa.PublicKey) bool {
	//lint:ignore SA1019 The coordinates are only compared with nil.
	return key != nil && key.Curve != nil && key.X != nil && key.Y != nil
}

func (a es) encode(sig []byte, _ any) ([]byte, error) { return derconv.ToP1363(sig, a.curve) }

func (a es) verify(signingString string, sig []byte, pub any) error {
	return a.stock.Verify(signingString, sig, pub)
}

func (es) describe(pub any) string {
	key, ok := pub.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return ""
	case !hasPoint(key):
		return "an ECDSA key without a point"
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521(), secp256k1.Curve} {
		if key.Curve == curve {
			return "an ECDSA key on " + curve.Params().Name
		}
	}
	// Don't call methods of an unknown Curve implementation.
	return fmt.Sprintf("an ECDSA key on a curve of type %T", key.Curve)
}

// jwk returns the members of RFC 7518 section 6.2.1.
func (es) jwk(pub any) (JWK, error) {
	key := pub.(*ecdsa.PublicKey)
	point, err := uncompressedPoint(key)
	if err != nil {
		return JWK{}, fmt.Errorf("%w: %w", jwt.ErrInvalidKeyType, err)
	}
	// The coordinates have their full width (RFC 7518 section 6.2.1.2), as
	// in the uncompressed point, which is 04 ‖ X ‖ Y.
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	b64 := base64.RawURLEncoding.EncodeToString
	return JWK{Kty: "EC", Crv: key.Curve.Params().Name, X: b64(x), Y: b64(y)}, nil
}

// uncompressedPoint returns the uncompressed encoding of the point of key (SEC
// 1 section 2.3.3). It returns an error if the point is not on the curve or if
// there is no JWK name for the curve.
func uncompressedPoint(key *ecdsa.PublicKey) ([]byte, error) {
	switch {
	case isOn(elliptic.P256(), key), isOn(elliptic.P384(), key), isOn(elliptic.P521(), key):
		return key.Bytes()
	case isOn(secp256k1.Curve, key):
		return secp256k1.MarshalUncompressed(key)
	}
	return nil, errors.New("want a key on P-256, P-384, P-521 or secp256k1")
}

// An es256k is ECDSA on secp256k1 with SHA-256 (RFC 8812 section 3.2).
// golang-jwt lacks it, and crypto/ecdsa is slow on this curve and panics in
// FIPS 140-only mode, so it verifies with package secp256k1.
type es256k struct {
	es
}

func newES256K() *SigningMethod {
	return &SigningMethod{"ES256K", es256k{es{signature: signature{crypto.SHA256}, curve: secp256k1.Curve}}}
}

func (es256k) wants() string { return "an ECDSA key on decred's secp256k1" }

func (es256k) verify(signingString string, sig []byte, pub any) error {
	key := pub.(*ecdsa.PublicKey)
	digest := sha256.Sum256([]byte(signingString))
	if der, err := derconv.ToDER(sig, secp256k1.Curve); err == nil && secp256k1.VerifyASN1(key, digest[:], der) {
		return nil
	}
	// VerifyASN1 does not tell an invalid key from an invalid signature.
	if _, err := secp256k1.MarshalUncompressed(key); err != nil {
		return fmt.Errorf("jwtkms: ES256K: %w: %w", jwt.ErrInvalidKey, err)
	}
	return jwt.ErrECDSAVerification
}
