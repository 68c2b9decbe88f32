package multiregion_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// A kind is one way in which a Region may answer in the explorer.
type kind struct {
	name  string
	class class
	delay time.Duration // before the answer

	// The answer: a connection that failed, or a status and a body. In the body
	// REGION stands for the Region that was asked.
	broken error
	status int
	body   string
}

// class is what the answers of a kind mean to the caller.
type class int

const (
	well     class = iota // the signature
	lagging               // the signature, but later than HedgeAfter
	tardy                 // the signature, but later than a Region has time
	never                 // nothing, until the context ends
	refusing              // KMS's refusal
	away                  // not available, at once
	throttle              // not available, at once, for a second
	lying                 // a signature that is not the one asked for
)

const (
	exploredID = "mrk-1234abcd12ab34cd56ef1234567890ab"
	answerTime = 5 * time.Millisecond // of a Region that is well
	lagTime    = 150 * time.Millisecond
	tardyTime  = 2500 * time.Millisecond
	foreverYet = time.Duration(1 << 60)
)

var (
	rightSignature = []byte("right")
	wrongSignature = []byte("wrong")
)

func signed(id string, signature []byte) string {
	return fmt.Sprintf(`{"KeyId":"arn:aws:kms:REGION:111122223333:key/%s","Signature":"%s","SigningAlgorithm":"ECDSA_SHA_256"}`,
		id, base64.StdEncoding.EncodeToString(signature))
}

func coded(code string) string { return `{"__type":"` + code + `","message":"a message"}` }

// kinds has at least one of every row of answers that are known to have misled
// clients. The first is the Region that is well.
var kinds = func() []kind {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	right := signed(exploredID, rightSignature)
	return []kind{
		{name: "well", class: well, delay: answerTime, status: 200, body: right},
		{name: "lagging", class: lagging, delay: lagTime, status: 200, body: right},
		{name: "tardy", class: tardy, delay: tardyTime, status: 200, body: right},
		{name: "never", class: never, delay: foreverYet, broken: context.Canceled},
		{name: "hanging in the body", class: never, delay: foreverYet, status: 200, body: right[:len(right)/2]},

		{name: "reset", class: away, broken: reset},
		{name: "connection refused", class: away, broken: dial},
		{name: "unknown host", class: away, broken: &net.DNSError{Err: "no such host", Name: "kms", IsNotFound: true}},
		{name: "timeout", class: away, delay: answerTime, broken: &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}},
		{name: "cut body", class: away, delay: answerTime, status: 200, body: right[:len(right)/2]},
		{name: "403 empty", class: away, status: 403},
		{name: "403 message", class: away, status: 403, body: `{"message":"Forbidden"}`},
		{name: "404 {}", class: away, status: 404, body: "{}"},
		{name: "407 HTML", class: away, status: 407, body: "<html>Proxy Authentication Required</html>"},
		{name: "307 empty", class: away, status: 307},
		{name: "200 empty", class: away, status: 200},
		{name: "200 {}", class: away, status: 200, body: "{}"},
		{name: "204 empty", class: away, status: 204},
		{name: "200 HTML", class: away, status: 200, body: "<html>Welcome</html>"},
		{name: "200 without KeyId", class: away, status: 200, body: strings.Replace(right, "KeyId", "keyid", 1)},
		{name: "500 empty", class: away, status: 500},
		{name: "503 HTML", class: away, status: 503, body: "<html>Service Unavailable</html>"},
		{name: "KMSInternalException", class: away, status: 500, body: coded("KMSInternalException")},
		{name: "KeyUnavailableException as 400", class: away, status: 400, body: coded("KeyUnavailableException")},
		{name: "unknown code as 500", class: away, status: 500, body: coded("SomethingNewException")},
		{name: "ThrottlingException", class: throttle, status: 400, body: coded("ThrottlingException")},
		{name: "429 empty", class: throttle, status: 429},

		{name: "AccessDeniedException", class: refusing, status: 400, body: coded("AccessDeniedException")},
		{name: "DisabledException", class: refusing, status: 400, body: coded("DisabledException")},
		{name: "InvalidSignatureException", class: refusing, status: 400, body: coded("InvalidSignatureException")},
		{name: "unknown code", class: refusing, delay: lagTime, status: 400, body: coded("SomethingNewException")},

		{name: "bad signature", class: lying, status: 200, body: signed(exploredID, wrongSignature)},
		{name: "other key", class: lying, delay: lagTime, status: 200, body: signed("mrk-00000000000000000000000000000000", rightSignature)},
	}
}()

// result is what a call to the SDK's client returns.
type result struct {
	out *kms.SignOutput
	err error
}

// through returns what the SDK makes of an answer.
func (k kind) through(t *testing.T, region string) result {
	t.Helper()
	client := kms.New(kms.Options{
		Region:  region,
		Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "x", SecretAccessKey: "y"}, nil
		}),
		HTTPClient: canned(k),
	})
	out, err := client.Sign(t.Context(), &kms.SignInput{
		KeyId: aws.String(exploredID), Message: make([]byte, 32), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	return result{out, err}
}

// canned is an HTTP client with one answer.
type canned kind

func (k canned) Do(r *http.Request) (*http.Response, error) {
	if k.broken != nil {
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: k.broken}
	}
	region := strings.Split(r.URL.Host, ".")[1]
	body := strings.ReplaceAll(k.body, "REGION", region)
	content := io.Reader(strings.NewReader(body))
	switch {
	case k.class == never:
		content = io.MultiReader(content, failingReader{errors.New("use of closed network connection")})
	case k.name == "cut body":
		content = io.MultiReader(content, failingReader{io.ErrUnexpectedEOF})
	}
	return &http.Response{
		StatusCode: k.status, Header: http.Header{"X-Amzn-Requestid": {"id"}}, Body: io.NopCloser(content),
		ContentLength: int64(len(body)), Request: r,
	}, nil
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestKinds checks that the kinds are what their names say, so that the
// explorer explores what it should.
func TestKinds(t *testing.T) {
	if len(kinds) < 25 {
		t.Errorf("there are %d kinds, want at least 25", len(kinds))
	}
	names := map[string]bool{}
	for _, k := range kinds {
		if names[k.name] {
			t.Errorf("%s is there twice", k.name)
		}
		names[k.name] = true
		got := k.through(t, "eu-west-1")
		_, isAPIError := errors.AsType[smithy.APIError](got.err)
		switch k.class {
		case well, lagging, tardy:
			if got.err != nil || string(got.out.Signature) != string(rightSignature) {
				t.Errorf("%s: got %v", k.name, got.err)
			}
		case lying:
			if got.err != nil {
				t.Errorf("%s: got %v", k.name, got.err)
			}
		case refusing, throttle:
			if !isAPIError {
				t.Errorf("%s: got %v, want an APIError", k.name, got.err)
			}
		case never:
			if got.err == nil || isAPIError {
				t.Errorf("%s: got %v", k.name, got.err)
			}
		case away: // a success among others
		}
	}
}
