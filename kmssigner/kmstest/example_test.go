package kmstest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// This example uses a KMS in memory in place of a *kms.Client.
func Example() {
	ctx := context.Background()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	keyID := client.AddKey(types.KeySpecEccNistP256)

	msg := []byte("message")
	signed, err := client.Sign(ctx, &kms.SignInput{
		KeyId:            aws.String(keyID),
		Message:          msg,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		log.Fatal(err)
	}
	got, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(keyID)})
	if err != nil {
		log.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(got.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256(msg)
	fmt.Println(ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest[:], signed.Signature))

	// The fake refuses to sign with a disabled key, as KMS does.
	_, err = client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: aws.String(keyID)})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Sign(ctx, &kms.SignInput{
		KeyId:            aws.String(keyID),
		Message:          msg,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	var disabled *types.DisabledException
	fmt.Println(errors.As(err, &disabled))
	// Output:
	// true
	// true
}

// This example uses a Server for code that makes its own client.
func ExampleNewServer() {
	ctx := context.Background()
	server := kmstest.NewServer(kmstest.New())
	defer server.Close()

	client := kms.NewFromConfig(server.Config())
	key, err := client.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec:  types.KeySpecRsa2048,
		KeyUsage: types.KeyUsageTypeSignVerify,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   aws.String("alias/tokens"),
		TargetKeyId: key.KeyMetadata.KeyId,
	})
	if err != nil {
		log.Fatal(err)
	}
	signed, err := client.Sign(ctx, &kms.SignInput{
		KeyId:            aws.String("alias/tokens"),
		Message:          []byte("message"),
		SigningAlgorithm: types.SigningAlgorithmSpecRsassaPssSha256,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(signed.Signature), aws.ToString(signed.KeyId) == aws.ToString(key.KeyMetadata.Arn))
	// Output: 256 true
}

// This example throttles a client that makes up to three attempts.
func ExampleKMS_Inject_throttling() {
	ctx := context.Background()
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	server := kmstest.NewServer(fake)
	defer server.Close()

	cfg := server.Config()
	cfg.Retryer = func() aws.Retryer { // that of the SDK, without waiting
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	}
	fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, kmstest.Throttle())
	_, err := kms.NewFromConfig(cfg).Sign(ctx, &kms.SignInput{
		KeyId:            aws.String(keyID),
		Message:          []byte("message"),
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	fmt.Println(err, fake.Calls("Sign"))
	// Output: <nil> 3
}

// This example moves an alias to another key between two calls. The answer
// names the key that signed.
func ExampleKMS_UpdateAlias() {
	ctx := context.Background()
	fake := kmstest.New()
	old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	alias := aws.String("alias/tokens")
	if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: &old}); err != nil {
		log.Fatal(err)
	}
	public, err := fake.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: alias})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := fake.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: &next}); err != nil {
		log.Fatal(err)
	}
	signed, err := fake.Sign(ctx, &kms.SignInput{
		KeyId:            alias,
		Message:          []byte("message"),
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(aws.ToString(signed.KeyId) == aws.ToString(public.KeyId))
	// Output: false
}

// In this example a Region fails and recovers, while the replica in another
// Region signs.
func ExampleKMS_Region() {
	ctx := context.Background()
	virginia := kmstest.New()
	key, err := virginia.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec:     types.KeySpecEccNistP256,
		KeyUsage:    types.KeyUsageTypeSignVerify,
		MultiRegion: aws.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	keyID := key.KeyMetadata.KeyId
	_, err = virginia.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: keyID, ReplicaRegion: aws.String("eu-west-1")})
	if err != nil {
		log.Fatal(err)
	}
	ireland := virginia.Region("eu-west-1")

	signs := func(region *kmstest.KMS) bool {
		_, err := region.Sign(ctx, &kms.SignInput{
			KeyId:            keyID,
			Message:          []byte("message"),
			SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
		})
		return err == nil
	}
	revive := virginia.Inject(kmstest.Match{}, kmstest.Reset())
	fmt.Println(signs(virginia), signs(ireland))
	revive()
	fmt.Println(signs(virginia), signs(ireland))
	// Output:
	// false true
	// true true
}
