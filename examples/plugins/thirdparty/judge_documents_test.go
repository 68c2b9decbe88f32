package thirdparty_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/kmssigner"
)

// judgeCMS verifies with openssl, and has it find a changed content.
func judgeCMS(t *testing.T, signer *kmssigner.Signer) error {
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	sig, err := signCMS(signer, cert, []byte("hello"))
	if err != nil {
		return err
	}
	certFile, sigFile := proof.PEM(t, "CERTIFICATE", cert.Raw), proof.File(t, "sig.der", sig)
	for _, content := range []string{"hello", "other"} {
		_, err := proof.Program(t, "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", sigFile,
			"-content", proof.File(t, "content", []byte(content)), "-CAfile", certFile, "-purpose", "any")
		if content == "hello" && err != nil {
			return err
		}
		if content == "other" && (err == nil || !strings.Contains(err.Error(), "digest failure") && !strings.Contains(err.Error(), "verification failure")) {
			t.Errorf("openssl verifies the signature for another content: %v", err)
		}
	}
	return nil
}

// judgePDF verifies with pdfsig, and has it find a changed PDF.
func judgePDF(t *testing.T, signer *kmssigner.Signer) error {
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	pdf, err := signPDF(signer, cert, emptyPDF())
	if err != nil {
		return err
	}
	changed := []byte(strings.Replace(string(pdf), "842]", "841]", 1))
	for i, data := range [][]byte{pdf, changed} {
		cmd := exec.CommandContext(t.Context(), "pdfsig", "-nocert", proof.File(t, "signed.pdf", data))
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir()) // where it looks for certificates
		out, err := proof.Output(t, cmd)
		if i == 0 && !(strings.Contains(out, "Signature is Valid.") && strings.Contains(out, "Total document signed")) {
			return fmt.Errorf("pdfsig: %v: %s", err, out)
		}
		if i == 1 && !strings.Contains(out, "Digest Mismatch.") {
			t.Errorf("pdfsig does not find that the PDF has changed: %s", out)
		}
	}
	return nil
}

// judgeXML verifies with xmlsec1, and has it find a changed document.
func judgeXML(t *testing.T, signer *kmssigner.Signer) error {
	cert, err := newCertificate(signer)
	if err != nil {
		return err
	}
	document := etree.NewDocument()
	order := document.CreateElement("order")
	order.CreateAttr("ID", "o1")
	order.CreateElement("amount").SetText("100")
	signed, err := signXML(signer, cert, order)
	if err != nil {
		return err
	}
	if err := xmlsec1(t, signed, cert); err != nil {
		return err
	}
	signed.FindElement("amount").SetText("900")
	if err := xmlsec1(t, signed, cert); err == nil {
		t.Error("xmlsec1 verifies a document with another amount")
	}
	return nil
}

// xmlsec1 has the program verify a document whose root is an order.
func xmlsec1(t *testing.T, root *etree.Element, cert *x509.Certificate) error {
	t.Helper()
	text, err := etree.NewDocumentWithRoot(root.Copy()).WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	_, err = proof.Program(t, "xmlsec1", "--verify", "--pubkey-cert-pem", proof.PEM(t, "CERTIFICATE", cert.Raw),
		"--id-attr:ID", "order", "--enabled-reference-uris", "same-doc", proof.File(t, "order.xml", text))
	return err
}
