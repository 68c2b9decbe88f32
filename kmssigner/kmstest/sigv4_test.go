package kmstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestOtherSDKs verifies requests with the headers that SDKs in other languages
// sign.
func TestOtherSDKs(t *testing.T) {
	k := New()
	s := NewServer(k)
	defer s.Close()
	for name, header := range map[string]http.Header{
		"Python and the AWS CLI": {},
		"Java 1":                 {"User-Agent": {"aws-sdk-java/1.12.1 Linux/6  OpenJDK"}, "Amz-Sdk-Retry": {"0/0/500"}},
		"JavaScript 3":           {"X-Amz-Content-Sha256": {"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaf8a9"}, "X-Amz-User-Agent": {"aws-sdk-js/3.1"}, "Accept": {"*/*", "text/html"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := to(k, "ListKeys", "{}")
			r.unsigned = true // by Go's signer
			r.tamper = func(r *http.Request) {
				names := []string{"content-type", "host", "x-amz-date", "x-amz-target"}
				for name, values := range header {
					names = append(names, strings.ToLower(name))
					r.Header[name] = values
				}
				signByHand(t, k, r, names, []byte("{}"))
			}
			if status, body, _ := r.send(t, s); status != 200 {
				t.Errorf("%d %s", status, body)
			}
			if header["User-Agent"] == nil {
				return
			}
			tampered := r.tamper
			r.tamper = func(r *http.Request) { tampered(r); r.Header.Set("User-Agent", "another") }
			if status, body, _ := r.send(t, s); status != 400 || !strings.Contains(body, "InvalidSignatureException") {
				t.Errorf("with another User-Agent: %d %s", status, body)
			}
		})
	}
}

// signByHand signs a request as the documentation describes. It does not use
// the code of package sigv4.
func signByHand(t *testing.T, k *KMS, r *http.Request, names []string, body []byte) {
	date := time.Now().UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", date)
	slices.Sort(names)
	text := "POST\n/\n\n"
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.URL.Host
		}
		text += name + ":" + strings.ReplaceAll(value, "  ", " ") + "\n"
	}
	text += fmt.Sprintf("\n%s\n%x", strings.Join(names, ";"), sha256.Sum256(body))
	scope := date[:8] + "/us-east-1/kms/aws4_request"
	key := "AWS4" + k.opts.Credentials.SecretAccessKey
	for _, part := range []string{date[:8], "us-east-1", "kms", "aws4_request",
		fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", date, scope, sha256.Sum256([]byte(text)))} {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(part))
		key = string(h.Sum(nil))
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		k.opts.Credentials.AccessKeyID, scope, strings.Join(names, ";"), hex.EncodeToString([]byte(key))))
}

