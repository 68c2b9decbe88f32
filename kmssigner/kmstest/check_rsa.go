package kmstest

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

// rsaCheck is the keyCheck of RSA keys.
type rsaCheck struct{ pub *rsa.PublicKey }

func (k rsaCheck) encode() ([]byte, error) {
	if bits := k.pub.N.BitLen(); bits < 2048 {
		return nil, fmt.Errorf("the RSA modulus has %d bits, want at least 2048 (FIPS 186-5 section 5.1)", bits)
	}
	return x509.MarshalPKCS1PublicKey(k.pub), nil
}

func (k rsaCheck) pkcs1(h crypto.Hash) signerScheme {
	return signerScheme{fmt.Sprintf("RSASSA-PKCS1-v1_5 and %v", h), h,
		func(digest, sig []byte) bool { return rsa.VerifyPKCS1v15(k.pub, h, digest, sig) == nil },
		"options other than *rsa.PSSOptions ask for RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2) with their hash"}
}

func (k rsaCheck) pss(h crypto.Hash, salt int, name string) signerScheme {
	return signerScheme{fmt.Sprintf("RSASSA-PSS, %v and %s", h, name), &rsa.PSSOptions{Hash: h, SaltLength: salt},
		func(digest, sig []byte) bool {
			return rsa.VerifyPSS(k.pub, h, digest, sig, &rsa.PSSOptions{SaltLength: salt}) == nil
		},
		"*rsa.PSSOptions ask for RSASSA-PSS (RFC 8017 section 8.1) with their hash, as TLS 1.3 and PS256 do, " +
			"and strict verifiers demand a salt as long as the hash (RFC 7518 section 3.5)"}
}

// pssEqual is pss with a salt as long as the hash.
func (k rsaCheck) pssEqual(h crypto.Hash) signerScheme {
	return k.pss(h, rsa.PSSSaltLengthEqualsHash, "PSSSaltLengthEqualsHash")
}

func (k rsaCheck) schemes() (all []signerScheme) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		all = append(all, k.pkcs1(h), k.pssEqual(h),
			k.pss(h, h.Size(), fmt.Sprintf("a salt of %d bytes", h.Size())),
			k.pss(h, rsa.PSSSaltLengthAuto, "PSSSaltLengthAuto"))
	}
	return all
}

func (k rsaCheck) hashed() bool { return true }

func (k rsaCheck) formError(sig []byte) string {
	if len(sig) != k.pub.Size() {
		return fmt.Sprintf("the signature has %d bytes, want the %d of the modulus (RFC 8017 sections 8.1.1 and 8.2.1)", len(sig), k.pub.Size())
	}
	return ""
}

func (k rsaCheck) identify(digest, sig []byte) string {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256} {
		if len(digest) != h.Size() {
			continue
		}
		if s := k.pkcs1(h); s.verify(digest, sig) {
			return s.name
		}
		if s := k.pss(h, rsa.PSSSaltLengthAuto, ""); !s.verify(digest, sig) {
			continue
		}
		for salt := 1; salt < k.pub.Size(); salt++ {
			if s := k.pss(h, salt, fmt.Sprintf("a salt of %d bytes", salt)); s.verify(digest, sig) {
				return s.name
			}
		}
		return fmt.Sprintf("RSASSA-PSS, %v and no salt", h)
	}
	if rsa.VerifyPKCS1v15(k.pub, 0, digest, sig) == nil {
		return "RSASSA-PKCS1-v1_5 without a hash"
	}
	return ""
}

func (k rsaCheck) check(c *signerCheck) {
	const (
		whySalt = "the verifier expects the salt length of the options (RFC 8017 section 9.1.2)"
		whySize = "the digest is not as long as the hash, so it has no RSA encoding (RFC 8017 section 9)"
	)
	without := func(s signerScheme, why string) signerScheme { s.verify, s.why = nil, why; return s }

	c.lengths(k.pkcs1(crypto.SHA256), mustSign)

	odd := k.pss(crypto.SHA256, 20, "a salt of 20 bytes")
	odd.why = whySalt
	c.both(odd, maySign, shortMessage)
	for _, salt := range []int{-2, k.pub.Size()} {
		c.both(without(k.pss(crypto.SHA256, salt, fmt.Sprintf("a salt of %d bytes", salt)), whySalt), mustRefuse, shortMessage)
	}
	// A SHA3-256 digest is as long as a SHA-256 digest, which shows whether the
	// signer derives the hash from the length.
	c.both(k.pkcs1(crypto.SHA3_256), maySign, shortMessage)
	c.both(k.pssEqual(crypto.SHA3_256), maySign, shortMessage)
	for _, s := range []signerScheme{k.pkcs1(crypto.SHA256), k.pssEqual(crypto.SHA256)} {
		for _, size := range []int{0, 31, 33, 64} {
			c.do(c.signCall(without(s, whySize), mustRefuse, c.message(size)))
		}
	}

	none := k.pkcs1(0)
	none.name, none.why = "RSASSA-PKCS1-v1_5 and no hash", "HashFunc 0 means that the input is signed without the prefix of a hash, as crypto/rsa does"
	c.both(none, maySign, shortMessage)
	c.invalidOpts(signerScheme{name: "RSASSA-PSS and no hash", opts: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
		why: "RSASSA-PSS needs a hash (RFC 8017 section 9.1.1)"}, mustRefuse)
	c.invalidOpts(signerScheme{name: "RSASSA-PKCS1-v1_5 and an unknown hash", opts: unknownHash, why: whyUnknownHash}, mustRefuse)
	c.invalidOpts(signerScheme{name: "RSASSA-PSS and an unknown hash", opts: &rsa.PSSOptions{Hash: unknownHash, SaltLength: rsa.PSSSaltLengthEqualsHash},
		why: whyUnknownHash}, mustRefuse)
	c.invalidOpts(signerScheme{name: "nil options", why: whyNilOpts}, mustRefuse)
}
