package kmssigner_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"
	"sync"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// specs are all key specs that sign.
var specs = []types.KeySpec{
	types.KeySpecEccNistP256,
	types.KeySpecEccNistP384,
	types.KeySpecEccNistP521,
	types.KeySpecEccSecgP256k1,
	types.KeySpecEccNistEdwards25519,
	types.KeySpecRsa2048,
	types.KeySpecRsa3072,
	types.KeySpecRsa4096,
	types.KeySpecMlDsa44,
	types.KeySpecMlDsa65,
	types.KeySpecMlDsa87,
}

// optsFor returns the options of a key of the spec that KMS has algorithms for.
func optsFor(spec types.KeySpec) []crypto.SignerOpts {
	switch spec {
	case types.KeySpecEccNistP256, types.KeySpecEccSecgP256k1:
		return []crypto.SignerOpts{crypto.SHA256}
	case types.KeySpecEccNistP384:
		return []crypto.SignerOpts{crypto.SHA384}
	case types.KeySpecEccNistP521:
		return []crypto.SignerOpts{crypto.SHA512}
	case types.KeySpecEccNistEdwards25519:
		return []crypto.SignerOpts{crypto.Hash(0), &ed25519.Options{}}
	case types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87:
		return []crypto.SignerOpts{crypto.Hash(0), &mldsa.Options{}, &mldsa.Options{Context: "context"},
			&mldsa.Options{Context: strings.Repeat("c", 255)}}
	}
	var all []crypto.SignerOpts
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		all = append(all, h,
			&rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash},
			&rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthAuto},
			&rsa.PSSOptions{Hash: h, SaltLength: h.Size()})
	}
	return all
}

// eachBackend runs a test with the fake as a Go value, and with the SDK's
// client and the fake behind HTTP.
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

// verify verifies a signature over msg, the PSS salt included. It uses the
// standard library as far as that has the algorithm.
func verify(pub crypto.PublicKey, msg, sig []byte, opts crypto.SignerOpts) error {
	digest := digestOf(opts, msg)
	valid := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		// For secp256k1 this is the generic code of crypto/elliptic. kmssigner
		// verifies with decred's.
		valid = ecdsa.VerifyASN1(pub, digest, sig)
	case *rsa.PublicKey:
		if _, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(pub, opts.HashFunc(), digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.VerifyPKCS1v15(pub, opts.HashFunc(), digest, sig)
	case ed25519.PublicKey:
		valid = ed25519.Verify(pub, msg, sig)
	case *mldsa.PublicKey:
		o, _ := opts.(*mldsa.Options)
		return mldsa.Verify(pub, msg, sig, o)
	}
	if !valid {
		return fmt.Errorf("%T: signature %x does not verify", pub, sig)
	}
	return nil
}

// digestOf returns what Sign is given for msg: its hash, or msg itself if opts
// name no hash.
func digestOf(opts crypto.SignerOpts, msg []byte) []byte {
	if opts.HashFunc() == 0 {
		return msg
	}
	h := opts.HashFunc().New()
	h.Write(msg)
	return h.Sum(nil)
}

// A spy is a Client that keeps the requests and may change the answers.
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
