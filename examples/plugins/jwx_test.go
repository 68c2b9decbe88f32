package plugins_test

import (
	"crypto"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signJWX returns a token that jwx signs. The algorithm must go with the key.
func signJWX(signer crypto.Signer, alg jwa.SignatureAlgorithm, subject string) ([]byte, error) {
	token, err := jwt.NewBuilder().Subject(subject).Build()
	if err != nil {
		return nil, err
	}
	return jwt.Sign(token, jwt.WithKey(alg, signer))
}

// A token by jwx with a key in KMS.
func Example_jwx() {
	signer := fake.NewSigner(types.KeySpecRsa2048)
	token, err := signJWX(signer, jwa.PS256(), "alice")
	if err != nil {
		log.Fatal(err)
	}

	parsed, err := jwt.Parse(token, jwt.WithKey(jwa.PS256(), signer.Public()))
	if err != nil {
		log.Fatal(err)
	}
	subject, _ := parsed.Subject()
	fmt.Println(subject)
	// Output: alice
}
