// Package derconv converts ECDSA signatures between their two encodings.
//
//   - DER is an ASN.1 SEQUENCE of the two INTEGERs R and S (RFC 3279 §2.2.3, in
//     the distinguished encoding of X.690). AWS KMS, crypto/ecdsa, X.509 and TLS
//     use it. Its length varies between signatures of one key.
//   - P1363 is R followed by S, each big-endian and padded on the left to the
//     width of the curve's order (IEEE P1363). JOSE uses it (RFC 7518 §3.4,
//     RFC 8812). It has 64 bytes for P-256 and secp256k1, 96 for P-384 and 132
//     for P-521.
//
// The two directions are exact inverses: converting a signature and converting
// the result back returns the same bytes. Both are therefore strict. R and S
// must be in the range 1..n-1, where n is the order of the curve. DER must be a
// single SEQUENCE of two positive INTEGERs in their shortest form, without
// trailing bytes inside or after it. BER is rejected. P1363 must have exactly
// the length that the curve calls for.
//
// The conversions accept an S in either half of its range. [LowSP1363] and
// [LowSDER] normalize S for the few verifiers that require the lower half.
//
// A conversion needs no key and does not verify the signature. It accepts any
// [elliptic.Curve] whose Params has a positive N, including curves of other
// modules.
//
// The functions do not call KMS and do not retain their input. They do not
// panic, whatever the signature is. They do not modify their input, except that
// AppendP1363 and AppendDER write to dst, which may overlap it. All functions
// are safe for concurrent use.
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

// Signatures are built in buffers of these sizes, which stay on the stack. They
// fit P-521, the widest curve in common use. A wider curve costs an allocation.
const (
	stackWidth = 66
	stackP1363 = 2 * stackWidth
	stackDER   = 3 + 2*(3+stackWidth) // 0x30 0x81 len, twice 0x02 len and a sign byte
)

// ToP1363 converts a signature by a key on curve from DER to P1363. The result
// has 64 bytes for P-256 and secp256k1, 96 for P-384 and 132 for P-521.
//
// It returns nil and an error if der is not exactly one DER SEQUENCE of R and
// S, if R or S is outside 1..n-1, or if curve is nil or has no positive N.
func ToP1363(der []byte, curve elliptic.Curve) ([]byte, error) {
	return AppendP1363(nil, der, curve)
}

// AppendP1363 is like [ToP1363], but appends the result to dst and returns the
// extended slice. It does not allocate if dst has enough capacity and the curve
// is not wider than P-521.
//
// On error it returns dst unchanged and writes nothing to its spare capacity.
// der may overlap dst. AppendP1363(der[:0], der, curve) reuses the memory of
// der if its capacity is large enough.
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

	// Build the result outside dst, because r and s may be part of dst.
	var stack [stackP1363]byte
	buf := stack[:]
	if 2*o.width > len(buf) {
		buf = make([]byte, 2*o.width)
	}
	copy(buf[o.width-len(r):], r)
	copy(buf[2*o.width-len(s):], s)
	return append(dst, buf[:2*o.width]...), nil
}

// ToDER converts a signature by a key on curve from P1363 to DER. The result
// has at most 72 bytes for P-256 and secp256k1, 104 for P-384 and 139 for
// P-521.
//
// It returns nil and an error if p1363 is not twice as long as the order of the
// curve in bytes, if R or S is outside 1..n-1, or if curve is nil or has no
// positive N.
func ToDER(p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	return AppendDER(nil, p1363, curve)
}

// AppendDER is like [ToDER], but appends the result to dst and returns the
// extended slice. It does not allocate if dst has enough capacity and the curve
// is not wider than P-521.
//
// On error it returns dst unchanged and writes nothing to its spare capacity.
// p1363 may overlap dst.
func AppendDER(dst, p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	o, err := orderOf(curve)
	if err != nil {
		return dst, err
	}
	r, s, err := o.split(p1363)
	if err != nil {
		return dst, err
	}

	// Build the result outside dst, because r and s may be part of dst. If it
	// is too long for the stack, append moves it to the heap.
	var stack [stackDER]byte
	buf := appendHeader(stack[:0], asn1.SEQUENCE, elementLen(integerLen(r))+elementLen(integerLen(s)))
	buf = appendInteger(buf, r)
	buf = appendInteger(buf, s)
	return append(dst, buf...), nil
}

