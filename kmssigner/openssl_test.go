package kmssigner_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// OpenSSL is the judge here: it verifies certificates and digests, and it is
// the peer in TLS handshakes.

func needOpenSSL(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
}

// openssl runs the program and returns what it prints.
func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(out), err
}

func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nistSpecs are the key specs of the curves that TLS and X.509 know.
var nistSpecs = []types.KeySpec{types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521}

// TestOpenSSLX509 has OpenSSL verify self-signed certificates for all nine
// pairs of curve and hash.
func TestOpenSSLX509(t *testing.T) {
	needOpenSSL(t)
	fake := kmstest.New()
	for _, spec := range nistSpecs {
		signer := newSigner(t, fake, fake.AddKey(spec))
		for _, alg := range []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512} {
			cert := writePEM(t, "cert.pem", "CERTIFICATE", selfSigned(t, signer, alg).Raw)
			if out, err := openssl(t, "verify", "-check_ss_sig", "-CAfile", cert, cert); err != nil {
				t.Errorf("%s, %v: %v: %s", spec, alg, err, out)
			}
		}
	}
}

// TestOpenSSLDigest has OpenSSL verify a signature of a message for each hash
// on each curve, and refuse it for another message.
func TestOpenSSLDigest(t *testing.T) {
	needOpenSSL(t)
	fake := kmstest.New()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	message, other := file("message", []byte("message")), file("other", []byte("other message"))
	names := map[crypto.Hash]string{
		crypto.SHA224: "sha224", crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512",
		crypto.SHA512_224: "sha512-224", crypto.SHA512_256: "sha512-256",
		crypto.SHA3_224: "sha3-224", crypto.SHA3_256: "sha3-256", crypto.SHA3_384: "sha3-384", crypto.SHA3_512: "sha3-512",
	}
	for _, key := range ecdsaSpecs {
		signer := newSigner(t, fake, fake.AddKey(key.spec))
		spki, err := kmssigner.MarshalPKIXPublicKey(signer.Public())
		if err != nil {
			t.Fatal(err)
		}
		pub := writePEM(t, "pub.pem", "PUBLIC KEY", spki)
		for _, hash := range ecdsaHashes {
			sig, err := signer.SignMessage(nil, []byte("message"), hash)
			if err != nil {
				t.Fatal(err)
			}
			signature := file("signature", sig)
			if out, err := openssl(t, "dgst", "-"+names[hash], "-verify", pub, "-signature", signature, message); err != nil {
				t.Errorf("%s, %v: %v: %s", key.spec, hash, err, out)
			}
			if hash != key.hash {
				continue
			}
			if out, err := openssl(t, "dgst", "-"+names[hash], "-verify", pub, "-signature", signature, other); err == nil {
				t.Errorf("%s, %v: openssl accepts the signature for another message: %s", key.spec, hash, out)
			}
		}
	}
}

// sigalgOrders are the orders in which an OpenSSL peer may prefer the hashes of
// ECDSA signatures.
var sigalgOrders = []string{
	"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512",
	"ECDSA+SHA256:ECDSA+SHA512:ECDSA+SHA384",
	"ECDSA+SHA384:ECDSA+SHA256:ECDSA+SHA512",
	"ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA256",
	"ECDSA+SHA512:ECDSA+SHA256:ECDSA+SHA384",
	"ECDSA+SHA512:ECDSA+SHA384:ECDSA+SHA256",
}

var tlsVersions = []struct {
	version uint16
	flag    string
}{
	{tls.VersionTLS12, "-tls1_2"},
	{tls.VersionTLS13, "-tls1_3"},
}

