package derconv_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/kmssign/kmssign/derconv"
)

// The benchmarks compare the package with the usual conversion by encoding/asn1
// and math/big. As in most code, the usual conversion does not check the range.

type bigSignature struct{ R, S *big.Int }

func usualP1363(der []byte, curve elliptic.Curve) ([]byte, error) {
	var sig bigSignature
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, errors.New("trailing bytes")
	}
	width := (curve.Params().BitSize + 7) / 8
	out := make([]byte, 2*width)
	sig.R.FillBytes(out[:width])
	sig.S.FillBytes(out[width:])
	return out, nil
}

func usualDER(p1363 []byte, curve elliptic.Curve) ([]byte, error) {
	width := (curve.Params().BitSize + 7) / 8
	if len(p1363) != 2*width {
		return nil, errors.New("wrong length")
	}
	return asn1.Marshal(bigSignature{
		R: new(big.Int).SetBytes(p1363[:width]),
		S: new(big.Int).SetBytes(p1363[width:]),
	})
}

// benchSignature returns a signature of average length: either R or S has its
// top bit set.
func benchSignature(c elliptic.Curve) []byte {
	n := c.Params().N
	third := new(big.Int).Div(n, big.NewInt(3))
	return signature(third, new(big.Int).Sub(n, third))
}

func BenchmarkToP1363(b *testing.B) {
	for _, c := range curves() {
		der := benchSignature(c)
		dst := make([]byte, 0, 256)
		b.Run(c.Params().Name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := derconv.AppendP1363(dst, der, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.Params().Name+"/to", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := derconv.ToP1363(der, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.Params().Name+"/usual", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := usualP1363(der, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkToDER(b *testing.B) {
	for _, c := range curves() {
		p1363, err := derconv.ToP1363(benchSignature(c), c)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, 0, 256)
		b.Run(c.Params().Name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := derconv.AppendDER(dst, p1363, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.Params().Name+"/to", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := derconv.ToDER(p1363, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.Params().Name+"/usual", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := usualDER(p1363, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
