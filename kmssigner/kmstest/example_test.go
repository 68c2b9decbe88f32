package kmstest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A KMS in memory takes the place of a *kms.Client behind an interface.
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

	// What KMS refuses, the fake refuses.
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

// A Server takes the place of KMS for code that makes its own client.
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
