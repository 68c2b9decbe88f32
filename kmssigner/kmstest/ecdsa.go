package kmstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// ecKey signs with ECDSA on a NIST curve. Signatures are DER, their s is high
// half of the time (KMS does not normalise it), and they differ from call to call.
type ecKey struct {
	publicOnly
	private *ecdsa.PrivateKey
}

func newEC(curve elliptic.Curve) (material, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return ecKey{public, private}, err
}

func (k ecKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.private, digest(alg, t, msg))
}

func (k ecKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	return ecdsa.VerifyASN1(&k.private.PublicKey, digest(alg, t, msg), sig)
}

func ecSpec(curve elliptic.Curve, alg types.SigningAlgorithmSpec) spec {
	return spec{
		usages:    []types.KeyUsageType{signVerify, keyAgreement},
		signing:   []types.SigningAlgorithmSpec{alg},
		agreement: []types.KeyAgreementAlgorithmSpec{types.KeyAgreementAlgorithmSpecEcdh},
		generate:  func() (material, error) { return newEC(curve) },
	}
}
