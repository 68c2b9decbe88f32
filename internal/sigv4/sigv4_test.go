package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// TestVectors has examples that AWS published: from its test suite for
// Signature Version 4, and the example of the IAM User Guide.
func TestVectors(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	for _, tt := range []struct {
		name, request, service, signed, signature string
	}{
		{"get-vanilla",
			"GET / HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n\r\n",
			"service", "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla",
			"POST / HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n\r\n",
			"service", "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-vanilla-query-order-key-case",
			"GET /?Param2=value2&Param1=value1 HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n\r\n",
			"service", "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-header-value-trim",
			"GET / HTTP/1.1\r\nHost:example.amazonaws.com\r\nMy-Header1: value1\r\nMy-Header2: \"a   b   c\"\r\nX-Amz-Date:20150830T123600Z\r\n\r\n",
			"service", "host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"get-vanilla-query-order-value",
			"GET /?Param1=value2&Param1=value1 HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\n\r\n",
			"service", "host;x-amz-date", "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
		{"IAM ListUsers",
			"GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\r\nHost: iam.amazonaws.com\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nX-Amz-Date: 20150830T123600Z\r\n\r\n",
			"iam", "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(tt.request)))
		if err != nil {
			t.Fatal(err)
		}
		a := authorization{date: "20150830", region: "us-east-1", service: tt.service, terminator: "aws4_request"}
		canonical := sha256.New()
		if err := writeCanonicalRequest(canonical, r, strings.Split(tt.signed, ";"), nil); err != nil {
			t.Fatal(err)
		}
		got := a.sign(secret, "20150830T123600Z", canonical.Sum(nil))
		if got != tt.signature {
			t.Errorf("%s: signature %s, want %s", tt.name, got, tt.signature)
		}
	}
}

var verifier = Verifier{
	Service:     "execute-api",
	Region:      "eu-central-1",
	Credentials: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "token"},
}

// signed returns a request that the signer of the SDK signed, as a server
// receives it.
func signed(t *testing.T, method, target, body string, at time.Time, creds aws.Credentials, service, region string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://api.example"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
	received := httptest.NewRequest(method, r.URL.RequestURI(), strings.NewReader(body))
	received.Host, received.Header = "api.example", r.Header
	return received
}

// TestSDK verifies requests that the signer of the SDK signed.
func TestSDK(t *testing.T) {
	for _, target := range []string{
		"/", "", "/stage/token", "/stage/a%20b/c", "/stage/%C3%A9", "/a%2Fb", "/a+b", "/~user/x.y-z_0",
		"/?b=2&a=1", "/?a=2&a=1&a=", "/?flag", "/?q=a%20b&r=a%2Bb&s=%C3%A9&t=a/b", "/p?x=%7E&y=*&z=!'()",
		"/?t=a/b&t=a-b", "/?a/=1&a-=2", "/?a=1&a-=2&a~=3", "/?%C3%A9=1&z=2",
	} {
		for _, body := range []string{"", `{"sub":"alice"}`} {
			r := signed(t, http.MethodPost, target, body, time.Now(), verifier.Credentials, verifier.Service, verifier.Region)
			if err := verifier.Verify(r, []byte(body)); err != nil {
				t.Errorf("%s with the body %q: %v", target, body, err)
			}
		}
	}
}

// TestRefusals has a row for each way in which a request can be invalid.
func TestRefusals(t *testing.T) {
	const target, body = "/stage/token?a=1&b=2", `{"sub":"alice"}`
	other := verifier.Credentials
	other.SecretAccessKey = "other"
	unknown := verifier.Credentials
	unknown.AccessKeyID = "AKOTHER"
	noToken := verifier.Credentials
	noToken.SessionToken = ""
	now := time.Now()
	for _, tt := range []struct {
		reason string
		at     time.Time
		creds  aws.Credentials
		tamper func(*http.Request)
		body   string
		code   string
		text   string
	}{
		{"no signature", now, verifier.Credentials, func(r *http.Request) { r.Header.Del("Authorization") }, body, "MissingAuthenticationTokenException", ""},
		{"another scheme", now, verifier.Credentials, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, body, "IncompleteSignatureException", ""},
		{"no date", now, verifier.Credentials, func(r *http.Request) { r.Header.Del("X-Amz-Date") }, body, "IncompleteSignatureException", ""},
		{"a wrong secret", now, other, nil, body, "InvalidSignatureException", "does not match"},
		{"an unknown key", now, unknown, nil, body, "UnrecognizedClientException", ""},
		{"no session token", now, noToken, nil, body, "UnrecognizedClientException", ""},
		{"another body", now, verifier.Credentials, nil, body + " ", "InvalidSignatureException", "does not match"},
		{"another method", now, verifier.Credentials, func(r *http.Request) { r.Method = http.MethodPut }, body, "InvalidSignatureException", "does not match"},
		{"another path", now, verifier.Credentials, func(r *http.Request) { r.URL.Path = "/stage/admin" }, body, "InvalidSignatureException", "does not match"},
		{"another query", now, verifier.Credentials, func(r *http.Request) { r.URL.RawQuery = "a=1&b=3" }, body, "InvalidSignatureException", "does not match"},
		{"a parameter more", now, verifier.Credentials, func(r *http.Request) { r.URL.RawQuery += "&c=3" }, body, "InvalidSignatureException", "does not match"},
		{"a parameter that url.Values drops", now, verifier.Credentials, func(r *http.Request) { r.URL.RawQuery += "&admin;=1" }, body, "InvalidSignatureException", "does not match"},
		{"a parameter that cannot be read", now, verifier.Credentials, func(r *http.Request) { r.URL.RawQuery += "&b%zz=1" }, body, "InvalidSignatureException", "sigv4: parse the query"},
		{"another host", now, verifier.Credentials, func(r *http.Request) { r.Host = "other.example" }, body, "InvalidSignatureException", "does not match"},
		{"another content type", now, verifier.Credentials, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, body, "InvalidSignatureException", "does not match"},
		{"an unsigned x-amz- header", now, verifier.Credentials, func(r *http.Request) { r.Header.Set("X-Amz-New", "x") }, body, "InvalidSignatureException", "'x-amz-new' must be a 'SignedHeader'"},
	} {
		r := signed(t, http.MethodPost, target, body, tt.at, tt.creds, verifier.Service, verifier.Region)
		if tt.tamper != nil {
			tt.tamper(r)
		}
		err, ok := errors.AsType[smithy.APIError](verifier.Verify(r, []byte(tt.body)))
		if !ok || err.ErrorCode() != tt.code || !strings.Contains(err.ErrorMessage(), tt.text) {
			t.Errorf("%s: %v, want %s %q", tt.reason, err, tt.code, tt.text)
		}
	}
	// The signature does not cover the order of the parameters.
	r := signed(t, http.MethodPost, target, body, now, verifier.Credentials, verifier.Service, verifier.Region)
	r.URL.RawQuery = "b=2&a=1"
	if err := verifier.Verify(r, []byte(body)); err != nil {
		t.Errorf("parameters in another order: %v", err)
	}
	for reason, tt := range map[string]struct{ service, region string }{
		"another service": {"kms", verifier.Region},
		"another Region":  {verifier.Service, "us-east-1"},
	} {
		r := signed(t, http.MethodPost, target, body, now, verifier.Credentials, tt.service, tt.region)
		if err := verifier.Verify(r, []byte(body)); err == nil || !strings.Contains(err.Error(), "InvalidSignatureException: Credential should be scoped") {
			t.Errorf("%s: %v", reason, err)
		}
	}
	expired := verifier
	expired.Credentials.CanExpire, expired.Credentials.Expires = true, now.Add(-time.Minute)
	if err := expired.Verify(signed(t, http.MethodPost, target, body, now, verifier.Credentials, verifier.Service, verifier.Region), []byte(body)); err == nil || !strings.Contains(err.Error(), "ExpiredTokenException") {
		t.Errorf("expired credentials: %v", err)
	}
}

// TestHeaderValues compares canonical headers with the ones that the rule in
// the IAM User Guide gives: values trimmed, runs of spaces as one, joined by
// commas.
func TestHeaderValues(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, "a:\n"},
		{[]string{""}, "a:\n"},
		{[]string{"x"}, "a:x\n"},
		{[]string{"  x   y  "}, "a:x y\n"},
		{[]string{"x", "y z"}, "a:x,y z\n"},
		{[]string{"", "", "y"}, "a:,,y\n"},
		{[]string{"x", " "}, "a:x,\n"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["A"] = tt.values
		var b strings.Builder
		if err := writeCanonicalRequest(&b, r, []string{"a"}, nil); err != nil {
			t.Fatal(err)
		}
		if want := "GET\n/\n\n" + tt.want + "\na\n"; !strings.HasPrefix(b.String(), want) {
			t.Errorf("%q: %q, want %q", tt.values, &b, want)
		}
	}
}

