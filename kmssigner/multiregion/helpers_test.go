package multiregion_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

const (
	regionA, regionB = "us-east-1", "eu-west-1"
	alias            = "alias/tokens"
)

// A world is a multi-Region key in two Regions of one account.
type world struct {
	a, b *kmstest.KMS
	arn  string // in A
	id   string
}

func newWorld(t testing.TB, spec types.KeySpec, usage types.KeyUsageType, optFns ...func(*kmstest.Options)) *world {
	t.Helper()
	w := &world{a: kmstest.New(optFns...)}
	w.b = w.a.Region(regionB)
	w.id, w.arn = w.addKey(t, spec, usage)
	w.alias(t, w.a, w.id)
	w.alias(t, w.b, w.id)
	return w
}

func ecWorld(t testing.TB, optFns ...func(*kmstest.Options)) *world {
	return newWorld(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify, optFns...)
}

func (w *world) addKey(t testing.TB, spec types.KeySpec, usage types.KeyUsageType) (id, arn string) {
	t.Helper()
	ctx := context.Background()
	out, err := w.a.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage, MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.a.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: out.KeyMetadata.KeyId, ReplicaRegion: aws.String(regionB)})
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId, *out.KeyMetadata.Arn
}

func (w *world) alias(t testing.TB, k *kmstest.KMS, id string) {
	t.Helper()
	ctx := context.Background()
	k.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String(alias)})
	if _, err := k.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String(alias), TargetKeyId: aws.String(id)}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) client(t testing.TB, optFns ...func(*multiregion.Options)) *multiregion.Client {
	t.Helper()
	c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: w.a}, {Name: regionB, Client: w.b}}, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// threeRegions replicates the key to a third Region, and returns a client for
// all.
func (w *world) threeRegions(t testing.TB, optFns ...func(*multiregion.Options)) (*multiregion.Client, *kmstest.KMS) {
	t.Helper()
	third := w.a.Region("eu-north-1")
	_, err := w.a.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &w.id, ReplicaRegion: aws.String("eu-north-1")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := multiregion.New([]multiregion.Region{
		{Name: regionA, Client: w.a}, {Name: regionB, Client: w.b}, {Name: "eu-north-1", Client: third},
	}, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return c, third
}

func newSigner(t testing.TB, client kmssigner.Client, keyID string, optFns ...func(*kmssigner.Options)) *kmssigner.Signer {
	t.Helper()
	s, err := kmssigner.New(context.Background(), client, keyID, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(s *kmssigner.Signer) error {
	digest := sha256.Sum256([]byte("message"))
	sig, err := s.Sign(nil, digest[:], crypto.SHA256)
	if err == nil && !ecdsa.VerifyASN1(s.Public().(*ecdsa.PublicKey), digest[:], sig) {
		err = errors.New("the signature does not verify")
	}
	return err
}

func mustSign(t testing.TB, s *kmssigner.Signer) {
	t.Helper()
	if err := sign(s); err != nil {
		t.Fatal(err)
	}
}

// signs checks how many Sign calls the Regions have seen.
func (w *world) signs(t testing.TB, a, b int) {
	t.Helper()
	if gotA, gotB := w.a.Calls("Sign"), w.b.Calls("Sign"); gotA != a || gotB != b {
		t.Fatalf("Sign calls: %d in A and %d in B, want %d and %d", gotA, gotB, a, b)
	}
}

func down(t testing.TB, c *multiregion.Client, want ...string) {
	t.Helper()
	if got := c.Down(); !slices.Equal(got, want) {
		t.Fatalf("Down() = %q, want %q", got, want)
	}
}

var signFault = kmstest.Match{Operation: "Sign"}
