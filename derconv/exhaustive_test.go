package derconv_test

import (
	"bytes"
	"crypto/elliptic"
	"fmt"
	"math/big"
	"os"
	"testing"

	"github.com/kmssign/kmssign/derconv"
)

// The tests of this file are exhaustive. On a curve whose order has at most 8
// bits there are so few signatures, and so few strings near one, that all of
// them can be tried. Without KMSSIGN_FULL=1 in the environment they try a
// sample.
//
// DER has one encoding for each signature, so the accepted strings must be
// exactly those that a reference encoder makes. The reference follows the
// standards sentence by sentence and shares no code with the package.

// full reports whether to try everything. It is a function, because the go
// command caches test results by the variables that a test reads, and does not
// see what an initializer reads.
func full() bool { return os.Getenv("KMSSIGN_FULL") == "1" }

// tinyCurve returns a curve that has nothing but an order of at most 8 bits.
func tinyCurve(order int) elliptic.Curve {
	return &elliptic.CurveParams{N: big.NewInt(int64(order)), Name: fmt.Sprintf("the curve of order %d", order)}
}

// referenceDER returns the encoding of r and s, which have at most 8 bits.
func referenceDER(r, s int) []byte {
	integer := func(x int) []byte {
		// X.690 section 8.3.2: the first nine bits of the contents are neither
		// all ones nor all zeros. Section 8.3.3: the contents are a two's
		// complement number, so a positive one of eight bits needs a zero byte.
		contents := []byte{byte(x)}
		if x >= 0x80 {
			contents = []byte{0, byte(x)}
		}
		// Section 8.19 of X.680 gives INTEGER the tag 2. X.690 section 8.1.3.4:
		// the short form of the length is one byte.
		return append([]byte{0x02, byte(len(contents))}, contents...)
	}
	// RFC 3279 section 2.2.3: a SEQUENCE, which has the tag 0x30, of r and s.
	contents := append(integer(r), integer(s)...)
	return append([]byte{0x30, byte(len(contents))}, contents...)
}

// signatures returns the P1363 form of every signature of a curve, by its DER.
func signatures(order int) map[string][2]byte {
	all := map[string][2]byte{}
	for r := 1; r < order; r++ { // FIPS 186-5 section 6.4.2: r and s are in [1, n-1]
		for s := 1; s < order; s++ {
			all[string(referenceDER(r, s))] = [2]byte{byte(r), byte(s)}
		}
	}
	return all
}

// orders returns the orders of at most 8 bits, or some of them. 128 is the
// first whose signatures have a sign byte.
func orders() []int {
	if !full() {
		return []int{1, 2, 128, 129, 251}
	}
	var all []int
	for n := 1; n < 256; n++ {
		all = append(all, n)
	}
	return all
}

// TestEverySignature converts every R and S from 0 to 255 in both directions.
func TestEverySignature(t *testing.T) {
	count := 0
	for _, order := range orders() {
		curve := tinyCurve(order)
		for r := range 256 {
			for s := range 256 {
				count++
				der, p1363 := referenceDER(r, s), []byte{byte(r), byte(s)}
				valid := 1 <= r && r < order && 1 <= s && s < order
				gotDER, err := derconv.ToDER(p1363, curve)
				if (err == nil) != valid || valid && !bytes.Equal(gotDER, der) {
					t.Fatalf("order %d: ToDER(%x) = %x, %v; want %x, valid %v", order, p1363, gotDER, err, der, valid)
				}
				gotP1363, err := derconv.ToP1363(der, curve)
				if (err == nil) != valid || valid && !bytes.Equal(gotP1363, p1363) {
					t.Fatalf("order %d: ToP1363(%x) = %x, %v; want %x, valid %v", order, der, gotP1363, err, p1363, valid)
				}
			}
		}
	}
	t.Logf("%d pairs of R and S", count)
}

// TestEveryShortString converts every string of up to three bytes. None is DER,
// and the P1363 signatures among them have two bytes.
func TestEveryShortString(t *testing.T) {
	const order = 251
	curve := tinyCurve(order)
	count := 0
	check := func(b []byte) {
		count++
		if p1363, err := derconv.ToP1363(b, curve); err == nil || p1363 != nil {
			t.Fatalf("ToP1363(%x) = %x, %v, want an error", b, p1363, err)
		}
		valid := len(b) == 2 && b[0] > 0 && b[0] < order && b[1] > 0 && b[1] < order
		if der, err := derconv.ToDER(b, curve); (err == nil) != valid || (der != nil) != valid {
			t.Fatalf("ToDER(%x) = %x, %v, want valid %v", b, der, err, valid)
		}
	}
	check(nil)
	step := 1
	if !full() {
		step = 509 // prime to 256
	}
	for i := range 1 << 8 {
		check([]byte{byte(i)})
	}
	for i := range 1 << 16 {
		check([]byte{byte(i >> 8), byte(i)})
	}
	for i := 0; i < 1<<24; i += step {
		check([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
	}
	t.Logf("%d strings", count)
}

// edits calls f with every string that is one edit away from b: a byte changed,
// inserted or deleted. f must not keep the string.
func edits(b []byte, f func([]byte)) {
	edited := make([]byte, 0, len(b)+1)
	for i := range b {
		edited = append(edited[:0], b...)
		for x := range 256 {
			if byte(x) != b[i] {
				edited[i] = byte(x)
				f(edited)
			}
		}
		edited = append(append(edited[:0], b[:i]...), b[i+1:]...)
		f(edited)
	}
	for i := range len(b) + 1 {
		edited = append(append(append(edited[:0], b[:i]...), 0), b[i:]...)
		for x := range 256 {
			edited[i] = byte(x)
			f(edited)
		}
	}
}

// TestEveryNearDER converts every string that is one or two edits away from a
// DER signature. Those that the reference encoder makes are accepted, and no
// others.
func TestEveryNearDER(t *testing.T) {
	const order = 251
	curve, valid := tinyCurve(order), signatures(order)
	count, accepted := 0, 0
	check := func(der []byte) {
		count++
		got, err := derconv.ToP1363(der, curve)
		want, ok := valid[string(der)]
		if (err == nil) != ok || ok && !bytes.Equal(got, want[:]) {
			t.Fatalf("ToP1363(%x) = %x, %v; want %x, valid %v", der, got, err, want, ok)
		}
		if ok {
			accepted++
		}
	}
	for _, sig := range [][2]int{
		{1, 0x80},  // S has a sign byte
		{250, 250}, // both have one
	} {
		der := referenceDER(sig[0], sig[1])
		check(der)
		first, all := 0, full()
		edits(der, func(near []byte) {
			check(near)
			// The edits of every near string, or of some.
			if first++; all || first%2003 == 0 {
				edits(near, check)
			}
		})
	}
	t.Logf("%d strings, of which %d are signatures", count, accepted)
}
