package kmstest

import (
	"crypto"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// algorithm is what KMS demands of a message for a signing algorithm.
type algorithm struct {
	hash  crypto.Hash         // hash of the message; 0 if the algorithm has none that the fake knows
	takes []types.MessageType // types that a message may have
}

var (
	rawOrDigest = []types.MessageType{types.MessageTypeRaw, types.MessageTypeDigest}
	rawOnly     = []types.MessageType{types.MessageTypeRaw}
	digestOnly  = []types.MessageType{types.MessageTypeDigest}
	rawOrMu     = []types.MessageType{types.MessageTypeRaw, types.MessageTypeExternalMu}
)

// algorithms has all signing algorithms of KMS.
var algorithms = map[types.SigningAlgorithmSpec]algorithm{
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha256: {crypto.SHA256, rawOrDigest},
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha384: {crypto.SHA384, rawOrDigest},
	types.SigningAlgorithmSpecRsassaPkcs1V15Sha512: {crypto.SHA512, rawOrDigest},
	types.SigningAlgorithmSpecRsassaPssSha256:      {crypto.SHA256, rawOrDigest},
	types.SigningAlgorithmSpecRsassaPssSha384:      {crypto.SHA384, rawOrDigest},
	types.SigningAlgorithmSpecRsassaPssSha512:      {crypto.SHA512, rawOrDigest},
	types.SigningAlgorithmSpecEcdsaSha256:          {crypto.SHA256, rawOrDigest},
	types.SigningAlgorithmSpecEcdsaSha384:          {crypto.SHA384, rawOrDigest},
	types.SigningAlgorithmSpecEcdsaSha512:          {crypto.SHA512, rawOrDigest},
	types.SigningAlgorithmSpecEd25519Sha512:        {0, rawOnly},
	types.SigningAlgorithmSpecEd25519PhSha512:      {crypto.SHA512, digestOnly},
	types.SigningAlgorithmSpecMlDsaShake256:        {0, rawOrMu},
	types.SigningAlgorithmSpecSm2dsa:               {0, rawOrDigest},
}

// muSize is the length in bytes of the message representative mu of ML-DSA
// (FIPS 204 algorithm 7).
const muSize = 64

// checkInput refuses an algorithm that is not the key's, then a message type
// that the key or the algorithm does not take, then a digest or a mu of another
// length than the algorithm's.
func (key *key) checkInput(in input) error {
	if !slices.Contains(key.spec.signing, in.alg) {
		return incompatible(string(in.alg), key.keySpec)
	}
	alg, t := algorithms[in.alg], in.messageType
	takes := func(alg types.SigningAlgorithmSpec) bool { return slices.Contains(algorithms[alg].takes, t) }
	switch {
	case !slices.ContainsFunc(key.spec.signing, takes):
		return refuse("ValidationException", "Message type %s is incompatible with key spec %s.", t, key.keySpec)
	case !takes(in.alg):
		return refuse("ValidationException", "Message type %s is incompatible with algorithm %s.", t, in.alg)
	case t == types.MessageTypeExternalMu && len(in.message) != muSize:
		return refuse("ValidationException", "External Mu is invalid length for algorithm %s.", in.alg)
	case t == types.MessageTypeDigest && alg.hash != 0 && len(in.message) != alg.hash.Size():
		return refuse("ValidationException", "Digest is invalid length for algorithm %s.", in.alg)
	}
	return nil
}
