package plugins_test

import (
	"bufio"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/examples/plugins/internal/proof"
	"github.com/kmssign/kmssign/kmssigner"
)

// tlsVersions are the versions with their flags of openssl.
var tlsVersions = map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}

// judgeTLS has OpenSSL connect to a server with the key, and a client with the
// key connect to OpenSSL, which wants to see its certificate.
func judgeTLS(t *testing.T, signer *kmssigner.Signer) error {
	caKey, peerKey := localKey(t), localKey(t)
	ca, err := newCA(caKey, "Example CA")
	if err != nil {
		return err
	}
	cert, err := issue(caKey, ca, signer.Public(), "www.example.com")
	if err != nil {
		return err
	}
	peerCert, err := issue(caKey, ca, peerKey.Public(), "peer.example.com")
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(peerKey)
	if err != nil {
		return err
	}
	peer := []string{"-CAfile", proof.PEM(t, "CERTIFICATE", ca.Raw), "-verify_return_error",
		"-cert", proof.PEM(t, "CERTIFICATE", peerCert.Raw), "-key", proof.PEM(t, "PRIVATE KEY", der)}
	for version, flag := range tlsVersions {
		if !opensslKnows(t, signer.Public()) {
			if version == tls.VersionTLS12 {
				continue // ML-DSA is for TLS 1.3
			}
			if err := handshake(signer, cert, ca); err != nil {
				return err
			}
			continue
		}
		if err := opensslConnects(t, serverConfig(signer, cert, ca), version, append(peer, flag)); err != nil {
			return fmt.Errorf("server, %s: %w", flag, err)
		}
		if err := opensslAccepts(t, clientConfig(signer, cert, ca), version, append(peer, flag)); err != nil {
			return fmt.Errorf("client, %s: %w", flag, err)
		}
	}
	return nil
}

// handshake has a server and a client of crypto/tls talk, with the key on both
// sides.
func handshake(signer crypto.Signer, cert, ca *x509.Certificate) error {
	a, b := net.Pipe()
	server := tls.Server(a, serverConfig(signer, cert, ca))
	config := clientConfig(signer, cert, ca)
	config.ServerName = "www.example.com"
	client := tls.Client(b, config)
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte("x"))
		done <- err
	}()
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		return err
	}
	return <-done
}

func opensslConnects(t *testing.T, config *tls.Config, version uint16, flags []string) error {
	config.MinVersion, config.MaxVersion = version, version
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	defer listener.Close()
	handshakes := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
		handshakes <- err
	}()
	args := append([]string{"s_client", "-connect", listener.Addr().String(), "-servername", "www.example.com",
		"-verify_hostname", "www.example.com", "-brief"}, flags...)
	out, err := proof.Program(t, "openssl", args...)
	listener.Close()
	if err2 := <-handshakes; err2 != nil {
		return fmt.Errorf("%w; %v", err2, out)
	}
	// openssl's status tells that the server closed the connection.
	if !strings.Contains(out, "Verification: OK") {
		return fmt.Errorf("openssl s_client: %v: %s", err, out)
	}
	return nil
}

var accepting = regexp.MustCompile(`ACCEPT .*:(\d+)`)

// opensslAccepts connects to an OpenSSL server, which sends a line back in
// reverse once it has verified the client.
func opensslAccepts(t *testing.T, config *tls.Config, version uint16, flags []string) error {
	proof.Need(t, "openssl")
	args := append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-rev", "-Verify", "1"}, flags...)
	server := exec.CommandContext(t.Context(), "openssl", args...)
	stdout, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Wait()
	defer server.Process.Kill()
	lines, port := bufio.NewReader(stdout), ""
	for port == "" {
		line, err := lines.ReadString('\n')
		if found := accepting.FindStringSubmatch(line); found != nil {
			port = found[1]
		} else if err != nil {
			return fmt.Errorf("openssl s_server does not listen: %w", err)
		}
	}
	go io.Copy(io.Discard, lines)
	config.MinVersion, config.MaxVersion, config.ServerName = version, version, "peer.example.com"
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", port), config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "abc\n"); err != nil {
		return err
	}
	if reply, err := bufio.NewReader(conn).ReadString('\n'); reply != "cba\n" {
		return fmt.Errorf("openssl s_server answered %q, %v", reply, err)
	}
	return nil
}
