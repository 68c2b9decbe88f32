// Package derconv converts ECDSA signatures between their two encodings.
//
//   - DER is the ASN.1 SEQUENCE of the two INTEGERs R and S (RFC 3279 §2.2.3, in
//     the distinguished encoding of X.690). AWS KMS, crypto/ecdsa, X.509 and TLS
//     use it. Its length varies from one signature to the next.
//   - P1363 is R followed by S, each big-endian and padded on the left to the
//     width of the curve's order (IEEE P1363). JOSE uses it (RFC 7518 §3.4,
//     RFC 8812). It has 64 bytes for P-256 and secp256k1, 96 for P-384 and 132
//     for P-521.
//
// The two directions are inverses, byte for byte: what one of them accepts, the
// other turns back into the same bytes. Hence both are strict. R and S must lie
// in 1..n-1, where n is the order of the curve. DER must be exactly one SEQUENCE
// of two positive INTEGERs in their shortest form, with nothing inside or after
// it. BER is refused. P1363 must have exactly the length of the curve.
//
// Few verifiers demand that S is in the lower half of its range. [LowSP1363] and
// [LowSDER] see to that; the conversions do not.
//
// A conversion needs no key and does not verify the signature: whatever is
// well-formed and in range converts. Any [elliptic.Curve] whose Params has a
// positive N will do, those of other modules included. No function calls KMS, or
// panics on any input bytes, or keeps a reference to its input, or changes it
// (unless dst overlaps it). All are safe for concurrent use.
package derconv

import (
	"bytes"
	"crypto/elliptic"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"reflect"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// P-521 is the widest curve in common use. Signatures up to its size are built
// in buffers of these sizes, which stay on the stack; wider ones take an
// allocation.
const (
	stackWidth = 66
	stackP1363 = 2 * stackWidth
	stackDER   = 3 + 2*(3+stackWidth) // 0x30 0x81 len, twice 0x02 len and a sign byte
)

// ToP1363 converts a signature by a key on curve from DER to P1363. The result
// has 64 bytes for P-256 and secp256k1, 96 for P-384 and 132 for P-521.
//
// It returns nil and an error if der is anything but one DER SEQUENCE of R and S,
// if R or S is outside 1..n-1, or if curve is nil or has no usable Params.
func ToP1363(der []byte, curve elliptic.Curve) ([]byte, error) {
	return AppendP1363(nil, der, curve)
}

// AppendP1363 is [ToP1363], appending to dst and returning the extended slice.
// It does not allocate if dst has room and the curve is not wider than P-521.
//
// On error it returns dst as it came, and has written nothing to dst or to its
// spare capacity. der may overlap dst: AppendP1363(der[:0], der, curve) reuses
// the memory of der.
func AppendP1363(dst, der []byte, curve elliptic.Curve) ([]byte, error) {
	o, err := orderOf(curve)
	if err != nil {
		return dst, err
	}
	r, s, err := parse(der)
	if err != nil {
		return dst, err
	}
	if err := o.check("R", r); err != nil {
		return dst, err
	}
	if err := o.check("S", s); err != nil {
		return dst, err
	}

	// Not in dst itself, because r and s may lie there.
	var stack [stackP1363]byte
	buf := stack[:]
	if 2*o.width > len(buf) {
		buf = make([]byte, 2*o.width)
	}
	copy(buf[o.width-len(r):], r)
	copy(buf[2*o.width-len(s):], s)
	return append(dst, buf[:2*o.width]...), nil
}

// ToDER converts a signature by a key on curve from P1363 to DER. The result has
// at most 72 bytes for P-256 and secp256k1, 104 for P-384 and 139 for P-521.
//
// It returns nil and an error if p1363 has not the length that [ToP1363] returns
// for the curve, if R or S is outside 1..n-1, or if curve is nil or has no usable
// Params.
func ToDER(p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	return AppendDER(nil, p1363, curve)
}

// AppendDER is [ToDER], appending to dst and returning the extended slice. It does
// not allocate if dst has room and the curve is not wider than P-521.
//
// On error it returns dst as it came, and has written nothing to dst or to its
// spare capacity. p1363 may overlap dst.
func AppendDER(dst, p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	o, err := orderOf(curve)
	if err != nil {
		return dst, err
	}
	r, s, err := o.split(p1363)
	if err != nil {
		return dst, err
	}

	// Not in dst itself, because r and s may lie there. append moves to the heap
	// what is too wide for the stack.
	var stack [stackDER]byte
	buf := appendHeader(stack[:0], asn1.SEQUENCE, elementLen(integerLen(r))+elementLen(integerLen(s)))
	buf = appendInteger(buf, r)
	buf = appendInteger(buf, s)
	return append(dst, buf...), nil
}

// LowSP1363 returns a P1363 signature by a key on curve with S replaced by n-S if S
// is above n/2, and otherwise a copy. Both signatures are valid for the same keys
// and messages. The result has the length of the input, and is its own low-S form.
//
// Bitcoin (BIP 146), Ethereum (EIP-2) and verifiers like theirs refuse the higher
// S, so that nobody can turn a signature into a second one. AWS KMS does not
// normalise: half of its signatures have a high S. JOSE (RFC 7518, RFC 8812), X.509
// and TLS have no such rule, and signatures for them need no LowSP1363. A recovery
// id that came with a high S has its lowest bit flipped by the change.
//
// It returns nil and an error for what [ToDER] refuses.
func LowSP1363(p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	o, err := orderOf(curve)
	if err != nil {
		return nil, err
	}
	_, s, err := o.split(p1363)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(p1363)
	n := o.params.N
	if x, half := new(big.Int).SetBytes(s), new(big.Int).Rsh(n, 1); x.Cmp(half) > 0 {
		x.Sub(n, x).FillBytes(out[o.width:])
	}
	return out, nil
}

// LowSDER is [LowSP1363] for a DER signature. The result is never longer than the
// input. It returns nil and an error for what [ToP1363] refuses.
func LowSDER(der []byte, curve elliptic.Curve) ([]byte, error) {
	p1363, err := ToP1363(der, curve)
	if err == nil {
		p1363, err = LowSP1363(p1363, curve)
	}
	if err != nil {
		return nil, err
	}
	return ToDER(p1363, curve)
}

// parse reads R and S, which alias der and have no leading zeros. Zero is empty.
func parse(der []byte) (r, s []byte, err error) {
	var inner cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) {
		return nil, nil, elementError("the signature", "a SEQUENCE", asn1.SEQUENCE, der)
	}
	if !input.Empty() {
		return nil, nil, fmt.Errorf("derconv: trailing bytes after the SEQUENCE: %d", len(input))
	}
	if r, err = readInteger(&inner, "R"); err != nil {
		return nil, nil, err
	}
	if s, err = readInteger(&inner, "S"); err != nil {
		return nil, nil, err
	}
	if !inner.Empty() {
		return nil, nil, fmt.Errorf("derconv: trailing bytes inside the SEQUENCE, after S: %d", len(inner))
	}
	return r, s, nil
}

