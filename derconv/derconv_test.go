package derconv_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/kmssign/kmssign/derconv"
)

// k256 is a curve that the standard library lacks. It is the Curve of ES256K
// keys of decred's package.
//
//lint:ignore SA1019 deprecated as an elliptic.Curve, which is what is tested
var k256 = secp256k1.S256()

// curves returns the curves of the tests with real signatures, the fuzz targets
// and the benchmarks.
func curves() []elliptic.Curve {
	return []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521(), k256, elliptic.P224()}
}

// widths has the number of bytes of an integer in P1363.
var widths = map[string]int{"P-224": 28, "P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32}

// custom returns a curve that has an order and nothing else, which is all that
// the package needs.
func custom(name string, n *big.Int) elliptic.Curve {
	return &elliptic.CurveParams{Name: name, N: n}
}

// secp160r1 has a field of 160 bits and an order of 161 (SEC 2, version 1,
// §2.4.2).
var secp160r1 = custom("secp160r1", bigHex("0100000000000000000001f4c8f927aed3ca752257"))

func bigHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("bad hex: " + s)
	}
	return n
}

// unhex decodes hex. It ignores spaces, and reads "ab*31" as 31 bytes of ab.
func unhex(s string) []byte {
	var out []byte
	for f := range strings.FieldsSeq(s) {
		pattern, times, repeated := strings.Cut(f, "*")
		b, err := hex.DecodeString(pattern)
		if err != nil {
			panic(err)
		}
		n := 1
		if repeated {
			if _, err := fmt.Sscan(times, &n); err != nil {
				panic(err)
			}
		}
		out = append(out, bytes.Repeat(b, n)...)
	}
	return out
}

// signature returns the DER of R and S as made by encoding/asn1, which also
// encodes negative numbers and zero.
func signature(r, s *big.Int) []byte {
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return der
}

func newKey(tb testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// TestAccept lists the widths at which padding and the sign byte begin and end.
// Each case is tested in both directions.
func TestAccept(t *testing.T) {
	for _, tt := range []struct {
		name, reason string
		curve        elliptic.Curve
		der, p1363   string
	}{
		{"P-256 one byte each", "the shortest signature there is", elliptic.P256(),
			"30 06 020101 020101", "00*31 01 00*31 01"},
		{"P-256 top bit in one byte", "80 needs a sign byte at any width", elliptic.P256(),
			"30 08 02020080 020200ff", "00*31 80 00*31 ff"},
		{"P-256 31 bytes", "padded by one", elliptic.P256(),
			"30 42 021f 7f*31 021f 01*31", "00 7f*31 00 01*31"},
		{"P-256 31 bytes and sign", "an INTEGER of 32 bytes, but a value of 31", elliptic.P256(),
			"30 44 0220 00 80*31 0220 00 ff*31", "00 80*31 00 ff*31"},
		{"P-256 32 bytes", "without padding or sign byte", elliptic.P256(),
			"30 44 0220 7f*32 0220 01*32", "7f*32 01*32"},
		{"P-256 32 bytes and sign", "an INTEGER of 33 bytes, whose sign byte is dropped", elliptic.P256(),
			"30 46 0221 00 80*32 0221 00 ab*32", "80*32 ab*32"},
		{"P-256 different widths", "R and S are padded separately", elliptic.P256(),
			"30 40 021b 01*27 0221 00 ab*32", "00*5 01*27 ab*32"},

		{"P-384 47 bytes", "padded by one", elliptic.P384(),
			"30 62 022f 7f*47 022f 01*47", "00 7f*47 00 01*47"},
		{"P-384 47 bytes and sign", "an INTEGER of 48 bytes, but a value of 47", elliptic.P384(),
			"30 64 0230 00 80*47 0230 00 ff*47", "00 80*47 00 ff*47"},
		{"P-384 48 bytes", "without padding or sign byte", elliptic.P384(),
			"30 64 0230 7f*48 0230 01*48", "7f*48 01*48"},
		{"P-384 48 bytes and sign", "an INTEGER of 49 bytes, whose sign byte is dropped", elliptic.P384(),
			"30 66 0231 00 80*48 0231 00 ab*48", "80*48 ab*48"},

		{"P-521 65 bytes", "padded by one", elliptic.P521(),
			"30 8186 0241 7f*65 0241 01*65", "00 7f*65 00 01*65"},
		{"P-521 65 bytes and sign", "an INTEGER of 66 bytes, but a value of 65", elliptic.P521(),
			"30 8188 0242 00 80*65 0242 00 ff*65", "00 80*65 00 ff*65"},
		{"P-521 66 bytes", "the first byte is at most 01, so there is never a sign byte", elliptic.P521(),
			"30 8188 0242 01*66 0242 01 00*65", "01*66 01 00*65"},
		{"P-521 127 bytes of content", "the longest content with the short form of the length", elliptic.P521(),
			"30 7f 023e 55*62 023d 55*61", "00*4 55*62 00*5 55*61"},
		{"P-521 128 bytes of content", "the shortest content with the long form of the length", elliptic.P521(),
			"30 8180 023e 55*62 023e 55*62", "00*4 55*62 00*4 55*62"},

		{"secp256k1 31 bytes", "padded by one", k256,
			"30 42 021f 7f*31 021f 01*31", "00 7f*31 00 01*31"},
		{"secp256k1 32 bytes and sign", "a curve of another module", k256,
			"30 46 0221 00 80*32 0221 00 ab*32", "80*32 ab*32"},

		{"secp160r1", "its order has 161 bits and its field 160", secp160r1,
			"30 2e 0215 01 00*20 0215 01 00*20", "01 00*20 01 00*20"},
		{"order 7", "an order of 3 bits takes one byte", custom("tiny", big.NewInt(7)),
			"30 06 020106 020101", "06 01"},
		{"order 2", "1 is the only value in range", custom("two", big.NewInt(2)),
			"30 06 020101 020101", "01 01"},
		{"order 2^1024", "129 bytes, wider than any real curve, with all lengths in the long form", custom("wide", new(big.Int).Lsh(big.NewInt(1), 1024)),
			"30 820108 028181 00 80*128 028181 00 ff*128", "00 80*128 00 ff*128"},
		{"order 2^1024 127 bytes", "the longest INTEGER with the short form of the length", custom("wide", new(big.Int).Lsh(big.NewInt(1), 1024)),
			"30 820104 027f 01*127 028180 01*128", "00*2 01*127 00 01*128"},
		{"order 2^560000", "a length of three bytes", custom("absurd", new(big.Int).Lsh(big.NewInt(1), 560000)),
			"30 83011178 0283011170 01*70000 020101", "00 01*70000 00*70000 01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			der, p1363 := unhex(tt.der), unhex(tt.p1363)
			if got, err := derconv.ToP1363(der, tt.curve); err != nil || !bytes.Equal(got, p1363) {
				t.Errorf("ToP1363(%x)\n got %x, %v\nwant %x (%s)", der, got, err, p1363, tt.reason)
			}
			if got, err := derconv.ToDER(p1363, tt.curve); err != nil || !bytes.Equal(got, der) {
				t.Errorf("ToDER(%x)\n got %x, %v\nwant %x (%s)", p1363, got, err, der, tt.reason)
			}
		})
	}
}

