package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	internal "github.com/kmssign/kmssign/internal/secp256k1"
)

func secp256k1Spec() spec {
	return spec{
		usages:   []types.KeyUsageType{signVerify},
		signing:  []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256},
		generate: generateSecp256k1,
	}
}

// secp256k1Key signs with ECDSA on secp256k1. It signs and verifies with code
// of its own, so that it and package kmssigner, which verifies with decred's
// ECDSA, check each other.
type secp256k1Key struct {
	publicOnly
	private *secp256k1.PrivateKey
}

func generateSecp256k1() (material, error) {
	private, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	return newSecp256k1(private)
}

func newSecp256k1(private *secp256k1.PrivateKey) (material, error) {
	public, err := internal.MarshalPKIXPublicKey(private.PubKey().ToECDSA())
	if err != nil {
		return nil, err
	}
	return secp256k1Key{public, private}, nil
}

// sign follows FIPS 186-5 section 6.4.1. As in KMS, the nonce is random and s
// is not normalized. Decred's Sign is deterministic and normalizes s, and
// crypto/ecdsa panics on this curve in FIPS 140-only mode.
func (k secp256k1Key) sign(in input) ([]byte, error) {
	var e, r, s secp256k1.ModNScalar
	e.SetByteSlice(in.digest())
	for r.IsZero() || s.IsZero() { // once, but for a chance of 1 in 2^255
		nonce, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return nil, err
		}
		// The point nonce*G is the public key of nonce.
		r.SetByteSlice(nonce.PubKey().SerializeCompressed()[1:])
		s.Mul2(&k.private.Key, &r).Add(&e).Mul(nonce.Key.InverseNonConst())
	}
	rBytes, sBytes := r.Bytes(), s.Bytes()
	return marshalECDSA(rBytes[:], sBytes[:]), nil
}

// verify follows FIPS 186-5 section 6.4.2.
func (k secp256k1Key) verify(in input, sig []byte) bool {
	var e, r, s, w secp256k1.ModNScalar
	rBytes, sBytes, rest, ok := parseECDSA(sig)
	if !ok || len(rest) > 0 || !setScalar(&r, rBytes) || !setScalar(&s, sBytes) {
		return false
	}
	e.SetByteSlice(in.digest())
	w.InverseValNonConst(&s)

	// The point (e/s)*G + (r/s)*Q.
	var q, eG, rQ, sum secp256k1.JacobianPoint
	k.private.PubKey().AsJacobian(&q)
	secp256k1.ScalarBaseMultNonConst(e.Mul(&w), &eG)
	secp256k1.ScalarMultNonConst(w.Mul(&r), &q, &rQ)
	secp256k1.AddNonConst(&eG, &rQ, &sum)
	if sum.X.IsZero() && sum.Y.IsZero() || sum.Z.IsZero() {
		return false // the point at infinity
	}
	sum.ToAffine()
	var v secp256k1.ModNScalar
	v.SetBytes(sum.X.Bytes()) // modulo n
	return v.Equals(&r)
}

// setScalar sets x to the big-endian number b and reports whether it is in the
// range from 1 to n-1.
func setScalar(x *secp256k1.ModNScalar, b []byte) bool {
	return len(b) <= 32 && !x.SetByteSlice(b) && !x.IsZero()
}
