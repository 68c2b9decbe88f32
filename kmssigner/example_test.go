package kmssigner_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func Example() {
	ctx := context.Background()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	keyID := client.AddKey(types.KeySpecEccNistP256)

	signer, err := kmssigner.New(ctx, client, keyID)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	sig, err := signer.WithContext(ctx).Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest[:], sig))
	// Output: true
}

func ExampleSigner_SignMessage_pss() {
	ctx := context.Background()
	client := kmstest.New()
	signer, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecRsa2048))
	if err != nil {
		log.Fatal(err)
	}
	opts := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
	sig, err := signer.SignMessage(nil, []byte("message"), opts)
	if err != nil {
		log.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	fmt.Println(rsa.VerifyPSS(signer.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], sig, opts))
	// Output: <nil>
}

// The SDK's errors come through.
func ExampleNew_errors() {
	ctx := context.Background()
	client := kmstest.New()
	keyID := client.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(ctx, client, keyID)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
		log.Fatal(err)
	}
	_, err = signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	var disabled *types.DisabledException
	fmt.Println(errors.As(err, &disabled))

	// A signature that KMS cannot make is refused without a call.
	_, err = signer.SignMessage(nil, []byte("message"), crypto.SHA1)
	fmt.Println(errors.Unwrap(err))
	// Output:
	// true
	// opts ask for SHA-1, an ECDSA key wants a SHA-2 or SHA-3 hash
}

// If Options.PublicKey is set, New makes no call and needs no permission other
// than kms:Sign. The key ID must then be a key ARN.
func ExampleOptions_publicKey() {
	ctx := context.Background()
	client := kmstest.New()
	signer, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}
	keyARN, publicKey := signer.KeyARN(), signer.Public() // kept from an earlier run

	signer, err = kmssigner.New(ctx, client, keyARN, func(o *kmssigner.Options) {
		o.PublicKey = publicKey
	})
	if err != nil {
		log.Fatal(err)
	}
	sig, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	fmt.Println(len(sig) > 0, err)
	// Output: true <nil>
}
