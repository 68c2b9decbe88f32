package kmssigner_test

import (
	"crypto"
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

// The standard library is the judge here. crypto/x509 verifies the signature of
// a certificate before it returns it, and each side of a TLS handshake verifies
// the signature of the other.

// stdSpecs are the key specs that crypto/x509 and crypto/tls know.
var stdSpecs = []types.KeySpec{
	types.KeySpecEccNistP256,
	types.KeySpecEccNistP384,
	types.KeySpecEccNistP521,
	types.KeySpecEccNistEdwards25519,
	types.KeySpecRsa2048,
	types.KeySpecRsa3072,
	types.KeySpecRsa4096,
}

// x509Algorithms returns the algorithms with which a key of the spec can sign
// certificates. 0 leaves the choice to crypto/x509.
func x509Algorithms(spec types.KeySpec) []x509.SignatureAlgorithm {
	switch spec {
	case types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521:
		return []x509.SignatureAlgorithm{0, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}
	case types.KeySpecEccNistEdwards25519:
		return []x509.SignatureAlgorithm{0, x509.PureEd25519}
	}
	return []x509.SignatureAlgorithm{0,
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS}
}

func selfSigned(t *testing.T, signer crypto.Signer, alg x509.SignatureAlgorithm) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "kms.example"},
		DNSNames:              []string{"kms.example"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		SignatureAlgorithm:    alg,
	}
	der, err := x509.CreateCertificate(nil, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatalf("%v: %v", alg, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestX509(t *testing.T) {
	for _, spec := range stdSpecs {
		t.Run(string(spec), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
				signer := newSigner(t, client, fake.AddKey(spec))
				for _, alg := range x509Algorithms(spec) {
					cert := selfSigned(t, signer, alg)
					if err := cert.CheckSignatureFrom(cert); err != nil {
						t.Errorf("certificate, %v: %v", alg, err)
					}
					if alg != 0 && cert.SignatureAlgorithm != alg {
						t.Errorf("certificate signed with %v, want %v", cert.SignatureAlgorithm, alg)
					}
					der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{
						Subject:            pkix.Name{CommonName: "kms.example"},
						SignatureAlgorithm: alg,
					}, signer)
					if err != nil {
						t.Fatalf("request, %v: %v", alg, err)
					}
					csr, err := x509.ParseCertificateRequest(der)
					if err != nil {
						t.Fatal(err)
					}
					if err := csr.CheckSignature(); err != nil {
						t.Errorf("request, %v: %v", alg, err)
					}
				}
			})
		})
	}
}

// handshake connects a client and a server that both authenticate with the
// signer's certificate.
func handshake(t *testing.T, signer crypto.Signer, cert *x509.Certificate, version uint16) (serverErr, clientErr error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	config := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: signer}},
		RootCAs:      roots,
		ClientCAs:    roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   "kms.example",
		MinVersion:   version,
		MaxVersion:   version,
	}
	serverSide, clientSide := net.Pipe()
	server, client := tls.Server(serverSide, config), tls.Client(clientSide, config)
	done := make(chan error, 1)
	go func() {
		_, err := io.WriteString(server, "hello")
		server.Close()
		done <- err
	}()
	got, clientErr := io.ReadAll(client)
	if clientErr == nil && string(got) != "hello" {
		t.Errorf("read %q, want hello", got)
	}
	client.Close()
	return <-done, clientErr
}

func TestTLS13(t *testing.T) {
	for _, spec := range stdSpecs {
		t.Run(string(spec), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
				signer := newSigner(t, client, fake.AddKey(spec))
				serverErr, clientErr := handshake(t, signer, selfSigned(t, signer, 0), tls.VersionTLS13)
				if serverErr != nil || clientErr != nil {
					t.Errorf("handshake: server %v, client %v", serverErr, clientErr)
				}
			})
		})
	}
}

// TestTLS12 signs with hashes that KMS does not offer for the curve. TLS 1.2
// leaves the choice of the hash to the two sides, and crypto/tls chooses
// SHA-256 for every curve.
func TestTLS12(t *testing.T) {
	for _, spec := range stdSpecs {
		t.Run(string(spec), func(t *testing.T) {
			eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
				signer := newSigner(t, client, fake.AddKey(spec))
				serverErr, clientErr := handshake(t, signer, selfSigned(t, signer, 0), tls.VersionTLS12)
				if serverErr != nil || clientErr != nil {
					t.Errorf("handshake: server %v, client %v", serverErr, clientErr)
				}
			})
		})
	}
}
