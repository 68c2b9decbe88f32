package thirdparty_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/acme"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// authorize registers the account and answers the challenges of one kind for a
// DNS name. answer makes the response available, for http-01 that of
// client.HTTP01ChallengeResponse. Each request costs one signature of the account.
func authorize(ctx context.Context, client *acme.Client, dnsName, kind string, answer func(*acme.Challenge) error) (*acme.Order, error) {
	_, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err != nil && err != acme.ErrAccountAlreadyExists {
		return nil, err
	}
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(dnsName))
	if err != nil {
		return nil, err
	}
	for _, url := range order.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, url)
		if err != nil {
			return nil, err
		}
		for _, challenge := range authorization.Challenges {
			if challenge.Type != kind {
				continue
			}
			if err := answer(challenge); err != nil {
				return nil, err
			}
			if _, err := client.Accept(ctx, challenge); err != nil {
				return nil, err
			}
		}
	}
	return client.WaitOrder(ctx, order.URI)
}

// obtain returns the certificate chain for a key, which is not the account's.
func obtain(ctx context.Context, client *acme.Client, order *acme.Order, key crypto.Signer, dnsName string) ([][]byte, error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{dnsName}}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := client.CreateCertFromOrder(ctx, order, request, true)
	return chain, err
}

// An ACME account and the certificate that it gets have their keys in KMS.
func Example_acme() {
	ca := newPebble() // in production: https://acme-v02.api.letsencrypt.org/directory
	defer ca.Close()
	client := &acme.Client{
		Key:          fake.NewSigner(types.KeySpecEccNistP256),
		DirectoryURL: ca.URL + "/dir",
		HTTPClient:   ca.Client(), // in production: nil
	}
	ctx := context.Background()
	order, err := authorize(ctx, client, "www.example.com", "http-01", func(*acme.Challenge) error { return nil })
	if err != nil {
		log.Fatal(err)
	}
	chain, err := obtain(ctx, client, order, fake.NewSigner(types.KeySpecEccNistP384), "www.example.com")
	if err != nil {
		log.Fatal(err)
	}

	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cert.DNSNames)
	// Output: [www.example.com]
}
