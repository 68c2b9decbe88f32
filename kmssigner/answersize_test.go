package kmssigner_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// clientFor returns the SDK's client for an endpoint, without retries.
func clientFor(url string) *kms.Client {
	return kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &url,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET"}, nil
		}),
		Retryer: aws.NopRetryer{},
	})
}

// everyCall makes each call that this package makes, by a Signer and an HMAC
// that were made with a good endpoint and are then directed to the one of
// client.
func everyCall(t *testing.T, client *kms.Client) map[string]func(context.Context) error {
	t.Helper()
	fake := kmstest.New()
	redirect := clientSwitch{KMS: fake}
	signer := newSigner(t, &redirect, fake.AddKey(types.KeySpecEccNistP256))
	mac, err := kmssigner.NewHMAC(t.Context(), &redirect, fake.AddKey(types.KeySpecHmac256))
	if err != nil {
		t.Fatal(err)
	}
	redirect.to = client
	return map[string]func(context.Context) error{
		"GetPublicKey": func(ctx context.Context) error { _, err := kmssigner.New(ctx, client, "alias/a"); return err },
		"Sign": func(ctx context.Context) error {
			_, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256)
			return err
		},
		"DescribeKey": func(ctx context.Context) error { _, err := kmssigner.NewHMAC(ctx, client, "alias/a"); return err },
		"GenerateMac": func(ctx context.Context) error { _, err := mac.WithContext(ctx).Generate([]byte("m")); return err },
		"VerifyMac": func(ctx context.Context) error {
			_, err := mac.WithContext(ctx).Verify([]byte("m"), make([]byte, 32))
			return err
		},
	}
}

// A clientSwitch calls the fake, and client once that is set.
type clientSwitch struct {
	*kmstest.KMS
	to *kms.Client
}

func (c *clientSwitch) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	if c.to != nil {
		return c.to.Sign(ctx, in, optFns...)
	}
	return c.KMS.Sign(ctx, in, optFns...)
}

func (c *clientSwitch) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	if c.to != nil {
		return c.to.GenerateMac(ctx, in, optFns...)
	}
	return c.KMS.GenerateMac(ctx, in, optFns...)
}

func (c *clientSwitch) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	if c.to != nil {
		return c.to.VerifyMac(ctx, in, optFns...)
	}
	return c.KMS.VerifyMac(ctx, in, optFns...)
}

// readRequest reads the body of a request. It then waits, because the SDK
// closes the body of its request as soon as the answer begins, and net/http
// drops a connection on which it has not seen the end of the request's body by
// then. That happens only on a loopback.
func readRequest(r *http.Request) {
	io.Copy(io.Discard, r.Body)
	time.Sleep(time.Millisecond)
}

// repeat is an endless body.
type repeat struct {
	pattern []byte
	at      int
}

func (r *repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.pattern[r.at]
		r.at = (r.at + 1) % len(r.pattern)
	}
	return len(p), nil
}

// allocated returns how many bytes f allocates, in all goroutines.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestLargeAnswers has an endpoint flood each call. The call ends with a typed
// error, a short text and little memory.
func TestLargeAnswers(t *testing.T) {
	const huge = 500 << 20
	zipped := func(size int64) []byte {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		io.CopyN(w, &repeat{pattern: []byte(`{"message":"`)}, size)
		w.Close()
		return b.Bytes()
	}(300 << 20)
	bodies := map[string]func(w http.ResponseWriter, r *http.Request) io.Reader{
		"500 MB with its length": func(w http.ResponseWriter, _ *http.Request) io.Reader {
			w.Header().Set("Content-Length", strconv.Itoa(huge))
			return io.LimitReader(&repeat{pattern: []byte("x")}, huge)
		},
		"500 MB without its length": func(http.ResponseWriter, *http.Request) io.Reader {
			return io.LimitReader(&repeat{pattern: []byte("x")}, huge)
		},
		"gzip of 300 MB": func(w http.ResponseWriter, r *http.Request) io.Reader {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("the SDK does not ask for gzip, so this case shows nothing")
			}
			w.Header().Set("Content-Encoding", "gzip")
			return bytes.NewReader(zipped)
		},
		"endless": func(http.ResponseWriter, *http.Request) io.Reader { return &repeat{pattern: []byte(" ")} },
		"endless list of objects": func(http.ResponseWriter, *http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(`{"KeyMetadata":[`), &repeat{pattern: []byte("{},")})
		},
		"endless message": func(http.ResponseWriter, *http.Request) io.Reader {
			return io.MultiReader(strings.NewReader(`{"__type":"NotFoundException","message":"`), &repeat{pattern: []byte("no ")})
		},
	}
	for name, body := range bodies {
		for _, status := range []int{200, 400, 500} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				readRequest(r)
				content := body(w, r)
				w.WriteHeader(status)
				io.Copy(w, content) // ends when the client closes the connection
			}))
			for call, f := range everyCall(t, clientFor(server.URL)) {
				var err error
				memory := allocated(func() { err = f(t.Context()) })
				if !errors.Is(err, kmssigner.ErrAnswerTooLarge) {
					t.Errorf("%s, status %d, %s: %.200v, want ErrAnswerTooLarge", name, status, call, err)
					continue
				}
				if len(err.Error()) > 3000 {
					t.Errorf("%s, status %d, %s: a text of %d bytes", name, status, call, len(err.Error()))
				}
				// A call of the SDK over a new connection allocates some 100
				// KiB.
				if memory > 4<<20 {
					t.Errorf("%s, status %d, %s: %d bytes allocated", name, status, call, memory)
				}
			}
			server.CloseClientConnections()
			server.Close()
		}
	}
}

// TestDripEnds has an endpoint that sends its answer byte by byte and does not
// end. The call ends at the deadline of its context, while the endpoint goes
// on.
func TestDripEnds(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		readRequest(r)
		w.WriteHeader(http.StatusOK)
		for {
			select {
			case <-release:
				return
			case <-r.Context().Done():
				<-release
				return
			default:
			}
			w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			runtime.Gosched()
			time.Sleep(time.Millisecond) // a drip, so that the limit is not reached
		}
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	defer close(release)
	for call, f := range everyCall(t, clientFor(server.URL)) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := f(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want context.DeadlineExceeded", call, err)
		}
	}
}

// TestErrorTextsFitALogLine has KMS refuse with a text that no log wants.
func TestErrorTextsFitALogLine(t *testing.T) {
	long := strings.Repeat("é", 5_000)
	for _, message := range []string{long, "two\nlines", "a \x1b[31mterminal\x07", "\u2028", "line\r\nforged: true"} {
		quoted, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			readRequest(r)
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":"NotFoundException","message":%s}`, quoted)
		}))
		for call, f := range everyCall(t, clientFor(server.URL)) {
			err := f(t.Context())
			var notFound *types.NotFoundException
			if !errors.As(err, &notFound) || notFound.ErrorMessage() != message {
				t.Errorf("%s: %.200v, want NotFoundException with its whole message in the chain", call, err)
				continue
			}
			var apiErr smithy.APIError
			if !errors.As(err, &apiErr) || apiErr.ErrorCode() != "NotFoundException" {
				t.Errorf("%s: %.200v", call, err)
			}
			if text := err.Error(); len(text) > 3000 || strings.ContainsAny(text, "\n\r\x1b\x07\u2028") {
				t.Errorf("%s: the text has %d bytes: %.200q", call, len(text), text)
			}
		}
		server.Close()
	}
}