func TestRejectDER(t *testing.T) {
	p256, p384, p521 := elliptic.P256(), elliptic.P384(), elliptic.P521()
	for _, tt := range []struct {
		name  string
		curve elliptic.Curve
		der   string
		want  string // the error without its prefix
	}{
		// The SEQUENCE.
		{"empty", p256, "", "the signature is missing, want a SEQUENCE"},
		{"SET", p256, "31 06 020101 020101", "the signature has tag 0x31, want 0x30 for a SEQUENCE"},
		{"primitive SEQUENCE", p256, "10 06 020101 020101", "the signature has tag 0x10, want 0x30 for a SEQUENCE"},
		{"high tag number", p256, "3f10 06 020101 020101", "the signature has tag 0x3f, want 0x30 for a SEQUENCE"},
		{"P1363 instead", p256, "ab*64", "the signature has tag 0xab, want 0x30 for a SEQUENCE"},
		{"tag only", p256, "30", "the signature ends after its tag, want a length"},
		{"BER indefinite length", p256, "30 80 020101 020101 0000", "the signature has an indefinite length, which DER does not allow"},
		{"cut off", p256, "30 06 020101 0201", "the signature is truncated: it has 5 of 6 bytes"},
		{"header only", p256, "30 06", "the signature is truncated: it has 0 of 6 bytes"},
		{"cut off by 2^32-1", p256, "30 84ffffffff 020101 020101", "the signature is truncated: it has 6 of 4294967295 bytes"},
		{"long form of 6", p256, "30 8106 020101 020101", "the signature has a length of 6 encoded in 2 bytes, want the shortest form"},
		{"long form of 127", p521, "30 817f 023e 55*62 023d 55*61", "the signature has a length of 127 encoded in 2 bytes, want the shortest form"},
		{"two bytes for 128", p521, "30 820080 023e 55*62 023e 55*62", "the signature has a length of 128 encoded in 3 bytes, want the shortest form"},
		{"four bytes for 6", p256, "30 8400000006 020101 020101", "the signature has a length of 6 encoded in 5 bytes, want the shortest form"},
		{"length cut off", p256, "30 8200", "the signature ends within its length"},
		{"length of five bytes", p256, "30 850000000006 020101 020101", "the signature has a length in 5 bytes, want at most 4"},
		{"reserved length ff", p256, "30 ff 020101 020101", "the signature has a length in 127 bytes, want at most 4"},
		{"one byte after", p256, "30 06 020101 020101 00", "trailing bytes after the SEQUENCE: 1"},
		{"end-of-contents after", p256, "30 06 020101 020101 0000", "trailing bytes after the SEQUENCE: 2"},
		{"two signatures", p256, "30 06 020101 020101 30 06 020101 020101", "trailing bytes after the SEQUENCE: 8"},

		// The INTEGERs.
		{"empty SEQUENCE", p256, "30 00", "R is missing, want an INTEGER"},
		{"R only", p256, "30 03 020101", "S is missing, want an INTEGER"},
		{"NULL inside", p256, "30 08 020101 020101 0500", "trailing bytes inside the SEQUENCE, after S: 2"},
		{"three INTEGERs", p256, "30 09 020101 020101 020101", "trailing bytes inside the SEQUENCE, after S: 3"},
		{"R is an ENUMERATED", p256, "30 06 0a0101 020101", "R has tag 0x0a, want 0x02 for an INTEGER"},
		{"S is a BOOLEAN", p256, "30 06 020101 010101", "S has tag 0x01, want 0x02 for an INTEGER"},
		{"R constructed", p256, "30 06 220101 020101", "R has tag 0x22, want 0x02 for an INTEGER"},
		{"R empty", p256, "30 05 0200 020101", "R is an empty INTEGER, want at least one byte"},
		{"S empty", p256, "30 05 020101 0200", "S is an empty INTEGER, want at least one byte"},
		{"R beyond the SEQUENCE", p256, "30 03 020201", "R is truncated: it has 1 of 2 bytes"},
		{"S beyond the SEQUENCE", p256, "30 06 020101 020201 01", "trailing bytes after the SEQUENCE: 1"},
		{"S beyond its end", p256, "30 06 020101 020201", "S is truncated: it has 1 of 2 bytes"},
		{"S ends after the tag", p256, "30 04 020101 02", "S ends after its tag, want a length"},
		{"S indefinite", p256, "30 08 020101 0280 01 0000", "S has an indefinite length, which DER does not allow"},
		{"R in long form", p256, "30 07 028101 01 020101", "R has a length of 1 encoded in 2 bytes, want the shortest form"},
		{"R negative", p256, "30 06 0201ff 020101", "R is negative: an INTEGER of length 1 that starts with 0xff"},
		{"S negative", p256, "30 06 020101 020180", "S is negative: an INTEGER of length 1 that starts with 0x80"},
		{"R lost its sign byte", p256, "30 25 0220 80*32 020101", "R is negative: an INTEGER of length 32 that starts with 0x80"},
		{"R not minimal", p256, "30 07 02020001 020101", "R is not minimal: an INTEGER of length 2 that starts with 0x00 0x01"},
		{"S not minimal", p256, "30 07 020101 0202007f", "S is not minimal: an INTEGER of length 2 that starts with 0x00 0x7f"},
		{"R padded to the width", p256, "30 25 0220 00 7f*31 020101", "R is not minimal: an INTEGER of length 32 that starts with 0x00 0x7f"},
		{"S with two sign bytes", p256, "30 27 020101 0222 0000 80*32", "S is not minimal: an INTEGER of length 34 that starts with 0x00 0x00"},
		{"zero in two bytes", p256, "30 07 02020000 020101", "R is not minimal: an INTEGER of length 2 that starts with 0x00 0x00"},

		// The range.
		{"R zero", p256, "30 06 020100 020101", "R is zero, want 1 to n-1 for the order n of P-256"},
		{"S zero", p256, "30 06 020101 020100", "S is zero, want 1 to n-1 for the order n of P-256"},
		{"P-256 33 bytes", p256, "30 26 0221 7f*33 020101", "R has 33 bytes, want at most 32 for P-256"},
		{"P-256 33 bytes and sign", p256, "30 27 020101 0222 00 80*33", "S has 33 bytes, want at most 32 for P-256"},
		{"P-384 49 bytes", p384, "30 36 0231 01*49 020101", "R has 49 bytes, want at most 48 for P-384"},
		{"P-521 67 bytes", p521, "30 48 020101 0243 01*67", "S has 67 bytes, want at most 66 for P-521"},
		{"P-521 66 bytes, 528 bits", p521, "30 48 0243 00 ff*66 020101", "R is not below the order of P-521"},
		{"P-521 66 bytes, 522 bits", p521, "30 47 0242 02 00*65 020101", "R is not below the order of P-521"},
		{"P-384 for P-256", p256, "30 64 0230 7f*48 0230 01*48", "R has 48 bytes, want at most 32 for P-256"},
		{"all ones", p256, "30 46 0221 00 ff*32 0221 00 ff*32", "R is not below the order of P-256"},
		{"order 1", custom("one", big.NewInt(1)), "30 06 020101 020101", "R is not below the order of one"},
		{"no name", custom("", big.NewInt(7)), "30 06 020101 020107", "S is not below the order of the unnamed curve"},
		{"megabyte of R", p256, "30 830f4248 02830f4240 01*1000000 020101", "R has 1000000 bytes, want at most 32 for P-256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			der := unhex(tt.der)
			checkRefusal(t, derconv.ToP1363, derconv.AppendP1363, der, tt.curve, "derconv: "+tt.want)
		})
	}
}

