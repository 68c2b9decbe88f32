package jwtkms_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/golang-jwt/jwt/v5"

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

// Verify refuses signatures of the wrong length without computing with the key,
// and keys that are too long. crypto/rsa computes with the key first, which
// takes very long if the key has 524,288 bits.
func TestVerifyBoundsRSA(t *testing.T) {
	ones := func(bits uint) *big.Int { // odd, as a modulus must be
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		return n.Sub(n, big.NewInt(1))
	}
	even := new(big.Int).Lsh(big.NewInt(1), 2047)
	for _, method := range []*jwtkms.SigningMethod{jwtkms.RS256, jwtkms.RS384, jwtkms.RS512, jwtkms.PS256, jwtkms.PS384, jwtkms.PS512} {
		for _, tt := range []struct {
			reason  string
			modulus *big.Int
			size    int // of the signature
			want    error
		}{
			{"too long", ones(524288), 64, jwt.ErrInvalidKeyType},
			{"too long, with a signature of its length", ones(524288), 65536, jwt.ErrInvalidKeyType},
			{"too long by one bit", ones(16385), 2049, jwt.ErrInvalidKeyType},
			{"the longest", ones(16384), 2048, rsa.ErrVerification},
			{"the shortest", ones(2048), 256, rsa.ErrVerification},
			{"too short by one bit", ones(2047), 256, jwt.ErrInvalidKeyType},
			// crypto/rsa has another error for an even modulus, so
			// ErrVerification shows that it was not asked.
			{"a signature short by one", even, 255, rsa.ErrVerification},
			{"a signature long by one", even, 257, rsa.ErrVerification},
			{"an empty signature", even, 0, rsa.ErrVerification},
		} {
			pub := &rsa.PublicKey{N: tt.modulus, E: 65537}
			if err := method.Verify("signing string", make([]byte, tt.size), pub); !errors.Is(err, tt.want) {
				t.Errorf("%s: %s: %v, want %v", method.Alg(), tt.reason, err, tt.want)
			}
			if _, err := jwtkms.MethodFor(pub); (err == nil) != (tt.want == rsa.ErrVerification) {
				t.Errorf("%s: MethodFor: %v", tt.reason, err)
			}
		}
		if err := method.Verify("signing string", make([]byte, 256), &rsa.PublicKey{N: even, E: 65537}); errors.Is(err, rsa.ErrVerification) || err == nil {
			t.Errorf("crypto/rsa has changed: %v for an even modulus", err)
		}
	}
}
