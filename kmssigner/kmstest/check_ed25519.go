package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"strings"
)

// ed25519Check is the keyCheck of Ed25519 keys.
type ed25519Check struct{ pub ed25519.PublicKey }

func (k ed25519Check) encode() ([]byte, error) {
	if len(k.pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the Ed25519 key has %d bytes, and not %d (RFC 8032 section 5.1.5)", len(k.pub), ed25519.PublicKeySize)
	}
	return bytes.Clone(k.pub), nil
}

func (k ed25519Check) pure(name string, opts crypto.SignerOpts) signerScheme {
	return signerScheme{name, opts, func(msg, sig []byte) bool { return ed25519.Verify(k.pub, msg, sig) },
		"HashFunc 0 asks for pure Ed25519 over the message (RFC 8032 section 5.1.6)"}
}

func (k ed25519Check) with(name, why string, opts *ed25519.Options) signerScheme {
	return signerScheme{name, opts,
		func(msg, sig []byte) bool { return ed25519.VerifyWithOptions(k.pub, msg, sig, opts) == nil }, why}
}

func (k ed25519Check) ph() signerScheme {
	return k.with("Ed25519ph", "SHA-512 asks for Ed25519ph over the digest as it is (RFC 8032 section 5.1); "+
		"ED25519_PH_SHA_512 of KMS hashes it once more", &ed25519.Options{Hash: crypto.SHA512})
}

func (k ed25519Check) schemes() []signerScheme {
	return []signerScheme{k.pure("HashFunc 0", crypto.Hash(0)), k.pure("empty ed25519.Options", &ed25519.Options{})}
}

func (k ed25519Check) hashed() bool { return false }

func (k ed25519Check) form(sig []byte) string {
	if len(sig) != ed25519.SignatureSize {
		return fmt.Sprintf("the signature has %d bytes, and not 64 (RFC 8032 section 5.1.6)", len(sig))
	}
	return ""
}

func (k ed25519Check) read(msg, sig []byte) string {
	switch {
	case ed25519.Verify(k.pub, msg, sig):
		return "pure Ed25519"
	case len(msg) == 64 && k.ph().verify(msg, sig):
		return "Ed25519ph"
	}
	return ""
}

func (k ed25519Check) check(c *signerCheck) {
	pure, ph := k.schemes()[0], k.ph()
	c.both(pure, mustSign, 1)
	c.both(pure, mustSign, maxMessage)
	c.both(pure, maySign, 0)
	c.both(pure, maySign, longMessage)

	c.both(ph, maySign, shortMessage)
	phByHash := ph
	phByHash.name, phByHash.opts = "Ed25519ph, as crypto.SHA512", crypto.SHA512
	c.both(phByHash, maySign, shortMessage)
	c.both(k.with("a context", "a context asks for Ed25519ctx (RFC 8032 section 5.1), whose signatures are no pure ones",
		&ed25519.Options{Context: "context"}), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &ed25519.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil, "there is no Ed25519 with this hash (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"Ed25519ph", ph.opts, nil, "a SHA-512 digest has 64 bytes"}, mustRefuse, c.message(size)))
	}
	c.slip(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	nilOpts := k.pure("nil options", nil)
	nilOpts.why = whyNilOpts
	c.slip(nilOpts, maySign)
}
