package kmstest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// This example takes a Signer through each fault over HTTP. The Signer returns
// an error for all of them, and a signature for those that only take time.
func ExampleEffect() {
	ctx := context.Background()
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.RetryMaxAttempts = 1 })
	key, other := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(ctx, client, key, func(o *kmssigner.Options) {
		o.Timeout = 200 * time.Millisecond // of a call that is not answered
	})
	if err != nil {
		log.Fatal(err)
	}

	for _, fault := range []struct {
		name   string
		effect kmstest.Effect
	}{
		{"an error", kmstest.Fail(&types.KMSInternalException{})},
		{"a success with status 403", kmstest.Status(403)},
		{"a proxy", kmstest.Respond(502, "<html>Bad Gateway")},
		{"no answer", kmstest.Hang()},
		{"half an answer", kmstest.HangBody()},
		{"half an answer, then closed", kmstest.Cut()},
		{"half an answer that looks complete", kmstest.Truncate()},
		{"an answer that comes too slowly", kmstest.Drip(time.Second)},
		{"a closed connection", kmstest.Reset()},
		{"a changed signature", kmstest.Corrupt()},
		{"the signature of another key", kmstest.OtherKey(other)},
		{"the signature of another message", kmstest.OtherMessage()},
		{"the name of another key", kmstest.Set("KeyId", other)},
		{"a delay", kmstest.Delay(time.Millisecond)},
		{"a clock that is wrong", kmstest.SkewDate(time.Hour)},
	} {
		remove := fake.Inject(kmstest.Match{Operation: "Sign"}, fault.effect)
		signature, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
		remove()
		fmt.Printf("%-35s signed: %v\n", fault.name, err == nil && len(signature) > 0)
	}
	// Output:
	// an error                            signed: false
	// a success with status 403           signed: false
	// a proxy                             signed: false
	// no answer                           signed: false
	// half an answer                      signed: false
	// half an answer, then closed         signed: false
	// half an answer that looks complete  signed: false
	// an answer that comes too slowly     signed: false
	// a closed connection                 signed: false
	// a changed signature                 signed: false
	// the signature of another key        signed: false
	// the signature of another message    signed: false
	// the name of another key             signed: false
	// a delay                             signed: true
	// a clock that is wrong               signed: true
}

// This example keeps keys in a file, as the program fakekms does with -state.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var key string
	for range 2 { // a start and a restart
		fake, err := kmstest.Open(filepath.Join(dir, "state"), func(o *kmstest.Options) {
			o.Region, o.AccountID = "eu-central-1", "444455556666"
		})
		if err != nil {
			log.Fatal(err)
		}
		if key == "" {
			key = fake.AddKey(types.KeySpecEccNistP256)
		}
		signer, err := kmssigner.New(ctx, fake, key)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(strings.HasSuffix(signer.KeyARN(), ":eu-central-1:444455556666:key/"+key))
		if err := fake.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// true
	// true
}

// This example gives the fake a private key, so that it makes the signatures of
// a fixture.
func ExampleKMS_AddPrivateKey() {
	ctx := context.Background()
	fake := kmstest.New()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	key, err := fake.AddPrivateKey("1234abcd-12ab-34cd-56ef-1234567890ab", private)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := kmssigner.New(ctx, fake, key)
	if err != nil {
		log.Fatal(err)
	}
	signature, err := signer.SignMessage(nil, []byte("message"), crypto.Hash(0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signer.KeyARN())
	fmt.Println(bytes.Equal(signature, ed25519.Sign(private, []byte("message"))))
	// Output:
	// arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
	// true
}

// This example asks what the code under test requested. Here a Signer was given
// a digest of the wrong length, and did not call KMS.
func ExampleKMS_Requests() {
	ctx := context.Background()
	fake := kmstest.New()
	signer, err := kmssigner.New(ctx, fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := signer.Sign(nil, make([]byte, 20), crypto.SHA256); err == nil {
		log.Fatal("a digest of 20 bytes was signed")
	}
	if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
		log.Fatal(err)
	}
	for _, request := range fake.Requests() {
		describe(request)
	}
	// Output:
	// GetPublicKey
	// Sign 32 bytes as DIGEST
}

func describe(request kmstest.Request) {
	switch in := request.Input.(type) {
	case *kms.SignInput:
		fmt.Println(request.Operation, len(in.Message), "bytes as", in.MessageType)
	default:
		fmt.Println(request.Operation)
	}
}

// This example serves a KMS with a server of one's own, for example one with
// TLS. The client must trust its certificate.
func ExampleKMS_ServeHTTP() {
	ctx := context.Background()
	test := aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test-secret-key"}
	fake := kmstest.New(func(o *kmstest.Options) { o.Credentials = test })
	server := httptest.NewTLSServer(fake)
	defer server.Close()

	client := kms.New(kms.Options{
		Region:       "us-east-1",
		Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return test, nil }),
		BaseEndpoint: &server.URL,
		HTTPClient:   server.Client(),
	})
	_, err := kmssigner.New(ctx, client, "alias/missing")
	var notFound *types.NotFoundException
	fmt.Println(errors.As(err, &notFound))
	// Output: true
}
