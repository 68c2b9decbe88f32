package kmssigner

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

// crypto/x509 does not know the curve secp256k1, and crypto/ecdsa is slow with
// it and panics in FIPS 140-only mode, so what concerns it is here, on decred's
// package.

// curveSecp256k1 is the curve of the public keys that parseSecp256k1 returns.
//
//lint:ignore SA1019 deprecated for arithmetic; an *ecdsa.PublicKey on this curve needs it.
var curveSecp256k1 elliptic.Curve = secp256k1.S256()

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} // RFC 5480 section 2.1.1
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}       // RFC 8812 section 3.1 refers to SEC 2 for it
)

// parseSecp256k1 reads a DER SubjectPublicKeyInfo. It answers nil without an
// error if the key is on another curve or no ECDSA key at all.
func parseSecp256k1(spki []byte) (*ecdsa.PublicKey, error) {
	var (
		info, algorithm cryptobyte.String
		keyType, curve  asn1.ObjectIdentifier
		point           []byte
		input           = cryptobyte.String(spki)
	)
	if !input.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) ||
		!info.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&keyType) || !keyType.Equal(oidECPublicKey) ||
		!algorithm.ReadASN1ObjectIdentifier(&curve) || !curve.Equal(oidSecp256k1) {
		return nil, nil
	}
	if !algorithm.Empty() || !info.ReadASN1BitStringAsBytes(&point) || !info.Empty() || !input.Empty() {
		return nil, errors.New("the SubjectPublicKeyInfo of a secp256k1 key is malformed")
	}
	// RFC 5480 section 2.2 lets one choose whether to take compressed points. KMS
	// sends none.
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

// marshalSecp256k1 is the opposite of parseSecp256k1.
func marshalSecp256k1(pub *ecdsa.PublicKey) ([]byte, error) {
	point, err := uncompressed(pub)
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

// uncompressed encodes the point of a key, 04 ‖ X ‖ Y.
func uncompressed(pub *ecdsa.PublicKey) ([]byte, error) {
	//lint:ignore SA1019 PublicKey.Bytes does not know this curve.
	x, y := pub.X, pub.Y
	if x.Sign() < 0 || y.Sign() < 0 || x.BitLen() > 256 || y.BitLen() > 256 {
		return nil, errors.New("the point of the secp256k1 key is out of range")
	}
	point := make([]byte, secp256k1.PubKeyBytesLenUncompressed)
	point[0] = secp256k1.PubKeyFormatUncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return point, nil
}

// verifySecp256k1 verifies a DER signature.
func verifySecp256k1(pub *ecdsa.PublicKey, digest, der []byte) bool {
	point, err := uncompressed(pub)
	if err != nil {
		return false
	}
	key, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return false
	}
	sig, err := secpecdsa.ParseDERSignature(der)
	return err == nil && sig.Verify(digest, key)
}
