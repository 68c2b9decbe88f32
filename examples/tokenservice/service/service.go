// Package service is an HTTP service that issues JWTs signed with the key of a
// [keyring.Ring], to be served by itself or as a part of another program:
//
//	POST /token                               claims in, a token out
//	GET  /.well-known/jwks.json               the public keys
//	GET  /.well-known/openid-configuration    where all that is
//	GET  /healthz                             whether KMS would sign now
//	GET  /metrics                             counts, as Prometheus reads them
//
// POST /token takes a JSON object of claims and answers as OAuth 2.0 does (RFC 6749
// sections 5.1 and 5.2):
//
//	{"sub": "alice", "scope": "read"}
//	{"access_token": "eyJ...", "token_type": "Bearer", "expires_in": 900}
//
// sub is required, [Options.Claims] are allowed, and iss, iat, exp and jti are the
// service's own. It asks nobody who they are unless [Options.Authorize] does: all who
// reach it get tokens, so put something in front of it that authenticates.
//
// # Overload
//
// At most [Options.MaxInFlight] tokens are being signed at a time, each for at most
// [Options.RequestTimeout]. Beyond either, and when KMS throttles or does not answer,
// the answer is 503 with Retry-After. The health check makes at most one KMS call in
// each [Options.HealthInterval], however often it is asked.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
)

// Options change what [New] and the Service it returns do. Issuer is required, the
// zero values of the others work.
type Options struct {
	// Issuer is the iss of every token, and the URL below which verifiers look
	// for /.well-known/openid-configuration.
	Issuer string

	// Claims are the names that a request may have besides sub. Nil means aud and
	// scope. They cannot be iss, iat, exp and jti.
	Claims []string

	// Lifetime is the time from iat to exp, in whole seconds and at most the
	// Ring's MaxLifetime. Zero means 15 minutes.
	Lifetime time.Duration

	// Authorize decides whether the request may have a token with the claims. It
	// may change them, to make sub the name by which the caller is known, for
	// example. An error is 403, and the caller is told its text. Nil allows all.
	Authorize func(r *http.Request, claims map[string]any) error

	// MaxBody is the length in bytes of the longest body. Zero means 64 KiB.
	MaxBody int64

	// MaxInFlight is how many tokens are signed at a time. Zero means 64.
	MaxInFlight int

	// RequestTimeout bounds the signing of a token, and a health check. Zero means
	// 5 seconds.
	RequestTimeout time.Duration

	// RetryAfter is what clients are told to wait with a 503, in whole seconds.
	// Zero means 1 second.
	RetryAfter time.Duration

	// HealthInterval is how long the result of a health check is good for. Zero
	// means 10 seconds.
	HealthInterval time.Duration

	// ShutdownTimeout is how long Serve waits for requests under way when it is
	// told to end. Zero means 15 seconds.
	ShutdownTimeout time.Duration

	// SignerOptions are those of the Ring, for the health check. (Which always names
	// the key by its ARN: it cannot be used where a policy demands an alias.)
	SignerOptions []func(*kmssigner.Options)

	// Logger is told of each request and each failure, and never of what is in a
	// token. Nil means slog.Default().
	Logger *slog.Logger
}

// A Service is an http.Handler. It is safe for concurrent use. Make one with [New].
type Service struct {
	ring    *keyring.Ring
	client  kmssigner.Client
	opts    Options
	allowed map[string]bool // claims
	base    string          // the issuer, without a slash at the end
	mux     *http.ServeMux
	signing chan struct{} // has a place for each token that is being signed
	health  health
	metrics metrics
}

// New returns a Service that signs with ring. client is for the health check: its
// Sign alone is called. New makes no call and starts nothing: see [Service.Run] and
// [Service.Serve].
func New(ring *keyring.Ring, client kmssigner.Client, optFns ...func(*Options)) (*Service, error) {
	s := &Service{ring: ring, client: client, mux: http.NewServeMux()}
	for _, fn := range optFns {
		fn(&s.opts)
	}
	if ring == nil || client == nil {
		return nil, errors.New("service: New wants a Ring and a client, got nil")
	}
	if err := s.opts.complete(); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	s.allowed = map[string]bool{"sub": true}
	for _, name := range s.opts.Claims {
		if own[name] || name == "" {
			return nil, fmt.Errorf("service: the option Claims has %q, which is no claim that a request can have", name)
		}
		s.allowed[name] = true
	}
	s.base = strings.TrimSuffix(s.opts.Issuer, "/")
	s.signing = make(chan struct{}, s.opts.MaxInFlight)
	s.health.turn = make(chan struct{}, 1)
	s.routes()
	return s, nil
}

