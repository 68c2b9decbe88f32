package kmstest

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"strings"
)

func (c *signerCheck) ed25519(pub ed25519.PublicKey) {
	const (
		whyPure    = "HashFunc 0 asks for pure Ed25519 over the message (RFC 8032 section 5.1.6)"
		whyContext = "a context asks for Ed25519ctx (RFC 8032 section 5.1), whose signatures are no pure ones"
		whyPh      = "SHA-512 asks for Ed25519ph over the digest as it is (RFC 8032 section 5.1); ED25519_PH_SHA_512 of KMS hashes it once more"
		whyHash    = "there is no Ed25519 with this hash (RFC 8032 section 5.1)"
	)
	pure := func(name string, opts crypto.SignerOpts) signerScheme {
		return signerScheme{name, opts, func(msg, sig []byte) bool { return ed25519.Verify(pub, msg, sig) }, whyPure}
	}
	with := func(name, why string, opts *ed25519.Options) signerScheme {
		return signerScheme{name, opts,
			func(msg, sig []byte) bool { return ed25519.VerifyWithOptions(pub, msg, sig, opts) == nil }, why}
	}
	ph := with("Ed25519ph", whyPh, &ed25519.Options{Hash: crypto.SHA512})

	c.schemes = []signerScheme{pure("HashFunc 0", crypto.Hash(0)), pure("empty ed25519.Options", &ed25519.Options{})}
	c.form = func(sig []byte) string {
		if len(sig) != ed25519.SignatureSize {
			return fmt.Sprintf("the signature has %d bytes, and not 64 (RFC 8032 section 5.1.6)", len(sig))
		}
		return ""
	}
	c.read = func(msg, sig []byte) string {
		switch {
		case ed25519.Verify(pub, msg, sig):
			return "pure Ed25519"
		case len(msg) == 64 && ph.verify(msg, sig):
			return "Ed25519ph"
		}
		return ""
	}

	c.mustSign()
	c.both(c.schemes[0], mustSign, 1)
	c.both(c.schemes[0], mustSign, maxMessage)
	c.both(c.schemes[0], maySign, 0)
	c.both(c.schemes[0], maySign, longMessage)

	c.both(ph, maySign, shortMessage)
	phByHash := ph
	phByHash.name, phByHash.opts = "Ed25519ph, as crypto.SHA512", crypto.SHA512
	c.both(phByHash, maySign, shortMessage)
	c.both(with("a context", whyContext, &ed25519.Options{Context: "context"}), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &ed25519.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil, whyHash}, mustRefuse, shortMessage)
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"Ed25519ph", ph.opts, nil, "a SHA-512 digest has 64 bytes"}, mustRefuse, c.message(size)))
	}
	c.slip(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	nilOpts := pure("nil options", nil)
	nilOpts.why = whyNilOpts
	c.slip(nilOpts, maySign)
}
