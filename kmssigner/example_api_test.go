package kmssigner_test

import (
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// An HMAC makes and checks MACs, each with one call to KMS.
func ExampleHMAC() {
	ctx := context.Background()
	fake := kmstest.New()
	var client kmssigner.HMACClient = fake // in production: kms.NewFromConfig(cfg)

	mac, err := kmssigner.NewHMAC(ctx, client, fake.AddKey(types.KeySpecHmac256), func(o *kmssigner.HMACOptions) {
		o.GrantTokens = nil // the zero values are the right choice for most callers
	})
	if err != nil {
		log.Fatal(err)
	}
	sum, err := mac.WithContext(ctx).Generate([]byte("message"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sum) == mac.Size(), mac.Size())

	valid, err := mac.Verify([]byte("message"), sum)
	fmt.Println(valid, err)
	valid, err = mac.Verify([]byte("another message"), sum)
	fmt.Println(valid, err)
	// Output:
	// true 32
	// true <nil>
	// false <nil>
}

// The standard library cannot parse or marshal the public keys of secp256k1
// keys, and on Go 1.26 those of ML-DSA keys.
func ExampleParsePKIXPublicKey() {
	fake := kmstest.New()
	signer, err := kmssigner.New(context.Background(), fake, fake.AddKey(types.KeySpecEccSecgP256k1))
	if err != nil {
		log.Fatal(err)
	}
	spki, err := kmssigner.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		log.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}) // for a file

	block, _ := pem.Decode(text)
	public, err := kmssigner.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	equal := public.(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public())
	fmt.Println(block.Type, equal)
	// Output: PUBLIC KEY true
}

// Each sentinel error asks for another reaction.
func ExampleSigner_Sign_errors() {
	ctx := context.Background()
	fake := kmstest.New()
	react := func(err error) string {
		switch {
		case err == nil:
			return "fine"
		case errors.Is(err, kmssigner.ErrBadSignature):
			return "try once more and alert"
		case errors.Is(err, kmssigner.ErrAnswerTooLarge):
			return "that is not KMS: alert"
		case errors.Is(err, kmssigner.ErrKeyChanged):
			return "make a new Signer"
		case errors.Is(err, kmssigner.ErrUnsupportedKey):
			return "name another key"
		}
		return "see what KMS says"
	}

	_, err := kmssigner.New(ctx, fake, fake.AddKey(types.KeySpecHmac256))
	fmt.Println(react(err))

	signer, err := kmssigner.New(ctx, fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		log.Fatal(err)
	}
	_, err = signer.SignMessage(nil, []byte("message"), signer)
	fmt.Println(react(err))

	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Corrupt())
	_, err = signer.SignMessage(nil, []byte("message"), signer)
	fmt.Println(react(err))
	// Output:
	// name another key
	// fine
	// try once more and alert
}
