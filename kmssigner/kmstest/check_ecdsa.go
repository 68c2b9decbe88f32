package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// ecdsaCheck is the keyCheck of ECDSA keys, those on secp256k1 included.
type ecdsaCheck struct {
	pub    *ecdsa.PublicKey
	nonces map[string][]byte // the digests signed, by R
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

func (k *ecdsaCheck) encode() ([]byte, error) {
	if curveHash(k.pub.Curve) == 0 {
		return nil, fmt.Errorf("the key is on the curve %s, and not on P-256, P-384, P-521 or decred's secp256k1", k.pub.Curve.Params().Name)
	}
	if k.pub.Curve == secp256k1.Curve {
		return secp256k1.MarshalUncompressed(k.pub)
	}
	return k.pub.Bytes()
}

func (k *ecdsaCheck) verify(digest, sig []byte) bool {
	// FIPS 186-5 section 6.4.2 reads the leftmost bits of the digest as a
	// number, which is 0 if there are none. Go 1.27 refuses to verify an
	// empty digest, and Go 1.26 does not, so it is written as one byte.
	if len(digest) == 0 {
		digest = []byte{0}
	}
	if k.pub.Curve == secp256k1.Curve {
		return secp256k1.VerifyASN1(k.pub, digest, sig)
	}
	return ecdsa.VerifyASN1(k.pub, digest, sig)
}

func (k *ecdsaCheck) scheme(name string, opts crypto.SignerOpts, why string) signerScheme {
	return signerScheme{name, opts, k.verify, why}
}

func (k *ecdsaCheck) schemes() []signerScheme {
	own := curveHash(k.pub.Curve)
	return []signerScheme{k.scheme(own.String(), own,
		"this hash goes with the curve in JOSE (RFC 7518 section 3.4, RFC 8812 section 3.2) and in KMS, "+
			"and callers of a crypto.Signer take the signature for DER (RFC 3279 section 2.2.3)")}
}

func (k *ecdsaCheck) hashed() bool { return true }

func (k *ecdsaCheck) form(sig []byte) string {
	if _, _, rest, ok := parseECDSA(sig); !ok || len(rest) > 0 {
		return "the signature is not the DER of a SEQUENCE of two INTEGERs and nothing else"
	}
	return ""
}

func (k *ecdsaCheck) read(digest, sig []byte) string {
	size := (k.pub.Curve.Params().BitSize + 7) / 8
	if len(sig) == 2*size && k.verify(digest, marshalECDSA(sig[:size], sig[size:])) {
		return "an ECDSA signature as R‖S (IEEE P1363, the form in a JWS)"
	}
	r, s, rest, ok := parseECDSA(sig)
	if !ok || !k.verify(digest, marshalECDSA(r, s)) {
		return ""
	}
	if len(rest) > 0 {
		return "an ECDSA signature with bytes behind it"
	}
	return "an ECDSA signature"
}

func (k *ecdsaCheck) check(c *signerCheck) {
	const (
		whyOther = "ECDSA signs the leftmost bits of the digest that it is given (FIPS 186-5 section 6.4.1); one that is filled up, cut or " +
			"hashed once more is another digest"
		whyNone = "HashFunc 0 says that the input was not hashed; it can be signed as it is, or not at all"
	)
	own := curveHash(k.pub.Curve)
	c.lengths(k.schemes()[0], mustSign)

	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256} {
		if h != own {
			c.both(k.scheme(h.String(), h, whyOther), maySign, shortMessage)
		}
	}
	for _, n := range []int{0, own.Size() - 1, own.Size() + 1, 2 * own.Size()} {
		c.do(c.signCall(k.scheme(own.String(), own, whyOther), maySign, c.message(n)))
	}
	c.both(k.scheme("no hash", crypto.Hash(0), whyNone), maySign, own.Size())
	c.slip(k.scheme("an unknown hash", unknownHash, whyUnknownHash), maySign)
	c.slip(k.scheme("nil options", nil, whyNilOpts), maySign)
}

// checkNonce demands that no two digests are signed with one nonce.
func (k *ecdsaCheck) checkNonce(c *signerCheck, call signerCall, sig []byte) {
	r, _, _, ok := parseECDSA(sig)
	if !ok || call.demand != mustSign {
		return // the other calls may be about one digest in two forms
	}
	if other, ok := k.nonces[string(r)]; ok && !bytes.Equal(other, call.digest) {
		c.violation("%v: R is that of an earlier signature over another digest; want a nonce per digest: "+
			"two signatures with one nonce give away the private key (FIPS 186-5 section 6.3)", call)
	}
	k.nonces[string(r)] = call.digest
}
