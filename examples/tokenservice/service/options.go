package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kmssign/kmssign/kmssigner"
)

// Options configures [New]. Issuer is required. The zero values of the others
// work.
type Options struct {
	// Issuer is the iss of every token, and the URL below which verifiers look
	// for /.well-known/openid-configuration.
	Issuer string

	// Hosts are names, without a port, by which clients may address the
	// service, besides the host of Issuer, localhost, and any IP address. The
	// answer to a request with another Host is 421. This stops a web page that
	// has its own name resolve to the service's address (DNS rebinding).
	Hosts []string

	// Claims are the claims that a request may have besides sub. Nil means aud
	// and scope. They must not include those of [SetsClaim].
	Claims []string

	// Type is the typ in the header of tokens. It is JWT, or at+jwt for access
	// tokens of RFC 9068. A request overrides it with the parameter typ in its
	// query. Empty means JWT.
	Type string

	// Lifetime is the time from iat to exp, in whole seconds and at most the
	// Ring's MaxLifetime. Zero means 15 minutes.
	Lifetime time.Duration

	// MaxAge is the MaxAge of the Ring. The metrics assume that verifiers know
	// a key that this instance has published for this time. Zero means 5
	// minutes.
	MaxAge time.Duration

	// Authorize returns an error if the request must not have a token with the
	// claims. It may change the claims, for example to set sub to the name of
	// the caller. If the request is a form, PostForm and BasicAuth of r have
	// the client's credentials. The answer to an error is 403 with its text.
	// Nil allows all requests and does not look at credentials.
	Authorize func(r *http.Request, claims map[string]any) error

	// MaxBody is the size in bytes of the longest body. Zero means 64 KiB.
	MaxBody int64

	// MaxInFlight is the number of tokens that are signed at a time. Zero means
	// 64.
	MaxInFlight int

	// MaxIdle is the number of connections that Serve keeps open between
	// requests. It closes others after their answers. Zero means 1024.
	MaxIdle int

	// RequestTimeout limits the signing of a token, and a health check. Zero
	// means 5 seconds.
	RequestTimeout time.Duration

	// RetryAfter is the time that a 503 tells clients to wait, in whole
	// seconds. Zero means 1 second.
	RetryAfter time.Duration

	// HealthInterval is the time for which the result of a health check is
	// reused. Zero means 10 seconds.
	HealthInterval time.Duration

	// ShutdownTimeout is how long Serve waits for requests under way after its
	// context ends. Zero means 15 seconds.
	ShutdownTimeout time.Duration

	// SignerOptions are the options of the Ring's Signers. The health check
	// uses them. It names the key by its ARN, so a key policy that requires an
	// alias denies it.
	SignerOptions []func(*kmssigner.Options)

	// Middleware wraps the handler of all requests, for example to trace them.
	// Nil means none.
	Middleware func(http.Handler) http.Handler

	// StartSpan is called before a token is signed. The signing uses the
	// context that it returns, and end is called with the error of the signing,
	// or nil. Nil means that nothing is called.
	StartSpan func(ctx context.Context, name string) (spanned context.Context, end func(error))

	// Logger logs each request and each failure, and never what is in a token.
	// Nil means slog.Default().
	Logger *slog.Logger
}

// Check returns the error that [New] would return for the options. It lets a
// program refuse its flags before it does anything else.
func (o Options) Check() error {
	_, err := o.complete()
	return err
}

// complete sets the defaults and returns the claims that a request may have. It
// returns an error for values out of range.
func (o *Options) complete() (allowed map[string]bool, err error) {
	// OpenID Connect Discovery section 2 requires https. Accept http for tests
	// and for loopback addresses.
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(o.Issuer, "?#") {
		return nil, fmt.Errorf("the issuer is %q, want a URL with a host, and without a query and a fragment", o.Issuer)
	}
	if o.Claims == nil {
		o.Claims = []string{"aud", "scope"}
	}
	if o.Type == "" {
		o.Type = typeJWT
	}
	if o.Type != typeJWT && o.Type != typeAccess {
		return nil, fmt.Errorf("the type of tokens is %q, want JWT or at+jwt", o.Type)
	}
	if o.Type == typeAccess && o.Authorize == nil && !slices.Contains(o.Claims, "aud") {
		return nil, errors.New("tokens of the type at+jwt need aud, want it among the claims that requests may have")
	}
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 10
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 64
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 1024
	}
	if o.MaxBody < 0 || o.MaxInFlight < 0 || o.MaxIdle < 0 {
		return nil, fmt.Errorf("the options MaxBody, MaxInFlight and MaxIdle are %d, %d and %d, want 0 or more", o.MaxBody, o.MaxInFlight, o.MaxIdle)
	}
	for _, d := range []struct {
		name        string
		value       *time.Duration
		zero, least time.Duration
	}{
		{"Lifetime", &o.Lifetime, 15 * time.Minute, time.Second},
		{"MaxAge", &o.MaxAge, 5 * time.Minute, 1},
		{"RequestTimeout", &o.RequestTimeout, 5 * time.Second, 1},
		{"RetryAfter", &o.RetryAfter, time.Second, time.Second},
		{"HealthInterval", &o.HealthInterval, 10 * time.Second, 1},
		{"ShutdownTimeout", &o.ShutdownTimeout, 15 * time.Second, 1},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < d.least {
			return nil, fmt.Errorf("the option %s is %v, want 0 or at least %v", d.name, *d.value, d.least)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Middleware == nil {
		o.Middleware = func(h http.Handler) http.Handler { return h }
	}
	if o.StartSpan == nil {
		o.StartSpan = func(ctx context.Context, _ string) (context.Context, func(error)) { return ctx, func(error) {} }
	}
	if o.Lifetime%time.Second != 0 {
		return nil, fmt.Errorf("the option Lifetime is %v, want whole seconds", o.Lifetime)
	}
	if o.RetryAfter%time.Second != 0 {
		return nil, fmt.Errorf("the option RetryAfter is %v, want whole seconds", o.RetryAfter)
	}
	for _, host := range o.Hosts {
		if hostName(host) == "" || strings.ContainsAny(host, "/?#@ ") {
			return nil, fmt.Errorf("the option Hosts has %q, want the name of a host, not a URL", host)
		}
	}
	allowed = map[string]bool{"sub": true}
	for _, name := range o.Claims {
		if own[name] || name == "" {
			return nil, fmt.Errorf("the option Claims has %q, which a request cannot set", name)
		}
		allowed[name] = true
	}
	return allowed, nil
}
