package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A SigV4Transport is an http.RoundTripper that signs each request with AWS
// Signature Version 4, for an API Gateway endpoint with IAM authorization. This
// file does not depend on the others of the program, so that you can copy it.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	client := &http.Client{Transport: &SigV4Transport{Credentials: cfg.Credentials, Region: cfg.Region}}
//	resp, err := client.Post("https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod/token", "application/json", body)
//
// The caller needs the permission execute-api:Invoke.
//
// # Body
//
// The signature covers the body, so RoundTrip reads the whole body into memory,
// up to MaxBody, before it sends anything. It sends the bytes that it has
// hashed, with a Content-Length. The request that goes to Base always has
// GetBody, so that net/http can send it again over another connection. A retry
// by the caller gets a new signature, so it may come at any later time.
//
// # Query and path
//
// Parameters may be in any order, repeated, and in any encoding that net/url
// reads. They are sent in their order, with all characters except letters,
// digits and -_.~ percent-encoded. As usual in a query, + is a space and %2B is
// a plus sign. The path is sent unchanged.
//
// RoundTrip refuses a request that would be changed on the way, because its
// signature would be wrong or cover something else. It refuses parameters that
// net/url cannot read, such as those with a semicolon, and a path with empty,
// "." or ".." segments, which AWS removes before it verifies. It also refuses
// trailers and host names that are not ASCII.
//
// # Other hosts
//
// RoundTrip refuses a redirect to another host, or from https to http, because
// it would send the session token there. net/http drops the caller's
// Authorization header on such a redirect, but this transport would sign the
// new request. RoundTrip also refuses a request with an Authorization header or
// with a user in its URL, because the signature would replace them.
//
// A SigV4Transport is safe for concurrent use. Its fields must not be changed
// after its first use. It does not modify the requests that it is given.
type SigV4Transport struct {
	// Credentials is asked at each request. The provider of an aws.Config has a
	// cache. A session token is sent and signed.
	Credentials aws.CredentialsProvider

	// Region is the Region of the API.
	Region string

	// Service is the AWS service that the signature names. Empty means
	// execute-api.
	Service string

	// Base sends the signed requests. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// MaxBody is the size in bytes of the longest body. Zero means 10 MiB. API
	// Gateway accepts 10 MB.
	MaxBody int64

	// Now returns the time. Nil means time.Now. AWS accepts a difference of 5
	// minutes.
	Now func() time.Time
}

// RoundTrip signs a copy of r and sends it through Base. If the context of r
// ends while RoundTrip reads the body, RoundTrip closes the body and returns at
// once. A Read that closing does not end continues in the background.
func (t *SigV4Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close() // http.RoundTripper requires it
	}
	out, err := t.sign(r)
	if err != nil {
		return nil, fmt.Errorf("sigv4: %w", err)
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(out)
}

func (t *SigV4Transport) sign(r *http.Request) (*http.Request, error) {
	if t.Credentials == nil || t.Region == "" {
		return nil, errors.New("the transport has no Credentials or no Region")
	}
	if err := check(r); err != nil {
		return nil, err
	}
	body, err := t.readBody(r)
	if err != nil {
		return nil, err
	}
	creds, err := t.Credentials.Retrieve(r.Context())
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if !creds.HasKeys() {
		return nil, errors.New("credentials: there is no access key")
	}

	out := r.Clone(r.Context())
	if out.Method == "" {
		out.Method = http.MethodGet // the default of net/http
	}
	out.TransferEncoding = nil
	out.ContentLength = int64(len(body))
	out.GetBody = func() (io.ReadCloser, error) {
		if len(body) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	out.Body, _ = out.GetBody()

	// The signer signs all headers that it sees, except a few that it ignores.
	header, unsigned := http.Header{}, http.Header{}
	for name, values := range out.Header {
		name = http.CanonicalHeaderKey(name)
		switch {
		case name == "Host" || name == "X-Amz-Date" || name == "X-Amz-Security-Token":
			// Drop them. net/http takes Host from r.Host, and the signer sets
			// X-Amz-Date, and X-Amz-Security-Token if there is a session token.
		case onTheWay[name]:
			unsigned[name] = values
		default:
			header[name] = append(header[name], values...)
		}
	}
	out.Header = header
	service, now := t.Service, t.Now
	if service == "" {
		service = "execute-api"
	}
	if now == nil {
		now = time.Now
	}
	sum := sha256.Sum256(body)
	// A Signer caches derived keys by access key ID alone, and would use the
	// old key after the secret was replaced. A new Signer costs four HMACs.
	err = v4.NewSigner().SignHTTP(r.Context(), creds, out, hex.EncodeToString(sum[:]), service, t.Region, now())
	if err != nil {
		return nil, err
	}
	for name, values := range unsigned {
		out.Header[name] = values
	}
	// The signer sorts the query. Restore the order, because the order of the
	// values of one parameter may matter. AWS sorts the query before it
	// verifies.
	out.URL.RawQuery = encodeQuery(r.URL.RawQuery)
	return out, nil
}

// onTheWay are headers that are sent unsigned, because net/http, a proxy, or
// CloudFront in front of an edge-optimized API may change or drop them. RFC
// 9110 section 7.6.1 lists some.
var onTheWay = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Keep-Alive": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Upgrade": true, "Via": true,
	"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Port": true, "X-Forwarded-Proto": true,
}