// TestSignedHeaders has forms of SignedHeaders that name a header twice, or
// could.
func TestSignedHeaders(t *testing.T) {
	good := signed(t, http.MethodPost, "/", "", time.Now(), verifier.Credentials, verifier.Service, verifier.Region)
	header := good.Header.Get("Authorization")
	for _, tt := range []struct{ reason, old, new string }{
		{"twice", ";host;", ";host;host;"},
		{"twice, not next to each other", ";x-amz-date", ";x-amz-date;host"},
		{"in upper case", ";host;", ";Host;"},
		{"in both cases", "=content-type;", "=HOST;content-type;"},
		{"unsorted", ";host;x-amz-date", ";x-amz-date;host"},
		{"empty names", ";host;", ";;host;"},
	} {
		bad := strings.Replace(header, tt.old, tt.new, 1)
		if bad == header {
			t.Fatalf("%s: no %s in %s", tt.reason, tt.old, header)
		}
		good.Header.Set("Authorization", bad)
		err, ok := errors.AsType[smithy.APIError](verifier.Verify(good, nil))
		if !ok || err.ErrorCode() != "IncompleteSignatureException" || !strings.HasPrefix(err.ErrorMessage(), "SignedHeaders must") {
			t.Errorf("%s: %v", tt.reason, err)
		}
	}
}

