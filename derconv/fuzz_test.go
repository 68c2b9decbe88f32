package derconv_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"testing"

	"github.com/kmssign/kmssign/derconv"
)

// fuzzCurves are the real curves and some whose order is shorter or longer.
var fuzzCurves = append(curves(),
	secp160r1,
	custom("order 251", big.NewInt(251)),
	custom("order of 1025 bits", new(big.Int).SetBit(big.NewInt(1), 1024, 1)),
)

func fuzzCurve(i uint8) elliptic.Curve { return fuzzCurves[int(i)%len(fuzzCurves)] }

// fuzzSeeds yields, for each curve, signatures with the shortest, short and the
// longest integers, and some that are out of range.
func fuzzSeeds(yield func(der []byte, curve uint8)) {
	one := big.NewInt(1)
	for i, c := range fuzzCurves {
		n := c.Params().N
		minus1 := new(big.Int).Sub(n, one)
		for _, der := range [][]byte{
			signature(one, one),
			signature(minus1, new(big.Int).Rsh(minus1, 1)),
			signature(new(big.Int).Add(new(big.Int).Rsh(n, 9), one), minus1),
			signature(n, new(big.Int)),
			signature(big.NewInt(-1), new(big.Int).Lsh(n, 8)),
		} {
			yield(der, uint8(i))
		}
	}
}

// FuzzFromDER checks that ToP1363 agrees with the oracle on every input, and
// that ToDER returns the input if it was accepted.
func FuzzFromDER(f *testing.F) {
	fuzzSeeds(func(der []byte, curve uint8) {
		f.Add(der, curve)
		f.Add(append(bytes.Clone(der), 0), curve)
		f.Add(append([]byte{0x30, 0x80}, der[2:]...), curve)
		f.Add(der[:len(der)-1], curve)
	})
	f.Fuzz(func(t *testing.T, der []byte, i uint8) {
		curve := fuzzCurve(i)
		if !checkAgainstOracle(t, der, curve) {
			return
		}
		p1363, err := derconv.ToP1363(der, curve)
		if err != nil {
			t.Fatal(err)
		}
		back, err := derconv.ToDER(p1363, curve)
		if err != nil || !bytes.Equal(back, der) {
			t.Fatalf("ToDER(%x) on %s\n got %x, %v\nwant %x", p1363, curve.Params().Name, back, err, der)
		}
	})
}

// FuzzFromP1363 checks the same in the other direction.
func FuzzFromP1363(f *testing.F) {
	fuzzSeeds(func(der []byte, curve uint8) {
		if p1363, err := derconv.ToP1363(der, fuzzCurve(curve)); err == nil {
			f.Add(p1363, curve)
			f.Add(p1363[1:], curve)
		}
		width := (fuzzCurve(curve).Params().N.BitLen() + 7) / 8
		f.Add(make([]byte, 2*width), curve)
		f.Add(bytes.Repeat([]byte{0xff}, 2*width), curve)
	})
	f.Fuzz(func(t *testing.T, p1363 []byte, i uint8) {
		curve := fuzzCurve(i)
		n := curve.Params().N
		width := (n.BitLen() + 7) / 8

		var want []byte
		if len(p1363) == 2*width {
			r, s := new(big.Int).SetBytes(p1363[:width]), new(big.Int).SetBytes(p1363[width:])
			if r.Sign() > 0 && r.Cmp(n) < 0 && s.Sign() > 0 && s.Cmp(n) < 0 {
				want = signature(r, s)
			}
		}
		der, err := derconv.ToDER(p1363, curve)
		if (err == nil) != (want != nil) || !bytes.Equal(der, want) {
			t.Fatalf("ToDER(%x) on %s\n got %x, %v\nwant %x", p1363, curve.Params().Name, der, err, want)
		}
		if err != nil {
			return
		}
		back, err := derconv.ToP1363(der, curve)
		if err != nil || !bytes.Equal(back, p1363) {
			t.Fatalf("ToP1363(%x) on %s\n got %x, %v\nwant %x", der, curve.Params().Name, back, err, p1363)
		}
	})
}

// FuzzLowS checks for any R and S that the low-S form has the same R and the
// smaller of S and n-S, in both encodings.
func FuzzLowS(f *testing.F) {
	fuzzSeeds(func(der []byte, curve uint8) {
		if p1363, err := derconv.ToP1363(der, fuzzCurve(curve)); err == nil {
			f.Add(p1363, curve)
		}
	})
	f.Fuzz(func(t *testing.T, p1363 []byte, i uint8) {
		curve := fuzzCurve(i)
		n := curve.Params().N
		got, err := derconv.LowSP1363(p1363, curve)
		der, errDER := derconv.ToDER(p1363, curve)
		if (err == nil) != (errDER == nil) {
			t.Fatalf("LowSP1363(%x): %v, ToDER: %v", p1363, err, errDER)
		}
		if err != nil {
			return
		}
		width := len(p1363) / 2
		s := new(big.Int).SetBytes(p1363[width:])
		if negated := new(big.Int).Sub(n, s); negated.Cmp(s) < 0 {
			s = negated
		}
		want := signature(new(big.Int).SetBytes(p1363[:width]), s)
		if back, err := derconv.ToDER(got, curve); err != nil || !bytes.Equal(back, want) {
			t.Fatalf("LowSP1363(%x) on %s = %x", p1363, curve.Params().Name, got)
		}
		checkLowS(t, der, want, curve)
	})
}

// FuzzLowSVerifies checks for any message that the low-S form of a signature
// verifies.
func FuzzLowSVerifies(f *testing.F) {
	var keys []*ecdsa.PrivateKey
	for i, c := range curves() {
		keys = append(keys, newKey(f, c))
		f.Add([]byte("message"), uint8(i))
	}
	f.Fuzz(func(t *testing.T, msg []byte, i uint8) {
		checkLowSVerifies(t, keys[int(i)%len(keys)], msg)
	})
}