// check returns an error if the signature of r would be wrong or if r must not
// be signed.
func check(r *http.Request) error {
	if r.URL == nil || r.URL.Host == "" {
		return errors.New("the request has no host")
	}
	if r.URL.Opaque != "" {
		return errors.New("the URL is opaque, want one with a path")
	}
	if strings.ContainsFunc(r.URL.Host+r.Host, func(c rune) bool { return c > unicode.MaxASCII }) {
		return errors.New("the host name is not ASCII, want it in Punycode")
	}
	// http.Client sets Response when it follows a redirect.
	if r.Response != nil {
		from := r.Response.Request
		if from == nil || !strings.EqualFold(from.URL.Host, r.URL.Host) || from.URL.Scheme != r.URL.Scheme {
			return fmt.Errorf("redirected to another host, %s://%s, which gets no signature", r.URL.Scheme, r.URL.Host)
		}
	}
	for name := range r.Header {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return errors.New("the request has an Authorization header, which the signature would replace")
		}
	}
	if r.URL.User != nil {
		return errors.New("the URL has a user, which the signature would replace")
	}
	if len(r.Trailer) > 0 {
		return errors.New("the request has trailers, which cannot be signed")
	}
	// The signer would drop parameters that it cannot read.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return fmt.Errorf("the query cannot be read: %w", err)
	}
	if !isNormal(r.URL.EscapedPath()) {
		return errors.New(`the path has an empty, "." or ".." segment, which AWS removes before it verifies`)
	}
	return nil
}

// encodeQuery returns a query in the encoding that is signed, in its own order.
// url.ParseQuery must be able to read raw.
func encodeQuery(raw string) string {
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		pair = url.QueryEscape(name) + "=" + url.QueryEscape(value)
		pairs = append(pairs, strings.ReplaceAll(pair, "+", "%20"))
	}
	return strings.Join(pairs, "&")
}

// isNormal reports whether normalization (RFC 3986 section 6.2.2.3) leaves an
// escaped path unchanged, and only its last segment, if any, is empty.
func isNormal(escaped string) bool {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, s := range segments {
		s, err := url.PathUnescape(s)
		if err != nil || s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return false
		}
	}
	return true
}

func (t *SigV4Transport) readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	limit := t.MaxBody
	if limit == 0 {
		limit = 10 << 20
	}
	var body []byte
	done := make(chan error, 1)
	go func() {
		read, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
		body = read
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
	case <-r.Context().Done():
		return nil, fmt.Errorf("body: %w", context.Cause(r.Context()))
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the body has more than %d bytes", limit)
	}
	// net/http takes 0 with a body, or -1, for an unknown length.
	if n := r.ContentLength; n > 0 && n != int64(len(body)) {
		return nil, fmt.Errorf("the body has %d bytes, want the %d of ContentLength", len(body), n)
	}
	return body, nil
}
