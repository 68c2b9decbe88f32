package kmstest

import (
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