// TestCost verifies requests of 800 kB that are built to cost more than their
// size. It counts bytes that are allocated, which grow with the work.
func TestCost(t *testing.T) {
	const size = 800_000
	date := time.Now().UTC().Format(amzDate)
	long := strings.Repeat("x", size/2)
	distinct := func(n int, format string) []string {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf(format, i))
		}
		return names
	}
	for _, tt := range []struct {
		reason  string
		signed  []string
		headers map[string]string
		query   string
	}{
		{"one long header many times", slices.Repeat([]string{"a"}, size/4), map[string]string{"A": long}, ""},
		{"a long header in each spelling", []string{"AAAA", "AAAa", "AAaA", "AAaa", "AaAA", "aaaa"}, map[string]string{"Aaaa": long}, ""},
		{"many names", append(distinct(size/9, "a%07d"), "host"), map[string]string{"A": "x"}, ""},
		{"many spaces", []string{"a", "host", "x-amz-date", "x-amz-security-token"}, map[string]string{"A": strings.Repeat("x ", size/2)}, ""},
		{"many parameters", []string{"host", "x-amz-date", "x-amz-security-token"}, nil, strings.Repeat("a&", size/2)},
		{"many escapes", []string{"host", "x-amz-date", "x-amz-security-token"}, nil, strings.Repeat("%20", size/3)},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+tt.query, nil)
		for name, value := range tt.headers {
			r.Header.Set(name, value)
		}
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Security-Token", "token")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKID/"+date[:8]+"/eu-central-1/execute-api/aws4_request, SignedHeaders="+strings.Join(tt.signed, ";")+", Signature=00")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := verifier.Verify(r, nil)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		allocated := (after.TotalAlloc - before.TotalAlloc) / 1000
		t.Logf("%s: %d kB allocated, %v: %.60v", tt.reason, allocated, took.Round(time.Microsecond), err)
		if err == nil || allocated > 40*size/1000 {
			t.Errorf("%s: %d kB allocated for %d kB, %v", tt.reason, allocated, size/1000, err)
		}
	}
}

// TestAnyCredentials accepts other credentials, in the Region and at the time
// of the verifier.
func TestAnyCredentials(t *testing.T) {
	anyone := Verifier{Service: verifier.Service, Region: verifier.Region, AnyCredentials: true}
	now := time.Now()
	for _, creds := range []aws.Credentials{
		{AccessKeyID: "test", SecretAccessKey: "test"},
		{AccessKeyID: "ASIA", SecretAccessKey: "x", SessionToken: "left by SSO"},
	} {
		r := signed(t, http.MethodPost, "/", "", now, creds, anyone.Service, anyone.Region)
		if err := anyone.Verify(r, nil); err != nil {
			t.Error(err)
		}
		if got := ScopeRegion(r); got != anyone.Region {
			t.Errorf("Region %q", got)
		}
		if err := anyone.Verify(signed(t, http.MethodPost, "/", "", now.Add(-time.Hour), creds, anyone.Service, anyone.Region), nil); err == nil {
			t.Error("an old request verifies")
		}
		if err := anyone.Verify(signed(t, http.MethodPost, "/", "", now, creds, anyone.Service, "eu-west-1"), nil); err == nil {
			t.Error("a request to another Region verifies")
		}
	}
	unsigned := httptest.NewRequest(http.MethodPost, "/", nil)
	if err := anyone.Verify(unsigned, nil); err == nil || ScopeRegion(unsigned) != "" {
		t.Errorf("unsigned: %v", err)
	}
}

// TestSkew verifies requests at the limits of the time that a signature is
// valid.
func TestSkew(t *testing.T) {
	for _, tt := range []struct {
		skew time.Duration
		want string // text of the error, or empty if the request is valid
	}{
		{-5*time.Minute - time.Second, "Signature expired: 19991231T235459Z is now earlier than 19991231T235500Z (20000101T000000Z - 5 min.)"},
		{-5 * time.Minute, ""},
		{0, ""},
		{5 * time.Minute, ""},
		{5*time.Minute + time.Second, "Signature not yet current: 20000101T000501Z is still later than 20000101T000500Z (20000101T000000Z + 5 min.)"},
	} {
		synctest.Test(t, func(t *testing.T) { // the clock starts at 2000-01-01
			r := signed(t, http.MethodPost, "/", "", time.Now().Add(tt.skew), verifier.Credentials, verifier.Service, verifier.Region)
			var got string
			if err, ok := errors.AsType[smithy.APIError](verifier.Verify(r, nil)); ok {
				got = err.ErrorMessage()
			}
			if got != tt.want {
				t.Errorf("signed at %v: got error %q, want %q", tt.skew, got, tt.want)
			}
		})
	}
}

// FuzzVerify checks that no header makes Verify panic or accept a request.
func FuzzVerify(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKID/20150830/eu-central-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20150830T123600Z")
	f.Add("AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;, Signature=", "")
	f.Fuzz(func(t *testing.T, authorization, date string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Security-Token", "token")
		if verifier.Verify(r, nil) == nil {
			t.Errorf("%q at %q verifies", authorization, date)
		}
	})
}