// readInteger does what ReadASN1Integer does, for a []byte, and says which of its
// rules was broken.
func readInteger(in *cryptobyte.String, name string) ([]byte, error) {
	var x cryptobyte.String
	at := *in // a failed read consumes the element
	switch {
	case !in.ReadASN1(&x, asn1.INTEGER):
		return nil, elementError(name, "an INTEGER", asn1.INTEGER, at)
	case len(x) == 0:
		return nil, fmt.Errorf("derconv: %s is an empty INTEGER, want at least one byte", name)
	case x[0]&0x80 != 0:
		return nil, fmt.Errorf("derconv: %s is negative: an INTEGER of length %d that starts with 0x%02x", name, len(x), x[0])
	case x[0] == 0 && len(x) > 1 && x[1]&0x80 == 0:
		return nil, fmt.Errorf("derconv: %s is not minimal: an INTEGER of length %d that starts with 0x00 0x%02x", name, len(x), x[1])
	}
	return trim(x), nil
}

// elementError says why cryptobyte could not read an element with the tag at the
// start of in.
func elementError(name, kind string, tag asn1.Tag, in []byte) error {
	switch {
	case len(in) == 0:
		return fmt.Errorf("derconv: %s is missing, want %s", name, kind)
	case asn1.Tag(in[0]) != tag:
		return fmt.Errorf("derconv: %s has tag 0x%02x, want 0x%02x for %s", name, in[0], uint8(tag), kind)
	case len(in) == 1:
		return fmt.Errorf("derconv: %s ends after its tag, want a length", name)
	case in[1] == 0x80:
		return fmt.Errorf("derconv: %s has an indefinite length, which DER does not allow", name)
	}

	length, body := uint64(in[1]), in[2:]
	if in[1] > 0x80 {
		n := int(in[1] & 0x7f)
		switch {
		case n > 4:
			return fmt.Errorf("derconv: %s has a length of %d bytes, want at most 4", name, n)
		case n > len(body):
			return fmt.Errorf("derconv: %s ends within its length", name)
		}
		length = 0
		for _, b := range body[:n] {
			length = length<<8 | uint64(b)
		}
		if length < 0x80 || body[0] == 0 {
			return fmt.Errorf("derconv: %s has a length of %d in %d bytes, want the shortest form", name, length, 1+n)
		}
		body = body[n:]
	}
	return fmt.Errorf("derconv: %s is cut off: %d of its %d bytes are there", name, len(body), length)
}

