package multiregion_test

import (
	"context"
	"crypto"
	"fmt"
	"log"

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
