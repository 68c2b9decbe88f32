package kmstest

import (
	"crypto"
	"crypto/elliptic"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// spec is what a key spec decides. The lists of algorithms are in the order of
// KMS's answers, which is alphabetical; which of them a key shows depends on its
// usage.
type spec struct {
	usages        []types.KeyUsageType // the first is AddKey's choice
	signing       []types.SigningAlgorithmSpec
	mac           []types.MacAlgorithmSpec
	encryption    []types.EncryptionAlgorithmSpec
	agreement     []types.KeyAgreementAlgorithmSpec
	encapsulation []types.EncapsulationAlgorithmSpec
	generate      func() (material, error)
}

const (
	signVerify        = types.KeyUsageTypeSignVerify
	encryptDecrypt    = types.KeyUsageTypeEncryptDecrypt
	keyAgreement      = types.KeyUsageTypeKeyAgreement
	generateVerifyMac = types.KeyUsageTypeGenerateVerifyMac
	encapsulate       = types.KeyUsageTypeEncapsulateDecapsulate
)

var specs = map[types.KeySpec]spec{
	types.KeySpecRsa2048:     rsaSpec(2048),
	types.KeySpecRsa3072:     rsaSpec(3072),
	types.KeySpecRsa4096:     rsaSpec(4096),
	types.KeySpecEccNistP256: ecSpec(elliptic.P256(), types.SigningAlgorithmSpecEcdsaSha256),
	types.KeySpecEccNistP384: ecSpec(elliptic.P384(), types.SigningAlgorithmSpecEcdsaSha384),
	types.KeySpecEccNistP521: ecSpec(elliptic.P521(), types.SigningAlgorithmSpecEcdsaSha512),
	types.KeySpecEccSecgP256k1: {
		usages:   []types.KeyUsageType{signVerify},
		signing:  []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256},
		generate: newSecp256k1,
	},
	types.KeySpecEccNistEdwards25519: {
		usages:   []types.KeyUsageType{signVerify},
		signing:  []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEd25519PhSha512, types.SigningAlgorithmSpecEd25519Sha512},
		generate: newEd25519,
	},
	types.KeySpecMlDsa44: mldsaSpec(mldsa.MLDSA44()),
	types.KeySpecMlDsa65: mldsaSpec(mldsa.MLDSA65()),
	types.KeySpecMlDsa87: mldsaSpec(mldsa.MLDSA87()),
	types.KeySpecHmac224: hmacSpec(types.MacAlgorithmSpecHmacSha224),
	types.KeySpecHmac256: hmacSpec(types.MacAlgorithmSpecHmacSha256),
	types.KeySpecHmac384: hmacSpec(types.MacAlgorithmSpecHmacSha384),
	types.KeySpecHmac512: hmacSpec(types.MacAlgorithmSpecHmacSha512),

	// The rest only serves to be refused by code that signs: it can be created,
	// described and, where it is asymmetric, its public key can be fetched.
	types.KeySpecSymmetricDefault: {
		usages:     []types.KeyUsageType{encryptDecrypt},
		encryption: []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSymmetricDefault},
		generate:   func() (material, error) { return publicOnly(nil), nil },
	},
	types.KeySpecMlKem512:  mlkemSpec(2, 1),
	types.KeySpecMlKem768:  mlkemSpec(3, 2),
	types.KeySpecMlKem1024: mlkemSpec(4, 3),
	types.KeySpecSm2: { // in China Regions only
		usages:     []types.KeyUsageType{signVerify, encryptDecrypt, keyAgreement},
		signing:    []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecSm2dsa},
		encryption: []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSm2pke},
		agreement:  []types.KeyAgreementAlgorithmSpec{types.KeyAgreementAlgorithmSpecEcdh},
		generate:   newSM2,
	},
}

// hashes names the hash of the algorithms that take a digest.
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
	types.SigningAlgorithmSpecEd25519PhSha512:      crypto.SHA512,
}
