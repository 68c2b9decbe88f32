package kmstest

import (
	"crypto"
	"crypto/elliptic"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// spec is what KMS fixes with the name of a key spec. The lists of algorithms
// are in the alphabetical order of KMS's answers. A key shows the list that
// goes with its usage.
type spec struct {
	usages        []types.KeyUsageType // AddKey chooses the first
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

// specs has all key specs of the SDK.
var specs = map[types.KeySpec]spec{
	types.KeySpecRsa2048:             rsaSpec(2048),
	types.KeySpecRsa3072:             rsaSpec(3072),
	types.KeySpecRsa4096:             rsaSpec(4096),
	types.KeySpecEccNistP256:         ecdsaSpec(elliptic.P256(), types.SigningAlgorithmSpecEcdsaSha256),
	types.KeySpecEccNistP384:         ecdsaSpec(elliptic.P384(), types.SigningAlgorithmSpecEcdsaSha384),
	types.KeySpecEccNistP521:         ecdsaSpec(elliptic.P521(), types.SigningAlgorithmSpecEcdsaSha512),
	types.KeySpecEccSecgP256k1:       secp256k1Spec(),
	types.KeySpecEccNistEdwards25519: ed25519Spec(),
	types.KeySpecMlDsa44:             mldsaSpec(mldsa.MLDSA44()),
	types.KeySpecMlDsa65:             mldsaSpec(mldsa.MLDSA65()),
	types.KeySpecMlDsa87:             mldsaSpec(mldsa.MLDSA87()),
	types.KeySpecHmac224:             hmacSpec(types.MacAlgorithmSpecHmacSha224, crypto.SHA224),
	types.KeySpecHmac256:             hmacSpec(types.MacAlgorithmSpecHmacSha256, crypto.SHA256),
	types.KeySpecHmac384:             hmacSpec(types.MacAlgorithmSpecHmacSha384, crypto.SHA384),
	types.KeySpecHmac512:             hmacSpec(types.MacAlgorithmSpecHmacSha512, crypto.SHA512),

	// The rest can be created and described, and asymmetric ones have a public
	// key, so that code that signs can be seen to refuse them.
	types.KeySpecSymmetricDefault: symmetricSpec(),
	types.KeySpecMlKem512:         mlkemSpec(2, 1),
	types.KeySpecMlKem768:         mlkemSpec(3, 2),
	types.KeySpecMlKem1024:        mlkemSpec(4, 3),
	types.KeySpecSm2:              sm2Spec(), // in China Regions only
}
