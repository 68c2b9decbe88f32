package plugins_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/kmssigner"
)

func TestTraps(t *testing.T) {
	proof.CheckTraps(t, "../../docs/plugins.md", "traps", []proof.Trap{
		{
			Name: "overrideSign",
			What: "A type embeds a `*kmssigner.Signer` and overrides `Sign` only, to count or to log. crypto/x509 and crypto/tls call `SignMessage`.",
			Run:  overrideSign,
			Seen: "1 signature, 0 calls of the override",
			Do:   "Override `SignMessage` too, or embed a `crypto.Signer`.",
		},
		{
			Name: "longCRL",
			What: "A CA with an Ed25519 key has many revocations. KMS takes 4096 bytes with Ed25519, and the message is the whole CRL.",
			Run:  longCRL,
			Seen: "KMS takes 1 to 4096 for Ed25519",
			Do:   "Use an ECDSA, RSA or ML-DSA key for a CA.",
		},
		{
			Name: "longHandshake",
			What: "A TLS 1.2 client has a certificate for an Ed25519 key. It signs all messages of the handshake, those of the server's chain included.",
			Run:  longHandshake,
			Seen: "KMS takes 1 to 4096 for Ed25519",
			Do:   "Set `MinVersion: tls.VersionTLS13`, where the message is short, or use an ECDSA or RSA key.",
		},
	})
}

// countingSigner means to count signatures.
type countingSigner struct {
	*kmssigner.Signer
	count *int
}

func (s countingSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	*s.count++
	return s.Signer.Sign(rand, digest, opts)
}

func overrideSign(*testing.T) error {
	count := 0
	if _, err := newCA(countingSigner{fake.NewSigner(types.KeySpecEccNistP256), &count}, "Example CA"); err != nil {
		return err
	}
	return fmt.Errorf("1 signature, %d calls of the override", count)
}

func longCRL(*testing.T) error {
	signer := fake.NewSigner(types.KeySpecEccNistEdwards25519)
	ca, err := newCA(signer, "Example CA")
	if err != nil {
		return err
	}
	var serials []*big.Int
	for i := range int64(200) {
		serials = append(serials, big.NewInt(i+1))
	}
	_, err = newCRL(signer, ca, 1, serials...)
	if !errors.Is(err, kmssigner.ErrMessageLength) {
		return fmt.Errorf("%v is not ErrMessageLength", err)
	}
	return err
}

func longHandshake(t *testing.T) error {
	signer, serverKey := fake.NewSigner(types.KeySpecEccNistEdwards25519), localKey(t)
	ca, err := newCA(serverKey, "Example CA")
	if err != nil {
		return err
	}
	cert, err := issue(serverKey, ca, signer.Public(), "client.example.com")
	if err != nil {
		return err
	}
	serverCert, err := issue(serverKey, ca, serverKey.Public(), "www.example.com")
	if err != nil {
		return err
	}
	server := serverConfig(serverKey, serverCert, ca)
	for range 10 { // a long chain
		server.Certificates[0].Certificate = append(server.Certificates[0].Certificate, ca.Raw)
	}
	client := clientConfig(signer, cert, ca)
	client.ServerName, client.MaxVersion = "www.example.com", tls.VersionTLS12
	a, b := net.Pipe()
	go func() {
		tls.Server(a, server).Handshake()
		a.Close()
	}()
	defer b.Close()
	return tls.Client(b, client).Handshake()
}