// order is the order n of a curve, with what a conversion needs to know of it.
type order struct {
	params *elliptic.CurveParams // n is params.N
	width  int                   // of n, and so of each integer in P1363, in bytes
}

// orderOf takes the width from the order, as IEEE P1363 does, because R and S are
// integers modulo the order. RFC 7518 §3.4 gives figures only (64, 96 and 132
// octets for the pair). For those curves and secp256k1 the field is as wide as the
// order. It is not always: secp160r1 has a field of 20 bytes and an order of 21.
func orderOf(curve elliptic.Curve) (order, error) {
	if curve == nil {
		return order{}, errors.New("derconv: curve is nil")
	}
	if v := reflect.ValueOf(curve); v.Kind() == reflect.Pointer && v.IsNil() {
		// Params of many implementations panics on such a value.
		return order{}, fmt.Errorf("derconv: curve is a nil %T", curve)
	}
	o := order{params: curve.Params()}
	switch {
	case o.params == nil:
		return order{}, fmt.Errorf("derconv: curve of type %T has nil Params", curve)
	case o.params.N == nil:
		return order{}, fmt.Errorf("derconv: the order N of %s is nil", o.name())
	case o.params.N.Sign() <= 0:
		return order{}, fmt.Errorf("derconv: the order N of %s is not positive", o.name())
	}
	o.width = (o.params.N.BitLen() + 7) / 8
	return o, nil
}

// name is for errors.
func (o *order) name() string {
	if o.params.Name == "" {
		return "the unnamed curve"
	}
	return o.params.Name
}

// split cuts a P1363 signature into R and S, without their leading zeros, and
// checks both.
func (o *order) split(p1363 []byte) (r, s []byte, err error) {
	if len(p1363) != 2*o.width {
		return nil, nil, fmt.Errorf("derconv: P1363 signature has %d bytes, want %d for %s (2 integers of %d)",
			len(p1363), 2*o.width, o.name(), o.width)
	}
	r, s = trim(p1363[:o.width]), trim(p1363[o.width:])
	if err := o.check("R", r); err != nil {
		return nil, nil, err
	}
	if err := o.check("S", s); err != nil {
		return nil, nil, err
	}
	return r, s, nil
}

// check returns an error unless x, which has no leading zeros, is in 1..n-1. It
// then fits the width.
func (o *order) check(name string, x []byte) error {
	switch {
	case len(x) == 0:
		return fmt.Errorf("derconv: %s is zero, want 1 to n-1 for the order n of %s", name, o.name())
	case len(x) > o.width:
		return fmt.Errorf("derconv: %s has %d bytes, want at most %d for %s", name, len(x), o.width, o.name())
	case len(x) == o.width && !below(x, o.params.N):
		return fmt.Errorf("derconv: %s is not below the order of %s", name, o.name())
	}
	return nil
}

// below reports whether x < n, where x has the width of n in bytes. It stops at
// the first difference: signatures are public, so its time need not be constant.
func below(x []byte, n *big.Int) bool {
	words := n.Bits() // least significant first, and not a copy
	for i, b := range x {
		shift := 8 * (len(x) - 1 - i)
		if c := byte(words[shift/bits.UintSize] >> (shift % bits.UintSize)); b != c {
			return b < c
		}
	}
	return false
}

// trim returns x without its leading zeros.
func trim(x []byte) []byte {
	for len(x) > 0 && x[0] == 0 {
		x = x[1:]
	}
	return x
}

// appendInteger appends the positive INTEGER x, which has no leading zeros.
func appendInteger(b, x []byte) []byte {
	b = appendHeader(b, asn1.INTEGER, integerLen(x))
	if x[0]&0x80 != 0 {
		b = append(b, 0) // or x would read as negative
	}
	return append(b, x...)
}

// integerLen returns the length of the content of the INTEGER x, without header.
func integerLen(x []byte) int {
	return len(x) + int(x[0]>>7)
}

// elementLen returns the length of an element with so many bytes of content.
func elementLen(content int) int {
	if content < 0x80 {
		return 2 + content
	}
	return 2 + lengthLen(content) + content
}

// appendHeader appends the tag and the length of an element (X.690 §8.1.3, in the
// shortest form, §10.1).
func appendHeader(b []byte, tag asn1.Tag, content int) []byte {
	if content < 0x80 {
		return append(b, byte(tag), byte(content))
	}
	n := lengthLen(content)
	b = append(b, byte(tag), 0x80|byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(content>>(8*i)))
	}
	return b
}

// lengthLen returns how many bytes hold the length of so much content.
func lengthLen(content int) int {
	return (bits.Len(uint(content)) + 7) / 8
}
