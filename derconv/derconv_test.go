package derconv_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	"github.com/kmssign/kmssign/derconv"
)

func curves() []elliptic.Curve {
	return []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521(), secp256k1.S256()}
}

func signature(tb testing.TB, c elliptic.Curve) []byte {
	tb.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	digest := sha256.Sum256([]byte("derconv"))
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func TestRoundTrip(t *testing.T) {
	for _, c := range curves() {
		t.Run(c.Params().Name, func(t *testing.T) {
			der := signature(t, c)
			p1363, err := derconv.ToP1363(der, c)
			if err != nil {
				t.Fatal(err)
			}
			back, err := derconv.ToDER(p1363, c)
			if err != nil {
				t.Fatal(err)
			}
			if string(back) != string(der) {
				t.Errorf("ToDER(ToP1363(%x)) = %x", der, back)
			}
		})
	}
}
