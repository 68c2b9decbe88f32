// Command sdkjwt issues a token with the SDK's client and golang-jwt. It is one
// of the programs whose size and start are compared. Its arguments are the URL
// of a KMS and a key.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"log"
	"math/big"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"
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
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "alice"})
	input, err := token.SigningString()
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte(input))
	signed, err := client.Sign(ctx, &kms.SignInput{
		KeyId: out.KeyId, Message: digest[:], MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		log.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signed.Signature, &sig); err != nil {
		log.Fatal(err)
	}
	p1363 := make([]byte, 64)
	sig.R.FillBytes(p1363[:32])
	sig.S.FillBytes(p1363[32:])
	if len(input+"."+token.EncodeSegment(p1363)) == 0 {
		log.Fatal("an empty token")
	}
}
