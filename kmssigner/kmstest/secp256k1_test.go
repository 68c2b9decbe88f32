package kmstest

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	internal "github.com/kmssign/kmssign/internal/secp256k1"
)

// derOf encodes an ECDSA signature. Negative numbers are allowed.
func derOf(r, s *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(r)
		b.AddASN1BigInt(s)
	})
	return b.BytesOrPanic()
}

// TestSecp256k1Verify compares the verification of the fake with that of the
// library, in cases that ECDSA verifiers get wrong.
func TestSecp256k1Verify(t *testing.T) {
	m, err := generateSecp256k1()
	if err != nil {
		t.Fatal(err)
	}
	key := m.(secp256k1Key)
	public := key.private.PubKey().ToECDSA()
	n := secp256k1.Params().N
	msg := []byte("message")
	sum := sha256.Sum256(msg)

	sig, err := key.sign(newInput(es256, raw, msg))
	if err != nil {
		t.Fatal(err)
	}
	rBytes, sBytes, _, _ := parseECDSA(sig)
	r, s := new(big.Int).SetBytes(rBytes), new(big.Int).SetBytes(sBytes)
	zero, one := new(big.Int), big.NewInt(1)
	add := func(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }
	neg := func(x *big.Int) *big.Int { return new(big.Int).Sub(n, x) }

	// With the nonce 1, whose r is the x-coordinate of G, the digest 1 - r*d
	// gives s = 1. The sum of this s and n has 32 bytes.
	rG := secp256k1.Params().Gx
	d := new(big.Int).SetBytes(key.private.Serialize())
	small := new(big.Int).Mul(rG, d)
	small.Sub(one, small).Mod(small, n)
	forOne := small.FillBytes(make([]byte, 32))

	// With this digest, e/s*G + r/s*Q is the point at infinity for every s.
	e := new(big.Int).Mul(r, d)
	infinite := neg(e.Mod(e, n)).FillBytes(make([]byte, 32))

	for _, tt := range []struct {
		reason string
		digest []byte
		sig    []byte
		valid  bool
	}{
		{"as it was made", sum[:], sig, true},
		{"the other s", sum[:], derOf(r, neg(s)), true},
		{"another r", sum[:], derOf(add(r, one), s), false},
		{"another s", sum[:], derOf(r, add(s, one)), false},
		{"r and s swapped", sum[:], derOf(s, r), false},
		{"r is 0", sum[:], derOf(zero, s), false},
		{"s is 0", sum[:], derOf(r, zero), false},
		{"r is n", sum[:], derOf(n, s), false},
		{"s is n", sum[:], derOf(r, n), false},
		{"r is too large by n", sum[:], derOf(add(r, n), s), false},
		{"s is too large by n", sum[:], derOf(r, add(s, n)), false},
		{"s is 1", forOne, derOf(rG, one), true},
		{"s is 1 and too large by n", forOne, derOf(rG, add(one, n)), false},
		{"s is n-1", forOne, derOf(rG, neg(one)), true},
		{"s is n-1 and has a byte behind it", forOne, derOf(rG, new(big.Int).Lsh(neg(one), 8)), false},
		{"r is negative", sum[:], derOf(new(big.Int).Neg(r), s), false},
		{"s is negative", sum[:], derOf(r, new(big.Int).Sub(s, n)), false},
		{"s has more than 32 bytes", sum[:], derOf(r, new(big.Int).Lsh(one, 300)), false},
		{"the point at infinity", infinite, derOf(r, s), false},
		{"another digest", infinite, sig, false},
		{"a byte behind it", sum[:], append(slices.Clone(sig), 0), false},
		{"a long form of the length", sum[:], slices.Concat([]byte{0x30, 0x81, sig[1]}, sig[2:]), false},
		{"nothing", sum[:], nil, false},
	} {
		if got := key.verify(newInput(es256, predig, tt.digest), tt.sig); got != tt.valid {
			t.Errorf("%s: the fake says %t", tt.reason, got)
		}
		if got := internal.VerifyASN1(public, tt.digest, tt.sig); got != tt.valid {
			t.Errorf("%s: the library says %t", tt.reason, got)
		}
	}
}

func TestSecp256k1(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(secp)
		out := f.publicKey(id)
		// The key is encoded as in RFC 5480, with the curve 1.3.132.0.10.
		const prefix = "3056301006072a8648ce3d020106052b8104000a034200"
		if got := hex.EncodeToString(out.PublicKey); len(out.PublicKey) != 88 || !strings.HasPrefix(got, prefix+"04") {
			t.Fatalf("SPKI %s", got)
		}
		public, err := secp256k1.ParsePubKey(out.PublicKey[len(prefix)/2:])
		if err != nil {
			t.Fatal(err)
		}
		msg := []byte("message")
		digest := crypto.SHA256.New()
		digest.Write(msg)
		sum := digest.Sum(nil)
		high, seen := 0, map[string]bool{}
		for i := range 64 {
			in := signInput(id, msg, es256)
			if i%2 == 1 {
				in.Message, in.MessageType = sum, predig
			}
			der := f.mustSign(in)
			sig, err := secpecdsa.ParseDERSignature(der)
			if err != nil || !sig.Verify(sum, public) || seen[string(der)] {
				t.Fatalf("signature %x: %v", der, err)
			}
			seen[string(der)] = true
			if s := sig.S(); s.IsOverHalfOrder() {
				high++
			}
			if _, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: msg, Signature: der, SigningAlgorithm: es256}); err != nil {
				t.Error(err)
			}
		}
		if high == 0 || high == 64 {
			t.Errorf("%d of 64 signatures have a high s", high)
		}
	})
}
