package kmstest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func ed25519Spec() spec {
	return spec{
		usages: []types.KeyUsageType{signVerify},
		signing: []types.SigningAlgorithmSpec{
			types.SigningAlgorithmSpecEd25519PhSha512,
			types.SigningAlgorithmSpecEd25519Sha512,
		},
		generate: generateEd25519,
	}
}

// ed25519Key signs messages with Ed25519, or digests with Ed25519ph.
type ed25519Key struct {
	publicOnly
	private ed25519.PrivateKey
}

func generateEd25519() (material, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return newEd25519(private)
}

func newEd25519(private ed25519.PrivateKey) (material, error) {
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	return ed25519Key{public, private}, nil
}

// signed returns the bytes that are signed, and how. For Ed25519ph, KMS takes a
// digest and computes the pre-hash of FIPS 186-5 section 7.8.1 of it, so the
// pre-hash is the hash of the caller's hash. Signatures made by KMS confirm it.
func (ed25519Key) signed(in input) ([]byte, *ed25519.Options) {
	if in.alg == types.SigningAlgorithmSpecEd25519PhSha512 {
		prehash := sha512.Sum512(in.message)
		return prehash[:], &ed25519.Options{Hash: crypto.SHA512}
	}
	return in.message, &ed25519.Options{}
}

func (k ed25519Key) sign(in input) ([]byte, error) {
	signed, opts := k.signed(in)
	return k.private.Sign(nil, signed, opts)
}

func (k ed25519Key) verify(in input, sig []byte) bool {
	signed, opts := k.signed(in)
	return ed25519.VerifyWithOptions(k.private.Public().(ed25519.PublicKey), signed, sig, opts) == nil
}
