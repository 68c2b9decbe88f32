package kmssigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"slices"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// A keyType is a public key together with everything that depends on the type
// of key. Each implementation has a file of its own: rsa.go, ecdsa.go,
// ed25519.go and mldsa.go. A new one also needs a case in newKeyType and its
// key specs in supportedSpecs.
//
// Implementations are immutable and thus safe for concurrent use.
type keyType interface {
	// public returns the public key, as Signer.Public does.
	public() crypto.PublicKey

	// spec returns the KeySpec of the KMS keys that have such public keys.
	spec() types.KeySpec

	// defaultHash returns the hash that goes with the key, as Signer.HashFunc
	// does.
	defaultHash() crypto.Hash

	// algorithms returns the algorithms that this package signs with.
	algorithms() []types.SigningAlgorithmSpec

	// prepare returns the request to KMS for a signature. It returns an error
	// if KMS would refuse to sign or, worse, would sign in another way.
	prepare(in input) (request, error)

	// checkForm returns an error if sig lacks the length or the encoding of a
	// signature by the key.
	checkForm(sig []byte) error

	// verify reports whether sig is a valid signature for the request r.
	// Verification is independent of KMS.
	verify(r request, sig []byte) bool
}

// supportedSpecs are the key specs that a keyType exists for.
var supportedSpecs = slices.Concat(rsaSpecs, ecdsaSpecs, ed25519Specs, mldsaSpecs)

// newKeyType returns the keyType of pub, or an error that wraps
// [ErrUnsupportedKey]. The constructors accept any value of their type, zero
// and nil included, because pub may come from the caller.
func newKeyType(pub crypto.PublicKey) (keyType, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return newRSA(pub)
	case *ecdsa.PublicKey:
		return newECDSA(pub)
	case ed25519.PublicKey:
		return newEd25519(pub)
	case *mldsa.PublicKey:
		return newMLDSA(pub)
	}
	return nil, fmt.Errorf("%w: public key is a %T, want *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey or *mldsa.PublicKey",
		ErrUnsupportedKey, pub)
}

// checkLength is the checkForm of signatures of a fixed length in bytes.
func checkLength(sig []byte, want int) error {
	if len(sig) != want {
		return fmt.Errorf("it has %d bytes, want %d", len(sig), want)
	}
	return nil
}
