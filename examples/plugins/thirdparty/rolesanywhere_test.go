package thirdparty_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signX509 signs a request for IAM Roles Anywhere (AWS4-X509-ECDSA-SHA256 or
// AWS4-X509-RSA-SHA256), with a certificate of a trust anchor. The request is
// that of CreateSession: it has a body in JSON and no query.
func signX509(signer crypto.Signer, cert *x509.Certificate, request *http.Request, body, region string, now time.Time) error {
	algorithm := "AWS4-X509-ECDSA-SHA256"
	if _, ok := signer.Public().(*rsa.PublicKey); ok {
		algorithm = "AWS4-X509-RSA-SHA256"
	}
	date := now.UTC().Format("20060102T150405Z")
	scope := date[:8] + "/" + region + "/rolesanywhere/aws4_request"
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Amz-Date", date)
	request.Header.Set("X-Amz-X509", base64.StdEncoding.EncodeToString(cert.Raw))

	const signed = "content-type;host;x-amz-date;x-amz-x509"
	canonical := strings.Join([]string{request.Method, request.URL.EscapedPath(), "",
		"content-type:application/json", "host:" + request.URL.Host, "x-amz-date:" + date,
		"x-amz-x509:" + request.Header.Get("X-Amz-X509"), "", signed, hash(body)}, "\n")
	toSign := strings.Join([]string{algorithm, date, scope, hash(canonical)}, "\n")
	digest := sha256.Sum256([]byte(toSign))
	sig, err := signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		algorithm, cert.SerialNumber, scope, signed, sig))
	return nil
}

func hash(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// A request to IAM Roles Anywhere with a key in KMS.
func Example_rolesAnywhere() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	cert, err := newCertificate(signer)
	if err != nil {
		log.Fatal(err)
	}
	const body = `{"profileArn":"arn:aws:rolesanywhere:...","roleArn":"arn:aws:iam::...","trustAnchorArn":"arn:aws:rolesanywhere:..."}`
	request, err := http.NewRequest("POST", "https://rolesanywhere.eu-west-1.amazonaws.com/sessions", strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	if err := signX509(signer, cert, request, body, "eu-west-1", time.Now()); err != nil {
		log.Fatal(err)
	}
	algorithm, _, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	fmt.Println(algorithm)
	// Output: AWS4-X509-ECDSA-SHA256
}
