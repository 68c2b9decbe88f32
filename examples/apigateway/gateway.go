package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/internal/sigv4"
)

const (
	// The longest body that API Gateway takes.
	maxBody = 10 << 20
	// How long API Gateway waits for an integration, unless told otherwise.
	integrationTimeout = 29 * time.Second
	// callerHeader tells the service who calls. An API of API Gateway does so with
	// the mapping of context.identity.userArn to a header. It is the gateway's word:
	// what a client sends under this name does not reach the service.
	callerHeader = "X-Caller-Arn"
)

// forwarded are the headers of a client that reach the service.
var forwarded = []string{"Accept", "Content-Encoding", "Content-Type"}

// A gateway is an http.Handler that does what a stage of a REST API with IAM
// authorization and an HTTP integration does: it lets in requests with a good
// signature, and forwards them without the name of the stage. It refuses as API Gateway
// does: with a message in JSON, and the kind of error in the header x-amzn-ErrorType.
//
// One set of credentials is let in, and there is no policy. To its text of a wrong
// signature the real gateway adds the canonical request that it saw; this does not. Its
// status codes are documented (developer guide, "Gateway response types"), its
// x-amzn-ErrorType for a body that is too long is not.
type gateway struct {
	verifier sigv4.Verifier
	stage    string
	timeout  time.Duration
	proxy    *httputil.ReverseProxy
}

// newGateway returns a gateway in front of service, which tells it that caller calls.
// Requests to the service go through base.
func newGateway(verifier sigv4.Verifier, stage, caller string, service *url.URL, base http.RoundTripper) *gateway {
	g := &gateway{verifier: verifier, stage: stage, timeout: integrationTimeout}
	g.proxy = &httputil.ReverseProxy{
		Transport: base,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = g.target(service, p.In.URL)
			p.Out.Host = ""
			p.Out.Header = http.Header{callerHeader: {caller}}
			for _, name := range forwarded {
				if values := p.In.Header.Values(name); values != nil {
					p.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			message := "Network error communicating with endpoint"
			if errors.Is(err, context.DeadlineExceeded) {
				message = "Endpoint request timed out"
			}
			refuse(w, http.StatusGatewayTimeout, "InternalServerErrorException", message)
		},
		ErrorLog: log.New(io.Discard, "", 0), // the client is told
	}
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", rand.Text())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request Entity Too Large")
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestException", "Bad Request")
		return
	}
	// The verifier reads the query with net/url, too: what that cannot read would be
	// forwarded without having been signed.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequestException", "Bad Request")
		return
	}
	if err := g.verifier.Verify(r, body); err != nil {
		refusal, ok := errors.AsType[smithy.APIError](err)
		if !ok {
			refuse(w, http.StatusInternalServerError, "InternalServerErrorException", "Internal server error")
			return
		}
		refuse(w, http.StatusForbidden, refusal.ErrorCode(), refusal.ErrorMessage())
		return
	}
	path := r.URL.EscapedPath()
	switch {
	case path != "/"+g.stage && !strings.HasPrefix(path, "/"+g.stage+"/"):
		refuse(w, http.StatusForbidden, "ForbiddenException", "Forbidden")
		return
	case !isNormal(path):
		// ".." would lead out of the service's part of its host. The real gateway's
		// text for a resource that it does not have is this one.
		refuse(w, http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.timeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.TransferEncoding, r.Trailer = nil, nil
	g.proxy.ServeHTTP(w, r)
}

// target is where the service has what u names, in the same encoding.
func (g *gateway) target(service, u *url.URL) *url.URL {
	rest := strings.TrimPrefix(u.EscapedPath(), "/"+g.stage)
	target := *service
	target.RawPath = strings.TrimSuffix(service.EscapedPath(), "/") + rest
	target.Path, _ = url.PathUnescape(target.RawPath) // net/url has read both parts before
	target.RawQuery = u.RawQuery
	return &target
}

// refuse answers as API Gateway does.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		panic(err) // it is a string
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	w.Write(body)
}
