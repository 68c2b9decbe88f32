package kmstest

import (
	"crypto"
	"fmt"
	"strings"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

func (c *signerCheck) mldsa(pub *mldsa.PublicKey) {
	const (
		whyPure    = "HashFunc 0 asks for ML-DSA over the message (FIPS 204 algorithm 2), which may have any length: mu stands for it (section 6.2)"
		whyContext = "a context is part of what is signed (FIPS 204 algorithm 2)"
		whyMu      = "HashFunc MLDSAMu says that the input is the message representative mu (FIPS 204 algorithm 7, line 6)"
	)
	with := func(name, why string, opts crypto.SignerOpts, context string) signerScheme {
		return signerScheme{name, opts, func(msg, sig []byte) bool {
			return mldsa.Verify(pub, msg, sig, &mldsa.Options{Context: context}) == nil
		}, why}
	}
	pure := with("HashFunc 0", whyPure, crypto.Hash(0), "")

	c.schemes = []signerScheme{pure, with("empty mldsa.Options", whyPure, &mldsa.Options{}, "")}
	c.form = func(sig []byte) string {
		if want := pub.Parameters().SignatureSize(); len(sig) != want {
			return fmt.Sprintf("the signature has %d bytes, and not %d (FIPS 204 table 2)", len(sig), want)
		}
		return ""
	}
	c.read = func(msg, sig []byte) string {
		if pure.verify(msg, sig) {
			return "ML-DSA with an empty context"
		}
		return ""
	}

	c.mustSign()
	for _, size := range []int{0, maxMessage, longMessage} {
		c.both(pure, mustSign, size)
	}

	c.both(with("a context", whyContext, &mldsa.Options{Context: "context"}, "context"), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &mldsa.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (FIPS 204 algorithm 2)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil,
		"pure ML-DSA takes the message; a signature over its hash is another one, and HashML-DSA a third (FIPS 204 section 5.4)"}, mustRefuse, shortMessage)
	msg := c.message(shortMessage)
	c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, func(_, sig []byte) bool { return pure.verify(msg, sig) }, whyMu},
		maySign, messageRepresentative(pub, msg)))
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"MLDSAMu", mldsacrypto.MLDSAMu, nil, "mu has 64 bytes (FIPS 204 algorithm 7)"}, mustRefuse, c.message(size)))
	}
	c.slip(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	c.slip(with("nil options", whyNilOpts, nil, ""), maySign)
}
