package thirdparty_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/smallstep/pkcs7"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signCMS returns a detached CMS signature (RFC 5652). Without SetDigestAlgorithm
// the digest is SHA-1, which KMS does not sign.
func signCMS(signer crypto.Signer, cert *x509.Certificate, data []byte) ([]byte, error) {
	signed, err := pkcs7.NewSignedData(data)
	if err != nil {
		return nil, err
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSigner(cert, signer, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	signed.Detach()
	return signed.Finish()
}

// A detached CMS signature of a file with a key in KMS.
func Example_cms() {
	signer := fake.NewSigner(types.KeySpecEccNistP384)
	cert, err := newCertificate(signer)
	if err != nil {
		log.Fatal(err)
	}
	sig, err := signCMS(signer, cert, []byte("hello"))
	if err != nil {
		log.Fatal(err)
	}

	parsed, err := pkcs7.Parse(sig)
	if err != nil {
		log.Fatal(err)
	}
	parsed.Content = []byte("hello")
	fmt.Println(parsed.Verify())
	// Output: <nil>
}