// TestOpenSSLClient has OpenSSL connect to a server whose certificate is on a
// KMS key.
func TestOpenSSLClient(t *testing.T) {
	needOpenSSL(t)
	fake := kmstest.New()
	for _, spec := range nistSpecs {
		signer := newSigner(t, fake, fake.AddKey(spec))
		cert := selfSigned(t, signer, 0)
		ca := writePEM(t, "ca.pem", "CERTIFICATE", cert.Raw)
		for _, v := range tlsVersions {
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: signer}},
				MinVersion:   v.version,
				MaxVersion:   v.version,
			})
			if err != nil {
				t.Fatal(err)
			}
			handshakes := make(chan error)
			go func() {
				defer close(handshakes)
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					handshakes <- conn.(*tls.Conn).Handshake()
					conn.Close()
				}
			}()
			for _, order := range sigalgOrders {
				result := make(chan string, 1)
				go func() {
					out, err := openssl(t, "s_client", "-connect", listener.Addr().String(), v.flag, "-sigalgs", order,
						"-CAfile", ca, "-verify_return_error", "-brief")
					result <- fmt.Sprint(err, ": ", out)
				}()
				if err := <-handshakes; err != nil {
					t.Errorf("%s, %s, -sigalgs %s: %v\n%s", spec, v.flag, order, err, <-result)
					continue
				}
				out := <-result
				if !strings.Contains(out, "Verification: OK") {
					t.Errorf("%s, %s, -sigalgs %s: %s", spec, v.flag, order, out)
				}
				// In TLS 1.2 the client's first choice is used.
				if first := "Hash used: " + order[len("ECDSA+"):][:len("SHA256")]; v.version == tls.VersionTLS12 && !strings.Contains(out, first) {
					t.Errorf("%s, -sigalgs %s: want %q:\n%s", spec, order, first, out)
				}
			}
			listener.Close()
			for range handshakes {
			}
		}
	}
}

// TestOpenSSLServer has a client whose certificate is on a KMS key connect to
// an OpenSSL server, which asks for it.
func TestOpenSSLServer(t *testing.T) {
	needOpenSSL(t)
	fake := kmstest.New()
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serverDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	serverCert := selfSigned(t, serverKey, 0)
	keyFile := writePEM(t, "key.pem", "PRIVATE KEY", serverDER)
	certFile := writePEM(t, "cert.pem", "CERTIFICATE", serverCert.Raw)
	roots := x509.NewCertPool()
	roots.AddCert(serverCert)
	for _, spec := range nistSpecs {
		signer := newSigner(t, fake, fake.AddKey(spec))
		cert := selfSigned(t, signer, 0)
		ca := writePEM(t, "ca.pem", "CERTIFICATE", cert.Raw)
		for _, v := range tlsVersions {
			for _, order := range sigalgOrders {
				address := serveOpenSSL(t, v.flag, "-cert", certFile, "-key", keyFile,
					"-Verify", "1", "-verify_return_error", "-CAfile", ca, "-client_sigalgs", order)
				err := exchange(address, &tls.Config{
					Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: signer}},
					RootCAs:      roots,
					ServerName:   "kms.example",
					MinVersion:   v.version,
					MaxVersion:   v.version,
				})
				if err != nil {
					t.Errorf("%s, %s, -client_sigalgs %s: %v", spec, v.flag, order, err)
				}
			}
		}
	}
}

var accepting = regexp.MustCompile(`ACCEPT .*:(\d+)`)

// serveOpenSSL starts an OpenSSL server for one connection, which sends each
// line back in reverse, and returns its address.
func serveOpenSSL(t *testing.T, args ...string) string {
	t.Helper()
	server := exec.CommandContext(t.Context(), "openssl", append([]string{"s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-rev"}, args...)...)
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	server.Stderr = &stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	for {
		line, err := lines.ReadString('\n')
		if port := accepting.FindStringSubmatch(line); port != nil {
			go io.Copy(io.Discard, lines)
			return net.JoinHostPort("127.0.0.1", port[1])
		}
		if err != nil {
			t.Fatalf("openssl s_server does not listen: %v: %s", err, stderr.String())
		}
	}
}

// exchange sends a line and wants it back in reverse. In TLS 1.3 a handshake
// ends before the server has judged the client's certificate, and reading shows
// it.
func exchange(address string, config *tls.Config) error {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "abc\n"); err != nil {
		return err
	}
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if reply != "cba\n" {
		return fmt.Errorf("the server answered %q, want %q", reply, "cba\n")
	}
	return nil
}
