//go:build go1.27

// Before Go 1.27 crypto/x509 and crypto/tls know no ML-DSA keys.

package kmssigner_test

import (
	"crypto/mldsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// An ML-DSA key in KMS is a CA: it signs its own certificate, one for a server
// and one for a client from their requests, and a CRL. The server and the
// client have ML-DSA keys in KMS too, and authenticate to each other with TLS
// 1.3. crypto/x509 and crypto/tls take the Signers as they are.
func TestMLDSACertificates(t *testing.T) {
	for _, tt := range []struct {
		spec       types.KeySpec
		parameters mldsa.Parameters
		signature  x509.SignatureAlgorithm
		scheme     tls.SignatureScheme
	}{
		{types.KeySpecMlDsa44, mldsa.MLDSA44(), x509.MLDSA44, tls.MLDSA44},
		{types.KeySpecMlDsa65, mldsa.MLDSA65(), x509.MLDSA65, tls.MLDSA65},
		{types.KeySpecMlDsa87, mldsa.MLDSA87(), x509.MLDSA87, tls.MLDSA87},
	} {
		t.Run(string(tt.spec), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
				caKey := newSigner(t, client, fake.AddKey(tt.spec))
				serverKey := newSigner(t, client, fake.AddKey(tt.spec))
				clientKey := newSigner(t, client, fake.AddKey(tt.spec))
				if pub, ok := caKey.Public().(*mldsa.PublicKey); !ok || pub.Parameters() != tt.parameters {
					t.Fatalf("the public key is a %T, want a *mldsa.PublicKey for %v", caKey.Public(), tt.parameters)
				}

				ca := selfSigned(t, caKey, 0)
				if ca.SignatureAlgorithm != tt.signature {
					t.Errorf("the certificate is signed with %v, want %v", ca.SignatureAlgorithm, tt.signature)
				}
				if err := ca.CheckSignatureFrom(ca); err != nil {
					t.Errorf("the CA's certificate: %v", err)
				}
				serverCert := issue(t, ca, caKey, 2, request(t, serverKey))
				clientCert := issue(t, ca, caKey, 3, request(t, clientKey))
				crl := revoke(t, ca, caKey, clientCert)
				if err := crl.CheckSignatureFrom(ca); err != nil {
					t.Errorf("the CRL: %v", err)
				}

				roots := x509.NewCertPool()
				roots.AddCert(ca)
				certificate := func(cert *x509.Certificate, key *kmssigner.Signer) []tls.Certificate {
					return []tls.Certificate{{
						Certificate: [][]byte{cert.Raw},
						PrivateKey:  key,
						// So that the handshake can use no other scheme.
						SupportedSignatureAlgorithms: []tls.SignatureScheme{tt.scheme},
					}}
				}
				serverSide, clientSide := net.Pipe()
				server := tls.Server(serverSide, &tls.Config{
					Certificates: certificate(serverCert, serverKey),
					ClientCAs:    roots,
					ClientAuth:   tls.RequireAndVerifyClientCert,
				})
				peer := tls.Client(clientSide, &tls.Config{
					Certificates: certificate(clientCert, clientKey),
					RootCAs:      roots,
					ServerName:   "kms.example",
				})
				served := make(chan error, 1)
				go func() {
					_, err := io.WriteString(server, "hello")
					server.Close()
					served <- err
				}()
				got, err := io.ReadAll(peer)
				peer.Close()
				if err != nil || string(got) != "hello" {
					t.Errorf("the client reads %q, %v, want hello", got, err)
				}
				if err := <-served; err != nil {
					t.Errorf("the server: %v", err)
				}
				if state := peer.ConnectionState(); state.Version != tls.VersionTLS13 || !state.PeerCertificates[0].Equal(serverCert) {
					t.Errorf("the client sees version %#x, certificate %v", state.Version, state.PeerCertificates[0].SerialNumber)
				}
				if state := server.ConnectionState(); !state.PeerCertificates[0].Equal(clientCert) {
					t.Errorf("the server sees certificate %v", state.PeerCertificates[0].SerialNumber)
				}
			})
		})
	}
}

// request returns a certificate request whose signature has been verified.
func request(t *testing.T, signer *kmssigner.Signer) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "kms.example"},
		DNSNames: []string{"kms.example"},
	}, signer)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Fatalf("the request: %v", err)
	}
	return csr
}

// issue returns the certificate that the CA makes of a request.
func issue(t *testing.T, ca *x509.Certificate, caKey *kmssigner.Signer, serial int64, csr *x509.CertificateRequest) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      csr.Subject,
		DNSNames:     csr.DNSNames,
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca, csr.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// revoke returns a CRL of the CA that lists cert.
func revoke(t *testing.T, ca *x509.Certificate, caKey *kmssigner.Signer, cert *x509.Certificate) *x509.RevocationList {
	t.Helper()
	der, err := x509.CreateRevocationList(nil, &x509.RevocationList{
		Number:     big.NewInt(1),
		ThisUpdate: time.Now(),
		NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{
			SerialNumber:   cert.SerialNumber,
			RevocationTime: time.Now(),
		}},
	}, ca, caKey)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if len(crl.RevokedCertificateEntries) != 1 || crl.RevokedCertificateEntries[0].SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Errorf("the CRL lists %v, want the serial number %v", crl.RevokedCertificateEntries, cert.SerialNumber)
	}
	return crl
}
