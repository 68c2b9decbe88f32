package multiregion_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

func Example() {
	ctx := context.Background()
	// In production use kms.NewFromConfig for each Region.
	virginia := kmstest.New()
	ireland := virginia.Region("eu-west-1")
	key, err := virginia.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = virginia.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: key.KeyMetadata.KeyId, ReplicaRegion: aws.String("eu-west-1")})
	if err != nil {
		log.Fatal(err)
	}

	client, err := multiregion.New([]multiregion.Region{
		{Name: "us-east-1", Client: virginia},
		{Name: "eu-west-1", Client: ireland},
	})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := kmssigner.New(ctx, client, *key.KeyMetadata.Arn)
	if err != nil {
		log.Fatal(err)
	}

	virginia.Inject(kmstest.Match{}, kmstest.Reset()) // from now on Virginia is not available
	_, err = signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	fmt.Println(err)
	fmt.Println(ireland.Calls("Sign"), "by Ireland,", client.Down(), "is down")
	// Output:
	// <nil>
	// 1 by Ireland, [us-east-1] is down
}

// This example has a third Region for Signers that must answer quickly. A Region
// that has not answered after 50 milliseconds is overtaken by the next one.
func ExampleOptions() {
	ctx := context.Background()
	regions := threeRegions(ctx)
	client, err := multiregion.New(regions, func(o *multiregion.Options) {
		o.HedgeAfter = 50 * time.Millisecond
		o.OnChange = func(region string, err error) { log.Printf("%s: %v", region, err) }
	})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := kmssigner.New(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	slow := regions[0].Client.(*kmstest.KMS)
	slow.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
	_, err = signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	fmt.Println(err)
	// Output: <nil>
}

// An alias must name the same key in every Region.
func ExampleClient_GetPublicKey() {
	ctx := context.Background()
	regions := threeRegions(ctx)
	client, err := multiregion.New(regions)
	if err != nil {
		log.Fatal(err)
	}
	first := regions[0].Client.(*kmstest.KMS)
	other, err := first.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = first.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: other.KeyMetadata.KeyId})
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String("alias/jwt")})
	fmt.Println(errors.Is(err, multiregion.ErrKeyMismatch))
	// Output: true
}

// A Signer calls SignChecked with a check of its own. This example does so by
// hand. The first Region answers with a damaged signature.
func ExampleClient_SignChecked() {
	ctx := context.Background()
	regions := threeRegions(ctx)
	client, err := multiregion.New(regions)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := kmssigner.New(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	regions[0].Client.(*kmstest.KMS).Inject(kmstest.Match{Operation: "Sign"}, kmstest.Corrupt())

	digest := sha256.Sum256([]byte("message"))
	in := &kms.SignInput{
		KeyId: aws.String(signer.KeyARN()), Message: digest[:], MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	}
	_, err = client.SignChecked(ctx, in, func(out *kms.SignOutput) error {
		if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], out.Signature) {
			fmt.Println("a wrong signature")
			return kmssigner.ErrBadSignature
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// a wrong signature
	// <nil>
}

// threeRegions returns three fake Regions with a key behind alias/jwt.
func threeRegions(ctx context.Context) []multiregion.Region {
	virginia := kmstest.New()
	key, err := virginia.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
	})
	if err != nil {
		log.Fatal(err)
	}
	var regions []multiregion.Region
	for _, name := range []string{"us-east-1", "eu-west-1", "eu-central-1"} {
		region := virginia
		if name != "us-east-1" {
			_, err := virginia.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: key.KeyMetadata.KeyId, ReplicaRegion: &name})
			if err != nil {
				log.Fatal(err)
			}
			region = virginia.Region(name)
		}
		_, err := region.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: key.KeyMetadata.KeyId})
		if err != nil {
			log.Fatal(err)
		}
		regions = append(regions, multiregion.Region{Name: name, Client: region})
	}
	return regions
}
