package thirdparty_test

import (
	"context"
	"crypto"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/zitadel/oidc/v3/pkg/client"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// privateKeyJWT is a source of tokens for a client that authenticates itself with
// private_key_jwt (OpenID Connect Core section 9, RFC 7523 section 2.2). The kid
// is the one under which the server knows the public key.
type privateKeyJWT struct {
	signer                  crypto.Signer
	alg                     jose.SignatureAlgorithm
	kid, clientID, tokenURL string
}

// Token gets a new token, with a new assertion, which costs one signature.
func (s privateKeyJWT) Token() (*oauth2.Token, error) {
	key := jose.JSONWebKey{Key: cryptosigner.Opaque(s.signer), KeyID: s.kid}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: key}, nil)
	if err != nil {
		return nil, err
	}
	assertion, err := client.SignedJWTProfileAssertion(s.clientID, []string{s.tokenURL}, time.Minute, signer)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID:  s.clientID,
		TokenURL:  s.tokenURL,
		AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		},
	}
	return config.Token(context.Background())
}

// A client of an OpenID Connect provider whose key is in KMS.
func Example_privateKeyJWT() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	provider := newProvider(signer.Public(), jose.ES256)
	defer provider.Close()

	tokens := oauth2.ReuseTokenSource(nil, privateKeyJWT{signer, jose.ES256, "my-key", "my-client", provider.URL + "/token"})
	token, err := tokens.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.AccessToken)
	// Output: token of my-client
}
