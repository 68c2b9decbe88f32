// Command token issues a token with jwtkms. It is one of the programs whose
// size and start are compared. Its arguments are the URL of a KMS and a key.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

func main() {
	client := kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &os.Args[1],
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	signer, err := kmssigner.New(ctx, client, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	token := jwt.NewWithClaims(jwtkms.ES256, jwt.MapClaims{"sub": "alice"})
	if _, err := token.SignedString(signer.WithContext(ctx)); err != nil {
		log.Fatal(err)
	}
}
