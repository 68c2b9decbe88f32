package kmsclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/kmssigner/kmsclient"
)

// endless lists headers without an end, by their beginning and by what follows
// it again and again.
var endless = map[string][2]string{
	"many headers":        {"HTTP/1.1 200 OK\r\n", "X-Amzn-Other: " + strings.Repeat("x", 100) + "\r\n"},
	"one long header":     {"HTTP/1.1 200 OK\r\nX-Amzn-Other: ", strings.Repeat("x", 100)},
	"a long status line":  {"HTTP/1.1 200 ", strings.Repeat("O", 100)},
	"interim answers":     {"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"},
	"headers of an error": {"HTTP/1.1 400 Bad Request\r\n", "X-Amzn-Other: " + strings.Repeat("x", 100) + "\r\n"},
}

// TestEndlessHeaders has an endpoint send headers without an end, at each
// attempt of a client of NewHTTP. Little is read of them and the call fails.
func TestEndlessHeaders(t *testing.T) {
	for name, parts := range endless {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var served sync.WaitGroup
		var attempts atomic.Int64
		served.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				attempts.Add(1)
				served.Go(func() {
					defer conn.Close()
					if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
						io.Copy(io.Discard, r.Body)
					}
					_, err := io.WriteString(conn, parts[0])
					for again := []byte(strings.Repeat(parts[1], 100)); err == nil; { // until the client closes the connection
						_, err = conn.Write(again)
					}
				})
			}
		})
		httpClient := kmsclient.NewHTTP(concurrency)
		read := countReads(&httpClient)
		_, err = clientTo("http://"+listener.Addr().String(), httpClient).ListKeys(t.Context(), &kms.ListKeysInput{})
		if send, ok := errors.AsType[*smithyhttp.RequestSendError](err); !ok || !strings.Contains(send.Error(), "exceeded 65536 bytes") {
			t.Errorf("%s: %.300v, want a RequestSendError that names 65536 bytes", name, err)
		}
		if attempts.Load() != 1 {
			t.Errorf("%s: %d attempts, want 1", name, attempts.Load())
		}
		if n := read.Load(); n > 80<<10 {
			t.Errorf("%s: %d bytes read, want 64 KiB and what a buffer holds", name, n)
		}
		listener.Close()
		served.Wait()
	}
}

// TestLargeHeadersHTTP2 is TestEndlessHeaders over HTTP/2, where Go's server
// cannot send headers without an end.
func TestLargeHeadersHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the protocol is %s, so this shows nothing", r.Proto)
		}
		io.Copy(io.Discard, r.Body)
		for range 1000 {
			w.Header().Add("X-Amzn-Other", strings.Repeat("x", 1000))
		}
		io.WriteString(w, "{}")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for name, httpClient := range map[string]*awshttp.BuildableClient{
		"NewHTTP":                  kmsclient.NewHTTP(concurrency),
		"the SDK's default client": awshttp.NewBuildableClient(),
	} {
		httpClient = httpClient.WithTransportOptions(func(tr *http.Transport) {
			tr.TLSClientConfig = &tls.Config{RootCAs: roots}
		})
		_, err := clientTo(server.URL, httpClient).ListKeys(t.Context(), &kms.ListKeysInput{})
		_, refused := errors.AsType[*smithyhttp.RequestSendError](err)
		if want := name == "NewHTTP"; refused != want {
			t.Errorf("%s: %v, refused: %v, want %v", name, err, refused, want)
		}
	}
}

// TestLargestHeaders has an endpoint send headers that just fit.
func TestLargestHeaders(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		// The SDK closes its request when the answer begins, and net/http drops
		// a connection on which it has not finished the request by then.
		time.Sleep(time.Millisecond)
		w.Header().Set("X-Amzn-Other", strings.Repeat("x", 60<<10))
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	if _, err := clientTo(server.URL, kmsclient.NewHTTP(concurrency)).ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
		t.Errorf("60 KiB of headers: %v", err)
	}
}

// clientTo returns the SDK's client for an endpoint, without retries.
func clientTo(url string, httpClient kms.HTTPClient) *kms.Client {
	return kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &url,
		HTTPClient:   httpClient,
		Credentials:  aws.CredentialsProviderFunc(credentials),
		Retryer:      aws.NopRetryer{},
	})
}

// countReads makes *httpClient count the bytes that it reads from connections.
func countReads(httpClient **awshttp.BuildableClient) *atomic.Int64 {
	read := new(atomic.Int64)
	*httpClient = (*httpClient).WithTransportOptions(func(tr *http.Transport) {
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &readCounter{conn, read}, err
		}
	})
	return read
}

type readCounter struct {
	net.Conn
	read *atomic.Int64
}

func (c *readCounter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}
