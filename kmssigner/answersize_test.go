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
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/internal/pipenet"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// serve runs an endpoint in the bubble of a test and returns the SDK's client
// for it, without retries. handler is called when the request has been read.
func serve(t *testing.T, handler http.HandlerFunc) *kms.Client {
	t.Helper()
	network := pipenet.Listen()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		// The SDK closes the body of its request as soon as the answer begins,
		// and net/http drops a connection on which it has not seen the end of
		// the request's body by then. Let it see the end.
		time.Sleep(time.Millisecond)
		handler(w, r)
	})}
	go server.Serve(network)
	transport := awshttp.NewBuildableClient().GetTransport()
	transport.DialContext = network.DialContext
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://127.0.0.1"),
		HTTPClient:   &http.Client{Transport: transport},
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
	most := int64(0)
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
			synctest.Test(t, func(t *testing.T) {
				client := serve(t, func(w http.ResponseWriter, r *http.Request) {
					content := body(w, r)
					w.WriteHeader(status)
					io.Copy(w, content) // ends when the client closes the connection
				})
				for call, f := range everyCall(t, client) {
					var err error
					memory := allocated(func() { err = f(t.Context()) })
					if !errors.Is(err, kmssigner.ErrAnswerTooLarge) {
						t.Errorf("%s, status %d, %s: %.200v, want ErrAnswerTooLarge", name, status, call, err)
						continue
					}
					if len(err.Error()) > 3000 {
						t.Errorf("%s, status %d, %s: a text of %d bytes", name, status, call, len(err.Error()))
					}
					// A call of the SDK over a new connection allocates some
					// 100 KiB.
					if memory > 4<<20 {
						t.Errorf("%s, status %d, %s: %d bytes allocated", name, status, call, memory)
					}
					most = max(most, memory)
				}
			})
		}
	}
	t.Logf("at most %d KiB allocated by a call, client and server together", most>>10)
}

// TestDripEnds has an endpoint that sends its answer byte by byte, one in a
// minute. Each call ends at the deadline of its context.
func TestDripEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(t)
		p.fake.Inject(kmstest.Match{}, kmstest.Drip(time.Minute))
		for call, f := range everyCall(t, p.client) {
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			start := time.Now()
			err := f(ctx)
			cancel()
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 90*time.Second {
				t.Errorf("%s: %v after %v, want context.DeadlineExceeded at the deadline", call, err, took)
			}
		}
	})
}

// TestErrorTextsFitALogLine has KMS refuse with a text that no log wants.
func TestErrorTextsFitALogLine(t *testing.T) {
	long := strings.Repeat("é", 5_000)
	for _, message := range []string{long, "two\nlines", "a \x1b[31mterminal\x07", "\u2028", "line\r\nforged: true"} {
		quoted, err := json.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprintf(w, `{"__type":"NotFoundException","message":%s}`, quoted)
			})
			for call, f := range everyCall(t, client) {
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
		})
	}
}