func (o *Options) complete() error {
	// What OpenID Connect Discovery section 2 says of an issuer, but for http,
	// which a test or a machine's own network may have.
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(o.Issuer, "?#") {
		return fmt.Errorf("the issuer is %q, want a URL with a host, and without a query and a fragment", o.Issuer)
	}
	if o.Claims == nil {
		o.Claims = []string{"aud", "scope"}
	}
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 10
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 64
	}
	if o.MaxBody < 0 || o.MaxInFlight < 0 {
		return fmt.Errorf("the options MaxBody and MaxInFlight are %d and %d, want 0 or more", o.MaxBody, o.MaxInFlight)
	}
	for _, d := range []struct {
		name        string
		value       *time.Duration
		zero, least time.Duration
	}{
		{"Lifetime", &o.Lifetime, 15 * time.Minute, time.Second},
		{"RequestTimeout", &o.RequestTimeout, 5 * time.Second, 1},
		{"RetryAfter", &o.RetryAfter, time.Second, time.Second},
		{"HealthInterval", &o.HealthInterval, 10 * time.Second, 1},
		{"ShutdownTimeout", &o.ShutdownTimeout, 15 * time.Second, 1},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.least {
			return fmt.Errorf("the option %s is %v, want 0 or at least %v", d.name, *d.value, d.least)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

func (s *Service) routes() {
	s.mux.HandleFunc("POST /token", s.serveToken)
	s.mux.HandleFunc("GET /.well-known/openid-configuration", s.serveConfiguration)
	s.mux.HandleFunc("GET /healthz", s.serveHealth)
	s.mux.HandleFunc("GET /metrics", s.serveMetrics)
	// Without a method in the pattern these get what those above do not. The mux
	// would answer by itself, but not in JSON.
	for path, allow := range map[string]string{
		"/token":                            "POST",
		"/.well-known/openid-configuration": "GET, HEAD",
		"/healthz":                          "GET, HEAD",
		"/metrics":                          "GET, HEAD",
	} {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			writeError(w, http.StatusMethodNotAllowed, "invalid_request", "the method is not allowed, want "+allow)
		})
	}
	s.mux.Handle("/.well-known/jwks.json", s.ring)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, "not_found", "there is no such path")
	})
}

// ServeHTTP serves one request and logs it.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.mux.ServeHTTP(seen, r)
	level := slog.LevelInfo
	switch {
	case r.URL.Path == "/healthz" || r.URL.Path == "/metrics":
		level = slog.LevelDebug // these come all the time
	case seen.status >= 500:
		level = slog.LevelWarn
	}
	// The pattern and not the path: nobody knows what strangers write there.
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", seen.status),
		slog.Duration("took", time.Since(start)), slog.String("remote", r.RemoteAddr),
	}
	s.opts.Logger.LogAttrs(r.Context(), level, "request", append(attrs, seen.attrs...)...)
}

// Run keeps the Ring's keys up to date until ctx ends, as [keyring.Ring.Run] does,
// and returns why ctx ended.
func (s *Service) Run(ctx context.Context) error { return s.ring.Run(ctx) }

// Refreshed counts a refresh of the Ring that ended with err. It is for
// [keyring.Options.OnRefresh].
func (s *Service) Refreshed(err error) {
	switch {
	case err == nil:
		s.metrics.refreshed.Add(1)
	case !errors.Is(err, context.Canceled): // the service ends
		s.metrics.notRefreshed.Add(1)
		s.noteThrottle(err)
	}
}

// Serve serves on listener, and runs [Service.Run], until ctx ends. Then it closes
// listener and waits for the requests under way; if they take longer than
// [Options.ShutdownTimeout], it breaks them off and returns an error.
func (s *Service) Serve(ctx context.Context, listener net.Listener) error {
	running, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Run(running)
	}()
	defer func() {
		stop()
		<-stopped
	}()

	const readTimeout = 10 * time.Second
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + s.opts.RequestTimeout + 5*time.Second, // it counts from the end of the header
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("service: %w", err)
	case <-ctx.Done():
	}
	// ctx is not that of the requests: they go on.
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		server.Close()
		return fmt.Errorf("service: requests under way did not end within %v: %w", s.opts.ShutdownTimeout, err)
	}
	<-served
	return nil
}

// statusWriter remembers what is to be logged.
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

// note adds to the log record of the request.
func note(w http.ResponseWriter, attrs ...slog.Attr) {
	if seen, ok := w.(*statusWriter); ok {
		seen.attrs = append(seen.attrs, attrs...)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types of strings and numbers
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
