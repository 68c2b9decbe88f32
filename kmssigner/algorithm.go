package kmssigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/derconv"
)

// A scheme is one way to sign: the algorithm that KMS is asked for, and what
// the caller's options must be to mean it.
type scheme struct {
	algorithm types.SigningAlgorithmSpec
	hash      crypto.Hash
	pss       bool
}

// schemes has every key spec that this package signs with, and every way to
// sign with it. To KMS an elliptic curve goes with one hash.
var schemes = map[types.KeySpec][]scheme{
	types.KeySpecRsa2048:     rsaSchemes,
	types.KeySpecRsa3072:     rsaSchemes,
	types.KeySpecRsa4096:     rsaSchemes,
	types.KeySpecEccNistP256: {{algorithm: types.SigningAlgorithmSpecEcdsaSha256, hash: crypto.SHA256}},
	types.KeySpecEccNistP384: {{algorithm: types.SigningAlgorithmSpecEcdsaSha384, hash: crypto.SHA384}},
	types.KeySpecEccNistP521: {{algorithm: types.SigningAlgorithmSpecEcdsaSha512, hash: crypto.SHA512}},
}

var rsaSchemes = []scheme{
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, hash: crypto.SHA256},
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha384, hash: crypto.SHA384},
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha512, hash: crypto.SHA512},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha256, hash: crypto.SHA256, pss: true},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha384, hash: crypto.SHA384, pss: true},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha512, hash: crypto.SHA512, pss: true},
}

// chooseScheme is the one step from the caller's options to what KMS is asked
// for. It picks from the ways in which the key signs, or refuses what KMS
// would refuse or, worse, would make differently.
func chooseScheme(from []scheme, opts crypto.SignerOpts) (scheme, error) {
	if opts == nil {
		return scheme{}, fmt.Errorf("opts is nil, want options for %s", algorithmNames(from))
	}
	pssOpts, pss := opts.(*rsa.PSSOptions)
	if pss && pssOpts == nil {
		return scheme{}, errors.New("opts is a nil *rsa.PSSOptions")
	}
	hash := opts.HashFunc()
	for _, s := range from {
		if s.hash != hash || s.pss != pss {
			continue
		}
		if pss {
			return s, checkSaltLength(hash, pssOpts.SaltLength)
		}
		return s, nil
	}
	asked := "no hash"
	if hash != 0 {
		asked = hash.String()
	}
	if pss {
		asked = "RSASSA-PSS with " + asked
	}
	return scheme{}, fmt.Errorf("opts ask for %s, the key signs with %s", asked, algorithmNames(from))
}

// checkSaltLength accepts the only salt that KMS makes, as long as the hash.
// To crypto/rsa PSSSaltLengthAuto means "as long as fits" when signing; who
// asks for that leaves the length to the signer, so this one will do.
func checkSaltLength(hash crypto.Hash, saltLength int) error {
	switch saltLength {
	case rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, hash.Size():
		return nil
	}
	return fmt.Errorf("opts ask for a PSS salt of %d bytes, want %d: KMS makes it as long as the hash",
		saltLength, hash.Size())
}

func algorithmNames(schemes []scheme) []types.SigningAlgorithmSpec {
	var names []types.SigningAlgorithmSpec
	for _, s := range schemes {
		names = append(names, s.algorithm)
	}
	return names
}

// listed keeps the schemes whose algorithms KMS lists for the key.
func listed(schemes []scheme, list []types.SigningAlgorithmSpec) []scheme {
	var kept []scheme
	for _, s := range schemes {
		if slices.Contains(list, s.algorithm) {
			kept = append(kept, s)
		}
	}
	return kept
}

// digest hashes msg. One fixed array per hash costs one allocation, where
// hash.New, Write and Sum cost up to three.
func (s scheme) digest(msg []byte) []byte {
	switch s.hash {
	case crypto.SHA256:
		d := sha256.Sum256(msg)
		return d[:]
	case crypto.SHA384:
		d := sha512.Sum384(msg)
		return d[:]
	default:
		d := sha512.Sum512(msg)
		return d[:]
	}
}

// checkForm reports what is wrong with the form of a signature: for RSA the
// length, for ECDSA the DER encoding and the range of R and S.
func (s scheme) checkForm(pub crypto.PublicKey, sig []byte) error {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if len(sig) != pub.Size() {
			return fmt.Errorf("it has %d bytes, want %d", len(sig), pub.Size())
		}
	case *ecdsa.PublicKey:
		var p1363 [2 * 66]byte // room for the widest curve, P-521
		if _, err := derconv.AppendP1363(p1363[:0], sig, pub.Curve); err != nil {
			return err
		}
	}
	return nil
}

// verify reports whether sig is a signature over digest.
func (s scheme) verify(pub crypto.PublicKey, digest, sig []byte) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if s.pss {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(pub, s.hash, digest, sig, opts) == nil
		}
		return rsa.VerifyPKCS1v15(pub, s.hash, digest, sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest, sig)
	}
	return false
}
