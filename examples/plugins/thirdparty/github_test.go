package thirdparty_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/bradleyfalzon/ghinstallation/v2"
	jwtv4 "github.com/golang-jwt/jwt/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// appSigner signs the claims of ghinstallation, which are those of golang-jwt v4,
// with golang-jwt v5. GitHub wants RS256, so the key must be RSA.
type appSigner struct{ signer *kmssigner.Signer }

func (s appSigner) Sign(claims jwtv4.Claims) (string, error) {
	data, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	var v5 jwt.MapClaims
	if err := json.Unmarshal(data, &v5); err != nil {
		return "", err
	}
	return jwt.NewWithClaims(jwtkms.RS256, v5).SignedString(s.signer)
}

// newInstallation returns an http.RoundTripper that acts as an installation of a
// GitHub App. GitHub makes the key of an App, so it must be imported into KMS.
func newInstallation(signer *kmssigner.Signer, appID, installationID int64) (*ghinstallation.Transport, error) {
	app, err := ghinstallation.NewAppsTransportWithOptions(http.DefaultTransport, appID, ghinstallation.WithSigner(appSigner{signer}))
	if err != nil {
		return nil, err
	}
	return ghinstallation.NewFromAppsTransport(app, installationID), nil
}

// A GitHub App whose key is in KMS gets a token for an installation. The tokens
// of the App cost one signature each, and that of the installation lasts an hour.
func Example_gitHubApp() {
	signer := fake.NewSigner(types.KeySpecRsa2048)
	installation, err := newInstallation(signer, 1234, 5678)
	if err != nil {
		log.Fatal(err)
	}
	github := newGitHub(signer.Public()) // in production: omit this,
	defer github.Close()                 // this,
	installation.BaseURL = github.URL    // and this

	token, err := installation.Token(context.Background())
	fmt.Println(token, err)
	// Output: ghs_1234_5678 <nil>
}
