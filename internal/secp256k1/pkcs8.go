package secp256k1

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"errors"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errMalformedPrivateKey = errors.New("the PKCS #8 encoding of a secp256k1 key is malformed")

// ParsePKCS8PrivateKey parses a DER-encoded PrivateKeyInfo (RFC 5958) with an
// ECPrivateKey (RFC 5915). It returns [ErrOtherKey] if the algorithm identifier
// names another key type or curve, and another error if the encoding is
// malformed, has trailing data, the number is out of range, or the public key
// is that of another private key.
func ParsePKCS8PrivateKey(der []byte) (*ecdsa.PrivateKey, error) {
	var (
		info, algorithm, octets cryptobyte.String
		version                 int
		keyType, curve          asn1.ObjectIdentifier
		input                   = cryptobyte.String(der)
	)
	if !input.ReadASN1(&info, cryptobyte_asn1.SEQUENCE) ||
		!info.ReadASN1Integer(&version) || version != 0 ||
		!info.ReadASN1(&algorithm, cryptobyte_asn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&keyType) || !keyType.Equal(oidECPublicKey) ||
		!algorithm.ReadASN1ObjectIdentifier(&curve) || !curve.Equal(oidSecp256k1) {
		return nil, ErrOtherKey
	}
	attributes := cryptobyte_asn1.Tag(0).ContextSpecific().Constructed()
	if !algorithm.Empty() || !info.ReadASN1(&octets, cryptobyte_asn1.OCTET_STRING) ||
		!info.SkipOptionalASN1(attributes) || !info.Empty() || !input.Empty() {
		return nil, errMalformedPrivateKey
	}
	return parseECPrivateKey(octets)
}

// parseECPrivateKey parses the ECPrivateKey of RFC 5915 section 3.
func parseECPrivateKey(der cryptobyte.String) (*ecdsa.PrivateKey, error) {
	var (
		key, number, parameters, public cryptobyte.String
		version                         int
		curve                           asn1.ObjectIdentifier
		hasParameters, hasPublic        bool
		point                           []byte
		d                               secp256k1.ModNScalar
	)
	explicit := func(n uint8) cryptobyte_asn1.Tag { return cryptobyte_asn1.Tag(n).ContextSpecific().Constructed() }
	switch {
	case !der.ReadASN1(&key, cryptobyte_asn1.SEQUENCE), !der.Empty(),
		!key.ReadASN1Integer(&version), version != 1,
		!key.ReadASN1(&number, cryptobyte_asn1.OCTET_STRING), len(number) != 32,
		!key.ReadOptionalASN1(&parameters, &hasParameters, explicit(0)),
		!key.ReadOptionalASN1(&public, &hasPublic, explicit(1)), !key.Empty(),
		hasParameters && (!parameters.ReadASN1ObjectIdentifier(&curve) || !curve.Equal(oidSecp256k1) || !parameters.Empty()),
		hasPublic && (!public.ReadASN1BitStringAsBytes(&point) || !public.Empty()):
		return nil, errMalformedPrivateKey
	case d.SetByteSlice(number) || d.IsZero():
		return nil, errors.New("the private number of a secp256k1 key is out of range")
	}
	private := secp256k1.NewPrivateKey(&d)
	if hasPublic {
		pub, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return nil, err
		}
		if !pub.IsEqual(private.PubKey()) {
			return nil, errors.New("the public key of a secp256k1 key does not belong to its private number")
		}
	}
	return private.ToECDSA(), nil
}

// MarshalPKCS8PrivateKey returns the DER-encoded PrivateKeyInfo of private,
// with its public key, as crypto/x509 does for the NIST curves. It returns an
// error if private is on another curve, or its number is out of range.
func MarshalPKCS8PrivateKey(private *ecdsa.PrivateKey) ([]byte, error) {
	key, err := FromECDSA(private)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidECPublicKey)
			b.AddASN1ObjectIdentifier(oidSecp256k1)
		})
		b.AddASN1(cryptobyte_asn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1OctetString(key.Serialize())
				b.AddASN1(cryptobyte_asn1.Tag(1).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1BitString(key.PubKey().SerializeUncompressed())
				})
			})
		})
	})
	return b.Bytes()
}

// FromECDSA returns decred's form of private. It returns an error if private is
// nil, is on another curve, or its number is out of range.
func FromECDSA(private *ecdsa.PrivateKey) (*secp256k1.PrivateKey, error) {
	if private == nil || private.Curve != Curve {
		return nil, ErrOtherKey
	}
	//lint:ignore SA1019 PrivateKey.Bytes does not know this curve.
	number := private.D
	var d secp256k1.ModNScalar
	if number == nil || number.Sign() <= 0 || number.BitLen() > 256 || d.SetByteSlice(number.Bytes()) {
		return nil, errors.New("the private number of the secp256k1 key is out of range")
	}
	return secp256k1.NewPrivateKey(&d), nil
}
