package kmssigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/derconv"
)

// A scheme is one way to sign: the algorithm that KMS is asked for, and what
// the caller's options must be to mean it.
type scheme struct {
	algorithm types.SigningAlgorithmSpec
	hash      crypto.Hash // 0: the message itself is signed
	pss       bool
}

// schemes has every key spec that this package signs with, and every way to
// sign with it. To KMS an ECDSA curve goes with one hash. ED25519_PH_SHA_512 is
// left out: see chooseScheme.
var schemes = map[types.KeySpec][]scheme{
	types.KeySpecRsa2048:             rsaSchemes,
	types.KeySpecRsa3072:             rsaSchemes,
	types.KeySpecRsa4096:             rsaSchemes,
	types.KeySpecEccNistP256:         {{algorithm: types.SigningAlgorithmSpecEcdsaSha256, hash: crypto.SHA256}},
	types.KeySpecEccNistP384:         {{algorithm: types.SigningAlgorithmSpecEcdsaSha384, hash: crypto.SHA384}},
	types.KeySpecEccNistP521:         {{algorithm: types.SigningAlgorithmSpecEcdsaSha512, hash: crypto.SHA512}},
	types.KeySpecEccSecgP256k1:       {{algorithm: types.SigningAlgorithmSpecEcdsaSha256, hash: crypto.SHA256}},
	types.KeySpecEccNistEdwards25519: {{algorithm: types.SigningAlgorithmSpecEd25519Sha512}},
	types.KeySpecMlDsa44:             mldsaSchemes,
	types.KeySpecMlDsa65:             mldsaSchemes,
	types.KeySpecMlDsa87:             mldsaSchemes,
}

var rsaSchemes = []scheme{
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, hash: crypto.SHA256},
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha384, hash: crypto.SHA384},
	{algorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha512, hash: crypto.SHA512},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha256, hash: crypto.SHA256, pss: true},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha384, hash: crypto.SHA384, pss: true},
	{algorithm: types.SigningAlgorithmSpecRsassaPssSha512, hash: crypto.SHA512, pss: true},
}

var mldsaSchemes = []scheme{
	{algorithm: types.SigningAlgorithmSpecMlDsaShake256},
	{algorithm: types.SigningAlgorithmSpecMlDsaShake256, hash: mldsacrypto.MLDSAMu},
}

// A request is what KMS is asked for one signature, and what its answer is
// checked against.
type request struct {
	scheme
	messageType types.MessageType
	message     []byte // what KMS gets
	signed      []byte // what the signature is over: the digest where the scheme has a hash
	context     string // of ML-DSA
	ownMu       bool   // message is a mu that the caller computed: there is nothing to verify with
}

// maxMessage is how many bytes KMS takes as a message, the least being one.
const maxMessage = 4096

func fits(msg []byte) bool { return 1 <= len(msg) && len(msg) <= maxMessage }

// newRequest is the one step from the key and the caller's options to what KMS
// is asked. It refuses what KMS would refuse or, worse, would make differently.
// input is a digest if isDigest is set and the options name a hash, and the
// message otherwise.
func (k *key) newRequest(input []byte, isDigest bool, opts crypto.SignerOpts) (request, error) {
	s, context, err := chooseScheme(k.schemes, opts)
	if err != nil {
		return request{}, err
	}
	r := request{scheme: s, messageType: types.MessageTypeRaw, message: input, signed: input, context: context}
	switch pub := k.public.(type) {
	case ed25519.PublicKey:
		// KMS has no other mode: a digest would be Ed25519ph.
		if !fits(input) {
			return request{}, fmt.Errorf("%w: message has %d bytes, KMS takes 1 to %d for Ed25519", ErrMessageLength, len(input), maxMessage)
		}
		return r, nil

	case *mldsa.PublicKey:
		switch {
		case s.hash == mldsacrypto.MLDSAMu && isDigest:
			if len(input) != muSize {
				return request{}, fmt.Errorf("mu has %d bytes, want %d", len(input), muSize)
			}
			r.messageType, r.ownMu = types.MessageTypeExternalMu, true
		case !fits(input) || context != "":
			// RAW is for short messages, and its context is empty (FIPS 204,
			// algorithm 2). With mu computed here KMS signs any.
			mu := externalMu(pub, context, input)
			r.messageType, r.message = types.MessageTypeExternalMu, mu[:]
		}
		return r, nil
	}

	switch {
	case !isDigest:
		r.signed = s.digest(input)
		if k.opts.PreferRaw && fits(input) {
			return r, nil
		}
		r.message = r.signed
	case len(input) != s.hash.Size():
		return request{}, fmt.Errorf("digest has %d bytes, want %d, the length of %v", len(input), s.hash.Size(), s.hash)
	}
	r.messageType = types.MessageTypeDigest
	return r, nil
}

