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

// CheckSigner checks that a signer keeps the promises of [crypto.Signer], and of
// [crypto.MessageSigner] if it is one, on which crypto/x509, crypto/tls and JOSE
// libraries rely. It returns every violation that it found, each with what was
// expected and why, joined as by [errors.Join], or nil. A violation wraps the
// signer's error where it got one, for [errors.As].
//
//	if err := kmstest.CheckSigner(signer); err != nil {
//		t.Error(err)
//	}
//
// Signatures are verified with the standard library, with filippo.io/mldsa, or,
// on secp256k1, with decred's package, never by the signer.
//
// # What a signer must sign
//
//   - RSA of 2048 bits or more: RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256,
//     SHA-384 and SHA-512, the PSS salt given as rsa.PSSSaltLengthEqualsHash,
//     as the length of the hash, and as rsa.PSSSaltLengthAuto, for which a salt
//     of any length will do.
//   - ECDSA on P-256, P-384, P-521, and secp256k1 with the curve of
//     github.com/decred/dcrd/dcrec/secp256k1/v4: the one hash that KMS and JOSE
//     pair with the curve. Signatures are DER.
//   - Ed25519: messages of 1 to 4096 bytes, with HashFunc 0.
//   - ML-DSA with the keys of filippo.io/mldsa: messages of any length, with
//     HashFunc 0 and the empty context.
//
// It must do so whatever type the options have, with a nil rand, and for 16
// goroutines at once. A MessageSigner must do so for messages of any length as
// well (Ed25519: 1 to 4096 bytes).
//
// # What it may refuse, and what it must
//
// All else that options can ask for, it may make or refuse with an error, but
// not exchange for something else: another hash, another PSS salt, a context,
// Ed25519ph, an ML-DSA mu, longer Ed25519 messages, and ECDSA over a digest of
// any length and of any hash, because it is defined for all. It must refuse what
// no signature exists for: an RSA digest of a wrong length, an impossible salt, a
// message with an unknown hash. Nothing may make it panic, nil options included.
//
// Further, Public must return the same key every time, of one of the types above,
// with Equal. Input must be neither changed nor kept, signatures must not share
// memory, and ECDSA digests no nonce. Under the race detector CheckSigner finds
// more.
//
// # The standard library's own keys
//
// *ecdsa.PrivateKey, *rsa.PrivateKey and ed25519.PrivateKey pass. They, and no
// other types, may panic where crypto/rsa and crypto/ed25519 do: on nil options,
// on a hash that does not exist, on PSS options without a hash. Likewise they
// alone may fail on a nil rand, from which crypto/rsa cannot make a PSS salt.
//
// # Cost
//
// A kmssigner.Signer makes 26 signatures with an ECDSA key, 49 with RSA, 31 with
// Ed25519 and 36 with ML-DSA, 16 of them at once; one that refuses nothing that
// it may, up to 60. With KMS that is a fraction of a cent and about as many round
// trips.
//
// CheckSigner has no context and no deadline: bind them to the signer. There is
// nothing to switch off either: a key whose policy allows only some algorithms
// has a violation for each of the others, which wraps the error of KMS.
func CheckSigner(signer crypto.Signer) error {
	if signer == nil {
		return errors.New("the signer is nil")
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
		return // nothing to verify with
	}
	c.mustSign()
	c.key.check(c)
	if len(c.working) > 0 { // with the others there is nothing more to find out
		c.optionTypes()
		c.nilRand()
		c.buffers()
		c.concurrency()
	}
	c.lastPublic(pub)
}

// signerCheck is one run of CheckSigner.
type signerCheck struct {
	signer          crypto.Signer
	std             bool
	isMessageSigner bool
	violations      []error

	key     keyCheck       // of the public key before the first signature
	public  []byte         // its encoding
	working []signerScheme // those of its schemes by which Sign has made a right signature

	messages int
	earlier  [][]byte        // what the signer was given of late
	wrote    map[string]bool // methods that changed their input
}

// A keyCheck is what CheckSigner knows about one type of key.
type keyCheck interface {
	// encode returns an encoding of the public key, or what is wrong with it.
	encode() ([]byte, error)

	// schemes returns the ways to sign that the signer must have.
	schemes() []signerScheme

	// hashed reports whether Sign gets a digest.
	hashed() bool

	// form says what is wrong with the form of sig, if anything.
	form(sig []byte) (wrong string)

	// read says what sig is over digest, if anything.
	read(digest, sig []byte) (name string)

	// check makes the calls that only signers with this type of key get.
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

func (c *signerCheck) violation(format string, args ...any) {
	c.violations = append(c.violations, fmt.Errorf(format, args...))
}

// message returns a new message: each is another, so that a signature of an
// earlier one is a wrong one.
func (c *signerCheck) message(size int) []byte {
	c.messages++
	return sha3.SumSHAKE256(fmt.Appendf(nil, "kmstest: CheckSigner, message %d", c.messages), size)
}

// Sizes of messages.
const (
	shortMessage = 100
	longMessage  = 5000 // more than KMS takes
)
