package plugins_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/crypto/ocsp"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// respond returns an OCSP response (RFC 6960) that says that a certificate is
// good. Serve the same response until NextUpdate, because each costs a signature.
func respond(signer crypto.Signer, ca, cert *x509.Certificate) ([]byte, error) {
	return ocsp.CreateResponse(ca, ca, ocsp.Response{
		Status:       ocsp.Good,
		SerialNumber: cert.SerialNumber,
		ThisUpdate:   time.Now(),
		NextUpdate:   time.Now().Add(24 * time.Hour),
	}, signer)
}

// A CA with its key in KMS answers for a certificate. See the recipe of the CA
// for newCA and issue.
func Example_ocsp() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		log.Fatal(err)
	}
	cert, err := issue(signer, ca, fake.NewSigner(types.KeySpecEccNistP256).Public(), "www.example.com")
	if err != nil {
		log.Fatal(err)
	}
	der, err := respond(signer, ca, cert)
	if err != nil {
		log.Fatal(err)
	}

	response, err := ocsp.ParseResponseForCert(der, cert, ca)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status == ocsp.Good)
	// Output: true
}
