package jwtkms_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/kmssign/kmssign/jwtkms"
)

// RFC 7518 section 3.5 allows only a salt as long as the hash. golang-jwt's
// methods accept all lengths.
func TestVerifyRefusesOtherSalts(t *testing.T) {
	key, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const signed = "header.payload"
	digest := crypto.SHA256.New()
	digest.Write([]byte(signed))
	for _, salt := range []int{20, 31, 32, 33, rsa.PSSSaltLengthAuto} {
		sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest.Sum(nil), &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		err = jwtkms.PS256.Verify(signed, sig, key.Public())
		if (err == nil) != (salt == 32) {
			t.Errorf("salt %d: Verify = %v", salt, err)
		}
	}
}
