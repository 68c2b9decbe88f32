package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// ecdsaCheck is the keyCheck of ECDSA keys, including those on secp256k1.
type ecdsaCheck struct {
	pub    *ecdsa.PublicKey
	nonces map[string][]byte // digest by R, which identifies the nonce
}

// curveHash returns the hash of the algorithm of a curve, or 0 if the curve is
// unknown.
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
		return nil, fmt.Errorf("the key is on the curve %s, want P-256, P-384, P-521 or the secp256k1 of decred", k.pub.Curve.Params().Name)
	}
	if k.pub.Curve == secp256k1.Curve {
		return secp256k1.MarshalUncompressed(k.pub)
	}
	return k.pub.Bytes()
}

// verify reports whether sig is a valid signature of digest.
func (k *ecdsaCheck) verify(digest, sig []byte) bool {
	// ECDSA takes the leftmost bits of a digest as a number (FIPS 186-5 section
	// 6.4.2). An empty digest is 0. Since Go 1.27, crypto/ecdsa does not verify
	// an empty digest, so pass it a byte of 0.
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
		"JOSE (RFC 7518 section 3.4, RFC 8812 section 3.2) and KMS use this hash with the curve, "+
			"and callers of a crypto.Signer expect DER (RFC 3279 section 2.2.3)")}
}

func (k *ecdsaCheck) hashed() bool { return true }

func (k *ecdsaCheck) formError(sig []byte) string {
	if _, _, rest, ok := parseECDSA(sig); !ok || len(rest) > 0 {
		return "the signature is not a DER-encoded SEQUENCE of two INTEGERs without trailing data"
	}
	return ""
}

func (k *ecdsaCheck) identify(digest, sig []byte) string {
	size := (k.pub.Curve.Params().BitSize + 7) / 8
	if len(sig) == 2*size && k.verify(digest, marshalECDSA(sig[:size], sig[size:])) {
		return "an ECDSA signature in the form R‖S of IEEE P1363"
	}
	r, s, rest, ok := parseECDSA(sig)
	if !ok || !k.verify(digest, marshalECDSA(r, s)) {
		return ""
	}
	if len(rest) > 0 {
		return "an ECDSA signature with trailing data"
	}
	return "an ECDSA signature"
}

func (k *ecdsaCheck) check(c *signerCheck) {
	const (
		whyOther = "ECDSA signs the leftmost bits of its input (FIPS 186-5 section 6.4.1); a digest that is padded, truncated or " +
			"hashed again is another digest"
		whyNone = "HashFunc 0 means that the input is not hashed, so it may be signed only as it is"
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
	c.invalidOpts(k.scheme("an unknown hash", unknownHash, whyUnknownHash), maySign)
	c.invalidOpts(k.scheme("nil options", nil, whyNilOpts), maySign)
}

// checkNonce records a violation if an earlier signature over another digest
// has the same nonce.
func (k *ecdsaCheck) checkNonce(c *signerCheck, call signerCall, sig []byte) {
	r, _, _, ok := parseECDSA(sig)
	if !ok || call.demand != mustSign {
		return // other inputs can be the same number to ECDSA
	}
	if other, ok := k.nonces[string(r)]; ok && !bytes.Equal(other, call.digest) {
		c.violation("%v: got the R of an earlier signature over another digest; want a new nonce for each digest: "+
			"two signatures with one nonce reveal the private key (FIPS 186-5 section 6.3)", call)
	}
	k.nonces[string(r)] = call.digest
}
