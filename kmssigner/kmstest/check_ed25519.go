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
		return nil, fmt.Errorf("the Ed25519 key has %d bytes, want %d (RFC 8032 section 5.1.5)", len(k.pub), ed25519.PublicKeySize)
	}
	return bytes.Clone(k.pub), nil
}

func (k ed25519Check) pure(name string, opts crypto.SignerOpts) signerScheme {
	return signerScheme{name, opts, func(msg, sig []byte) bool { return ed25519.Verify(k.pub, msg, sig) },
		"HashFunc 0 asks for Ed25519 over the message (RFC 8032 section 5.1.6)"}
}

func (k ed25519Check) with(name, why string, opts *ed25519.Options) signerScheme {
	return signerScheme{name, opts,
		func(msg, sig []byte) bool { return ed25519.VerifyWithOptions(k.pub, msg, sig, opts) == nil }, why}
}

func (k ed25519Check) ph() signerScheme {
	return k.with("Ed25519ph", "SHA-512 asks for Ed25519ph over the digest (RFC 8032 section 5.1), "+
		"and ED25519_PH_SHA_512 of KMS hashes the digest again", &ed25519.Options{Hash: crypto.SHA512})
}

func (k ed25519Check) schemes() []signerScheme {
	return []signerScheme{k.pure("HashFunc 0", crypto.Hash(0)), k.pure("empty ed25519.Options", &ed25519.Options{})}
}

func (k ed25519Check) hashed() bool { return false }

func (k ed25519Check) formError(sig []byte) string {
	if len(sig) != ed25519.SignatureSize {
		return fmt.Sprintf("the signature has %d bytes, want 64 (RFC 8032 section 5.1.6)", len(sig))
	}
	return ""
}

func (k ed25519Check) identify(msg, sig []byte) string {
	switch {
	case ed25519.Verify(k.pub, msg, sig):
		return "an Ed25519 signature"
	case len(msg) == 64 && k.ph().verify(msg, sig):
		return "an Ed25519ph signature"
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
	c.both(k.with("a context", "a context asks for Ed25519ctx, whose signatures differ from those of Ed25519 (RFC 8032 section 5.1)",
		&ed25519.Options{Context: "context"}), maySign, shortMessage)
	c.both(signerScheme{"a context of 256 bytes", &ed25519.Options{Context: strings.Repeat("c", 256)}, nil,
		"a context has at most 255 bytes (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	c.both(signerScheme{"SHA-256", crypto.SHA256, nil, "there is no Ed25519 with this hash (RFC 8032 section 5.1)"}, mustRefuse, shortMessage)
	for _, size := range []int{0, 63, 65} {
		c.do(c.signCall(signerScheme{"Ed25519ph", ph.opts, nil, "a SHA-512 digest has 64 bytes"}, mustRefuse, c.message(size)))
	}
	c.invalidOpts(signerScheme{"an unknown hash", unknownHash, nil, whyUnknownHash}, mustRefuse)
	nilOpts := k.pure("nil options", nil)
	nilOpts.why = whyNilOpts
	c.invalidOpts(nilOpts, maySign)
}
