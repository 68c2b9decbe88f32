package kmstest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// rsaKey signs with PKCS #1 v1.5 or with PSS, whose salt is as long as the hash.
type rsaKey struct {
	publicOnly
	private *rsa.PrivateKey
}

func newRSA(bits int) (material, error) {
	private, err := testRSAKey(bits)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	return rsaKey{public, private}, err
}

var saltIsHash = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func isPSS(alg types.SigningAlgorithmSpec) bool {
	return strings.HasPrefix(string(alg), "RSASSA_PSS_")
}

func (k rsaKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	if isPSS(alg) {
		return rsa.SignPSS(rand.Reader, k.private, hashes[alg], digest(alg, t, msg), saltIsHash)
	}
	return rsa.SignPKCS1v15(rand.Reader, k.private, hashes[alg], digest(alg, t, msg))
}

func (k rsaKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	if isPSS(alg) {
		return rsa.VerifyPSS(&k.private.PublicKey, hashes[alg], digest(alg, t, msg), sig, saltIsHash) == nil
	}
	return rsa.VerifyPKCS1v15(&k.private.PublicKey, hashes[alg], digest(alg, t, msg), sig) == nil
}

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
		generate: func() (material, error) { return newRSA(bits) },
	}
}
