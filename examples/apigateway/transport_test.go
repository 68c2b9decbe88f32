package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func static(creds aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil })
}

// These signatures are published by AWS, in its test suite for Signature
// Version 4.
func TestPublishedSignatures(t *testing.T) {
	for _, tt := range []struct {
		name, method, url string
		header            http.Header
		signed, signature string
	}{
		{"get-vanilla", "GET", "https://example.amazonaws.com/", nil,
			"host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla, as net/http writes it", "", "https://example.amazonaws.com", nil,
			"host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", "POST", "https://example.amazonaws.com/", nil,
			"host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-vanilla-query-order-key-case", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", nil,
			"host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-vanilla-query-order-value", "GET", "https://example.amazonaws.com/?Param1=value2&Param1=value1", nil,
			"host;x-amz-date", "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
		{"get-header-value-trim", "GET", "https://example.amazonaws.com/", http.Header{"My-Header1": {" value1"}, "My-Header2": {` "a   b   c"`}},
			"host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	} {
		var sent *http.Request
		transport := &SigV4Transport{
			Credentials: static(aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}),
			Region:      "us-east-1",
			Service:     "service",
			Now:         func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) },
			Base: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			}),
		}
		r, err := http.NewRequest(tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Method = tt.method
		maps.Copy(r.Header, tt.header)
		if _, err := transport.RoundTrip(r); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" + tt.signed + ", Signature=" + tt.signature
		if got := sent.Header.Get("Authorization"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, want)
		}
	}
}

// Whatever is sent verifies, and arrives as it was meant.
func TestRequests(t *testing.T) {
	api := newAPI(t)
	targets := []string{
		"", "/", "/token", "/token/", "/a%20b/c", "/%C3%A9", "/é", "/a%2Fb", "/a+b", "/a%2Bb", "/~user/x.y-z_0", "/@connections/abc%3D",
		"/a:b,c;d=e", "/100%25", "/items(1)/!*'", "/%7Euser", "/...",
		"?b=2&a=1", "?a=2&a=1&a=", "?a=z&b=1&a=y", "?a=1&A=2&a1=3", "?flag", "?flag=", "?=", "?&&a=1&", "?", "?q=a%20b&r=a%2Bb&s=%C3%A9&t=a/b", "?q=a+b&q=a b",
		"?u=é&v=日本", "?pct=100%25&eq==&amp=%26&slash=%2f&hash=%23", "?x=%7E&y=*&z=!'()", "?arr[]=1&arr[]=2&json={\"a\":1}", "?X-Amz-Date=not+mine",
		"/a%20b/%C3%A9?z=1&a=%2F+%2B%25",
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		for _, target := range targets {
			body := `{"sub":"alice"}` + "\x00\xff"
			if method == "GET" || method == "HEAD" {
				body = ""
			}
			t.Run(method+" "+target, func(t *testing.T) { api.checkArrives(t, method, target, body) })
		}
	}
	for name, body := range map[string]string{
		"empty": "", "one byte": "x", "long": strings.Repeat("0123456789", 100_000), "longest": strings.Repeat("x", maxBody),
	} {
		t.Run("body "+name, func(t *testing.T) { api.checkArrives(t, "POST", "/token", body) })
	}
	api.creds.SessionToken = ""
	api.gateway.verifier.Credentials = api.creds
	t.Run("no session token", func(t *testing.T) { api.checkArrives(t, "POST", "/token?a=1", "x") })
}

