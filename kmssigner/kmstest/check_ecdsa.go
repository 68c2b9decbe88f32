package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

func (c *signerCheck) ecdsa(pub *ecdsa.PublicKey) {
	const (
		whyOwn = "this hash goes with the curve in JOSE (RFC 7518 section 3.4, RFC 8812 section 3.2) and in KMS, " +
			"and callers of a crypto.Signer take the signature for DER (RFC 3279 section 2.2.3)"
		whyOther = "ECDSA signs the leftmost bits of the digest that it is given (FIPS 186-5 section 6.4.1); one that is filled up, cut or " +
			"hashed once more is another digest"
		whyNone = "HashFunc 0 says that the input was not hashed; it can be signed as it is, or not at all"
	)
	verifyASN1 := ecdsa.VerifyASN1
	if pub.Curve == secp256k1.Curve {
		verifyASN1 = secp256k1.VerifyASN1
	}
	verify := func(digest, sig []byte) bool {
		// FIPS 186-5 section 6.4.2 reads the leftmost bits of the digest as a
		// number, which is 0 if there are none. Go 1.27 refuses to verify an
		// empty digest, and Go 1.26 does not, so it is written as one byte.
		if len(digest) == 0 {
			digest = []byte{0}
		}
		return verifyASN1(pub, digest, sig)
	}
	own := curveHash(pub.Curve)
	scheme := func(name string, opts crypto.SignerOpts, why string) signerScheme {
		return signerScheme{name, opts, verify, why}
	}
	size := (pub.Curve.Params().BitSize + 7) / 8

	c.hashed, c.nonces = true, map[string][]byte{}
	c.schemes = []signerScheme{scheme(own.String(), own, whyOwn)}
	c.form = func(sig []byte) string {
		if _, _, rest, ok := parseECDSA(sig); !ok || len(rest) > 0 {
			return "the signature is not the DER of a SEQUENCE of two INTEGERs and nothing else"
		}
		return ""
	}
	c.read = func(digest, sig []byte) string {
		if len(sig) == 2*size && verify(digest, marshalECDSA(sig[:size], sig[size:])) {
			return "an ECDSA signature as R‖S (IEEE P1363, the form in a JWS)"
		}
		r, s, rest, ok := parseECDSA(sig)
		if !ok || !verify(digest, marshalECDSA(r, s)) {
			return ""
		}
		if len(rest) > 0 {
			return "an ECDSA signature with bytes behind it"
		}
		return "an ECDSA signature"
	}

	c.mustSign()
	c.lengths(c.schemes[0], mustSign)

	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256} {
		if h != own {
			c.both(scheme(h.String(), h, whyOther), maySign, shortMessage)
		}
	}
	for _, n := range []int{0, own.Size() - 1, own.Size() + 1, 2 * own.Size()} {
		c.do(c.signCall(scheme(own.String(), own, whyOther), maySign, c.message(n)))
	}
	c.both(scheme("no hash", crypto.Hash(0), whyNone), maySign, own.Size())
	c.slip(scheme("an unknown hash", unknownHash, whyUnknownHash), maySign)
	c.slip(scheme("nil options", nil, whyNilOpts), maySign)
}

// checkNonce demands that no two digests are signed with one nonce.
func (c *signerCheck) checkNonce(call signerCall, sig []byte) {
	r, _, _, ok := parseECDSA(sig)
	if c.nonces == nil || !ok || call.demand != mustSign {
		return // the other calls may be about one digest in two forms
	}
	if other, ok := c.nonces[string(r)]; ok && !bytes.Equal(other, call.digest) {
		c.violation("%v: R is that of an earlier signature over another digest; want a nonce per digest: "+
			"two signatures with one nonce give away the private key (FIPS 186-5 section 6.3)", call)
	}
	c.nonces[string(r)] = call.digest
}

// curveHash is the hash that goes with a curve, or 0 if the curve is not known.
func curveHash(curve elliptic.Curve) crypto.Hash {
	switch curve {
	case elliptic.P256(), secp256k1.Curve:
		return crypto.SHA256
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return 0
}
