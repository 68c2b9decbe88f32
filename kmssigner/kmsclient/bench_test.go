package kmsclient_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
)

// BenchmarkConnections runs 128 signers over TLS in three ways, in turns: over
// HTTP/1.1 with the SDK's default client and with NewHTTP, and over HTTP/2. The
// server is another process, with a latency of 5 ms. A round is 1,024 calls of
// each.
//
//	go test -run '^$' -bench Connections -benchtime 40x ./kmssigner/kmsclient
func BenchmarkConnections(b *testing.B) {
	const perSigner = 8
	http1, http2 := startServer(b, "1"), startServer(b, "2")
	type variant struct {
		name            string
		signer          *kmssigner.Signer
		dialled, closed atomic.Int64
		opened          []float64 // by round, for 1,000 calls
	}
	newVariant := func(name string, server *endpoint, httpClient *awshttp.BuildableClient) *variant {
		v := &variant{name: name}
		dial := httpClient.GetTransport().DialContext
		v.signer = server.signer(b, httpClient.WithTransportOptions(func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				v.dialled.Add(1)
				conn, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return &countedConn{Conn: conn, closed: &v.closed}, nil
			}
		}))
		return v
	}
	all := []*variant{
		newVariant("default client", http1, awshttp.NewBuildableClient()),
		newVariant("`NewHTTP(128)`", http1, kmsclient.NewHTTP(concurrency)),
		newVariant("default client, HTTP/2", http2, awshttp.NewBuildableClient()),
	}
	run := func(signer crypto.Signer) {
		var signers sync.WaitGroup
		for range concurrency {
			signers.Go(func() {
				for range perSigner {
					sign(b, signer)
				}
			})
		}
		signers.Wait()
	}
	var variants []turns.Variant
	for _, v := range all {
		variants = append(variants, turns.Variant{Name: v.name, Run: func() error {
			before := v.dialled.Load()
			run(v.signer)
			v.opened = append(v.opened, 1000*float64(v.dialled.Load()-before)/(concurrency*perSigner))
			return nil
		}})
	}
	times := turns.Measure(b, 1, variants...)
	table := turns.NewTable("", "new connections for 1,000 calls", "rounds without any", "opened in all", "open at the end", "throughput")
	for _, v := range all {
		opened := v.opened[1:] // the first round opens the connections
		none := 0
		for _, n := range opened {
			if n == 0 {
				none++
			}
		}
		table.Row(v.name, turns.NewFigure(opened), fmt.Sprintf("%d of %d", none, len(opened)),
			v.dialled.Load(), v.dialled.Load()-v.closed.Load(), times.Ratio(all[0].name, v.name))
	}
	table.Write(os.Stdout)
}

// A countedConn counts when it is closed.
type countedConn struct {
	net.Conn
	once   sync.Once
	closed *atomic.Int64
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.closed.Add(1) })
	return c.Conn.Close()
}

// serverEnv is an environment variable that makes the test binary a server
// until its standard input ends. Its value is the version of HTTP.
const serverEnv = "KMSCLIENT_TEST_SERVER"

func TestMain(m *testing.M) {
	version := os.Getenv(serverEnv)
	if version == "" {
		os.Exit(m.Run())
	}
	fake, key := newFake(5 * time.Millisecond)
	h := httptest.NewUnstartedServer(fake)
	h.EnableHTTP2 = version == "2"
	h.StartTLS()
	fmt.Println(h.URL)
	fmt.Println(key)
	fmt.Println(base64.StdEncoding.EncodeToString(h.Certificate().Raw))
	io.Copy(io.Discard, os.Stdin)
}

// startServer starts the test binary as a server.
func startServer(tb testing.TB, version string) *endpoint {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+version)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	var cert string
	s := &endpoint{credentials: aws.CredentialsProviderFunc(credentials), roots: x509.NewCertPool()}
	if _, err := fmt.Fscanln(stdout, &s.url); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fscanln(stdout, &s.key); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fscanln(stdout, &cert); err != nil {
		tb.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(cert)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	s.roots.AddCert(parsed)
	return s
}
