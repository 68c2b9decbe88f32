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

// Public keys without the operations that would need their private half. They are
// well-formed, so that code which must refuse them does not fail on their form.

// newSM2 makes a point of the curve of GB/T 32918.5, which is of the form that
// crypto/elliptic knows (a = -3).
func newSM2() (material, error) {
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
	//lint:ignore SA1019 There is no other way to a point of a curve of one's own.
	_, x, y, err := elliptic.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	point := make([]byte, 65)
	point[0] = 4 // uncompressed
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	public, err := marshalSPKI(ecPublicKey, asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}, point)
	return publicOnly(public), err
}

// newMLKEM makes an encapsulation key of FIPS 203: rank polynomials of 256
// coefficients modulo 3329, of 12 bits each, and 32 bytes. arc is the last of its
// object identifier.
func newMLKEM(rank, arc int) (material, error) {
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
	public, err := marshalSPKI(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, arc}, nil, append(key, seed...))
	return publicOnly(public), err
}

// publicOnly is all there is of a key that the fake cannot use.
type publicOnly []byte

func (k publicOnly) spki() []byte { return k }

// marshalSPKI builds the SubjectPublicKeyInfo of a key that crypto/x509 does not
// know. For an elliptic curve, the curve is the parameter of the algorithm; the
// others have none.
func marshalSPKI(algorithm, curve asn1.ObjectIdentifier, key []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(algorithm)
			if curve != nil {
				b.AddASN1ObjectIdentifier(curve)
			}
		})
		b.AddASN1BitString(key)
	})
	return b.Bytes()
}

var ecPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

func mlkemSpec(rank, arc int) spec {
	return spec{
		usages:        []types.KeyUsageType{encapsulate},
		encapsulation: []types.EncapsulationAlgorithmSpec{types.EncapsulationAlgorithmSpecMlKem},
		generate:      func() (material, error) { return newMLKEM(rank, arc) },
	}
}
