package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestEd25519(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(ed)
		out := f.publicKey(id)
		if want := []types.SigningAlgorithmSpec{edPH, ed512}; !reflect.DeepEqual(out.SigningAlgorithms, want) || len(out.PublicKey) != 44 {
			t.Errorf("GetPublicKey = %+v", out)
		}
		parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		public := parsed.(ed25519.PublicKey)
		msg := make([]byte, 4096)
		rand.Read(msg)
		sig := f.mustSign(signInput(id, msg, ed512))
		if !ed25519.Verify(public, msg, sig) {
			t.Error("crypto/ed25519 rejects a signature")
		}
		if again := f.mustSign(signInput(id, msg, ed512)); !bytes.Equal(sig, again) {
			t.Error("two signatures of one message differ")
		}

		// KMS hashes the digest again, so the digest is the message of
		// Ed25519ph and not its pre-hash.
		once := sha512.Sum512(msg)
		twice := sha512.Sum512(once[:])
		sigPH := f.mustSign(&kms.SignInput{KeyId: &id, Message: once[:], MessageType: predig, SigningAlgorithm: edPH})
		opts := &ed25519.Options{Hash: crypto.SHA512}
		if err := ed25519.VerifyWithOptions(public, twice[:], sigPH, opts); err != nil {
			t.Errorf("the hash of the digest is not the pre-hash of Ed25519ph: %v", err)
		}
		if ed25519.VerifyWithOptions(public, once[:], sigPH, opts) == nil {
			t.Error("the digest is the pre-hash of Ed25519ph")
		}

		for _, in := range []*kms.VerifyInput{
			{Message: msg, Signature: sig, SigningAlgorithm: ed512},
			{Message: once[:], MessageType: predig, Signature: sigPH, SigningAlgorithm: edPH},
		} {
			in.KeyId = &id
			if out, err := f.Verify(t.Context(), in); err != nil || !out.SignatureValid {
				t.Errorf("Verify %s: %v", in.SigningAlgorithm, err)
			}
			in.Signature = bytes.Clone(in.Signature)
			in.Signature[3] ^= 1
			_, err := f.Verify(t.Context(), in)
			check(t, err, "Verify", "KMSInvalidSignatureException", "")
		}
	})
}
