package thirdparty_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/jwtkms"
)

// jwtBearer is a source of tokens by the JWT bearer grant (RFC 7523 section 2.1),
// as Google, Salesforce, DocuSign and Zitadel have it for service accounts.
type jwtBearer struct {
	signer                           crypto.Signer
	method                           *jwtkms.SigningMethod
	kid, account, audience, tokenURL string
}

// Token gets a new token, with a new assertion, which costs one signature.
func (s jwtBearer) Token() (*oauth2.Token, error) {
	now := time.Now()
	assertion := jwt.NewWithClaims(s.method, jwt.MapClaims{
		"iss": s.account, "sub": s.account, "aud": s.audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
	assertion.Header["kid"] = s.kid
	compact, err := assertion.SignedString(s.signer)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		TokenURL:  s.tokenURL,
		AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"assertion":  {compact},
		},
	}
	return config.Token(context.Background())
}

// A service account whose key is in KMS.
func Example_jwtBearer() {
	signer := fake.NewSigner(types.KeySpecRsa2048)
	provider := newProvider(signer.Public(), jose.RS256)
	defer provider.Close()

	tokens := oauth2.ReuseTokenSource(nil, jwtBearer{signer, jwtkms.RS256, "my-key", "my-client", provider.URL + "/token", provider.URL + "/token"})
	token, err := tokens.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.AccessToken)
	// Output: token of my-client
}
