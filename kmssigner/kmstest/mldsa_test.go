package kmstest

import (
	"bytes"
	"crypto/sha3"
	"encoding/binary"
	"reflect"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestMLDSA(t *testing.T) {
	for _, tt := range []struct {
		spec             types.KeySpec
		params           mldsa.Parameters
		spki, publicSize int
	}{
		{mldsa44, mldsa.MLDSA44(), 1334, 1312},
		{types.KeySpecMlDsa65, mldsa.MLDSA65(), 1974, 1952},
		{types.KeySpecMlDsa87, mldsa.MLDSA87(), 2614, 2592},
	} {
		t.Run(string(tt.spec), func(t *testing.T) {
			onBoth(t, func(t *testing.T, f fake) {
				id, other := f.kms.AddKey(tt.spec), f.kms.AddKey(tt.spec)
				out := f.publicKey(id)
				if want := []types.SigningAlgorithmSpec{shake}; !reflect.DeepEqual(out.SigningAlgorithms, want) || len(out.PublicKey) != tt.spki {
					t.Errorf("GetPublicKey = %s, %d bytes", out.SigningAlgorithms, len(out.PublicKey))
				}
				parsed, err := mldsax509.ParsePKIXPublicKey(out.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				public := parsed.(*mldsa.PublicKey)
				if public.Parameters() != tt.params {
					t.Errorf("parameters %s", public.Parameters())
				}
				msg := []byte("message")
				h := sha3.NewSHAKE256()
				h.Write(sha3.SumSHAKE256(out.PublicKey[tt.spki-tt.publicSize:], 64))
				h.Write([]byte{0, 0})
				h.Write(msg)
				rep := make([]byte, 64)
				h.Read(rep)

				ofMsg := f.mustSign(signInput(id, msg, shake))
				ofMu := f.mustSign(&kms.SignInput{KeyId: &id, Message: rep, MessageType: mu, SigningAlgorithm: shake})
				if bytes.Equal(ofMsg, ofMu) || bytes.Equal(ofMsg, f.mustSign(signInput(id, msg, shake))) {
					t.Error("signatures are deterministic")
				}
				verify := func(id string, t0 types.MessageType, msg, sig []byte) error {
					_, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: msg, MessageType: t0, Signature: sig, SigningAlgorithm: shake})
					return err
				}
				for _, sig := range [][]byte{ofMsg, ofMu} {
					if err := mldsa.Verify(public, msg, sig, nil); err != nil {
						t.Error(err)
					}
					// A signature of either message type verifies with both.
					for t0, msg := range map[types.MessageType][]byte{"": msg, raw: msg, mu: rep} {
						if err := verify(id, t0, msg, sig); err != nil {
							t.Errorf("Verify %q: %v", t0, err)
						}
						check(t, verify(other, t0, msg, sig), "Verify", "KMSInvalidSignatureException", "")
						wrong := bytes.Clone(msg)
						wrong[0] ^= 1
						check(t, verify(id, t0, wrong, sig), "Verify", "KMSInvalidSignatureException", "")
						wrong = bytes.Clone(sig)
						wrong[9] ^= 1
						check(t, verify(id, t0, msg, wrong), "Verify", "KMSInvalidSignatureException", "")
						check(t, verify(id, t0, msg, append(wrong, 0)[1:]), "Verify", "KMSInvalidSignatureException", "")
					}
				}
			})
		})
	}
}

// TestMuBound checks that the memory of signatures is bounded, and keeps the
// latest.
func TestMuBound(t *testing.T) {
	private, err := mldsa.GenerateKey(mldsa.MLDSA44())
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMLDSA(private)
	if err != nil {
		t.Fatal(err)
	}
	k := m.(*mldsaKey)
	number := func(i int) (f [32]byte) { binary.BigEndian.PutUint64(f[:], uint64(i)); return f }
	const n = 2*maxMade + maxMade/2
	for i := range n {
		k.remember(number(i))
	}
	if len(k.made) != maxMade || len(k.order) != maxMade {
		t.Fatalf("%d, %d", len(k.made), len(k.order))
	}
	for i := range n {
		if k.made[number(i)] != (i >= n-maxMade) {
			t.Fatalf("signature %d of %d: %v", i, n, k.made[number(i)])
		}
	}
}
