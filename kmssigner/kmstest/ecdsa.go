package kmstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func ecdsaSpec(curve elliptic.Curve, alg types.SigningAlgorithmSpec) spec {
	return spec{
		usages:    []types.KeyUsageType{signVerify, keyAgreement},
		signing:   []types.SigningAlgorithmSpec{alg},
		agreement: []types.KeyAgreementAlgorithmSpec{types.KeyAgreementAlgorithmSpecEcdh},
		generate:  func() (material, error) { return generateECDSA(curve) },
	}
}

// ecdsaKey signs with ECDSA on a NIST curve. Signatures are DER-encoded and
// randomized. As in KMS, s is not normalized, so half of the signatures have an
// s in the upper half of its range.
type ecdsaKey struct {
	publicOnly
	private *ecdsa.PrivateKey
}

func generateECDSA(curve elliptic.Curve) (material, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	return newECDSA(private)
}

func newECDSA(private *ecdsa.PrivateKey) (material, error) {
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return ecdsaKey{public, private}, nil
}

func (k ecdsaKey) sign(in input) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.private, in.digest())
}

func (k ecdsaKey) verify(in input, sig []byte) bool {
	return ecdsa.VerifyASN1(&k.private.PublicKey, in.digest(), sig)
}
