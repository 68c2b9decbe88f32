package jwtkms_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func Example() {
	ctx := context.Background()
	client := kmstest.New() // in production: kms.NewFromConfig(cfg)
	keyID := client.AddKey(types.KeySpecEccNistP256)

	// Do this once, when the service starts.
	signer, err := kmssigner.New(ctx, client, keyID)
	if err != nil {
		log.Fatal(err)
	}
	kid, err := jwtkms.Thumbprint(signer.Public())
	if err != nil {
		log.Fatal(err)
	}

	// Do this for each token.
	token := jwt.NewWithClaims(jwtkms.ES256, jwt.MapClaims{"sub": "alice"})
	token.Header["kid"] = kid
	compact, err := token.SignedString(signer.WithContext(ctx))
	if err != nil {
		log.Fatal(err)
	}

	// A receiver needs only golang-jwt and the public key.
	parsed, err := jwt.Parse(compact, func(*jwt.Token) (any, error) {
		return signer.Public(), nil
	}, jwt.WithValidMethods([]string{"ES256"}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(parsed.Valid, parsed.Claims)
	// Output: true map[sub:alice]
}

// MethodFor returns the method for a key of any type.
func ExampleMethodFor() {
	ctx := context.Background()
	client := kmstest.New()
	for _, spec := range []types.KeySpec{types.KeySpecEccNistP384, types.KeySpecRsa2048} {
		signer, err := kmssigner.New(ctx, client, client.AddKey(spec))
		if err != nil {
			log.Fatal(err)
		}
		method, err := jwtkms.MethodFor(signer.Public())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(spec, method.Alg())
	}
	// Output:
	// ECC_NIST_P384 ES384
	// RSA_2048 RS256
}

// An HMAC key in KMS signs and verifies HS256 tokens. Verifying calls KMS.
func ExampleSigningMethod_Keyfunc() {
	ctx := context.Background()
	client := kmstest.New()
	mac, err := kmssigner.NewHMAC(ctx, client, client.AddKey(types.KeySpecHmac256))
	if err != nil {
		log.Fatal(err)
	}
	compact, err := jwt.NewWithClaims(jwtkms.HS256, jwt.MapClaims{"sub": "alice"}).SignedString(mac)
	if err != nil {
		log.Fatal(err)
	}
	token, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(mac.WithContext(ctx)))
	switch {
	case errors.Is(err, kmssigner.ErrMessageLength):
		fmt.Println("too long for KMS to have signed it") // 401
	case errors.Is(err, jwtkms.ErrNotChecked):
		fmt.Println("KMS did not say") // 503, try again
	case err != nil:
		fmt.Println("refused") // 401
	default:
		fmt.Println(token.Valid, token.Claims)
	}
	// Output: true map[sub:alice]
}

// golang-jwt cannot parse ML-DSA tokens until their methods are registered.
func ExampleRegister() {
	ctx := context.Background()
	client := kmstest.New()
	signer, err := kmssigner.New(ctx, client, client.AddKey(types.KeySpecMlDsa44))
	if err != nil {
		log.Fatal(err)
	}
	compact, err := jwt.NewWithClaims(jwtkms.MLDSA44, jwt.MapClaims{"sub": "alice"}).SignedString(signer)
	if err != nil {
		log.Fatal(err)
	}
	if err := jwtkms.Register(); err != nil { // once, in main
		log.Fatal(err)
	}
	token, err := jwt.Parse(compact, func(*jwt.Token) (any, error) {
		return signer.Public(), nil
	}, jwt.WithValidMethods([]string{"ML-DSA-44"}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Valid, len(token.Signature), "bytes")
	// Output: true 2420 bytes
}
