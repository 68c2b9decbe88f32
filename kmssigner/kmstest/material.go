package kmstest

import (
	"crypto"
	_ "crypto/sha256" // for crypto.SHA224.New and crypto.SHA256.New
	_ "crypto/sha512" // for crypto.SHA384.New and crypto.SHA512.New

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// material is the key material of a KMS key. Each key type has its own file
// with an implementation, a function that makes it, and its specs.
type material interface {
	// publicKey returns the public key as GetPublicKey answers it, a
	// DER-encoded SubjectPublicKeyInfo, or nil if the key has none.
	publicKey() []byte
}

// signer is the material of a key that signs or makes MACs. It is safe for
// concurrent use.
type signer interface {
	material

	// sign returns the signature or the MAC of in.
	sign(in input) ([]byte, error)

	// verify reports whether sig is a signature or the MAC of in.
	verify(in input, sig []byte) bool
}

// input is what a signer signs or verifies. The operation has checked that the
// algorithm is one of the key's, and that the message goes with it.
type input struct {
	alg         types.SigningAlgorithmSpec // empty for a MAC, because HMAC keys have one algorithm
	messageType types.MessageType          // never empty
	message     []byte
}

// newInput returns an input with the message type that KMS assumes if t is
// empty.
func newInput(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) input {
	if t == "" {
		t = types.MessageTypeRaw
	}
	return input{alg, t, msg}
}

// digest returns the message if it is a digest, and otherwise its hash.
func (in input) digest() []byte {
	if in.messageType == types.MessageTypeDigest {
		return in.message
	}
	return sum(algorithms[in.alg].hash, in.message)
}

// sum returns the hash of msg.
func sum(h crypto.Hash, msg []byte) []byte {
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
}
