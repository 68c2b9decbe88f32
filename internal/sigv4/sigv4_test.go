package sigv4

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
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
		canonical, err := canonicalRequest(r, strings.Split(tt.signed, ";"), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := a.sign(secret, "20150830T123600Z", canonical)
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
