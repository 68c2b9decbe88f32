// Package service is an HTTP service that issues JWTs signed with the key of a
// [keyring.Ring], to be served by itself or as a part of another program:
//
//	POST /token                               claims in, a token out
//	GET  /.well-known/jwks.json               the public keys
//	GET  /.well-known/openid-configuration    the URLs of these, and
//	GET  /.well-known/oauth-authorization-server    the same for OAuth 2.0
//	GET  /healthz                             whether KMS would sign now
//	GET  /metrics                             metrics in Prometheus's format
//
// POST /token takes a JSON object of claims and answers as OAuth 2.0 does (RFC
// 6749 sections 5.1 and 5.2):
//
//	{"sub": "alice", "scope": "read"}
//	{"access_token": "eyJ...", "token_type": "Bearer", "expires_in": 900}
//
// sub is required, [Options.Claims] are allowed, and iss, iat, exp and jti are
// set by the service. POST /token also takes the form of an OAuth 2.0 client
// (RFC 6749 section 4.4), in which client_id becomes sub, and resource (RFC
// 8707) becomes aud:
//
//	grant_type=client_credentials&client_id=alice&scope=read
//
// The tokens are of typ JWT, or of [Options.Type]. A request chooses the type
// with /token?typ=at%2Bjwt, an access token of RFC 9068, or /token?typ=JWT. RFC
// 9068 requires aud, or resource in a form, and client_id, which in a JSON body
// is allowed besides the claims of [Options.Claims].
//
// POST /token does not authenticate callers unless [Options.Authorize] does.
// Anyone who reaches it gets tokens, so put a gateway in front of it that
// authenticates. A request from a web page of another origin is refused with
// 403, and a request that addresses the service by an unknown name with 421.
// Web pages of any origin may read the public keys and the configuration.
//
// # Overload
//
// At most [Options.MaxInFlight] tokens are signed at a time, each for at most
// [Options.RequestTimeout]. A request beyond either limit gets 503 with
// Retry-After, and so do requests while KMS throttles or does not answer. The
// health check makes at most one KMS call in each [Options.HealthInterval].
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
)

// A Service is an http.Handler. It is safe for concurrent use. Make one with
// [New].
type Service struct {
	ring    *keyring.Ring
	client  kmssigner.Client
	opts    Options
	allowed map[string]bool // claims
	base    string          // the issuer, without a slash at the end
	mux     *http.ServeMux
	handler http.Handler // the mux, the guard and the middleware
	guard   guard
	signing chan struct{} // has a place for each token that is being signed
	health  health
	metrics metrics
	keys    keyMetrics
}

// New returns a Service that signs with ring. The health check calls Sign of
// client. New makes no call and starts nothing. See [Service.Run] and
// [Service.Serve].
func New(ring *keyring.Ring, client kmssigner.Client, optFns ...func(*Options)) (*Service, error) {
	s := &Service{ring: ring, client: client, mux: http.NewServeMux()}
	for _, fn := range optFns {
		fn(&s.opts)
	}
	if ring == nil || client == nil {
		return nil, errors.New("service: New wants a Ring and a client, got nil")
	}
	var err error
	if s.allowed, err = s.opts.complete(); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	s.base = strings.TrimSuffix(s.opts.Issuer, "/")
	s.signing = make(chan struct{}, s.opts.MaxInFlight)
	s.health.turn = make(chan struct{}, 1)
	s.guard = newGuard(s.opts)
	s.startKeys()
	s.routes()
	s.handler = s.opts.Middleware(http.HandlerFunc(s.serve))
	return s, nil
}

func (s *Service) routes() {
	s.mux.HandleFunc("POST /token", s.serveToken)
	public := map[string]http.HandlerFunc{
		"/.well-known/jwks.json":                  s.ring.ServeHTTP,
		"/.well-known/openid-configuration":       s.serveConfiguration,
		"/.well-known/oauth-authorization-server": s.serveMetadata,
	}
	// RFC 8414 section 3.1 appends the path of the issuer, if it has one.
	if u, err := url.Parse(s.base); err == nil && u.Path != "" {
		public["/.well-known/oauth-authorization-server"+u.EscapedPath()] = s.serveMetadata
	}
	for path, serve := range public {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			// These are public, so web pages of any origin may read them.
			w.Header().Set("Access-Control-Allow-Origin", "*")
			serve(w, r)
		})
	}
	s.mux.HandleFunc("GET /healthz", s.serveHealth)
	s.mux.HandleFunc("GET /metrics", s.serveMetrics)
	// A pattern without a method matches the requests that those above do not.
	// The mux would answer them itself, but not in JSON.
	allowed := map[string]string{"/token": "POST", "/healthz": "GET, HEAD", "/metrics": "GET, HEAD"}
	for path := range public {
		allowed[path] = "GET, HEAD"
	}
	for path, allow := range allowed {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			writeError(w, http.StatusMethodNotAllowed, "invalid_request", "the method is not allowed, want "+allow)
		})
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not_found", "there is no such path")
	})
}

// ServeHTTP serves one request and logs it.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	if refused := s.guard.check(r); refused != nil {
		s.refuse(seen, refused)
	} else {
		s.mux.ServeHTTP(seen, r)
	}
	level := slog.LevelInfo
	switch {
	case r.URL.Path == "/healthz" || r.URL.Path == "/metrics":
		level = slog.LevelDebug // these are frequent
	case seen.status >= 500:
		level = slog.LevelWarn
	}
	// Log the pattern and not the path, which may contain anything.
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", seen.status),
		slog.Float64("took_ms", float64(time.Since(start).Microseconds())/1000), slog.String("remote", r.RemoteAddr),
	}
	s.opts.Logger.LogAttrs(r.Context(), level, "request", append(attrs, seen.attrs...)...)
}

// Run keeps the Ring's keys up to date until ctx ends, as [keyring.Ring.Run]
// does, and returns why ctx ended.
func (s *Service) Run(ctx context.Context) error { return s.ring.Run(ctx) }

// Refreshed counts a refresh of the Ring that ended with err. It is for
// [keyring.Options.OnRefresh].
func (s *Service) Refreshed(err error) {
	switch {
	case err == nil:
		s.metrics.refreshed.Add(1)
		s.keys.mu.Lock()
		defer s.keys.mu.Unlock()
		s.keys.refreshed = time.Now()
		s.keys.update(s.ring.Keys(), s.keys.refreshed, false)
	case !errors.Is(err, context.Canceled): // which means that the service ends
		s.metrics.notRefreshed.Add(1)
		s.noteThrottle(err)
	}
}

// statusWriter keeps what is logged about a request.
type statusWriter struct {
	http.ResponseWriter
	status int
	attrs  []slog.Attr
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// note adds attributes to the log record of the request.
func note(w http.ResponseWriter, attrs ...slog.Attr) {
	if seen, ok := w.(*statusWriter); ok {
		seen.attrs = append(seen.attrs, attrs...)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // the types of this package can be encoded
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(append(data, '\n'))
}

// writeError answers in the form of RFC 6749 section 5.2.
func writeError(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, text})
}
