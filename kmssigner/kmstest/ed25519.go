package kmstest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// edKey signs with Ed25519, which takes the message, or with Ed25519ph.
type edKey struct {
	publicOnly
	private ed25519.PrivateKey
}

func newEd25519() (material, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	return edKey{spki, private}, err
}

// input returns what is signed. For Ed25519ph, KMS demands a digest and does the
// pre-hash of FIPS 186-5 section 7.8.1 all the same, so that what is signed is
// the hash of the caller's hash; captured signatures confirm it.
func (k edKey) input(alg types.SigningAlgorithmSpec, msg []byte) ([]byte, *ed25519.Options) {
	if alg == types.SigningAlgorithmSpecEd25519PhSha512 {
		again := sha512.Sum512(msg)
		return again[:], &ed25519.Options{Hash: crypto.SHA512}
	}
	return msg, &ed25519.Options{}
}

func (k edKey) sign(alg types.SigningAlgorithmSpec, _ types.MessageType, msg []byte) ([]byte, error) {
	in, opts := k.input(alg, msg)
	return k.private.Sign(nil, in, opts)
}

func (k edKey) verify(alg types.SigningAlgorithmSpec, _ types.MessageType, msg, sig []byte) bool {
	in, opts := k.input(alg, msg)
	return ed25519.VerifyWithOptions(k.private.Public().(ed25519.PublicKey), in, sig, opts) == nil
}
