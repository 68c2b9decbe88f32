package thirdparty_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"
	"github.com/go-jose/go-jose/v4"
	natsjwt "github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/acme"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// judgeGitHub verifies with golang-jwt v4.
func judgeGitHub(t *testing.T, signer *kmssigner.Signer) error {
	github := newGitHub(signer.Public())
	defer github.Close()
	installation, err := newInstallation(signer, 1234, 5678)
	if err != nil {
		return err
	}
	installation.BaseURL = github.URL
	token, err := installation.Token(t.Context())
	if err == nil && token != "ghs_1234_5678" {
		t.Errorf("the token is %q", token)
	}
	return err
}

// judgeACME has Pebble, Let's Encrypt's test CA, issue a certificate to an account
// with the key.
func judgeACME(t *testing.T, signer *kmssigner.Signer) error {
	pebble := newPebble()
	defer pebble.Close()
	client := &acme.Client{Key: signer, DirectoryURL: pebble.URL + "/dir", HTTPClient: pebble.Client()}
	order, err := authorize(t.Context(), client, "www.example.com", "http-01", func(*acme.Challenge) error { return nil })
	if err != nil {
		return err
	}
	key := fake.NewSigner(types.KeySpecEccNistP256)
	chain, err := obtain(t.Context(), client, order, key, "www.example.com")
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err == nil && !key.Public().(*ecdsa.PublicKey).Equal(cert.PublicKey) {
		t.Error("the certificate is for another key")
	}
	return err
}

// joseAlgorithm is the algorithm of a key in JOSE.
func joseAlgorithm(t *testing.T, signer *kmssigner.Signer) *jwtkms.SigningMethod {
	t.Helper()
	method, err := jwtkms.MethodFor(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return method
}

// endpoints are those of newProvider that take an algorithm.
func endpoints(provider *httptest.Server, alg string) []string {
	paths := []string{provider.URL + "/token"}
	if alg == "RS256" || alg == "ES256" {
		paths = append(paths, provider.URL+"/zitadel")
	}
	return paths
}

// judgeClientAssertion gets tokens from providers that verify with jwx and with
// zitadel/oidc.
func judgeClientAssertion(t *testing.T, signer *kmssigner.Signer) error {
	alg := jose.SignatureAlgorithm(joseAlgorithm(t, signer).Alg())
	provider := newProvider(signer.Public(), alg)
	defer provider.Close()
	for _, tokenURL := range endpoints(provider, string(alg)) {
		if _, err := (privateKeyJWT{signer, alg, "my-key", "my-client", tokenURL}).Token(); err != nil {
			return err
		}
	}
	return nil
}

// judgeJWTBearer does what judgeClientAssertion does.
func judgeJWTBearer(t *testing.T, signer *kmssigner.Signer) error {
	method := joseAlgorithm(t, signer)
	provider := newProvider(signer.Public(), jose.SignatureAlgorithm(method.Alg()))
	defer provider.Close()
	for _, tokenURL := range endpoints(provider, method.Alg()) {
		if _, err := (jwtBearer{signer, method, "my-key", "my-client", tokenURL, tokenURL}).Token(); err != nil {
			return err
		}
	}
	return nil
}

// judgeNATS verifies with NATS' own library, as nats-server does.
func judgeNATS(t *testing.T, signer *kmssigner.Signer) error {
	account, err := newNATSKey(signer, nkeys.PrefixByteAccount)
	if err != nil {
		return err
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	userID, err := user.PublicKey()
	if err != nil {
		return err
	}
	token, err := natsjwt.NewUserClaims(userID).Encode(account)
	if err != nil {
		return err
	}
	claims, err := natsjwt.DecodeUserClaims(token)
	if err != nil {
		return err
	}
	if id, err := account.PublicKey(); err != nil || claims.Issuer != id {
		t.Errorf("the issuer is %s, want %s, %v", claims.Issuer, id, err)
	}
	header, rest, _ := strings.Cut(token, ".")
	if _, err := natsjwt.DecodeUserClaims(header + "." + strings.Replace(rest, "e", "f", 1)); err == nil {
		t.Error("a changed token verifies")
	}
	return nil
}

// judgeRolesAnywhere has the signer of the SDK make the canonical request and the
// string to sign, and crypto/x509 verify the signature with the certificate.
func judgeRolesAnywhere(t *testing.T, signer *kmssigner.Signer) error {
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	const url, body = "https://rolesanywhere.eu-west-1.amazonaws.com/sessions", `{"durationSeconds":900}`
	now := time.Now()
	request, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if err := signX509(signer, cert, request, body, "eu-west-1", now); err != nil {
		return err
	}
	algorithm, fields, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	_, encoded, _ := strings.Cut(fields, "Signature=")
	sig, err := hex.DecodeString(encoded)
	if err != nil {
		return err
	}

	again, err := http.NewRequest("POST", url, nil)
	if err != nil {
		return err
	}
	for _, name := range []string{"Content-Type", "X-Amz-X509"} {
		again.Header.Set(name, request.Header.Get(name))
	}
	var log strings.Builder
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, again,
		fmt.Sprintf("%x", sha256.Sum256([]byte(body))), "rolesanywhere", "eu-west-1", now, func(o *v4.SignerOptions) {
			o.LogSigning, o.Logger = true, logging.NewStandardLogger(&log)
		})
	if err != nil {
		return err
	}
	_, toSign, _ := strings.Cut(log.String(), "STRING TO SIGN ]--------------------------------\n")
	toSign, _, _ = strings.Cut(toSign, "\n-----")
	toSign, found := strings.CutPrefix(toSign, "AWS4-HMAC-SHA256")
	if !found {
		t.Fatalf("the SDK logged no string to sign: %s", log.String())
	}
	x509Algorithm := x509.ECDSAWithSHA256
	if algorithm == "AWS4-X509-RSA-SHA256" {
		x509Algorithm = x509.SHA256WithRSA
	}
	return cert.CheckSignature(x509Algorithm, []byte(algorithm+toSign), sig)
}