func TestRejectP1363(t *testing.T) {
	p256, p384, p521 := elliptic.P256(), elliptic.P384(), elliptic.P521()
	for _, tt := range []struct {
		name  string
		curve elliptic.Curve
		p1363 string
		want  string
	}{
		{"empty", p256, "", "P1363 signature has 0 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-256 62 bytes", p256, "01*62", "P1363 signature has 62 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-256 63 bytes", p256, "01*63", "P1363 signature has 63 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-256 65 bytes", p256, "01*65", "P1363 signature has 65 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-256 66 bytes", p256, "01*66", "P1363 signature has 66 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-256 for P-384", p384, "01*64", "P1363 signature has 64 bytes, want 96 for P-384 (2 integers of 48)"},
		{"P-384 for P-256", p256, "01*96", "P1363 signature has 96 bytes, want 64 for P-256 (2 integers of 32)"},
		{"P-384 94 bytes", p384, "01*94", "P1363 signature has 94 bytes, want 96 for P-384 (2 integers of 48)"},
		{"P-384 98 bytes", p384, "01*98", "P1363 signature has 98 bytes, want 96 for P-384 (2 integers of 48)"},
		{"P-521 128 bytes", p521, "01*128", "P1363 signature has 128 bytes, want 132 for P-521 (2 integers of 66)"},
		{"P-521 130 bytes", p521, "01*130", "P1363 signature has 130 bytes, want 132 for P-521 (2 integers of 66)"},
		{"P-521 134 bytes", p521, "01*134", "P1363 signature has 134 bytes, want 132 for P-521 (2 integers of 66)"},
		{"secp160r1 40 bytes", secp160r1, "01*40", "P1363 signature has 40 bytes, want 42 for secp160r1 (2 integers of 21)"},
		{"DER instead", p256, "30 46 0221 00 80*32 0221 00 ab*32", "P1363 signature has 72 bytes, want 64 for P-256 (2 integers of 32)"},
		{"all zero", p256, "00*64", "R is zero, want 1 to n-1 for the order n of P-256"},
		{"R zero", p384, "00*48 01*48", "R is zero, want 1 to n-1 for the order n of P-384"},
		{"S zero", p521, "01*66 00*66", "S is zero, want 1 to n-1 for the order n of P-521"},
		{"all ones", p256, "ff*64", "R is not below the order of P-256"},
		{"P-521 522 bits", p521, "01*66 02 00*65", "S is not below the order of P-521"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkRefusal(t, derconv.ToDER, derconv.AppendDER, unhex(tt.p1363), tt.curve, "derconv: "+tt.want)
		})
	}
}

