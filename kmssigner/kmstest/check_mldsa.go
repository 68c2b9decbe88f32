package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
	"strings"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

// mldsaCheck is the keyCheck of ML-DSA keys.
type mldsaCheck struct{ pub *mldsa.PublicKey }

func (k mldsaCheck) encode() ([]byte, error) {
	k.pub.Parameters() // panics on a zero key
	return bytes.Clone(k.pub.Bytes()), nil
}

func (k mldsaCheck) with(name, why string, opts crypto.SignerOpts, context string) signerScheme {
	return signerScheme{name, opts, func(msg, sig []byte) bool {
		return mldsa.Verify(k.pub, msg, sig, &mldsa.Options{Context: context}) == nil
	}, why}
}

func (k mldsaCheck) schemes() []signerScheme {
	const why = "HashFunc 0 asks for ML-DSA over the message (FIPS 204 algorithm 2), which may have any length because mu can be computed without KMS (section 6.2)"
	return []signerScheme{k.with("HashFunc 0", why, crypto.Hash(0), ""), k.with("empty mldsa.Options", why, &mldsa.Options{}, "")}
}

func (k mldsaCheck) hashed() bool { return false }

func (k mldsaCheck) formError(sig []byte) string {
	if want := k.pub.Parameters().SignatureSize(); len(sig) != want {
		return fmt.Sprintf("the signature has %d bytes, want %d (FIPS 204 table 2)", len(sig), want)
	}
	return ""
}

func (k mldsaCheck) identify(msg, sig []byte) string {
	if k.schemes()[0].verify(msg, sig) {
		return "an ML-DSA signature with the empty context"
	}
	return ""
}

func (k mldsaCheck) check(c *signerCheck) {
	const (
		whyContext = "a context is part of what is signed (FIPS 204 algorithm 2)"
		whyMu      = "HashFunc MLDSAMu means that the input is the message representative mu (FIPS 204 algorithm 7, line 6)"
	)
	pure := k.schemes()[0]
	for _, size := range []int{0, maxMessage, longMessage} {
		c.both(pure, mustSign, size)
	}

	c.both(k.with("a context", whyContext, &mldsa.Options{Context: "context"}, "context"), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &mldsa.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (FIPS 204 algorithm 2)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil,
		"ML-DSA signs the message; a signature over its hash is neither ML-DSA nor HashML-DSA (FIPS 204 section 5.4)"}, mustRefuse, shortMessage)
	msg := c.message(shortMessage)
	c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, func(_, sig []byte) bool { return pure.verify(msg, sig) }, whyMu},
		maySign, messageRepresentative(k.pub, msg)))
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, nil, "mu has 64 bytes (FIPS 204 algorithm 7)"}, mustRefuse, c.message(size)))
	}
	c.invalidOpts(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	c.invalidOpts(k.with("nil options", whyNilOpts, nil, ""), maySign)
}
