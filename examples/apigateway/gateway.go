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
	// maxBody is the size in bytes of the longest body that API Gateway
	// accepts.
	maxBody = 10 << 20
	// integrationTimeout is how long API Gateway waits for an integration by
	// default.
	integrationTimeout = 29 * time.Second
	// callerHeader is the header that tells the service who calls. In API
	// Gateway, a mapping of context.identity.userArn sets it. The gateway drops
	// a header of this name that a client sends, so the service can trust it.
	callerHeader = "X-Caller-Arn"
)

// forwarded are the client's headers that reach the service.
var forwarded = []string{"Accept", "Content-Encoding", "Content-Type"}

// A gateway is an http.Handler that imitates a stage of a REST API with IAM
// authorization and an HTTP integration. It forwards requests that have a good
// signature, without the name of the stage, and refuses all others. A refusal
// has a message in JSON and the kind of error in the header x-amzn-ErrorType,
// as with API Gateway.
//
// The gateway accepts one set of credentials and has no policy. Its message for
// a wrong signature lacks the canonical request, which API Gateway adds. The
// status codes are documented in the developer guide, under "Gateway response
// types". The x-amzn-ErrorType for a body that is too long is not documented.
type gateway struct {
	verifier sigv4.Verifier
	stage    string
	timeout  time.Duration
	proxy    *httputil.ReverseProxy
}

// newGateway returns a gateway in front of service. It forwards requests
// through base, with caller in callerHeader.
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
		ErrorLog: log.New(io.Discard, "", 0), // ErrorHandler tells the client
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
	// The verifier reads the query with net/url. It does not see parameters
	// that net/url cannot read, so they would be forwarded without a signature.
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
		// ".." would lead out of the service's part of its host. API Gateway
		// sends this message for a resource that does not exist.
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

// target returns the URL at the service to which a request for u is forwarded.
// It keeps the encoding of u.
func (g *gateway) target(service, u *url.URL) *url.URL {
	rest := strings.TrimPrefix(u.EscapedPath(), "/"+g.stage)
	target := *service
	target.RawPath = strings.TrimSuffix(service.EscapedPath(), "/") + rest
	target.Path, _ = url.PathUnescape(target.RawPath) // cannot fail, because net/url has parsed both parts
	target.RawQuery = u.RawQuery
	return &target
}

// refuse sends an error in the form of API Gateway.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	body, err := json.Marshal(map[string]string{"message": message})
	if err != nil {
		panic(err) // strings can be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	w.Write(body)
}
