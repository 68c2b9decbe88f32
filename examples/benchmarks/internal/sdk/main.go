// Command sdk signs with the SDK's client alone. It is one of the programs
// whose size and start are compared. Its arguments are the URL of a KMS and a
// key.
package main

import (
	"context"
	"crypto/x509"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
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
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &os.Args[2]})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := x509.ParsePKIXPublicKey(out.PublicKey); err != nil {
		log.Fatal(err)
	}
	_, err = client.Sign(ctx, &kms.SignInput{
		KeyId: out.KeyId, Message: make([]byte, 32), MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		log.Fatal(err)
	}
}
