package kmstest

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSigV4Vectors has published examples of AWS: from its test suite for
// Signature Version 4, and the worked example of the IAM user guide.
func TestSigV4Vectors(t *testing.T) {
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
		{"IAM ListUsers",
			"GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\r\nHost: iam.amazonaws.com\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\nX-Amz-Date: 20150830T123600Z\r\n\r\n",
			"iam", "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(tt.request)))
		if err != nil {
			t.Fatal(err)
		}
		a := authorization{date: "20150830", region: "us-east-1", service: tt.service, terminator: "aws4_request"}
		got := a.sign(secret, "20150830T123600Z", canonicalRequest(r, strings.Split(tt.signed, ";"), nil))
		if got != tt.signature {
			t.Errorf("%s: signature %s, want %s", tt.name, got, tt.signature)
		}
	}
}

// TestOtherSDKs: what SDKs of other languages sign differs from what Go's does.
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

// signByHand signs headers of one value as the documentation says, written for
// this test alone.
func signByHand(t *testing.T, k *KMS, r *http.Request, names []string, body []byte) {
	date := time.Now().UTC().Format(amzDate)
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
