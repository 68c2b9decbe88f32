// Package secp256k1 does for keys on the curve secp256k1 what crypto/x509 and
// crypto/ecdsa do for the NIST curves. crypto/x509 does not know the curve, and
// crypto/ecdsa is slow on it and panics in FIPS 140-only mode, so this package
// is built on decred's implementation.
//
// Keys are *ecdsa.PublicKey values with [Curve] as their curve. All functions
// are safe for concurrent use.
package secp256k1

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Curve is the curve of all keys of this package. Its Params().Name is
// "secp256k1", which is also its name in a JWK (RFC 8812 section 3.1).
//
//lint:ignore SA1019 The arithmetic is deprecated. An *ecdsa.PublicKey needs the value.
var Curve elliptic.Curve = secp256k1.S256()

// ErrOtherKey is returned by [ParsePKIXPublicKey] for a key that is not an
// ECDSA key on secp256k1.
var ErrOtherKey = errors.New("not a secp256k1 public key")

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} // RFC 5480 section 2.1.1
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}       // SEC 2 appendix A.2.1
)

// ParsePKIXPublicKey parses a DER-encoded SubjectPublicKeyInfo (RFC 5280
// section 4.1) with an uncompressed point. It returns [ErrOtherKey] if the
// algorithm identifier names another key type or curve, and another error if
// the encoding is malformed, has trailing data, or the point is not on the
// curve.
func ParsePKIXPublicKey(der []byte) (*ecdsa.PublicKey, error) {
	var (
		info, algorithm cryptobyte.String
		keyType, curve  asn1.ObjectIdentifier
		point           []byte
		input           = cryptobyte.String(der)
	)
	if !input.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) ||
		!info.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&keyType) || !keyType.Equal(oidECPublicKey) ||
		!algorithm.ReadASN1ObjectIdentifier(&curve) || !curve.Equal(oidSecp256k1) {
		return nil, ErrOtherKey
	}
	if !algorithm.Empty() || !info.ReadASN1BitStringAsBytes(&point) || !info.Empty() || !input.Empty() {
		return nil, errors.New("the SubjectPublicKeyInfo of a secp256k1 key is malformed")
	}
	// RFC 5480 section 2.2 leaves support of compressed points to the
	// implementation. KMS sends uncompressed ones.
	if len(point) != secp256k1.PubKeyBytesLenUncompressed || point[0] != secp256k1.PubKeyFormatUncompressed {
		return nil, fmt.Errorf("the point of a secp256k1 key has %d bytes, want an uncompressed one of %d",
			len(point), secp256k1.PubKeyBytesLenUncompressed)
	}
	pub, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return nil, err
	}
	return pub.ToECDSA(), nil
}

// MarshalPKIXPublicKey returns the DER-encoded SubjectPublicKeyInfo of pub. It
// returns the errors of [MarshalUncompressed].
func MarshalPKIXPublicKey(pub *ecdsa.PublicKey) ([]byte, error) {
	point, err := MarshalUncompressed(pub)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidECPublicKey)
			b.AddASN1ObjectIdentifier(oidSecp256k1)
		})
		b.AddASN1BitString(point)
	})
	return b.Bytes()
}

// MarshalUncompressed returns the 65-byte uncompressed encoding of the point of
// pub, 04 ‖ X ‖ Y (SEC 1 section 2.3.3). It returns an error if pub is nil, is
// on another curve, has no point, or has a point that is not on the curve.
func MarshalUncompressed(pub *ecdsa.PublicKey) ([]byte, error) {
	key, err := fromECDSA(pub)
	if err != nil {
		return nil, err
	}
	return key.SerializeUncompressed(), nil
}

// VerifyASN1 reports whether sig is a valid DER-encoded ECDSA signature of
// digest by pub. A digest of over 32 bytes is cut to its leftmost 32 (FIPS
// 186-5 section 6.4.2). S may be in the upper half of its range. VerifyASN1
// returns false for every key for which [MarshalUncompressed] returns an error.
func VerifyASN1(pub *ecdsa.PublicKey, digest, sig []byte) bool {
	key, err := fromECDSA(pub)
	if err != nil {
		return false
	}
	parsed, err := secpecdsa.ParseDERSignature(sig)
	return err == nil && parsed.Verify(digest, key)
}

// fromECDSA returns decred's form of pub, whose point is known to be on the
// curve.
func fromECDSA(pub *ecdsa.PublicKey) (*secp256k1.PublicKey, error) {
	if pub == nil || pub.Curve != Curve {
		return nil, ErrOtherKey
	}
	//lint:ignore SA1019 PublicKey.Bytes does not know this curve.
	x, y := pub.X, pub.Y
	if x == nil || y == nil {
		return nil, errors.New("the secp256k1 key has no point")
	}
	if x.Sign() < 0 || y.Sign() < 0 || x.BitLen() > 256 || y.BitLen() > 256 {
		return nil, errors.New("the point of the secp256k1 key is out of range")
	}
	point := make([]byte, secp256k1.PubKeyBytesLenUncompressed)
	point[0] = secp256k1.PubKeyFormatUncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return secp256k1.ParsePubKey(point)
}