// chooseScheme picks from the ways in which the key signs the one that the
// options ask for, with the context string for ML-DSA, if any.
func chooseScheme(from []scheme, opts crypto.SignerOpts) (_ scheme, context string, _ error) {
	var (
		pss        bool
		saltLength int
	)
	switch o := opts.(type) {
	case nil:
		return scheme{}, "", fmt.Errorf("opts is nil, want options for %s", algorithmNames(from))
	case *rsa.PSSOptions:
		if o == nil {
			return scheme{}, "", errors.New("opts is a nil *rsa.PSSOptions")
		}
		pss, saltLength = true, o.SaltLength
	case *ed25519.Options:
		if o == nil {
			return scheme{}, "", errors.New("opts is a nil *ed25519.Options")
		}
		// KMS makes no Ed25519ctx (RFC 8032 section 5.1), and a signature without the
		// context is not the one that was asked for.
		if o.Context != "" {
			return scheme{}, "", errors.New("opts ask for an Ed25519 context, KMS signs without one")
		}
	case *mldsa.Options:
		if o == nil {
			return scheme{}, "", errors.New("opts is a nil *mldsa.Options")
		}
		context = o.Context
	}
	hash := opts.HashFunc()

	for _, s := range from {
		if s.hash != hash || s.pss != pss {
			continue
		}
		if pss {
			if err := checkSaltLength(hash, saltLength); err != nil {
				return scheme{}, "", err
			}
		}
		if context != "" {
			if err := checkContext(s, context); err != nil {
				return scheme{}, "", err
			}
		}
		return s, context, nil
	}

	asked := "no hash"
	switch {
	case hash == mldsacrypto.MLDSAMu:
		asked = "an ML-DSA mu"
	case hash != 0:
		asked = hash.String()
	}
	if pss {
		asked = "RSASSA-PSS with " + asked
	}
	because := ""
	if hash == crypto.SHA512 && from[0].algorithm == types.SigningAlgorithmSpecEd25519Sha512 {
		// ED25519_PH_SHA_512 hashes the digest that it is given: the signature is
		// Ed25519ph over the digest, and not over the message.
		because = "; no Ed25519ph, because KMS hashes the digest a second time"
	}
	return scheme{}, "", fmt.Errorf("opts ask for %s, the key signs with %s%s", asked, algorithmNames(from), because)
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

// checkContext accepts a context string of up to 255 bytes (FIPS 204, algorithm
// 2) where there is a message to go with it.
func checkContext(s scheme, context string) error {
	if s.algorithm != types.SigningAlgorithmSpecMlDsaShake256 {
		return fmt.Errorf("opts ask for an ML-DSA context, the key signs with %s", s.algorithm)
	}
	if len(context) > 255 {
		return fmt.Errorf("ML-DSA context has %d bytes, want at most 255", len(context))
	}
	return nil
}

// algorithmNames are the names of the schemes' algorithms, each once.
func algorithmNames(schemes []scheme) []types.SigningAlgorithmSpec {
	var names []types.SigningAlgorithmSpec
	for _, s := range schemes {
		names = append(names, s.algorithm)
	}
	return slices.Compact(names)
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

// digest hashes msg. An array per hash costs one allocation, where hash.New,
// Write and Sum cost up to three.
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

// checkForm reports what is wrong with the form of a signature: for ECDSA the
// DER encoding and the range of R and S, for all others the length.
func checkForm(pub crypto.PublicKey, sig []byte) error {
	var want int
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		var p1363 [2 * 66]byte // room for the widest curve, P-521
		_, err := derconv.AppendP1363(p1363[:0], sig, pub.Curve)
		return err
	case *rsa.PublicKey:
		want = pub.Size()
	case ed25519.PublicKey:
		want = ed25519.SignatureSize
	case *mldsa.PublicKey:
		want = pub.Parameters().SignatureSize()
	}
	if len(sig) != want {
		return fmt.Errorf("it has %d bytes, want %d", len(sig), want)
	}
	return nil
}

// verify reports whether sig is the signature that was asked for. It is by
// other code than made the signature, of the standard library where that has it.
func (r request) verify(pub crypto.PublicKey, sig []byte) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if r.pss {
			opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(pub, r.hash, r.signed, sig, opts) == nil
		}
		return rsa.VerifyPKCS1v15(pub, r.hash, r.signed, sig) == nil
	case *ecdsa.PublicKey:
		if pub.Curve == curveSecp256k1 {
			return verifySecp256k1(pub, r.signed, sig)
		}
		return ecdsa.VerifyASN1(pub, r.signed, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, r.signed, sig)
	case *mldsa.PublicKey:
		// No library verifies a mu without the message: golang.org/issue/80272.
		return r.ownMu || mldsa.Verify(pub, r.signed, sig, &mldsa.Options{Context: r.context}) == nil
	}
	return false
}
