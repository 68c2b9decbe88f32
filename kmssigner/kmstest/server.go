package kmstest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/internal/sigv4"
)

// Server is a [KMS] behind KMS's own protocol, AWS JSON 1.1 over HTTP on the
// loopback interface. It accepts requests that are signed with the credentials of
// the KMS, for its Region, at most five minutes ago.
type Server struct {
	// URL is the endpoint, of the form http://127.0.0.1:12345.
	URL string

	k    *KMS
	h    *httptest.Server
	stop context.CancelFunc // ends the contexts of all requests
}

// NewServer starts a server for k; several servers may share one KMS. The caller
// should call Close when finished.
func NewServer(k *KMS) *Server {
	h := httptest.NewUnstartedServer(k)
	ctx, stop := context.WithCancel(context.Background())
	h.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.Start()
	return &Server{URL: h.URL, k: k, h: h, stop: stop}
}

// Config returns a configuration with which the SDK's clients reach the server:
// its endpoint, Region and credentials. All else is the SDK's default; note that
// it waits up to seconds between retries, which aws.NopRetryer avoids.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region:       s.k.opts.Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return s.k.opts.Credentials, nil
		}),
	}
}

// Client returns the SDK's client of KMS with the configuration of Config.
func (s *Server) Client() *kms.Client { return kms.NewFromConfig(s.Config()) }

// Close stops the server, after the requests it is serving. Those that a fault
// delays or hangs end at once, without an answer.
func (s *Server) Close() {
	s.stop()
	s.h.Close()
}

// maxBody is far more than the longest request that any operation takes.
const maxBody = 1 << 20

// ServeHTTP serves one request of KMS's protocol, for those who want to listen on
// an address of their own or with TLS. It is what a [Server] does.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := k.accept(w, r)
	// The Go SDK closes the body of its request as soon as the answer begins. If
	// net/http has not seen the end of the body by then it drops the connection, which
	// on a loopback, and nowhere else, happens now and then.
	if strings.Contains(r.UserAgent(), "aws-sdk-go-v2") {
		time.Sleep(time.Millisecond)
	}
	a, err := k.handle(r.Context(), r.Header.Get("X-Amz-Target"), body, err)
	if err != nil { // the client or the server has given up
		panic(http.ErrAbortHandler)
	}
	a.write(r.Context(), w)
}

// accept reads a request and checks its form and its signature.
func (k *KMS) accept(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || r.URL.Path != "/" || media != contentType {
		return nil, refuse("UnknownOperationException", "kmstest wants POST / with Content-Type %s", contentType)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, refuse("SerializationException", "cannot read the body: %v", err)
	}
	verifier := sigv4.Verifier{Service: "kms", Region: k.opts.Region, Credentials: k.opts.Credentials}
	if err, ok := errors.AsType[smithy.APIError](verifier.Verify(r, body)); ok {
		return body, refuse(err.ErrorCode(), "%s", err.ErrorMessage())
	}
	return body, nil
}
