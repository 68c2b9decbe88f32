package kmstest_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestStory tells what the package is for: a program signs with the SDK's
// client over HTTP, and its test decides what happens to KMS.
func TestStory(t *testing.T) {
	ctx := t.Context()

	// A KMS in us-east-1, and the SDK's client for it. The client retries as in
	// production, but without waiting.
	fake := kmstest.New()
	clientOf := func(region *kmstest.KMS) *kms.Client {
		server := kmstest.NewServer(region)
		t.Cleanup(server.Close)
		cfg := server.Config()
		cfg.Retryer = func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		}
		return kms.NewFromConfig(cfg)
	}
	client := clientOf(fake)

	// What the program does: it signs a message with a key, and publishes the
	// public key.
	alias, msg := aws.String("alias/tokens"), []byte("message")
	sign := func(client *kms.Client) (*kms.SignOutput, error) {
		return client.Sign(ctx, &kms.SignInput{
			KeyId:            alias,
			Message:          msg,
			SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
		})
	}
	publicKey := func(client *kms.Client) *ecdsa.PublicKey {
		t.Helper()
		out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: alias})
		if err != nil {
			t.Fatal(err)
		}
		pub, err := x509.ParsePKIXPublicKey(out.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return pub.(*ecdsa.PublicKey)
	}
	valid := func(pub *ecdsa.PublicKey, sig []byte) bool {
		digest := sha256.Sum256(msg)
		return ecdsa.VerifyASN1(pub, digest[:], sig)
	}
	createKey := func() *types.KeyMetadata {
		t.Helper()
		out, err := client.CreateKey(ctx, &kms.CreateKeyInput{
			KeySpec:     types.KeySpecEccNistP256,
			KeyUsage:    types.KeyUsageTypeSignVerify,
			MultiRegion: aws.Bool(true),
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.KeyMetadata
	}

	// Without the key, KMS refuses to sign, with the error type of the SDK.
	if _, err := sign(client); !is[*types.NotFoundException](err) {
		t.Fatalf("without a key: got %v, want NotFoundException", err)
	}

	// With a key and its alias, the signature verifies.
	first := createKey()
	if _, err := client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: first.KeyId}); err != nil {
		t.Fatal(err)
	}
	firstPublicKey := publicKey(client)
	out, err := sign(client)
	if err != nil {
		t.Fatal(err)
	}
	if !valid(firstPublicKey, out.Signature) || *out.KeyId != *first.Arn {
		t.Errorf("got a signature by %s that does not verify", *out.KeyId)
	}

	// KMS throttles two calls. The client makes three.
	before := fake.Calls("Sign")
	fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, kmstest.Throttle())
	if _, err := sign(client); err != nil {
		t.Errorf("throttled twice: %v", err)
	}
	if calls := fake.Calls("Sign") - before; calls != 3 {
		t.Errorf("throttled twice: got %d calls, want 3", calls)
	}

	// KMS answers with a signature by another key. The client cannot tell, and
	// the program has to verify it.
	remove := fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.OtherKey(fake.AddKey(types.KeySpecEccNistP256)))
	if out, err = sign(client); err != nil {
		t.Fatal(err)
	}
	if valid(firstPublicKey, out.Signature) {
		t.Error("the signature by another key verifies")
	}
	remove()

	// The operator moves the alias to a new key. The answer names that key, and
	// the first public key does not verify its signatures.
	second := createKey()
	if _, err := client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: second.KeyId}); err != nil {
		t.Fatal(err)
	}
	if out, err = sign(client); err != nil {
		t.Fatal(err)
	}
	if *out.KeyId != *second.Arn || valid(firstPublicKey, out.Signature) || !valid(publicKey(client), out.Signature) {
		t.Errorf("the alias was moved, and %s signed", *out.KeyId)
	}

	// The operator replicates the key to eu-west-1.
	_, err = client.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: second.KeyId, ReplicaRegion: aws.String("eu-west-1")})
	if err != nil {
		t.Fatal(err)
	}
	ireland := clientOf(fake.Region("eu-west-1"))
	if _, err := ireland.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: second.KeyId}); err != nil {
		t.Fatal(err)
	}

	// us-east-1 fails. The same key signs in eu-west-1.
	secondPublicKey := publicKey(client)
	revive := fake.Inject(kmstest.Match{}, kmstest.Reset())
	if _, err := sign(client); err == nil {
		t.Error("a Region that fails signs")
	}
	if out, err = sign(ireland); err != nil {
		t.Fatal(err)
	}
	if !valid(secondPublicKey, out.Signature) {
		t.Error("the replica signs with another key")
	}
	revive()

	// The operator disables the key. This does not disable the replica.
	if _, err := client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: second.KeyId}); err != nil {
		t.Fatal(err)
	}
	if _, err := sign(client); !is[*types.DisabledException](err) {
		t.Errorf("disabled: got %v, want DisabledException", err)
	}
	if _, err := sign(ireland); err != nil {
		t.Error(err)
	}

	// The fake has recorded the calls.
	requests := fake.Requests()
	last := requests[len(requests)-1]
	if in, ok := last.Input.(*kms.SignInput); !ok || string(in.Message) != "message" || last.Key != *alias || last.Code != "DisabledException" {
		t.Errorf("got a record of %+v", last)
	}
}

// is reports whether the chain of err has an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