type (
	to       func(sig []byte, curve elliptic.Curve) ([]byte, error)
	appendTo func(dst, sig []byte, curve elliptic.Curve) ([]byte, error)
)

// checkRefusal checks that sig is rejected by both functions, with the error
// want, and that neither writes to sig or to dst.
func checkRefusal(t *testing.T, to to, appendTo appendTo, sig []byte, curve elliptic.Curve, want string) {
	t.Helper()
	before := bytes.Clone(sig)
	if got, err := to(sig, curve); err == nil || err.Error() != want || got != nil {
		t.Errorf("got %x, %v\nwant nil, %s", got, err, want)
	}

	buf := bytes.Repeat([]byte{0x5a}, 300)
	got, err := appendTo(buf[:7], sig, curve)
	if err == nil || err.Error() != want {
		t.Errorf("append: got %v\nwant %s", err, want)
	}
	if len(got) != 7 || cap(got) != 300 || &got[0] != &buf[0] {
		t.Errorf("append: returned another slice than dst")
	}
	if !bytes.Equal(buf, bytes.Repeat([]byte{0x5a}, 300)) {
		t.Errorf("append: wrote to dst: %x", buf)
	}
	if !bytes.Equal(sig, before) {
		t.Errorf("wrote to the input: %x", sig)
	}
}

