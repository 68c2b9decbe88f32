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

// A SigV4Transport is an http.RoundTripper that signs each request with AWS Signature
// Version 4, for an API Gateway endpoint with IAM authorization. This file needs no
// other of the program, so copy it.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	client := &http.Client{Transport: &SigV4Transport{Credentials: cfg.Credentials, Region: cfg.Region}}
//	resp, err := client.Post("https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod/token", "application/json", body)
//
// The caller needs the permission execute-api:Invoke.
//
// # Body
//
// The signature covers the body, so a body is read into memory before anything is sent,
// once, up to MaxBody; what is sent is what was hashed, with a Content-Length. The
// request that goes to Base has GetBody, whatever the caller's body was: net/http can
// send it again over another connection. A retry of the caller's own is signed anew, so
// it may come at any time later.
//
// # Query and path
//
// Parameters may come in any order, repeated, and in any encoding that net/url reads;
// they are sent in their order, with each character but letters, digits and -_.~
// percent-encoded. As ever in a query, + is a space and %2B is a plus. The path is sent
// as it is.
//
// What would be lost or changed on the way, and make a signature wrong or one of
// something else, is refused: parameters that net/url cannot read, such as those with a
// semicolon; a path with empty, "." or ".." segments, which AWS takes out before it
// verifies; trailers; host names that are not ASCII.
//
// # Other hosts
//
// A redirect to another host, or from https to http, is refused: the session token
// would go there. (The caller's Authorization header net/http would drop, but this
// transport would sign anew.) A request that has an Authorization header, or a user in
// its URL, is refused, too: its owner means something that a signature would replace.
//
// A SigV4Transport is safe for concurrent use; its fields must not be changed once it is
// in use. It does not modify the requests it is given.
type SigV4Transport struct {
	// Credentials are asked for at each request. Those of a configuration are
	// cached there. A session token is sent and signed.
	Credentials aws.CredentialsProvider

	// Region is that of the API.
	Region string

	// Service is what the signature is for. Empty means execute-api.
	Service string

	// Base sends the signed requests. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// MaxBody is the length in bytes of the longest body. Zero means 10 MiB; API
	// Gateway takes 10 MB.
	MaxBody int64

	// Now is the clock. Nil means time.Now. AWS allows a difference of 5 minutes.
	Now func() time.Time
}

// RoundTrip signs a copy of r and has Base send it. If the context of r ends while the
// body is being read, RoundTrip returns at once, and leaves that one Read behind if
// closing the body does not end it.
func (t *SigV4Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close() // a RoundTripper always does
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
		out.Method = http.MethodGet // as net/http has it
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

	// The signer signs all headers it is shown, but a few of its own choice.
	header, unsigned := http.Header{}, http.Header{}
	for name, values := range out.Header {
		name = http.CanonicalHeaderKey(name)
		switch {
		case name == "Host" || name == "X-Amz-Date" || name == "X-Amz-Security-Token":
			// net/http takes the first from r.Host, and the signer sets the others,
			// the last only if there is a session token.
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
	// A Signer keeps derived keys by access key ID alone. A new one is four HMACs more,
	// and never signs with the key of a secret that was replaced.
	err = v4.NewSigner().SignHTTP(r.Context(), creds, out, hex.EncodeToString(sum[:]), service, t.Region, now())
	if err != nil {
		return nil, err
	}
	for name, values := range unsigned {
		out.Header[name] = values
	}
	// The signer leaves the query sorted, and the order of the values of one parameter
	// may mean something. AWS sorts for itself.
	out.URL.RawQuery = encodeQuery(r.URL.RawQuery)
	return out, nil
}

// onTheWay are headers that net/http, a proxy, or the CloudFront in front of an
// edge-optimized API adds to, changes or drops (RFC 9110 section 7.6.1 for one), so
// they are sent unsigned.
var onTheWay = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Keep-Alive": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Upgrade": true, "Via": true,
	"X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Port": true, "X-Forwarded-Proto": true,
}

// check refuses requests whose signature would not hold, or should not be made.
func check(r *http.Request) error {
	if r.URL == nil || r.URL.Host == "" {
		return errors.New("the request has no host")
	}
	if r.URL.Opaque != "" {
		return errors.New("the URL is opaque: give it a path")
	}
	if strings.ContainsFunc(r.URL.Host+r.Host, func(c rune) bool { return c > unicode.MaxASCII }) {
		return errors.New("the host name is not ASCII: write it in Punycode")
	}
	// Response is there if net/http's Client follows a redirect.
	if r.Response != nil {
		from := r.Response.Request
		if from == nil || !strings.EqualFold(from.URL.Host, r.URL.Host) || from.URL.Scheme != r.URL.Scheme {
			return fmt.Errorf("redirected to another host, %s://%s, which is not signed for", r.URL.Scheme, r.URL.Host)
		}
	}
	for name := range r.Header {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return errors.New("the request has an Authorization header, which the signature would replace")
		}
	}
	if r.URL.User != nil {
		return errors.New("the URL has a user: the credentials are those of AWS")
	}
	if len(r.Trailer) > 0 {
		return errors.New("the request has trailers, which cannot be signed")
	}
	// The signer would leave out what it cannot read.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return fmt.Errorf("the query cannot be read: %w", err)
	}
	if !isNormal(r.URL.EscapedPath()) {
		return errors.New(`the path has an empty, "." or ".." segment, which AWS takes out before it verifies`)
	}
	return nil
}

// encodeQuery encodes a query that url.ParseQuery can read as the signature has it, but
// for the order.
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

// isNormal reports whether an escaped path stays as it is when it is normalized (RFC
// 3986 section 6.2.2.3), and has no empty segment but the last.
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
	// 0 with a body means unknown to net/http, as does -1.
	if n := r.ContentLength; n > 0 && n != int64(len(body)) {
		return nil, fmt.Errorf("the body has %d bytes, and the ContentLength is %d", len(body), n)
	}
	return body, nil
}
