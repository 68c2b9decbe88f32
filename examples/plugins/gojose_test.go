package plugins_test

import (
	"crypto"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// newJOSESigner returns a signer of go-jose with that algorithm. Many packages
// take one, such as go-jose's own jwt, OIDC servers and ACME clients. Its errors
// for an algorithm that does not go with the key come when it signs.
func newJOSESigner(signer crypto.Signer, alg jose.SignatureAlgorithm, kid string) (jose.Signer, error) {
	return jose.NewSigner(jose.SigningKey{
		Algorithm: alg,
		Key:       jose.JSONWebKey{Key: cryptosigner.Opaque(signer), KeyID: kid},
	}, nil)
}

// A token by go-jose with a key in KMS.
func Example_goJOSE() {
	signer := fake.NewSigner(types.KeySpecEccNistP384)
	joseSigner, err := newJOSESigner(signer, jose.ES384, "my-key")
	if err != nil {
		log.Fatal(err)
	}
	token, err := jwt.Signed(joseSigner).Claims(jwt.Claims{Subject: "alice"}).Serialize()
	if err != nil {
		log.Fatal(err)
	}

	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES384})
	if err != nil {
		log.Fatal(err)
	}
	var claims jwt.Claims
	err = parsed.Claims(signer.Public(), &claims)
	fmt.Println(claims.Subject, err)
	// Output: alice <nil>
}