// TestRange tests R and S at both ends of 1..n-1, in both directions.
func TestRange(t *testing.T) {
	one := big.NewInt(1)
	all := append(curves(), secp160r1,
		custom("order of 65 bits", new(big.Int).Add(new(big.Int).Lsh(one, 64), one)), // one bit in the second word of 64
		custom("order of 528 bits", bigHex(strings.Repeat("ff", 65)+"f1")),           // the width of P-521, with a sign byte
		custom("order of 536 bits", bigHex(strings.Repeat("ff", 66)+"f1")),           // one byte more
		custom("order ending in zeros", new(big.Int).Lsh(one, 255)),
		custom("order 251", big.NewInt(251)),
	)
	for _, c := range all {
		n := c.Params().N
		width := (n.BitLen() + 7) / 8
		minus1, plus1 := new(big.Int).Sub(n, one), new(big.Int).Add(n, one)
		minusTop := new(big.Int).SetBit(new(big.Int).Set(n), n.BitLen()-1, 0) // n without its top bit
		largest := new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*width)), one)
		for _, v := range []struct {
			name string
			x    *big.Int
			want string
		}{
			{"-1", big.NewInt(-1), "is negative"},
			{"0", new(big.Int), "is zero"},
			{"1", one, ""},
			{"n without its top bit", minusTop, ""},
			{"n-1", minus1, ""},
			{"n", n, "is not below the order of " + c.Params().Name},
			{"n+1", plus1, "is not below the order of " + c.Params().Name},
			{"largest of the width", largest, "is not below the order of " + c.Params().Name},
			{"one byte wider", new(big.Int).Lsh(one, uint(8*width)), fmt.Sprintf("has %d bytes, want at most %d for %s", width+1, width, c.Params().Name)},
		} {
			if v.want == "" && v.x.Sign() == 0 {
				continue // n is a power of two, which is 0 without its top bit
			}
			for i, letter := range []string{"R", "S"} {
				t.Run(c.Params().Name+"/"+letter+"="+v.name, func(t *testing.T) {
					if v.name == "largest of the width" && v.x.Cmp(n) < 0 {
						t.Fatal("the width is wrong")
					}
					pair := []*big.Int{one, one}
					pair[i] = v.x

					_, err := derconv.ToP1363(signature(pair[0], pair[1]), c)
					checkRange(t, "ToP1363", err, letter, v.want)

					if v.x.Sign() < 0 || v.x.BitLen() > 8*width {
						return // P1363 cannot hold it
					}
					p1363 := make([]byte, 2*width)
					pair[0].FillBytes(p1363[:width])
					pair[1].FillBytes(p1363[width:])
					der, err := derconv.ToDER(p1363, c)
					checkRange(t, "ToDER", err, letter, v.want)
					if err == nil && !bytes.Equal(der, signature(pair[0], pair[1])) {
						t.Errorf("ToDER(%x) = %x", p1363, der)
					}
				})
			}
		}
	}
}

func checkRange(t *testing.T, name string, err error, letter, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v, want no error", name, err)
	case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "derconv: "+letter+" "+want)):
		t.Errorf("%s: %v, want %s %s", name, err, letter, want)
	}
}

// TestSignatures converts signatures of crypto/ecdsa. It continues until both a
// short R and a short S have occurred, which for most curves takes 256
// signatures on average.
func TestSignatures(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.Params().Name, func(t *testing.T) {
			t.Parallel()
			atLeast := 300
			if c == elliptic.P256() {
				atLeast = 3000
			}
			key := newKey(t, c)
			width := widths[c.Params().Name]
			var shortR, shortS bool
			for i := 0; i < atLeast || !shortR || !shortS; i++ {
				digest := sha256.Sum256(fmt.Append(nil, i))
				der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
				if err != nil {
					t.Fatal(err)
				}
				p1363, err := derconv.ToP1363(der, c)
				if err != nil {
					t.Fatalf("ToP1363(%x): %v", der, err)
				}
				if len(p1363) != 2*width {
					t.Fatalf("ToP1363(%x) has %d bytes, want %d", der, len(p1363), 2*width)
				}
				r, s := p1363[:width], p1363[width:]
				if !ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)) {
					t.Fatalf("ToP1363(%x) = %x does not verify", der, p1363)
				}
				back, err := derconv.ToDER(p1363, c)
				if err != nil || !bytes.Equal(back, der) {
					t.Fatalf("ToDER(%x)\n got %x, %v\nwant %x", p1363, back, err, der)
				}
				shortR = shortR || r[0] == 0
				shortS = shortS || s[0] == 0
			}
		})
	}
}

