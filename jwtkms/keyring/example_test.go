package keyring_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	_, err := client.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   aws.String("alias/jwt"),
		TargetKeyId: aws.String(client.AddKey(types.KeySpecEccNistP256)),
	})
	if err != nil {
		log.Fatal(err)
	}

	ring, err := keyring.New(ctx, client, "alias/jwt")
	if err != nil {
		log.Fatal(err)
	}
	go ring.Run(ctx)
	http.Handle("/.well-known/jwks.json", ring)

	compact, err := ring.Sign(ctx, jwt.MapClaims{
		"sub": "alice",
		"exp": time.Now().Add(15 * time.Minute).Unix(),
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := jwt.Parse(compact, ring.Keyfunc)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Valid, token.Header["kid"] == ring.Current().KID)
	// Output: true true
}

func ExampleRotate() {
	ctx := context.Background()
	client := kmstest.New()
	_, err := client.CreateAlias(ctx, &kms.CreateAliasInput{
		AliasName:   aws.String("alias/jwt"),
		TargetKeyId: aws.String(client.AddKey(types.KeySpecEccNistP256)),
	})
	if err != nil {
		log.Fatal(err)
	}

	done, err := keyring.Rotate(ctx, client, "alias/jwt", keyring.Prepare)
	fmt.Println(len(done), err)

	// The verifiers have not seen the new key yet.
	_, err = keyring.Rotate(ctx, client, "alias/jwt", keyring.Promote)
	fmt.Println(err != nil)
	// Output:
	// 4 <nil>
	// true
}
