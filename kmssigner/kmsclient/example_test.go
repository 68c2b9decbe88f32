package kmsclient_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"log"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A service that signs up to 64 tokens at once keeps 64 connections, and never
// makes more than 64 requests at a time.
func Example() {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	cfg := server.Config() // in production: config.LoadDefaultConfig(ctx)

	const concurrency = 64
	cfg.HTTPClient = kmsclient.NewHTTP(concurrency)
	client := kms.NewFromConfig(cfg, kmsclient.Limit(concurrency))
	signer, err := kmssigner.New(context.Background(), client, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}

	digest := sha256.Sum256([]byte("message"))
	var valid atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			sig, err := signer.Sign(nil, digest[:], crypto.SHA256)
			if err != nil {
				log.Print(err)
			} else if ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], sig) {
				valid.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println(valid.Load(), "signatures")
	// Output: 200 signatures
}
