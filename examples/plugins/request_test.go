package plugins_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// newRequest returns a certificate request (RFC 2986) for the key signer, in PEM.
// Send it to a CA.
func newRequest(signer crypto.Signer, dnsName string) ([]byte, error) {
	template := &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: dnsName},
		DNSNames: []string{dnsName},
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, signer)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// A request for a certificate for a key in KMS.
func Example_certificateRequest() {
	request, err := newRequest(fake.NewSigner(types.KeySpecRsa2048), "www.example.com")
	if err != nil {
		log.Fatal(err)
	}

	block, _ := pem.Decode(request)
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(parsed.DNSNames, parsed.CheckSignature())
	// Output: [www.example.com] <nil>
}
