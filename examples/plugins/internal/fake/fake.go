// Package fake gives recipes a key without an AWS account.
package fake

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// server starts when the first key is made and runs until the program ends.
var server = sync.OnceValues(func() (*kmstest.KMS, *kmstest.Server) {
	fake := kmstest.New()
	return fake, kmstest.NewServer(fake)
})

// NewSigner makes a key in a fake KMS and returns a Signer for it, which reaches
// the fake over HTTP with the client of the SDK. In production that is
//
//	signer, err := kmssigner.New(ctx, kms.NewFromConfig(cfg), "alias/my-key")
//
// NewSigner panics if there is an error.
func NewSigner(spec types.KeySpec) *kmssigner.Signer {
	fake, server := server()
	client := kms.NewFromConfig(server.Config())
	signer, err := kmssigner.New(context.Background(), client, fake.AddKey(spec))
	if err != nil {
		panic(err)
	}
	return signer
}
