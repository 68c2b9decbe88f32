package kmstest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func rsaSpec(bits int) spec {
	return spec{
		usages: []types.KeyUsageType{signVerify, encryptDecrypt},
		signing: []types.SigningAlgorithmSpec{
			types.SigningAlgorithmSpecRsassaPkcs1V15Sha256,
			types.SigningAlgorithmSpecRsassaPkcs1V15Sha384,
			types.SigningAlgorithmSpecRsassaPkcs1V15Sha512,
			types.SigningAlgorithmSpecRsassaPssSha256,
			types.SigningAlgorithmSpecRsassaPssSha384,
			types.SigningAlgorithmSpecRsassaPssSha512,
		},
		encryption: []types.EncryptionAlgorithmSpec{
			types.EncryptionAlgorithmSpecRsaesOaepSha1,
			types.EncryptionAlgorithmSpecRsaesOaepSha256,
		},
		generate: func() (material, error) { return generateRSA(bits) },
	}
}

// rsaKey signs with RSASSA-PKCS1-v1_5, or with RSASSA-PSS and a salt as long as
// the hash.
type rsaKey struct {
	publicOnly
	private *rsa.PrivateKey
}

func generateRSA(bits int) (material, error) {
	private, err := testRSAKey(bits)
	if err != nil {
		return nil, err
	}
	return newRSA(private)
}

func newRSA(private *rsa.PrivateKey) (material, error) {
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return rsaKey{public, private}, nil
}

var saltIsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func isPSS(alg types.SigningAlgorithmSpec) bool {
	return strings.HasPrefix(string(alg), "RSASSA_PSS_")
}

func (k rsaKey) sign(in input) ([]byte, error) {
	hash := algorithms[in.alg].hash
	if isPSS(in.alg) {
		return rsa.SignPSS(rand.Reader, k.private, hash, in.digest(), saltIsHash)
	}
	return rsa.SignPKCS1v15(rand.Reader, k.private, hash, in.digest())
}

func (k rsaKey) verify(in input, sig []byte) bool {
	hash := algorithms[in.alg].hash
	if isPSS(in.alg) {
		return rsa.VerifyPSS(&k.private.PublicKey, hash, in.digest(), sig, saltIsHash) == nil
	}
	return rsa.VerifyPKCS1v15(&k.private.PublicKey, hash, in.digest(), sig) == nil
}
