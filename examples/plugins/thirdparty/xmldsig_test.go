package thirdparty_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// xmlSigner returns ECDSA signatures as R‖S, as XML-DSig has them (RFC 6931
// section 2.3.6). goxmldsig writes what Sign returns into the document.
type xmlSigner struct{ crypto.Signer }

func (s xmlSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := s.Signer.Sign(rand, digest, opts)
	if pub, ok := s.Public().(*ecdsa.PublicKey); ok && err == nil {
		return derconv.ToP1363(sig, pub.Curve)
	}
	return sig, err
}

// signXML adds an enveloped signature to an element, such as a SAML assertion.
func signXML(signer crypto.Signer, cert *x509.Certificate, element *etree.Element) (*etree.Element, error) {
	signing, err := dsig.NewSigningContext(xmlSigner{signer}, [][]byte{cert.Raw})
	if err != nil {
		return nil, err
	}
	signing.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	return signing.SignEnveloped(element)
}

// An XML document that is signed with a key in KMS.
func Example_xmlDSig() {
	signer := fake.NewSigner(types.KeySpecEccNistP256)
	cert, err := newCertificate(signer)
	if err != nil {
		log.Fatal(err)
	}
	document := etree.NewDocument()
	document.CreateElement("order").CreateAttr("ID", "o1")
	signed, err := signXML(signer, cert, document.Root())
	if err != nil {
		log.Fatal(err)
	}

	// goxmldsig itself verifies DER only, so other software judges this.
	sig, err := base64.StdEncoding.DecodeString(signed.FindElement("//ds:SignatureValue").Text())
	fmt.Println(len(sig), err)
	// Output: 64 <nil>
}