// TestSigV4 has a row for each way in which the signature of a request can be
// invalid.
func TestSigV4(t *testing.T) {
	k := New(func(o *Options) { o.Region = "eu-west-1" })
	s := NewServer(k)
	defer s.Close()
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	resign := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			h := r.Header.Get("Authorization")
			if !strings.Contains(h, old) {
				t.Errorf("no %q in %s", old, h)
			}
			r.Header.Set("Authorization", strings.Replace(h, old, new, 1))
		}
	}
	for _, tt := range []struct {
		reason        string
		change        func(*request)
		code, message string // no code: accepted. A message may end in a star, for any rest
	}{
		{"as it should be", func(r *request) {}, "", ""},
		{"an unsigned header that is not for AWS", func(r *request) { r.tamper = func(r *http.Request) { r.Header.Set("Via", "a proxy") } }, "", ""},
		{"four minutes old", func(r *request) { r.at = r.at.Add(-4 * time.Minute) }, "", ""},
		{"four minutes ahead", func(r *request) { r.at = r.at.Add(4 * time.Minute) }, "", ""},
		{"parameters without spaces", func(r *request) { r.tamper = resign(", SignedHeaders", ",SignedHeaders") }, "", ""},

		{"not signed at all", func(r *request) { r.unsigned = true },
			"MissingAuthenticationTokenException", "Missing Authentication Token"},
		{"another scheme", func(r *request) { r.tamper = func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") } },
			"IncompleteSignatureException", "Unsupported AWS 'algorithm': 'Bearer'."},
		{"no signature in it", func(r *request) { r.tamper = resign(" Signature=", " Sig=") },
			"IncompleteSignatureException", "Authorization header requires 'Signature' parameter.*"},
		{"no credential in it", func(r *request) { r.tamper = resign(" Credential=", " Cred=") },
			"IncompleteSignatureException", "Authorization header requires 'Credential' parameter.*"},
		{"nothing in it", func(r *request) {
			r.tamper = func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 ,=,") }
		},
			"IncompleteSignatureException", "Authorization header requires 'Credential' parameter.*"},
		{"a short credential", func(r *request) { r.tamper = resign("/kms/", "/") },
			"IncompleteSignatureException", "Credential must have exactly 5 slash-delimited elements*"},
		{"no date", func(r *request) { r.tamper = func(r *http.Request) { r.Header.Del("X-Amz-Date") } },
			"IncompleteSignatureException", "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.*"},

		{"an unknown access key", func(r *request) { r.creds.AccessKeyID = "AKIDOTHER" },
			"UnrecognizedClientException", "The security token included in the request is invalid."},
		{"a session token where there is none", func(r *request) { r.creds.SessionToken = "t" },
			"UnrecognizedClientException", "The security token included in the request is invalid."},
		{"another secret", func(r *request) { r.creds.SecretAccessKey += "x" },
			"InvalidSignatureException", mismatch},
		{"a changed body", func(r *request) {
			r.tamper = func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"Limit":2}`)) }
		}, "InvalidSignatureException", mismatch},
		{"a changed header", func(r *request) {
			r.tamper = func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.ListAliases") }
		}, "InvalidSignatureException", mismatch},
		{"a signed header that is gone", func(r *request) {
			r.header = http.Header{"X-Amz-Meta-A": {"1"}}
			r.tamper = func(r *http.Request) { r.Header.Del("X-Amz-Meta-A") }
		}, "InvalidSignatureException", mismatch},
		{"a query that was not signed", func(r *request) { r.tamper = func(r *http.Request) { r.URL.RawQuery = "a=b" } },
			"InvalidSignatureException", mismatch},
		{"a changed signature", func(r *request) { r.tamper = resign("Signature=", "Signature=0") },
			"InvalidSignatureException", mismatch},
		{"a header for AWS that is not signed", func(r *request) { r.tamper = func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "1") } },
			"InvalidSignatureException", "'x-amz-meta-a' must be a 'SignedHeader' in the AWS Authorization."},
		{"the host is not signed", func(r *request) { r.tamper = resign(";host;", ";") },
			"InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},

		{"another Region", func(r *request) { r.region = "us-east-1" }, "", ""},
		{"no Region", func(r *request) { r.region = "moon" },
			"InvalidSignatureException", "Credential should be scoped to a valid region. "},
		{"a Region of another partition", func(r *request) { r.region = "cn-north-1" },
			"InvalidSignatureException", "Credential should be scoped to a valid region. "},
		{"another Region than the signature is for", func(r *request) { r.tamper = resign("/eu-west-1/", "/us-east-1/") },
			"InvalidSignatureException", mismatch},
		{"another service", func(r *request) { r.service = "s3" },
			"InvalidSignatureException", "Credential should be scoped to correct service: 'kms'. "},
		{"another terminator", func(r *request) { r.tamper = resign("/aws4_request", "/aws5_request") },
			"InvalidSignatureException", "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "},
		{"another date than the header's", func(r *request) {
			r.tamper = func(r *http.Request) {
				r.Header.Set("X-Amz-Date", "2020"+r.Header.Get("X-Amz-Date")[4:])
			}
		}, "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: *"},
		{"six minutes old", func(r *request) { r.at = r.at.Add(-6 * time.Minute) },
			"InvalidSignatureException", "Signature expired: *"},
		{"six minutes ahead", func(r *request) { r.at = r.at.Add(6 * time.Minute) },
			"InvalidSignatureException", "Signature not yet current: *"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			r := to(k, "ListKeys", `{"Limit":1}`)
			tt.change(&r)
			status, body, _ := r.send(t, s)
			if tt.code == "" {
				if status != 200 {
					t.Errorf("%d %s", status, body)
				}
				return
			}
			var e struct {
				Type    string `json:"__type"`
				Message string
			}
			json.Unmarshal([]byte(body), &e)
			text, prefix := strings.CutSuffix(tt.message, "*")
			if status != 400 || e.Type != tt.code || e.Message != text && !(prefix && strings.HasPrefix(e.Message, text)) {
				t.Errorf("%d %s\nwant %s %s", status, body, tt.code, tt.message)
			}
		})
	}
}

// TestSessionToken checks that a request must carry the session token.
func TestSessionToken(t *testing.T) {
	k := New(func(o *Options) {
		o.Credentials = aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "a secret of some length", SessionToken: "token"}
	})
	s := NewServer(k)
	defer s.Close()
	if _, err := s.Client().ListKeys(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, token := range []string{"", "tokem"} {
		r := to(k, "ListKeys", "{}")
		r.creds.SessionToken = token
		status, body, _ := r.send(t, s)
		if status != 400 || !sameJSON(t, body, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`) {
			t.Errorf("token %q: %d %s", token, status, body)
		}
	}
}

// TestExpiredToken checks the error for credentials that have expired.
func TestExpiredToken(t *testing.T) {
	k := New(func(o *Options) {
		o.Credentials = aws.Credentials{AccessKeyID: "ASIA", SecretAccessKey: "s", SessionToken: "t", CanExpire: true, Expires: time.Now().Add(-time.Hour)}
	})
	s := NewServer(k)
	defer s.Close()
	status, body, _ := to(k, "ListKeys", "{}").send(t, s)
	if status != 400 || !sameJSON(t, body, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`) {
		t.Errorf("%d %s", status, body)
	}
}

// TestUnsigned checks the error for a client without credentials, which the SDK
// permits.
func TestUnsigned(t *testing.T) {
	s := NewServer(New())
	defer s.Close()
	cfg := s.Config()
	cfg.Credentials = aws.AnonymousCredentials{}
	_, err := kms.NewFromConfig(cfg).ListKeys(t.Context(), nil)
	check(t, err, "ListKeys", "MissingAuthenticationTokenException", "Missing Authentication Token")
}