// TestShortIntegers tests every combination of leading zeros in R and S.
func TestShortIntegers(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.Params().Name, func(t *testing.T) {
			width := widths[c.Params().Name]
			for zerosR := range width {
				for zerosS := range width {
					p1363 := make([]byte, 2*width)
					fillBelow(p1363[:width], c.Params().N, zerosR)
					fillBelow(p1363[width:], c.Params().N, zerosS)
					want := signature(new(big.Int).SetBytes(p1363[:width]), new(big.Int).SetBytes(p1363[width:]))
					der, err := derconv.ToDER(p1363, c)
					if err != nil || !bytes.Equal(der, want) {
						t.Fatalf("ToDER(%x)\n got %x, %v\nwant %x", p1363, der, err, want)
					}
					back, err := derconv.ToP1363(der, c)
					if err != nil || !bytes.Equal(back, p1363) {
						t.Fatalf("ToP1363(%x)\n got %x, %v\nwant %x", der, back, err, p1363)
					}
				}
			}
		})
	}
}

// fillBelow fills buf with a random number in 1..n-1 that has at least the
// given number of leading zero bytes.
func fillBelow(buf []byte, n *big.Int, zeros int) {
	for {
		clear(buf)
		rand.Read(buf[zeros:])
		if x := new(big.Int).SetBytes(buf); x.Sign() > 0 && x.Cmp(n) < 0 {
			return
		}
		buf[zeros] = 0 // because random bytes rarely are below the order of P-521
		rand.Read(buf[zeros+1:])
		if x := new(big.Int).SetBytes(buf); x.Sign() > 0 {
			return
		}
	}
}

// oracle converts with encoding/asn1 and math/big, and adds the checks that
// they lack.
func oracle(der []byte, curve elliptic.Curve) ([]byte, bool) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) != 0 {
		return nil, false
	}
	// Unmarshal accepts trailing bytes inside the SEQUENCE.
	if !bytes.Equal(signature(sig.R, sig.S), der) {
		return nil, false
	}
	n := curve.Params().N
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.Cmp(n) >= 0 || sig.S.Cmp(n) >= 0 {
		return nil, false
	}
	width := (n.BitLen() + 7) / 8
	out := make([]byte, 2*width)
	sig.R.FillBytes(out[:width])
	sig.S.FillBytes(out[width:])
	return out, true
}

// checkAgainstOracle compares ToP1363 with the oracle and reports whether der
// was accepted.
func checkAgainstOracle(tb testing.TB, der []byte, curve elliptic.Curve) bool {
	tb.Helper()
	got, err := derconv.ToP1363(der, curve)
	want, ok := oracle(der, curve)
	if (err == nil) != ok || !bytes.Equal(got, want) {
		tb.Fatalf("ToP1363(%x) on %s\n got %x, %v\nwant %x, %v", der, curve.Params().Name, got, err, want, ok)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "derconv: ") {
		tb.Fatalf("error without prefix: %v", err)
	}
	return ok
}

// TestMutations sets each byte of a signature to each value, truncates the
// signature to each length, and removes and repeats each byte.
func TestMutations(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.Params().Name, func(t *testing.T) {
			n := c.Params().N
			half := new(big.Int).Rsh(n, 1)
			for _, der := range [][]byte{
				signature(half, new(big.Int).Sub(n, big.NewInt(1))),
				signature(new(big.Int).Rsh(n, 9), big.NewInt(1)),
			} {
				for i := range der {
					for v := range 256 {
						m := bytes.Clone(der)
						m[i] = byte(v)
						checkAgainstOracle(t, m, c)
					}
					checkAgainstOracle(t, der[:i], c)
					checkAgainstOracle(t, slices.Delete(bytes.Clone(der), i, i+1), c)
					checkAgainstOracle(t, slices.Insert(bytes.Clone(der), i, der[i]), c)
				}
			}
		})
	}
}

func TestBadCurves(t *testing.T) {
	der, p1363 := unhex("30 06 020101 020101"), unhex("00*31 01 00*31 01")
	for _, tt := range []struct {
		name  string
		curve elliptic.Curve
		want  string
	}{
		{"nil", nil, "curve is nil"},
		{"nil CurveParams", (*elliptic.CurveParams)(nil), "curve is a nil *elliptic.CurveParams"},
		{"nil KoblitzCurve", (*secp256k1.KoblitzCurve)(nil), "curve is a nil *secp256k1.KoblitzCurve"},
		{"nil Params", &secp256k1.KoblitzCurve{}, "curve of type *secp256k1.KoblitzCurve has nil Params"},
		{"zero CurveParams", &elliptic.CurveParams{}, "the order N of the unnamed curve is nil"},
		{"nil N", custom("X", nil), "the order N of X is nil"},
		{"zero N", custom("X", new(big.Int)), "the order N of X is not positive"},
		{"negative N", custom("X", big.NewInt(-7)), "the order N of X is not positive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkRefusal(t, derconv.ToP1363, derconv.AppendP1363, der, tt.curve, "derconv: "+tt.want)
			checkRefusal(t, derconv.ToDER, derconv.AppendDER, p1363, tt.curve, "derconv: "+tt.want)
		})
	}
}

