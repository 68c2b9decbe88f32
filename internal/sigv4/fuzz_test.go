package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/internal/sigv4"
)

// FuzzVerifyRequest has the SDK sign any request. It verifies, and with another
// list of signed headers it does not.
func FuzzVerifyRequest(f *testing.F) {
	for _, target := range []string{"/", "", "/a b?c=d&c=e&=&%20", "/%2F/../a", "/?a+b=%zz", "/é?é=é"} {
		for _, headers := range []string{"host;x-amz-date", "", ";", "host;host", "x-amz-date;host", "host;x-amz-date;" + strings.Repeat("a;", 100)} {
			f.Add(http.MethodPost, target, "X-Amz-Other", " a  b ", headers, []byte("{}"))
		}
	}
	const host = "kms.example.test"
	verifier := sigv4.Verifier{
		Service: "kms", Region: "us-east-1",
		Credentials: aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"},
	}
	f.Fuzz(func(t *testing.T, method, target, name, value, signedHeaders string, body []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+target, bytes.NewReader(body))
		if err != nil || r.URL.Host != host || !asOnTheWire(name, value) {
			return
		}
		r.Header.Set(name, value)
		sum := sha256.Sum256(body)
		if err := v4.NewSigner().SignHTTP(t.Context(), verifier.Credentials, r, hex.EncodeToString(sum[:]), verifier.Service, verifier.Region, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(r, body); err != nil {
			t.Errorf("%s %q with %q: %q: %v", method, target, name, value, err)
		}
		before, rest, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
		signed, after, _ := strings.Cut(rest, ",")
		if signed == signedHeaders {
			return
		}
		r.Header.Set("Authorization", before+"SignedHeaders="+signedHeaders+","+after)
		if _, ok := errors.AsType[smithy.APIError](verifier.Verify(r, body)); !ok {
			t.Errorf("the signed headers %q instead of %q: no APIError", signedHeaders, signed)
		}
	})
}

// asOnTheWire reports whether a server receives a header as it is here.
func asOnTheWire(name, value string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || c == '-' || '0' <= c && c <= '9') {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	switch http.CanonicalHeaderKey(name) {
	case "", "Host", "Content-Length", "Authorization", "X-Amz-Date", "X-Amz-Security-Token", "Transfer-Encoding", "Trailer":
		return false
	}
	return true
}
