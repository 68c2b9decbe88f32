package kmstest

import (
	"crypto/mlkem"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestPublicOnly checks that public keys that the fake cannot use are
// well-formed.
func TestPublicOnly(t *testing.T) {
	k := New(inChina)
	f := fake{k, k, t}
	for spec, parse := range map[types.KeySpec]func([]byte) error{
		types.KeySpecMlKem512: func(b []byte) error { return nil }, // no parser at hand
		types.KeySpecMlKem768: func(b []byte) error { _, err := mlkem.NewEncapsulationKey768(b); return err },
		types.KeySpecMlKem1024: func(b []byte) error {
			_, err := mlkem.NewEncapsulationKey1024(b)
			return err
		},
	} {
		spki := f.publicKey(k.AddKey(spec)).PublicKey
		size := map[types.KeySpec]int{types.KeySpecMlKem512: 800, types.KeySpecMlKem768: 1184, types.KeySpecMlKem1024: 1568}[spec]
		if len(spki) != size+22 {
			t.Errorf("%s: SPKI of %d bytes", spec, len(spki))
		}
		if err := parse(spki[22:]); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	// An SM2 key is encoded as in RFC 5480, with the curve 1.2.156.10197.1.301.
	const prefix = "3059301306072a8648ce3d020106082a811ccf5501822d034200"
	if got := hex.EncodeToString(f.publicKey(k.AddKey(types.KeySpecSm2)).PublicKey); len(got) != 2*91 || !strings.HasPrefix(got, prefix+"04") {
		t.Errorf("SM2: SPKI %s", got)
	}
	_, err := New().CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: signVerify})
	check(t, err, "CreateKey", "UnsupportedOperationException", "KeySpec SM2 is not supported in this Region")
}