// LowSP1363 returns a copy of a P1363 signature by a key on curve, with S
// replaced by n-S if S is above n/2. The result has the same length and is
// valid for the same keys and messages. Normalizing it again changes nothing.
//
// Bitcoin (BIP 146), Ethereum (EIP-2) and similar systems reject an S above
// n/2, so that a signature cannot be turned into a second valid one. AWS KMS
// does not normalize S, and half of its signatures have a high S. JOSE (RFC
// 7518, RFC 8812), X.509 and TLS accept both. Replacing S flips the lowest bit
// of the recovery id, if there is one.
//
// It returns nil and an error in the same cases as [ToDER].
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

// LowSDER is like [LowSP1363], for a DER signature. The result is at most as
// long as the input. It returns nil and an error in the same cases as
// [ToP1363].
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

// parse reads R and S. They alias der and have no leading zeros, so that zero
// is an empty slice.
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

// readInteger reads a non-negative INTEGER as
// [cryptobyte.String.ReadASN1Integer] does into a []byte, but returns an error
// that names the rule that is broken.
func readInteger(in *cryptobyte.String, name string) ([]byte, error) {
	var x cryptobyte.String
	at := *in // because a failed read consumes the element
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

// elementError returns the reason why cryptobyte cannot read an element with
// the given tag at the start of in.
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
			return fmt.Errorf("derconv: %s has a length in %d bytes, want at most 4", name, n)
		case n > len(body):
			return fmt.Errorf("derconv: %s ends within its length", name)
		}
		length = 0
		for _, b := range body[:n] {
			length = length<<8 | uint64(b)
		}
		if length < 0x80 || body[0] == 0 {
			return fmt.Errorf("derconv: %s has a length of %d encoded in %d bytes, want the shortest form", name, length, 1+n)
		}
		body = body[n:]
	}
	return fmt.Errorf("derconv: %s is truncated: it has %d of %d bytes", name, len(body), length)
}

// order is the order n of a curve.
type order struct {
	params *elliptic.CurveParams // n is params.N
	width  int                   // of n and of each integer in P1363, in bytes
}

// orderOf returns the order of curve. The width is that of the order, as in
// IEEE P1363, because R and S are integers modulo the order. RFC 7518 §3.4 only
// lists lengths, for curves whose field is as wide as their order. That does
// not hold for every curve: secp160r1 has a field of 20 bytes and an order of
// 21 bytes.
func orderOf(curve elliptic.Curve) (order, error) {
	if curve == nil {
		return order{}, errors.New("derconv: curve is nil")
	}
	if v := reflect.ValueOf(curve); v.Kind() == reflect.Pointer && v.IsNil() {
		// The Params method of many implementations panics on a nil pointer.
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

// name returns the name of the curve, for errors.
func (o *order) name() string {
	if o.params.Name == "" {
		return "the unnamed curve"
	}
	return o.params.Name
}

// split returns the R and S of a P1363 signature without their leading zeros,
// after checking their range.
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

// check returns an error unless x, which must have no leading zeros, is in the
// range 1..n-1. Such an x is at most o.width bytes long.
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

// below reports whether x < n. Both must have the same width in bytes.
// Signatures are public, so it need not run in constant time.
func below(x []byte, n *big.Int) bool {
	words := n.Bits() // not a copy; least significant word first
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
		b = append(b, 0) // sign byte, without which x would be negative
	}
	return append(b, x...)
}

// integerLen returns the length of the content of the INTEGER x, which must not
// be empty.
func integerLen(x []byte) int {
	return len(x) + int(x[0]>>7)
}

// elementLen returns the length of an element, given that of its content.
func elementLen(content int) int {
	if content < 0x80 {
		return 2 + content
	}
	return 2 + lengthLen(content) + content
}

// appendHeader appends the tag of an element and its length, in the shortest
// form (X.690 §8.1.3 and §10.1).
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

// lengthLen returns the number of bytes that hold the length of the content, in
// the long form.
func lengthLen(content int) int {
	return (bits.Len(uint(content)) + 7) / 8
}