func (api *api) checkArrives(t *testing.T, method, target, body string) {
	t.Helper()
	r, err := http.NewRequest(method, api.url+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	want := echo{Method: method, Path: strings.TrimPrefix(r.URL.EscapedPath(), "/"+stage), Body: body, ContentType: "application/json; charset=utf-8", Caller: []string{callerARN}}
	if want.Path == "" {
		want.Path = "/"
	}
	resp, err := api.client(nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := readAll(resp)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s, %v: %.500s", resp.Status, err, answer)
	}
	got := api.last()
	if query, err := url.ParseQuery(got.Query); err != nil || !reflect.DeepEqual(query, r.URL.Query()) {
		t.Errorf("the query arrived as %q, %v", got.Query, err)
	}
	if strings.Contains(got.Query, "+") { // which some take for a plus
		t.Errorf("the query arrived as %q", got.Query)
	}
	got.Query = ""
	if !reflect.DeepEqual(got, want) {
		t.Errorf("arrived as %.500v\nwant %.500v", got, want)
	}
}

// Headers that are changed on the way are not signed, and arrive all the same.
func TestHeaders(t *testing.T) {
	var sent http.Header
	transport := &SigV4Transport{Credentials: static(testCreds), Region: region, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	r, _ := http.NewRequest("GET", "https://api.example/prod", nil)
	r.Header = http.Header{
		"Accept-Encoding": {"br"}, "Connection": {"close"}, "X-Forwarded-For": {"192.0.2.1"}, "User-Agent": {"test"},
		"Cookie": {"a=b"}, "x-lower": {"1"}, "X-Many": {"a", " b  c "},
		// These are the transport's own.
		"X-Amz-Date": {"20000101T000000Z"}, "x-amz-date": {"20000101T000000Z"}, "X-Amz-Security-Token": {"stale"},
	}
	if _, err := transport.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if want := "SignedHeaders=cookie;host;x-amz-date;x-amz-security-token;x-lower;x-many,"; !strings.Contains(sent.Get("Authorization"), want) {
		t.Errorf("%s, want %s", sent.Get("Authorization"), want)
	}
	for name, want := range map[string]string{"Accept-Encoding": "br", "Connection": "close", "X-Forwarded-For": "192.0.2.1", "User-Agent": "test", "X-Lower": "1", "X-Amz-Security-Token": testCreds.SessionToken} {
		if got := sent.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := sent.Values("X-Amz-Date"); len(got) != 1 || strings.HasPrefix(got[0], "2000") {
		t.Errorf("X-Amz-Date is %q", got)
	}
	// Credentials without a session token send none, not even the caller's.
	creds := testCreds
	creds.SessionToken = ""
	transport.Credentials = static(creds)
	for _, header := range []http.Header{{"X-Amz-Security-Token": {"stale"}}, nil} { // net/http allows nil
		r.Header = header
		if _, err := transport.RoundTrip(r); err != nil || sent.Values("X-Amz-Security-Token") != nil {
			t.Errorf("%v, X-Amz-Security-Token %q", err, sent.Values("X-Amz-Security-Token"))
		}
	}
}

// What RoundTrip refuses it neither sends nor changes, and the body is closed.
func TestRefusedBeforeSending(t *testing.T) {
	secretFails := errors.New("no role")
	for name, tt := range map[string]struct {
		change func(*SigV4Transport, *http.Request)
		want   string
	}{
		"no credentials":         {func(tr *SigV4Transport, _ *http.Request) { tr.Credentials = nil }, "no Credentials"},
		"no Region":              {func(tr *SigV4Transport, _ *http.Request) { tr.Region = "" }, "no Region"},
		"empty credentials":      {func(tr *SigV4Transport, _ *http.Request) { tr.Credentials = static(aws.Credentials{}) }, "there is no access key"},
		"anonymous credentials":  {func(tr *SigV4Transport, _ *http.Request) { tr.Credentials = aws.AnonymousCredentials{} }, "credentials"},
		"failing credentials":    {func(tr *SigV4Transport, _ *http.Request) { tr.Credentials = failing{secretFails} }, "credentials: no role"},
		"no host":                {func(_ *SigV4Transport, r *http.Request) { r.URL.Host = "" }, "no host"},
		"an opaque URL":          {func(_ *SigV4Transport, r *http.Request) { r.URL.Opaque = "//api.example/x" }, "opaque"},
		"a host in Unicode":      {func(_ *SigV4Transport, r *http.Request) { r.URL.Host = "bücher.example" }, "Punycode"},
		"Authorization":          {func(_ *SigV4Transport, r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "Authorization header"},
		"authorization":          {func(_ *SigV4Transport, r *http.Request) { r.Header["authorization"] = []string{"Bearer x"} }, "Authorization header"},
		"a user":                 {func(_ *SigV4Transport, r *http.Request) { r.URL.User = url.UserPassword("u", "p") }, "the URL has a user"},
		"trailers":               {func(_ *SigV4Transport, r *http.Request) { r.Trailer = http.Header{"A": {"b"}} }, "trailers"},
		"a semicolon":            {func(_ *SigV4Transport, r *http.Request) { r.URL.RawQuery = "a=1;b=2" }, "semicolon"},
		"a bad escape":           {func(_ *SigV4Transport, r *http.Request) { r.URL.RawQuery = "a=%zz" }, "query cannot be read"},
		"an empty segment":       {func(_ *SigV4Transport, r *http.Request) { r.URL.Path = "/prod//token" }, "empty"},
		"a dot segment":          {func(_ *SigV4Transport, r *http.Request) { r.URL.Path = "/prod/../token" }, "segment"},
		"an escaped dot segment": {func(_ *SigV4Transport, r *http.Request) { r.URL.Path, r.URL.RawPath = "/prod/../x", "/prod/%2e%2E/x" }, "segment"},
		"a body too long":        {func(tr *SigV4Transport, _ *http.Request) { tr.MaxBody = 3 }, "more than 3 bytes"},
		"a wrong length":         {func(_ *SigV4Transport, r *http.Request) { r.ContentLength = 5 }, "the body has 4 bytes, want the 5 of ContentLength"},
		"a redirect elsewhere": {func(_ *SigV4Transport, r *http.Request) {
			r.Response = &http.Response{Request: &http.Request{URL: &url.URL{Scheme: "https", Host: "other.example"}}}
		}, "redirected to another host"},
		"a redirect to http": {func(_ *SigV4Transport, r *http.Request) {
			r.Response, r.URL.Scheme = &http.Response{Request: &http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}}}, "http"
		}, "redirected to another host"},
		"a redirect from nowhere": {func(_ *SigV4Transport, r *http.Request) { r.Response = &http.Response{} }, "redirected to another host"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &SigV4Transport{Credentials: static(testCreds), Region: region, Base: roundTripper(func(*http.Request) (*http.Response, error) {
				t.Error("sent")
				return nil, errors.New("sent")
			})}
			body := &closer{Reader: strings.NewReader("body")}
			r, err := http.NewRequest("POST", "https://api.example/prod/token", body)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(transport, r)
			if _, err := transport.RoundTrip(r); err == nil || !strings.HasPrefix(err.Error(), "sigv4: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			} else if name == "failing credentials" && !errors.Is(err, secretFails) {
				t.Errorf("%v does not wrap its cause", err)
			}
			if !body.closed {
				t.Error("the body is not closed")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Retrieve(context.Context) (aws.Credentials, error) { return aws.Credentials{}, f.err }

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

// A body that cannot be read is not sent.
func TestBrokenBody(t *testing.T) {
	transport := &SigV4Transport{Credentials: static(testCreds), Region: region}
	r, _ := http.NewRequest("POST", "http://127.0.0.1:1/prod", io.MultiReader(strings.NewReader("a"), brokenReader{}))
	if _, err := transport.RoundTrip(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// A body without end is read up to the limit.
func TestEndlessBody(t *testing.T) {
	transport := &SigV4Transport{Credentials: static(testCreds), Region: region}
	r, _ := http.NewRequest("POST", "http://127.0.0.1:1/prod", endless{})
	if _, err := transport.RoundTrip(r); err == nil || !strings.Contains(err.Error(), "more than 10485760 bytes") {
		t.Error(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A RoundTripper leaves the request as it was.
func TestRequestNotModified(t *testing.T) {
	api := newAPI(t)
	body := &closer{Reader: strings.NewReader("body")}
	r, err := http.NewRequest("POST", api.url+"/token?b=2&a=1", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "close")
	r.TransferEncoding = []string{"chunked"}
	before := r.Clone(t.Context())
	resp, err := api.client(nil).Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || !body.closed {
		t.Errorf("%s, body closed: %v", resp.Status, body.closed)
	}
	if !reflect.DeepEqual(r.Header, before.Header) || *r.URL != *before.URL || r.Host != before.Host || r.Body != body || r.GetBody != nil ||
		r.ContentLength != before.ContentLength || !reflect.DeepEqual(r.TransferEncoding, before.TransferEncoding) {
		t.Errorf("the request is now %+v\nwas %+v", r, before)
	}
}

// net/http sends a request again if a connection that it had breaks; it must
// have the body again.
func TestReplayByNetHTTP(t *testing.T) {
	api := newAPI(t)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 2 {
			io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
			return
		}
		api.gateway.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client := api.client(&http.Transport{})
	t.Cleanup(client.CloseIdleConnections)
	for _, body := range []string{"first", "second"} {
		r, err := http.NewRequest("POST", server.URL+"/"+stage+"/token?a=1", io.MultiReader(strings.NewReader(body))) // a plain io.Reader
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Idempotency-Key", body) // so that net/http dares
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := readAll(resp); err != nil || resp.StatusCode != 200 || api.last().Body != body {
			t.Errorf("%s: %s, %v: %s, arrived %q", body, resp.Status, err, answer, api.last().Body)
		}
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3: one more than were made", n)
	}
}

// A retry by the caller is signed anew: it may come much later.
func TestRetryByCaller(t *testing.T) {
	api := newAPI(t)
	var signatures []string
	transport := api.client(nil).Transport.(*SigV4Transport)
	now := time.Now().Add(-2 * time.Second)
	transport.Now = func() time.Time { now = now.Add(time.Second); return now }
	transport.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
		signatures = append(signatures, r.Header.Get("Authorization"))
		return http.DefaultTransport.RoundTrip(r)
	})
	r, err := http.NewRequest("POST", api.url+"/token", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.Body, _ = r.GetBody()
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || api.last().Body != "body" {
			t.Errorf("%s, arrived %q", resp.Status, api.last().Body)
		}
	}
	if len(signatures) != 2 || signatures[0] == signatures[1] {
		t.Errorf("signatures %q, want two", signatures)
	}
}

func TestRedirects(t *testing.T) {
	api := newAPI(t)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host got %s with the headers %v", r.URL, r.Header)
	}))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, other.URL+"/", http.StatusTemporaryRedirect)
		case "/twice":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/here":
			http.Redirect(w, r, "/"+stage+"/token", http.StatusTemporaryRedirect)
		default:
			api.gateway.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	for _, path := range []string{"/elsewhere", "/twice"} {
		if _, err := api.client(nil).Post(server.URL+path, "text/plain", strings.NewReader("body")); err == nil || !strings.Contains(err.Error(), "redirected to another host, "+other.URL) {
			t.Errorf("%s: %v", path, err)
		}
	}
	resp, err := api.client(nil).Post(server.URL+"/here", "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := readAll(resp); err != nil || resp.StatusCode != 200 || api.last().Body != "body" {
		t.Errorf("on the same host: %s, %v: %s", resp.Status, err, answer)
	}
}

func TestConcurrent(t *testing.T) {
	api := newAPI(t)
	client := api.client(nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				body := fmt.Sprintf("body %d %d", i, j)
				resp, err := client.Post(fmt.Sprintf("%s/token?j=%d&i=%d", api.url, j, i), "text/plain", bytes.NewBufferString(body))
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := readAll(resp)
				if err != nil || resp.StatusCode != 200 || !bytes.Contains(answer, []byte(body)) {
					t.Errorf("%s, %v: %s", resp.Status, err, answer)
				}
			}
		})
	}
	wg.Wait()
}
