package plugins_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// newCA returns the certificate of a root CA whose key is signer.
func newCA(signer crypto.Signer, name string) (*x509.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue returns a certificate for a TLS server or client with the key pub, which
// the CA signs.
func issue(signer crypto.Signer, ca *x509.Certificate, pub crypto.PublicKey, dnsName string) (*x509.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: dnsName},
		DNSNames:    []string{dnsName},
		NotBefore:   time.Now().Add(-time.Minute),
		NotAfter:    time.Now().AddDate(0, 3, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// A private CA with its key in KMS issues a certificate to a server, whose key is
// in KMS too. For a key that is elsewhere, take the public key of its
// certificate request.
func Example_certificateAuthority() {
	caKey := fake.NewSigner(types.KeySpecEccNistP384)
	serverKey := fake.NewSigner(types.KeySpecEccNistP256)

	ca, err := newCA(caKey, "Example CA")
	if err != nil {
		log.Fatal(err)
	}
	cert, err := issue(caKey, ca, serverKey.Public(), "www.example.com")
	if err != nil {
		log.Fatal(err)
	}

	roots := x509.NewCertPool()
	roots.AddCert(ca)
	chains, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "www.example.com"})
	fmt.Println(len(chains), err)
	// Output: 1 <nil>
}
