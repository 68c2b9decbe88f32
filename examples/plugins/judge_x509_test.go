package plugins_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/kmssigner"
)

// opensslKnows reports whether the installed OpenSSL has the algorithm of a key.
// ML-DSA came with OpenSSL 3.5. Where it is missing, the judge is crypto/x509.
func opensslKnows(t *testing.T, pub crypto.PublicKey) bool {
	t.Helper()
	if !strings.Contains(fmt.Sprintf("%T", pub), "mldsa") {
		return true
	}
	out, err := proof.Program(t, "openssl", "list", "-signature-algorithms")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(out, "ML-DSA-44")
}

// localKey is the key of somebody who does not use KMS.
func localKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func judgeCA(t *testing.T, signer *kmssigner.Signer) error {
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		return err
	}
	cert, err := issue(signer, ca, localKey(t).Public(), "www.example.com")
	if err != nil {
		return err
	}
	if !opensslKnows(t, signer.Public()) {
		return cert.CheckSignatureFrom(ca)
	}
	caFile, certFile := proof.PEM(t, "CERTIFICATE", ca.Raw), proof.PEM(t, "CERTIFICATE", cert.Raw)
	for _, host := range []string{"www.example.com", "other.example.com"} {
		out, err := proof.Program(t, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslserver",
			"-verify_hostname", host, "-CAfile", caFile, certFile)
		if host == "www.example.com" && err != nil {
			return err
		}
		if host != "www.example.com" && !strings.Contains(out, "hostname mismatch") {
			t.Errorf("openssl verifies the certificate for %s: %s", host, out)
		}
	}
	return nil
}

func judgeRequest(t *testing.T, signer *kmssigner.Signer) error {
	request, err := newRequest(signer, "www.example.com")
	if err != nil {
		return err
	}
	if !opensslKnows(t, signer.Public()) {
		return nil // x509.CreateCertificateRequest has verified the signature
	}
	out, err := proof.Program(t, "openssl", "req", "-verify", "-noout", "-text", "-in", proof.File(t, "csr.pem", request))
	if err == nil && !strings.Contains(out, "DNS:www.example.com") {
		t.Errorf("openssl finds no DNS name: %s", out)
	}
	return err
}

func judgeCRL(t *testing.T, signer *kmssigner.Signer) error {
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		return err
	}
	revoked, err := issue(signer, ca, localKey(t).Public(), "revoked.example.com")
	if err != nil {
		return err
	}
	good, err := issue(signer, ca, localKey(t).Public(), "good.example.com")
	if err != nil {
		return err
	}
	crl, err := newCRL(signer, ca, 1, revoked.SerialNumber)
	if err != nil {
		return err
	}
	if !opensslKnows(t, signer.Public()) {
		list, err := x509.ParseRevocationList(crl)
		if err != nil {
			return err
		}
		return list.CheckSignatureFrom(ca)
	}
	verify := func(cert *x509.Certificate) (string, error) {
		return proof.Program(t, "openssl", "verify", "-crl_check", "-CAfile", proof.PEM(t, "CERTIFICATE", ca.Raw),
			"-CRLfile", proof.PEM(t, "X509 CRL", crl), proof.PEM(t, "CERTIFICATE", cert.Raw))
	}
	if out, err := verify(revoked); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("openssl does not say that the certificate is revoked: %s", out)
	}
	_, err = verify(good)
	return err
}

func judgeOCSP(t *testing.T, signer *kmssigner.Signer) error {
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		// The refusal is that of crypto/x509. See that of package ocsp.
		_, err := respond(signer, &x509.Certificate{RawSubjectPublicKeyInfo: marshal(t, signer)}, &x509.Certificate{SerialNumber: big.NewInt(1)})
		return err
	}
	cert, err := issue(signer, ca, localKey(t).Public(), "www.example.com")
	if err != nil {
		return err
	}
	response, err := respond(signer, ca, cert)
	if err != nil {
		return err
	}
	out, err := proof.Program(t, "openssl", "ocsp", "-respin", proof.File(t, "response.der", response), "-no_nonce",
		"-CAfile", proof.PEM(t, "CERTIFICATE", ca.Raw), "-issuer", proof.PEM(t, "CERTIFICATE", ca.Raw), "-cert", proof.PEM(t, "CERTIFICATE", cert.Raw))
	if err == nil && (!strings.Contains(out, "Response verify OK") || !strings.Contains(out, ": good")) {
		t.Errorf("openssl does not say that the certificate is good: %s", out)
	}
	return err
}

func marshal(t *testing.T, signer *kmssigner.Signer) []byte {
	t.Helper()
	spki, err := kmssigner.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return spki
}
