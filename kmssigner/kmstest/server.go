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

// Server serves a [KMS] by the protocol of KMS, AWS JSON 1.1, over HTTP on the
// loopback interface. It accepts requests that are signed with the credentials
// of the KMS, for any Region of its partition, at most five minutes before or
// after the time of the server. A request goes to the KMS of the Region that
// its signature names, as [KMS.Region] returns it.
//
// A Server is safe for concurrent use.
type Server struct {
	// URL is the endpoint, of the form http://127.0.0.1:12345.
	URL string

	k    *KMS
	h    *httptest.Server
	stop context.CancelFunc // cancels the contexts of all requests
}

// NewServer starts a server for k on a free port of 127.0.0.1. It panics if it
// cannot listen. Several servers may share one KMS. The caller should call
// [Server.Close] when finished.
func NewServer(k *KMS) *Server {
	h := httptest.NewUnstartedServer(k)
	ctx, stop := context.WithCancel(context.Background())
	h.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.Start()
	return &Server{URL: h.URL, k: k, h: h, stop: stop}
}

// Config returns a configuration with the endpoint, Region and credentials of
// the server, for clients of the SDK. By default the SDK pauses for up to
// several seconds between retries. To avoid that, set Retryer to a function
// that returns an aws.NopRetryer.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region:       s.k.opts.Region,
		BaseEndpoint: aws.String(s.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return s.k.opts.Credentials, nil
		}),
	}
}

// Client returns a client with the configuration that [Server.Config] returns.
func (s *Server) Client() *kms.Client { return kms.NewFromConfig(s.Config()) }

// Close stops the server after it has answered the requests that it is serving.
// Requests that a fault delays or hangs end at once, without an answer.
func (s *Server) Close() {
	s.stop()
	s.h.Close()
}

// maxBody is the maximum size in bytes of a request. It is far above the size
// of the largest valid one.
const maxBody = 1 << 20

// tooLarge is the error for a request with a body of over maxBody bytes.
var tooLarge = refuse("SerializationException", "kmstest: the request body has more than %d bytes", maxBody)

// ServeHTTP serves a request of the protocol of KMS as a [Server] does. Use it
// to serve a KMS on another address or with TLS.
func (k *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	there, body, err := k.accept(w, r)
	// The Go SDK closes the body of its request when the answer begins. If the
	// transport of net/http has not read the end of the body by then, it drops
	// the connection. On the loopback interface the answer can be that fast.
	if strings.Contains(r.UserAgent(), "aws-sdk-go-v2") {
		time.Sleep(time.Millisecond)
	}
	a, err := there.handle(r.Context(), r.Header.Get("X-Amz-Target"), body, err)
	if err != nil { // the context ended
		panic(http.ErrAbortHandler)
	}
	a.write(r.Context(), w)
}

// accept reads the body of a request and checks its form and its signature. It
// returns the KMS of the Region that the request is for. A Region that does not
// exist yet begins with the first request that is not refused.
func (k *KMS) accept(w http.ResponseWriter, r *http.Request) (there *KMS, body []byte, err error) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || r.URL.Path != "/" || media != contentType {
		return k, nil, refuse("UnknownOperationException", "kmstest: got %s %s with Content-Type %q, want POST / with %s",
			r.Method, r.URL.Path, r.Header.Get("Content-Type"), contentType)
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return k, nil, tooLarge
	}
	if err != nil {
		return k, nil, refuse("SerializationException", "kmstest: read the body: %v", err)
	}
	region := k.served(sigv4.ScopeRegion(r))
	verifier := sigv4.Verifier{Service: "kms", Region: region, Credentials: k.opts.Credentials, AnyCredentials: k.opts.AnyCredentials}
	refusal, refused := errors.AsType[smithy.APIError](verifier.Verify(r, body))
	k.mu.Lock()
	defer k.mu.Unlock()
	if !refused {
		return k.region(region), body, nil
	}
	if there = k.regions[region]; there == nil {
		there = k
	}
	return there, body, refuse(refusal.ErrorCode(), "%s", refusal.ErrorMessage())
}
