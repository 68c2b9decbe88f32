package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/kmssign/kmssign/internal/sigv4"
)

var testCreds = aws.Credentials{AccessKeyID: "ASIATEST", SecretAccessKey: "secret", SessionToken: "token"}

// echo is what reached the service.
type echo struct {
	Method, Path, Query, Body, ContentType string
	Caller                                 []string
}

// api is a gateway with a service behind it that remembers what reached it.
type api struct {
	url     string // of the stage
	gateway *gateway
	creds   aws.Credentials

	mu  sync.Mutex
	got echo          // what reached the service last
	raw *http.Request // the same
}

func newAPI(t *testing.T) *api {
	t.Helper()
	api := &api{creds: testCreds}
	service := httptest.NewServer(api)
	t.Cleanup(service.Close)
	at, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	verifier := sigv4.Verifier{Service: "execute-api", Region: region, Credentials: testCreds}
	api.gateway = newGateway(verifier, stage, callerARN, at, http.DefaultTransport)
	server := httptest.NewServer(api.gateway)
	t.Cleanup(server.Close)
	api.url = server.URL + "/" + stage
	return api
}

// ServeHTTP is the service.
func (api *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	api.mu.Lock()
	api.raw = r
	api.got = echo{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.Header.Get("Content-Type"), r.Header.Values(callerHeader)}
	api.mu.Unlock()
	w.Write(body)
}

func (api *api) last() echo {
	api.mu.Lock()
	defer api.mu.Unlock()
	return api.got
}

// client signs with the credentials of the api.
func (api *api) client(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: &SigV4Transport{Credentials: static(api.creds), Region: region, Base: base}}
}

// refused makes a request, which the gateway must refuse.
func (api *api) refused(t *testing.T, client *http.Client, status int, kind, message string) {
	t.Helper()
	resp, err := client.Post(api.url+"/token?a=1&b=2", "application/json", strings.NewReader(`{"sub":"alice"}`))
	if err != nil {
		t.Error(err)
		return
	}
	checkRefusal(t, resp, status, kind, message)
	if got := api.last(); got.Method != "" {
		t.Errorf("reached the service: %v", got)
	}
}

func checkRefusal(t *testing.T, resp *http.Response, status int, kind, message string) {
	t.Helper()
	answer, err := readAll(resp)
	var said map[string]string
	if err != nil || json.Unmarshal(answer, &said) != nil || len(said) != 1 || !strings.Contains(said["message"], message) || said["message"] == "" {
		t.Errorf("the answer is %s, %v; want a message with %q", answer, err, message)
	}
	if resp.StatusCode != status || resp.Header.Get("x-amzn-ErrorType") != kind || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("x-amzn-RequestId") == "" {
		t.Errorf("%s with the headers %v; want %d and %s", resp.Status, resp.Header, status, kind)
	}
}

const (
	noMatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."
	invalid = "InvalidSignatureException"
)

func TestGatewayRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		creds         func(*aws.Credentials)
		skew          time.Duration
		region        string
		service       string
		tamper        func(*http.Request)
		kind, message string
	}{
		"a wrong secret":         {creds: func(c *aws.Credentials) { c.SecretAccessKey = "other" }, kind: invalid, message: noMatch},
		"an unknown key":         {creds: func(c *aws.Credentials) { c.AccessKeyID = "ASIAOTHER" }, kind: "UnrecognizedClientException", message: "The security token included in the request is invalid."},
		"no session token":       {creds: func(c *aws.Credentials) { c.SessionToken = "" }, kind: "UnrecognizedClientException", message: "The security token included in the request is invalid."},
		"another session token":  {creds: func(c *aws.Credentials) { c.SessionToken = "other" }, kind: "UnrecognizedClientException", message: "The security token included in the request is invalid."},
		"a slow clock":           {skew: -6 * time.Minute, kind: invalid, message: "Signature expired: "},
		"a fast clock":           {skew: 6 * time.Minute, kind: invalid, message: "Signature not yet current: "},
		"another Region":         {region: "eu-central-1", kind: invalid, message: "Credential should be scoped to a valid region."},
		"another service":        {service: "kms", kind: invalid, message: "Credential should be scoped to correct service: 'execute-api'."},
		"no signature":           {tamper: func(r *http.Request) { r.Header.Del("Authorization") }, kind: "MissingAuthenticationTokenException", message: "Missing Authentication Token"},
		"another scheme":         {tamper: func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, kind: "IncompleteSignatureException", message: "Bearer"},
		"a tampered body":        {tamper: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"sub":"admin"}`)) }, kind: invalid, message: noMatch},
		"a longer body":          {tamper: func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 }, kind: invalid, message: noMatch},
		"a tampered query":       {tamper: func(r *http.Request) { r.URL.RawQuery = "a=1&b=3" }, kind: invalid, message: noMatch},
		"a parameter more":       {tamper: func(r *http.Request) { r.URL.RawQuery += "&c=3" }, kind: invalid, message: noMatch},
		"a parameter less":       {tamper: func(r *http.Request) { r.URL.RawQuery = "a=1" }, kind: invalid, message: noMatch},
		"a tampered path":        {tamper: func(r *http.Request) { r.URL.Path = "/prod/admin" }, kind: invalid, message: noMatch},
		"a tampered method":      {tamper: func(r *http.Request) { r.Method = http.MethodPut }, kind: invalid, message: noMatch},
		"a tampered host":        {tamper: func(r *http.Request) { r.Host = "other.example" }, kind: invalid, message: noMatch},
		"a tampered type":        {tamper: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, kind: invalid, message: noMatch},
		"a later date":           {tamper: func(r *http.Request) { r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z")) }, skew: -time.Minute, kind: invalid},
		"a header that is extra": {tamper: func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, kind: invalid, message: "must be a 'SignedHeader'"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(t)
			if tt.creds != nil {
				tt.creds(&api.creds)
			}
			client := api.client(roundTripper(func(r *http.Request) (*http.Response, error) {
				if tt.tamper != nil {
					tt.tamper(r)
				}
				return http.DefaultTransport.RoundTrip(r)
			}))
			transport := client.Transport.(*SigV4Transport)
			transport.Now = func() time.Time { return time.Now().Add(tt.skew) }
			transport.Service = tt.service
			if tt.region != "" {
				transport.Region = tt.region
			}
			api.refused(t, client, http.StatusForbidden, tt.kind, tt.message)
		})
	}
}

// Parameters that net/url cannot read are in no signature, so they must not
// pass.
func TestGatewayRefusesUnreadableQuery(t *testing.T) {
	for _, more := range []string{"&c;=3", "&c=%zz"} {
		api := newAPI(t)
		api.refused(t, api.client(roundTripper(func(r *http.Request) (*http.Response, error) {
			r.URL.RawQuery += more
			return http.DefaultTransport.RoundTrip(r)
		})), http.StatusBadRequest, "BadRequestException", "Bad Request")
	}
}

// inMemory sends requests to a handler without a network, over a wire all the
// same.
func inMemory(h http.Handler) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			return nil, err
		}
		received, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			return nil, err
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, received.WithContext(r.Context()))
		return answer.Result(), nil
	}
}

// A request that somebody recorded is good for five minutes.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &api{creds: testCreds}
		verifier := sigv4.Verifier{Service: "execute-api", Region: region, Credentials: testCreds}
		g := newGateway(verifier, stage, callerARN, &url.URL{Scheme: "http", Host: "service.example"}, inMemory(api))
		var recorded *http.Request
		client := api.client(roundTripper(func(r *http.Request) (*http.Response, error) {
			recorded = r
			return inMemory(g)(r)
		}))
		resp, err := client.Post("http://api.example/prod/token", "application/json", strings.NewReader("{}"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		time.Sleep(5 * time.Minute)
		for _, wait := range []time.Duration{0, time.Minute} {
			time.Sleep(wait)
			recorded.Body, _ = recorded.GetBody()
			resp, err := inMemory(g)(recorded)
			if err != nil {
				t.Fatal(err)
			}
			if wait > 0 {
				checkRefusal(t, resp, http.StatusForbidden, invalid, "Signature expired: ")
			} else if resp.StatusCode != 200 {
				t.Errorf("after 5 minutes: %s", resp.Status)
			}
		}
	})
}

// The caller's name is the gateway's to tell, and headers at large are not
// forwarded.
func TestGatewayHeaders(t *testing.T) {
	api := newAPI(t)
	r, err := http.NewRequest("POST", api.url+"/token", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{callerHeader, "X-Forwarded-For", "Cookie", "X-Other"} {
		r.Header.Set(name, "forged")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Connection", "X-Caller-Arn") // asks proxies to drop it
	resp, err := api.client(nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for name, want := range map[string]string{
		callerHeader: callerARN, "Accept": "application/json", "Content-Encoding": "gzip", "X-Forwarded-For": "", "Cookie": "", "X-Other": "",
		"Authorization": "", "X-Amz-Security-Token": "",
	} {
		if got := strings.Join(api.raw.Header.Values(name), ","); got != want {
			t.Errorf("%s arrived as %q, want %q", name, got, want)
		}
	}
}

// A body that came in chunks goes on with its length, to the service's own
// host.
func TestGatewayChunks(t *testing.T) {
	api := newAPI(t)
	r, err := http.NewRequest("POST", api.url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("body"))
	if err := v4.NewSigner().SignHTTP(t.Context(), testCreds, r, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength, r.Trailer = io.NopCloser(strings.NewReader("body")), -1, http.Header{"X-Trailer": {"x"}}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || api.raw.ContentLength != 4 || api.raw.TransferEncoding != nil || api.last().Body != "body" {
		t.Errorf("%s, arrived with the length %d, in %q", resp.Status, api.raw.ContentLength, api.raw.TransferEncoding)
	}
	if "http://"+api.raw.Host == strings.TrimSuffix(api.url, "/"+stage) {
		t.Errorf("the service was called %s, as the gateway is", api.raw.Host)
	}
}

func TestGatewayPaths(t *testing.T) {
	api := newAPI(t)
	base := strings.TrimSuffix(api.url, "/"+stage)
	for path, kind := range map[string]string{
		"":               "ForbiddenException",
		"/":              "ForbiddenException",
		"/other/token":   "ForbiddenException",
		"/product/token": "ForbiddenException",
		"/%70rod/token":  "ForbiddenException",
	} {
		resp, err := api.client(nil).Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		checkRefusal(t, resp, http.StatusForbidden, kind, "Forbidden")
	}
	// The transport does not sign these, others might.
	for _, path := range []string{"/prod/../admin", "/prod/%2e%2e/admin", "/prod//admin", "/prod/."} {
		r, err := http.NewRequest("GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		const noBody = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		if err := v4.NewSigner().SignHTTP(t.Context(), testCreds, r, noBody, "execute-api", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		checkRefusal(t, resp, http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	if got := api.last(); got.Method != "" {
		t.Errorf("reached the service: %v", got)
	}
}

func TestGatewayBodyLimit(t *testing.T) {
	api := newAPI(t)
	client := api.client(nil)
	client.Transport.(*SigV4Transport).MaxBody = maxBody + 1
	resp, err := client.Post(api.url+"/token", "text/plain", strings.NewReader(strings.Repeat("x", maxBody+1)))
	if err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, resp, http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request Entity Too Large")
}

func TestGatewayService(t *testing.T) {
	for name, tt := range map[string]struct {
		base    roundTripper
		message string
	}{
		"that cannot be reached": {func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }, "Network error communicating with endpoint"},
		"that does not answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}, "Endpoint request timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newAPI(t)
			api.gateway.proxy.Transport = tt.base
			api.gateway.timeout = 20 * time.Millisecond
			api.refused(t, api.client(nil), http.StatusGatewayTimeout, "InternalServerErrorException", tt.message)
		})
	}
	// A service may be below a path of its host.
	api := newAPI(t)
	at, _ := url.Parse("http://service.example/a%2Fb/")
	u, _ := url.Parse("http://api.example/prod/x%2Fy?q=1")
	if got := api.gateway.target(at, u).String(); got != "http://service.example/a%2Fb/x%2Fy?q=1" {
		t.Errorf("target %s", got)
	}
}
