package derconv_test

import (
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"testing"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/internal/turns"
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

// BenchmarkConversions lets the functions of the package and the usual
// conversions take turns. The table has how many times as fast as the usual
// conversion each function is.
//
//	go test -run '^$' -bench Conversions -benchtime 1s ./derconv
func BenchmarkConversions(b *testing.B) {
	table := turns.NewTable("curve", "`AppendP1363`", "`ToP1363`", "`AppendDER`", "`ToDER`", "microseconds")
	var allocations []any
	for _, c := range curves() {
		b.Run(c.Params().Name, func(b *testing.B) {
			der := benchSignature(c)
			p1363, err := derconv.ToP1363(der, c)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 256)
			variants := []turns.Variant{
				{Name: "AppendP1363", Run: func() error { _, err := derconv.AppendP1363(dst, der, c); return err }},
				{Name: "ToP1363", Run: func() error { _, err := derconv.ToP1363(der, c); return err }},
				{Name: "usual P1363", Run: func() error { _, err := usualP1363(der, c); return err }},
				{Name: "AppendDER", Run: func() error { _, err := derconv.AppendDER(dst, p1363, c); return err }},
				{Name: "ToDER", Run: func() error { _, err := derconv.ToDER(p1363, c); return err }},
				{Name: "usual DER", Run: func() error { _, err := usualDER(p1363, c); return err }},
			}
			allocations = nil
			for _, v := range variants {
				allocations = append(allocations, turns.Allocations(v.Run))
			}
			times := turns.Measure(b, 100, variants...)
			table.Row(c.Params().Name,
				times.Ratio("usual P1363", "AppendP1363"), times.Ratio("usual P1363", "ToP1363"),
				times.Ratio("usual DER", "AppendDER"), times.Ratio("usual DER", "ToDER"),
				fmt.Sprintf("%.2f to %.2f", times.Microseconds("AppendP1363").Median, times.Microseconds("ToDER").Median))
		})
	}
	if allocations != nil {
		and := func(i, usual int) string { return fmt.Sprintf("%v and %v", allocations[i], allocations[usual]) }
		table.Row("allocations, derconv and usual", and(0, 2), and(1, 2), and(3, 5), and(4, 5), "")
	}
	table.Write(os.Stdout)
}