// TestAppend tests dst with and without enough capacity, and every overlap of
// the input with dst.
func TestAppend(t *testing.T) {
	for _, c := range append(curves(), custom("order of 536 bits", bigHex(strings.Repeat("ff", 67)))) {
		n := c.Params().N
		der := signature(new(big.Int).Rsh(n, 9), new(big.Int).Sub(n, big.NewInt(1)))
		p1363, err := derconv.ToP1363(der, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(c.Params().Name+"/P1363", func(t *testing.T) { testAppend(t, derconv.AppendP1363, c, der, p1363) })
		t.Run(c.Params().Name+"/DER", func(t *testing.T) { testAppend(t, derconv.AppendDER, c, p1363, der) })
	}
}

func testAppend(t *testing.T, appendTo appendTo, c elliptic.Curve, in, want []byte) {
	for _, dst := range [][]byte{nil, {}, []byte("prefix"), make([]byte, 3, 4), make([]byte, 0, len(want)), make([]byte, 10, 10+len(want))} {
		got, err := appendTo(dst, in, c)
		if err != nil || !bytes.Equal(got, slices.Concat(dst, want)) {
			t.Errorf("onto %d of %d bytes: got %x, %v\nwant %x", len(dst), cap(dst), got, err, slices.Concat(dst, want))
		}
		if cap(dst)-len(dst) >= len(want) && cap(got) != cap(dst) {
			t.Errorf("onto %d of %d bytes: reallocated", len(dst), cap(dst))
		}
	}

	const size = 600
	for at := range size - len(in) {
		for _, end := range []int{0, 1, 100, 200, 300} {
			buf := bytes.Repeat([]byte{0x5a}, size)
			copy(buf[at:], in)
			expect := bytes.Clone(buf)
			copy(expect[end:], want)
			got, err := appendTo(buf[:end], buf[at:at+len(in)], c)
			if err != nil || !bytes.Equal(got, expect[:end+len(want)]) {
				t.Fatalf("input at %d, dst of %d: got %x, %v\nwant %x", at, end, got, err, expect[:end+len(want)])
			}
			if !bytes.Equal(buf, expect) {
				t.Fatalf("input at %d, dst of %d: wrote beyond the result", at, end)
			}
		}
	}
}

func TestAllocs(t *testing.T) {
	// As wide as P-521, but with a sign byte in both INTEGERs: the longest DER.
	wide := custom("order of 528 bits", bigHex(strings.Repeat("ff", 66)))
	for _, c := range append(curves(), wide) {
		t.Run(c.Params().Name, func(t *testing.T) {
			minus1 := new(big.Int).Sub(c.Params().N, big.NewInt(1))
			der := signature(minus1, minus1)
			p1363, err := derconv.ToP1363(der, c)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]byte, 0, 200)
			if got := testing.AllocsPerRun(100, func() { _, err = derconv.AppendP1363(dst, der, c) }); got != 0 || err != nil {
				t.Errorf("AppendP1363 makes %v allocations, %v, want 0", got, err)
			}
			if got := testing.AllocsPerRun(100, func() { _, err = derconv.AppendDER(dst, p1363, c) }); got != 0 || err != nil {
				t.Errorf("AppendDER makes %v allocations, %v, want 0", got, err)
			}
		})
	}
}

