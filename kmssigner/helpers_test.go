package kmssigner_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// specs are the key specs that sign with a hash.
var specs = []types.KeySpec{
	types.KeySpecEccNistP256,
	types.KeySpecEccNistP384,
	types.KeySpecEccNistP521,
	types.KeySpecRsa2048,
	types.KeySpecRsa3072,
	types.KeySpecRsa4096,
}

// hashOf is the hash that a key of the spec signs with, or one of them.
func hashOf(spec types.KeySpec) crypto.Hash {
	switch spec {
	case types.KeySpecEccNistP384:
		return crypto.SHA384
	case types.KeySpecEccNistP521:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// eachBackend runs a test on the fake as a Go value, and on the fake behind
// HTTP with the SDK's client in front.
func eachBackend(t *testing.T, test func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client)) {
	t.Run("memory", func(t *testing.T) {
		fake := kmstest.New()
		test(t, fake, fake)
	})
	t.Run("wire", func(t *testing.T) {
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		t.Cleanup(server.Close)
		test(t, fake, server.Client())
	})
}

func newSigner(t *testing.T, client kmssigner.Client, keyID string, optFns ...func(*kmssigner.Options)) *kmssigner.Signer {
	t.Helper()
	signer, err := kmssigner.New(t.Context(), client, keyID, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// verify checks a signature with the standard library, the PSS salt included.
func verify(pub crypto.PublicKey, digest, sig []byte, opts crypto.SignerOpts) error {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(pub, digest, sig) {
			return fmt.Errorf("ecdsa.VerifyASN1 refuses %x", sig)
		}
		return nil
	case *rsa.PublicKey:
		if _, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(pub, opts.HashFunc(), digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(pub, opts.HashFunc(), digest, sig)
	}
	return fmt.Errorf("unexpected public key %T", pub)
}

func digestOf(h crypto.Hash, msg []byte) []byte {
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
}

// spy is a Client that keeps what it is asked and may change what is answered.
type spy struct {
	kmssigner.Client
	editSign func(*kms.SignOutput) (*kms.SignOutput, error)
	editGet  func(*kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error)

	mu      sync.Mutex
	signs   []*kms.SignInput
	gets    []*kms.GetPublicKeyInput
	lastCtx context.Context
	optFns  int // how many came with the last call
}

func (s *spy) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	s.mu.Lock()
	s.signs = append(s.signs, in)
	s.lastCtx, s.optFns = ctx, len(optFns)
	s.mu.Unlock()
	out, err := s.Client.Sign(ctx, in, optFns...)
	if err != nil || s.editSign == nil {
		return out, err
	}
	return s.editSign(out)
}

func (s *spy) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	s.mu.Lock()
	s.gets = append(s.gets, in)
	s.lastCtx, s.optFns = ctx, len(optFns)
	s.mu.Unlock()
	out, err := s.Client.GetPublicKey(ctx, in, optFns...)
	if err != nil || s.editGet == nil {
		return out, err
	}
	return s.editGet(out)
}

func createAlias(t *testing.T, fake *kmstest.KMS, alias, keyID string) {
	t.Helper()
	_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(alias), TargetKeyId: aws.String(keyID)})
	if err != nil {
		t.Fatal(err)
	}
}

func updateAlias(t *testing.T, fake *kmstest.KMS, alias, keyID string) {
	t.Helper()
	_, err := fake.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String(alias), TargetKeyId: aws.String(keyID)})
	if err != nil {
		t.Fatal(err)
	}
}
