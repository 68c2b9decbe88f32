package kmstest

import (
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// publicOnly is the material of a key that the fake cannot use. Public keys are
// well-formed, so that code that must refuse them does not fail to parse them.
type publicOnly []byte

func (k publicOnly) publicKey() []byte { return k }

func symmetricSpec() spec {
	return spec{
		usages:     []types.KeyUsageType{encryptDecrypt},
		encryption: []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSymmetricDefault},
		generate:   func() (material, error) { return publicOnly(nil), nil },
	}
}

func sm2Spec() spec {
	return spec{
		usages:     []types.KeyUsageType{signVerify, encryptDecrypt, keyAgreement},
		signing:    []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecSm2dsa},
		encryption: []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSm2pke},
		agreement:  []types.KeyAgreementAlgorithmSpec{types.KeyAgreementAlgorithmSpecEcdh},
		generate:   generateSM2,
	}
}

// generateSM2 makes a point on the curve of GB/T 32918.5, which has the form
// that crypto/elliptic implements (a = -3).
func generateSM2() (material, error) {
	number := func(hex string) *big.Int { n, _ := new(big.Int).SetString(hex, 16); return n }
	curve := &elliptic.CurveParams{
		Name:    "SM2",
		BitSize: 256,
		P:       number("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF"),
		N:       number("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123"),
		B:       number("28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"),
		Gx:      number("32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"),
		Gy:      number("BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"),
	}
	//lint:ignore SA1019 The standard library has no other way to a point on this curve.
	_, x, y, err := elliptic.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	point := make([]byte, 65)
	point[0] = 4 // uncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return newPublicOnly(point, oidECPublicKey, asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301})
}

func mlkemSpec(rank, arc int) spec {
	return spec{
		usages:        []types.KeyUsageType{encapsulate},
		encapsulation: []types.EncapsulationAlgorithmSpec{types.EncapsulationAlgorithmSpecMlKem},
		generate:      func() (material, error) { return generateMLKEM(rank, arc) },
	}
}

// generateMLKEM makes an encapsulation key (FIPS 203 section 7.1): rank
// polynomials of 256 coefficients modulo 3329, of 12 bits each, and a seed of
// 32 bytes. arc is the last arc of the key's object identifier.
func generateMLKEM(rank, arc int) (material, error) {
	var key []byte
	coefficient := func() uint32 {
		n, err := rand.Int(rand.Reader, big.NewInt(3329))
		if err != nil {
			panic(err) // rand.Reader does not fail
		}
		return uint32(n.Uint64())
	}
	for range rank * 128 {
		c := coefficient() | coefficient()<<12
		key = append(key, byte(c), byte(c>>8), byte(c>>16))
	}
	seed := make([]byte, 32)
	rand.Read(seed)
	return newPublicOnly(append(key, seed...), asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, arc})
}

var oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// newPublicOnly encodes a public key as a SubjectPublicKeyInfo. The algorithm
// is an object identifier, followed by that of the curve if it has one.
func newPublicOnly(key []byte, algorithm ...asn1.ObjectIdentifier) (material, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, oid := range algorithm {
				b.AddASN1ObjectIdentifier(oid)
			}
		})
		b.AddASN1BitString(key)
	})
	spki, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return publicOnly(spki), nil
}