// TestConcurrent runs conversions at once, for the race detector.
func TestConcurrent(t *testing.T) {
	c := k256
	der := signature(new(big.Int).Rsh(c.N, 9), big.NewInt(1))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				p1363, err := derconv.ToP1363(der, c)
				if err != nil {
					t.Error(err)
					return
				}
				if back, err := derconv.ToDER(p1363, c); err != nil || !bytes.Equal(back, der) {
					t.Errorf("ToDER(%x) = %x, %v", p1363, back, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLowS tests S at both ends of its range and around n/2.
func TestLowS(t *testing.T) {
	one := big.NewInt(1)
	for _, c := range append(curves(), secp160r1, custom("order 8", big.NewInt(8)), custom("order 2", big.NewInt(2))) {
		n := c.Params().N
		sub := func(x int64) *big.Int { return new(big.Int).Sub(n, big.NewInt(x)) }
		half := new(big.Int).Rsh(n, 1)
		above := new(big.Int).Add(half, one)
		for _, v := range []struct {
			name    string
			s, want *big.Int
		}{
			{"1", one, one},
			{"n/2", half, half},
			{"n/2+1", above, new(big.Int).Sub(n, above)},
			{"n-1", sub(1), one},
			{"n-128", sub(128), big.NewInt(128)}, // the new S needs a sign byte
		} {
			if v.s.Cmp(n) >= 0 || v.s.Sign() <= 0 || v.want.Sign() == 0 {
				continue // the smallest orders have no such S
			}
			t.Run(c.Params().Name+"/"+v.name, func(t *testing.T) {
				r := sub(1)
				der, want := signature(r, v.s), signature(r, v.want)
				checkLowS(t, der, want, c)
			})
		}
	}
}

// checkLowS checks that the low-S form of der is want, in both encodings, that
// normalizing it again changes nothing, and that the input is neither modified
// nor returned.
func checkLowS(t *testing.T, der, want []byte, c elliptic.Curve) {
	t.Helper()
	p1363, err := derconv.ToP1363(der, c)
	if err != nil {
		t.Fatal(err)
	}
	wantP1363, err := derconv.ToP1363(want, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		lowS     to
		in, want []byte
	}{
		{"LowSDER", derconv.LowSDER, der, want},
		{"LowSP1363", derconv.LowSP1363, p1363, wantP1363},
	} {
		in := bytes.Clone(tt.in)
		got, err := tt.lowS(in, c)
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s(%x)\n got %x, %v\nwant %x", tt.name, in, got, err, tt.want)
			continue
		}
		if again, err := tt.lowS(got, c); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s(%x) = %x, %v: not idempotent", tt.name, got, again, err)
		}
		clear(got)
		if !bytes.Equal(in, tt.in) {
			t.Errorf("%s: the result shares memory with the input, or the input was changed", tt.name)
		}
	}
}

func TestLowSRejects(t *testing.T) {
	k := k256.N.Text(16)
	for _, tt := range []struct {
		name, der, p1363, want string
		curve                  elliptic.Curve
	}{
		{"nil curve", "30 06 020101 020101", "01*64", "derconv: curve is nil", nil},
		{"S zero", "30 06 020101 020100", "01*32 00*32", "derconv: S is zero, want 1 to n-1 for the order n of secp256k1", k256},
		{"S=n", "30 26 020101 022100" + k, "01*32 " + k, "derconv: S is not below the order of secp256k1", k256},
		{"R=n", "30 26 022100" + k + " 020101", k + " 01*32", "derconv: R is not below the order of secp256k1", k256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := derconv.LowSDER(unhex(tt.der), tt.curve); got != nil || err == nil || err.Error() != tt.want {
				t.Errorf("LowSDER: got %x, %v\nwant nil, %s", got, err, tt.want)
			}
			if got, err := derconv.LowSP1363(unhex(tt.p1363), tt.curve); got != nil || err == nil || err.Error() != tt.want {
				t.Errorf("LowSP1363: got %x, %v\nwant nil, %s", got, err, tt.want)
			}
		})
	}
	if _, err := derconv.LowSDER(unhex("30 06 020101 020101 00"), k256); err == nil {
		t.Error("LowSDER took a trailing byte")
	}
	if _, err := derconv.LowSP1363(unhex("01*63"), k256); err == nil {
		t.Error("LowSP1363 took 63 bytes")
	}
}

// TestLowSVerifies continues until five high and five low S have occurred on
// each curve.
func TestLowSVerifies(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.Params().Name, func(t *testing.T) {
			key := newKey(t, c)
			var high, low int
			for i := 0; high < 5 || low < 5; i++ {
				changed := checkLowSVerifies(t, key, fmt.Append(nil, i))
				if changed {
					high++
				} else {
					low++
				}
			}
		})
	}
}

// checkLowSVerifies signs msg, checks that the low-S form verifies, and reports
// whether S was high. For secp256k1 it also asks decred's package, which
// verifies and recognizes a high S.
func checkLowSVerifies(t *testing.T, key *ecdsa.PrivateKey, msg []byte) (high bool) {
	t.Helper()
	digest := sha256.Sum256(msg)
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	got, err := derconv.LowSDER(der, key.Curve)
	if err != nil {
		t.Fatalf("LowSDER(%x): %v", der, err)
	}
	if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], der) {
		t.Fatalf("%x does not verify", der)
	}
	if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], got) {
		t.Fatalf("%x verifies, but its low-S form %x does not", der, got)
	}
	if len(got) > len(der) {
		t.Fatalf("LowSDER(%x) = %x is longer", der, got)
	}
	checkLowS(t, der, got, key.Curve)

	if key.Curve == k256 {
		pub := secp256k1.NewPublicKey(fieldVal(key.X), fieldVal(key.Y))
		sig, err := decred.ParseDERSignature(got)
		if err != nil {
			t.Fatal(err)
		}
		s := sig.S()
		if s.IsOverHalfOrder() || !sig.Verify(digest[:], pub) {
			t.Fatalf("decred: %x has a high S or does not verify", got)
		}
	}
	return !bytes.Equal(got, der)
}

func fieldVal(x *big.Int) *secp256k1.FieldVal {
	var f secp256k1.FieldVal
	f.SetByteSlice(x.Bytes())
	return &f
}
