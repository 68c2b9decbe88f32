package kmstest

import (
	_ "crypto/sha256" // for crypto.SHA256.New

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// material is the secret of a key.
type material interface {
	// spki is the public half as KMS answers it, a SubjectPublicKeyInfo. It is
	// nil where there is none.
	spki() []byte
}

// signer is the material of a key that signs. It is only asked for algorithms
// that its spec lists, and with messages whose type and length have been checked.
type signer interface {
	material
	sign(types.SigningAlgorithmSpec, types.MessageType, []byte) ([]byte, error)
	verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool
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
