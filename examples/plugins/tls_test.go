package plugins_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// certificate joins a certificate and its key in KMS. An intermediate CA's
// certificate goes into Certificate too, after the first.
func certificate(signer crypto.Signer, cert *x509.Certificate) tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, Leaf: cert, PrivateKey: signer}
}

// serverConfig is that of a server that wants to see certificates of the CA
// (mutual TLS). Without ClientCAs and ClientAuth it is that of other servers.
func serverConfig(signer crypto.Signer, cert, ca *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &tls.Config{
		Certificates: []tls.Certificate{certificate(signer, cert)},
		ClientCAs:    roots,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
}

// clientConfig is that of a client that trusts the CA and has a certificate.
func clientConfig(signer crypto.Signer, cert, ca *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return &tls.Config{
		Certificates: []tls.Certificate{certificate(signer, cert)},
		RootCAs:      roots,
	}
}

// An HTTPS server and its client have certificates for keys in KMS. Each
// handshake costs each of them one signature. See the recipe of the CA for newCA
// and issue, whose errors are dropped here to be short.
func Example_mutualTLS() {
	caKey, serverKey := fake.NewSigner(types.KeySpecEccNistP256), fake.NewSigner(types.KeySpecRsa2048)
	clientKey := fake.NewSigner(types.KeySpecEccNistP384)
	ca, _ := newCA(caKey, "Example CA")
	serverCert, _ := issue(caKey, ca, serverKey.Public(), "example.com")
	clientCert, _ := issue(caKey, ca, clientKey.Public(), "client.example.com")

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello, ", r.TLS.PeerCertificates[0].DNSNames[0])
	}))
	server.TLS = serverConfig(serverKey, serverCert, ca)
	server.StartTLS() // in production: (&http.Server{TLSConfig: ...}).ListenAndServeTLS("", "")
	defer server.Close()

	client := server.Client() // connects to the server, whichever the host name
	client.Transport.(*http.Transport).TLSClientConfig = clientConfig(clientKey, clientCert, ca)
	response, err := client.Get("https://example.com/")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(string(body), err)
	// Output: hello, client.example.com <nil>
}
