package kmstest

import (
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// parseECDSA parses a DER-encoded ECDSA signature (RFC 3279 section 2.2.3).
// rest is what follows it. The range of r and s is not checked.
func parseECDSA(sig []byte) (r, s, rest []byte, ok bool) {
	var inner cryptobyte.String
	input := cryptobyte.String(sig)
	ok = input.ReadASN1(&inner, cbasn1.SEQUENCE) &&
		inner.ReadASN1Integer(&r) && inner.ReadASN1Integer(&s) && inner.Empty()
	return r, s, input, ok
}

// marshalECDSA returns the DER encoding of an ECDSA signature.
func marshalECDSA(r, s []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(r))
		b.AddASN1BigInt(new(big.Int).SetBytes(s))
	})
	return b.BytesOrPanic()
}
