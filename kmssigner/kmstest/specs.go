package kmstest

import (
	"crypto"
	"crypto/elliptic"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// spec is what a key spec decides. The lists of algorithms are in the order of
// KMS's answers, which is alphabetical; which of them a key shows depends on its
// usage.
type spec struct {
	usages     []types.KeyUsageType // the first is AddKey's choice
	signing    []types.SigningAlgorithmSpec
	encryption []types.EncryptionAlgorithmSpec
	agreement  []types.KeyAgreementAlgorithmSpec
	generate   func() (material, error)
}

// material is the secret of a key.
type material interface {
	// spki is the public half as KMS answers it, a SubjectPublicKeyInfo. It is
	// nil where there is none.
	spki() []byte
	// sign is only asked for algorithms that the spec lists, and for messages
	// whose type and length have been checked.
	sign(types.SigningAlgorithmSpec, types.MessageType, []byte) ([]byte, error)
	verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool
}

const (
	signVerify     = types.KeyUsageTypeSignVerify
	encryptDecrypt = types.KeyUsageTypeEncryptDecrypt
	keyAgreement   = types.KeyUsageTypeKeyAgreement
)

var specs = map[types.KeySpec]spec{
	types.KeySpecRsa2048:     rsaSpec(2048),
	types.KeySpecRsa3072:     rsaSpec(3072),
	types.KeySpecRsa4096:     rsaSpec(4096),
	types.KeySpecEccNistP256: ecSpec(elliptic.P256(), types.SigningAlgorithmSpecEcdsaSha256),
	types.KeySpecEccNistP384: ecSpec(elliptic.P384(), types.SigningAlgorithmSpecEcdsaSha384),
	types.KeySpecEccNistP521: ecSpec(elliptic.P521(), types.SigningAlgorithmSpecEcdsaSha512),
	types.KeySpecSymmetricDefault: {
		usages:     []types.KeyUsageType{encryptDecrypt},
		encryption: []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSymmetricDefault},
		generate:   func() (material, error) { return noMaterial{}, nil },
	},
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

func ecSpec(curve elliptic.Curve, alg types.SigningAlgorithmSpec) spec {
	return spec{
		usages:    []types.KeyUsageType{signVerify, keyAgreement},
		signing:   []types.SigningAlgorithmSpec{alg},
		agreement: []types.KeyAgreementAlgorithmSpec{types.KeyAgreementAlgorithmSpecEcdh},
		generate:  func() (material, error) { return newEC(curve) },
	}
}

// hashes names the hash of the algorithms that sign a digest. The others hash
// as part of signing.
var hashes = map[types.SigningAlgorithmSpec]crypto.Hash{
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha256: crypto.SHA256,
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha384: crypto.SHA384,
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha512: crypto.SHA512,
	types.SigningAlgorithmSpecRsassaPssSha256:      crypto.SHA256,
	types.SigningAlgorithmSpecRsassaPssSha384:      crypto.SHA384,
	types.SigningAlgorithmSpecRsassaPssSha512:      crypto.SHA512,
	types.SigningAlgorithmSpecEcdsaSha256:          crypto.SHA256,
	types.SigningAlgorithmSpecEcdsaSha384:          crypto.SHA384,
	types.SigningAlgorithmSpecEcdsaSha512:          crypto.SHA512,
}

// digest returns msg, or its hash if msg is the message itself.
func digest(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) []byte {
	if t == types.MessageTypeDigest {
		return msg
	}
	h := hashes[alg].New()
	h.Write(msg)
	return h.Sum(nil)
}
