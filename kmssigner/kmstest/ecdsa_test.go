package kmstest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestHighS checks that some signatures have an s in the upper half of its
// range, as in KMS.
func TestHighS(t *testing.T) {
	k := New()
	f := fake{k, k, t}
	for _, spec := range []types.KeySpec{p256, p384, p521} {
		id := k.AddKey(spec)
		public, err := x509.ParsePKIXPublicKey(f.publicKey(id).PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		half := new(big.Int).Rsh(public.(*ecdsa.PublicKey).Params().N, 1)
		high := 0
		for range 64 {
			var sig struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(f.mustSign(signInput(id, []byte("m"), specs[spec].signing[0])), &sig); err != nil {
				t.Fatal(err)
			}
			if sig.S.Cmp(half) > 0 {
				high++
			}
		}
		if high == 0 || high == 64 { // either is a matter of 1 in 2^63
			t.Errorf("%s: %d of 64 signatures have a high s", spec, high)
		}
	}
}
