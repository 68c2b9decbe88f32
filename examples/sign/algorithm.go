package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// algorithm is a signing algorithm of KMS.
type algorithm struct {
	name types.SigningAlgorithmSpec
	hash crypto.Hash // 0: the message itself is signed
	spec types.KeySpec
}

// algorithms are the choices of -alg. ED25519_PH_SHA_512 is not among them,
// because KMS hashes the digest once more, so its signatures are not the
// Ed25519ph of other software.
var algorithms = []algorithm{
	{types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, crypto.SHA256, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecRsassaPkcs1V15Sha384, crypto.SHA384, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecRsassaPkcs1V15Sha512, crypto.SHA512, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecRsassaPssSha256, crypto.SHA256, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecRsassaPssSha384, crypto.SHA384, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecRsassaPssSha512, crypto.SHA512, types.KeySpecRsa2048},
	{types.SigningAlgorithmSpecEcdsaSha256, crypto.SHA256, types.KeySpecEccNistP256},
	{types.SigningAlgorithmSpecEcdsaSha384, crypto.SHA384, types.KeySpecEccNistP384},
	{types.SigningAlgorithmSpecEcdsaSha512, crypto.SHA512, types.KeySpecEccNistP521},
	{types.SigningAlgorithmSpecEd25519Sha512, 0, types.KeySpecEccNistEdwards25519},
	{types.SigningAlgorithmSpecMlDsaShake256, 0, types.KeySpecMlDsa65},
}

func (a algorithm) ecdsa() bool { return strings.HasPrefix(string(a.name), "ECDSA_") }
func (a algorithm) pss() bool   { return strings.HasPrefix(string(a.name), "RSASSA_PSS_") }

// fakeSpec is the kind of key that the program makes for the algorithm if it
// has no -key.
func (a algorithm) fakeSpec() types.KeySpec {
	if a.name == "" {
		return types.KeySpecEccNistP256
	}
	return a.spec
}

func algorithmNames() string {
	var names []string
	for _, a := range algorithms {
		names = append(names, string(a.name))
	}
	return strings.Join(names, ", ")
}

// parseAlgorithm returns the algorithm that -alg names, or the zero algorithm
// for an empty name.
func parseAlgorithm(name string) (algorithm, error) {
	if name == "" {
		return algorithm{}, nil
	}
	for _, a := range algorithms {
		if string(a.name) == name {
			return a, nil
		}
	}
	return algorithm{}, fmt.Errorf("unknown -alg %q, want one of %s", name, algorithmNames())
}

// namedHash is a hash function and its name, such as SHA-256.
type namedHash struct {
	name string
	hash crypto.Hash
}

// hashes are the choices of -hash.
var hashes = func() (all []namedHash) {
	for _, h := range []crypto.Hash{
		crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_224, crypto.SHA512_256,
		crypto.SHA3_224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512,
	} {
		all = append(all, namedHash{h.String(), h})
	}
	return all
}()

func hashNames() string {
	var names []string
	for _, h := range hashes {
		names = append(names, h.name)
	}
	return strings.Join(names, ", ")
}

// parseHash returns the hash that -hash names, or the zero namedHash for an
// empty name.
func parseHash(name string) (namedHash, error) {
	if name == "" {
		return namedHash{}, nil
	}
	for _, h := range hashes {
		if strings.EqualFold(h.name, name) {
			return h, nil
		}
	}
	return namedHash{}, fmt.Errorf("unknown -hash %q, want one of %s", name, hashNames())
}

// choose returns the algorithm that req asks for with a key, of which KMS lists
// the algorithms usable, and the hash of what is signed: 0 if that is the input
// itself.
func choose(req request, pub crypto.PublicKey, usable []types.SigningAlgorithmSpec) (algorithm, crypto.Hash, error) {
	var chosen algorithm
	for _, a := range algorithms {
		if !slices.Contains(usable, a.name) || req.alg.name != "" && req.alg.name != a.name {
			continue
		}
		chosen = a
		break
	}
	_, isECDSA := pub.(*ecdsa.PublicKey)
	switch {
	case chosen.name == "" && req.alg.ecdsa() && isECDSA:
		return algorithm{}, 0, fmt.Errorf("-alg is %s, and the key signs with %s; -hash %v makes it sign with that hash", req.alg.name, join(usable), req.alg.hash)
	case chosen.name == "" && req.alg.name != "":
		return algorithm{}, 0, fmt.Errorf("-alg is %s, and the key signs with %s", req.alg.name, join(usable))
	case chosen.name == "":
		return algorithm{}, 0, fmt.Errorf("the key signs with %s, want one of %s", join(usable), algorithmNames())
	case req.hash.name != "" && !isECDSA:
		if _, isRSA := pub.(*rsa.PublicKey); isRSA {
			return algorithm{}, 0, fmt.Errorf("-hash is for ECDSA keys; -alg names the hash of an RSA key")
		}
		return algorithm{}, 0, fmt.Errorf("-hash is for ECDSA keys, and the key signs with %s", chosen.name)
	case req.format.ecdsa != "" && !isECDSA:
		return algorithm{}, 0, fmt.Errorf("-format %s is for ECDSA keys, and the key signs with %s", req.format.ecdsa, chosen.name)
	case req.digest && chosen.hash == 0:
		return algorithm{}, 0, fmt.Errorf("-digest is given, but %s signs the input itself", chosen.name)
	}
	hash := chosen.hash
	if req.hash.name != "" {
		hash = req.hash.hash
	}
	return chosen, hash, nil
}

// signerOpts asks a Signer for a signature by the algorithm.
func (a algorithm) signerOpts(hash crypto.Hash) crypto.SignerOpts {
	if a.pss() {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return hash
}

func join(names []types.SigningAlgorithmSpec) string {
	var texts []string
	for _, name := range names {
		texts = append(texts, string(name))
	}
	return strings.Join(texts, ", ")
}
