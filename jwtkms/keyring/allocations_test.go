//go:build !race

// The race detector makes allocations of its own.

package keyring_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// canned is a KMS whose Sign always answers the same, at no cost.
type canned struct {
	*kmstest.KMS
	answer kms.SignOutput
}

func (c *canned) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	c.answer.KeyId, c.answer.SigningAlgorithm = in.KeyId, in.SigningAlgorithm
	return &c.answer, nil
}

// A token of a Ring costs as many allocations beside that of its Signer as in
// the first version of this package: those of reading exp, and of the header's
// map.
func TestSignAllocations(t *testing.T) {
	client := &canned{KMS: kmstest.New()}
	client.answer.Signature = make([]byte, 64)
	key := client.AddKey(types.KeySpecEccNistEdwards25519)
	createAlias(t, client.KMS, "alias/jwt", key)
	skip := func(o *kmssigner.Options) { o.SkipVerification = true }
	r, err := keyring.New(t.Context(), client, "alias/jwt", func(o *keyring.Options) {
		o.SignerOptions = append(o.SignerOptions, skip)
	})
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Minute).Unix()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // the Signer need not make a deadline
	defer cancel()
	signer, err := kmssigner.New(t.Context(), client, key, skip)
	if err != nil {
		t.Fatal(err)
	}
	alone := testing.AllocsPerRun(1000, func() {
		token := jwt.NewWithClaims(jwtkms.EdDSA, claims)
		token.Header["kid"] = "kid"
		if _, err := token.SignedString(signer.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
	})
	ring := testing.AllocsPerRun(1000, func() {
		if _, err := r.Sign(ctx, claims); err != nil {
			t.Fatal(err)
		}
	})
	const first = 22
	if ring-alone > first {
		t.Errorf("a token makes %v allocations beside the Signer's %v, want at most the %v of the first version", ring-alone, alone, first)
	}
}
