package thirdparty_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signPDF signs a PDF that has an empty signature, as PDF libraries write it: a
// /ByteRange with room for numbers, and /Contents with room for the signature in
// hexadecimal. The signature is CMS over all but Contents (ISO 32000-1 12.8.1).
// See the recipe of CMS for signCMS.
func signPDF(signer crypto.Signer, cert *x509.Certificate, pdf []byte) ([]byte, error) {
	pdf = slices.Clone(pdf)
	from := bytes.Index(pdf, []byte("/Contents <00")) + len("/Contents ")
	to := from + bytes.IndexByte(pdf[from:], '>') + 1
	numbers := bytes.Index(pdf, []byte("/ByteRange [")) + len("/ByteRange [")
	room := bytes.IndexByte(pdf[numbers:], ']')
	text := fmt.Sprintf("0 %d %d %d", from, to, len(pdf)-to)
	if from < len("/Contents <") || numbers < len("/ByteRange [") || len(text) > room {
		return nil, errors.New("the PDF has no empty signature")
	}
	copy(pdf[numbers:], fmt.Sprintf("%-*s", room, text))
	sig, err := signCMS(signer, cert, slices.Concat(pdf[:from], pdf[to:]))
	if err != nil {
		return nil, err
	}
	if 2*len(sig) > to-from-2 {
		return nil, fmt.Errorf("the signature needs %d hexadecimal digits in /Contents", 2*len(sig))
	}
	hex.Encode(pdf[from+1:], sig)
	return pdf, nil
}

// A PDF that is signed with a key in KMS.
func Example_pdf() {
	signer := fake.NewSigner(types.KeySpecRsa2048)
	cert, err := newCertificate(signer)
	if err != nil {
		log.Fatal(err)
	}
	pdf, err := signPDF(signer, cert, emptyPDF())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(pdf) == len(emptyPDF()))
	// Output: true
}
