package kmstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha3"
	"errors"
	"fmt"

	"filippo.io/mldsa"
)

// CheckSigner checks that a signer keeps the promises of [crypto.Signer], and
// of [crypto.MessageSigner] if it is one, that crypto/x509, crypto/tls and JOSE
// libraries rely on. It returns nil, or all violations that it found, joined by
// [errors.Join]. Each violation says what was expected and why. It wraps the
// error of the signer if there was one.
//
//	if err := kmstest.CheckSigner(signer); err != nil {
//		t.Error(err)
//	}
//
// CheckSigner verifies signatures with the standard library, with
// filippo.io/mldsa, or, on secp256k1, with
// github.com/decred/dcrd/dcrec/secp256k1/v4.
//
// # Required signatures
//
// The signer must sign as follows:
//
//   - RSA with a modulus of 2048 bits or more: RSASSA-PKCS1-v1_5 and RSASSA-PSS
//     with SHA-256, SHA-384 and SHA-512. The salt length is
//     rsa.PSSSaltLengthEqualsHash, the length of the hash, or
//     rsa.PSSSaltLengthAuto, for which the salt may have any length.
//   - ECDSA on P-256, P-384, P-521, and secp256k1 with the curve of
//     github.com/decred/dcrd/dcrec/secp256k1/v4: the hash that KMS and JOSE use
//     with the curve. Signatures are DER-encoded.
//   - Ed25519: messages of 1 to 4096 bytes, with HashFunc 0.
//   - ML-DSA with the keys of filippo.io/mldsa, which are those of crypto/mldsa
//     since Go 1.27: messages of any length, with HashFunc 0 and the empty
//     context.
//
// It must accept options of any type, a nil rand, and calls from 16 goroutines
// at once. A MessageSigner must sign messages of any length, or of 1 to 4096
// bytes with Ed25519.
//
// # Optional and invalid requests
//
// The signer may refuse the following with an error, but must not ignore them:
// another hash, another PSS salt length, a context, Ed25519ph, an ML-DSA mu, an
// Ed25519 message of another length, and any other ECDSA digest, because ECDSA
// is defined for every length and hash.
//
// The signer must refuse requests for which there is no valid signature: an RSA
// digest of a wrong length, an impossible salt length, and a message with an
// unknown hash. It must not panic, not even on nil options.
//
// # Public keys and memory
//
// Public must return the same key at each call. The key must have one of the
// types above and a method Equal. The signer must not modify or retain its
// input. Signatures must not share memory. ECDSA signatures over different
// digests must have different nonces. Under the race detector, CheckSigner also
// finds data races in the signer.
//
// # Keys of the standard library
//
// *ecdsa.PrivateKey, *rsa.PrivateKey and ed25519.PrivateKey pass. Only they may
// panic on nil options, an unknown hash, or PSS options without a hash. Only
// they may fail on a nil rand, because crypto/rsa needs it for the PSS salt.
//
// # Cost
//
// CheckSigner makes at most 60 signatures, 16 of them concurrently. With a
// kmssigner.Signer on a real client, each is a call to KMS, for which AWS
// charges.
//
// CheckSigner takes no context. To set a deadline, pass a signer that has one,
// such as the result of kmssigner's Signer.WithContext. If a key policy allows
// only some algorithms, each of the others is a violation, which wraps the
// error of KMS.
func CheckSigner(signer crypto.Signer) error {
	if signer == nil {
		return errors.New("got a nil signer")
	}
	c := signerCheck{signer: signer, wrote: map[string]bool{}}
	switch signer.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		c.std = true
	}
	_, c.isMessageSigner = signer.(crypto.MessageSigner)
	c.run()
	return errors.Join(c.violations...)
}

func (c *signerCheck) run() {
	pub, ok := c.firstPublic()
	if !ok {
		return // there is no key to verify with
	}
	c.requireSchemes()
	c.key.check(c)
	if len(c.working) > 0 { // the other checks need a valid signature
		c.optionTypes()
		c.nilRand()
		c.buffers()
		c.concurrency()
	}
	c.lastPublic(pub)
}

// signerCheck is the state of a call of CheckSigner.
type signerCheck struct {
	signer          crypto.Signer
	std             bool // signer is a key of the standard library
	isMessageSigner bool
	violations      []error

	key     keyCheck       // checks signatures by the key that Public returned first
	public  []byte         // encoding of that key
	working []signerScheme // schemes of the key with which Sign made a valid signature

	messages int             // number of messages made
	earlier  [][]byte        // inputs of the latest calls
	wrote    map[string]bool // methods that modified their input
}

// A keyCheck checks signatures by a public key. Each key type has its own file
// with an implementation.
type keyCheck interface {
	// encode returns an encoding of the public key. It returns an error or
	// panics if the key is invalid.
	encode() ([]byte, error)

	// schemes returns the schemes that the signer must support.
	schemes() []signerScheme

	// hashed reports whether the input of Sign is a digest.
	hashed() bool

	// formError describes what is wrong with the form of a signature. It is
	// empty if the form is right.
	formError(sig []byte) string

	// identify names the kind of signature that sig is over input. It is empty
	// if sig is not a signature over input.
	identify(input, sig []byte) string

	// check makes the calls that are specific to the key type.
	check(c *signerCheck)
}

// newKeyCheck returns the keyCheck of a public key.
func newKeyCheck(pub crypto.PublicKey) (keyCheck, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return rsaCheck{pub}, nil
	case *ecdsa.PublicKey:
		return &ecdsaCheck{pub: pub, nonces: map[string][]byte{}}, nil
	case ed25519.PublicKey:
		return ed25519Check{pub}, nil
	case *mldsa.PublicKey:
		return mldsaCheck{pub}, nil
	}
	return nil, fmt.Errorf("got a %T", pub)
}

// violation records a violation.
func (c *signerCheck) violation(format string, args ...any) {
	c.violations = append(c.violations, fmt.Errorf(format, args...))
}

// message returns a new message. Messages differ, so that a signature of one is
// not valid for another.
func (c *signerCheck) message(size int) []byte {
	c.messages++
	return sha3.SumSHAKE256(fmt.Appendf(nil, "kmstest: CheckSigner, message %d", c.messages), size)
}

// Sizes of messages in bytes.
const (
	shortMessage = 100
	longMessage  = 5000 // more than the maximum of KMS
)
