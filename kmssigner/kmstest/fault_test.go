package kmstest

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// statusOfError returns the HTTP status in the chain of err, or 0.
func statusOfError(err error) int {
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		return resp.HTTPStatusCode()
	}
	return 0
}

// codeOf returns the code of the API error in the chain of err.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// TestEffects checks what a caller of the SDK sees of each effect.
func TestEffects(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		effects []Effect
		want    func(out *kms.SignOutput, err error) bool
		code    string // in the record
		status  int
	}{
		{"a typed error keeps its type, with the status that goes with it",
			[]Effect{Fail(&types.KeyUnavailableException{Message: aws.String("later")})},
			func(_ *kms.SignOutput, err error) bool {
				var e *types.KeyUnavailableException
				return errors.As(err, &e) && e.ErrorMessage() == "later" && statusOfError(err) == 500
			}, "KeyUnavailableException", 500},
		{"the status of an error may be another",
			[]Effect{Fail(&types.KeyUnavailableException{}), Status(400)},
			func(_ *kms.SignOutput, err error) bool {
				var e *types.KeyUnavailableException
				return errors.As(err, &e) && statusOfError(err) == 400
			}, "KeyUnavailableException", 400},
		{"an error that the SDK has no type for",
			[]Effect{Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"})},
			func(_ *kms.SignOutput, err error) bool {
				var e *smithy.GenericAPIError
				return errors.As(err, &e) && e.Code == "AccessDeniedException" && e.Message == "no" && statusOfError(err) == 400
			}, "AccessDeniedException", 400},
		{"throttling",
			[]Effect{Throttle()},
			func(_ *kms.SignOutput, err error) bool {
				return codeOf(err) == "ThrottlingException" && statusOfError(err) == 400 && strings.Contains(err.Error(), "exceeded the rate")
			}, "ThrottlingException", 400},
		{"an empty body, which is a success without members",
			[]Effect{Respond(200, "")},
			func(out *kms.SignOutput, err error) bool {
				return err == nil && out.Signature == nil && out.KeyId == nil && out.SigningAlgorithm == ""
			}, "", 200},
		{"an empty object, which is the same",
			[]Effect{Respond(200, "{}")},
			func(out *kms.SignOutput, err error) bool {
				return err == nil && out.Signature == nil && out.KeyId == nil
			}, "", 200},
		{"HTML with status 200",
			[]Effect{Respond(200, "<html>captive portal</html>")},
			func(_ *kms.SignOutput, err error) bool {
				var e *smithy.DeserializationError
				return errors.As(err, &e)
			}, "", 200},
		{"HTML from a proxy",
			[]Effect{Respond(502, "<html>Bad Gateway</html>")},
			func(_ *kms.SignOutput, err error) bool { return statusOfError(err) == 502 }, "", 502},
		{"nothing from a front end",
			[]Effect{Respond(503, "")},
			func(_ *kms.SignOutput, err error) bool {
				return statusOfError(err) == 503 && codeOf(err) == "UnknownError"
			}, "", 503},
		{"half of the JSON",
			[]Effect{Truncate()},
			func(_ *kms.SignOutput, err error) bool {
				var e *smithy.DeserializationError
				return errors.As(err, &e)
			}, "", 200},
		{"a connection that is lost in the body",
			[]Effect{Cut()},
			func(_ *kms.SignOutput, err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }, "", 200},
		{"a connection that is reset",
			[]Effect{Reset()},
			func(_ *kms.SignOutput, err error) bool {
				var e *smithyhttp.RequestSendError
				return errors.As(err, &e) && errors.Is(err, syscall.ECONNRESET)
			}, "", 0},
		{"the first of two effects that replace the operation wins",
			[]Effect{Throttle(), Reset(), Respond(200, "")},
			func(_ *kms.SignOutput, err error) bool { return codeOf(err) == "ThrottlingException" }, "ThrottlingException", 400},
		{"latency alone",
			[]Effect{Delay(time.Microsecond)},
			func(out *kms.SignOutput, err error) bool { return err == nil && len(out.Signature) > 0 }, "", 200},
		{"latency and an error",
			[]Effect{Delay(time.Microsecond), Throttle()},
			func(_ *kms.SignOutput, err error) bool { return codeOf(err) == "ThrottlingException" }, "ThrottlingException", 400},
		{"another KeyId",
			[]Effect{Set("KeyId", "arn:x")},
			func(out *kms.SignOutput, err error) bool { return err == nil && *out.KeyId == "arn:x" }, "", 200},
		{"another algorithm",
			[]Effect{Set("SigningAlgorithm", es384)},
			func(out *kms.SignOutput, err error) bool { return err == nil && out.SigningAlgorithm == es384 }, "", 200},
		{"bytes that are not DER",
			[]Effect{Set("Signature", []byte("not DER"))},
			func(out *kms.SignOutput, err error) bool { return err == nil && string(out.Signature) == "not DER" }, "", 200},
		{"a member that is missing, others being there",
			[]Effect{Set("Signature", nil)},
			func(out *kms.SignOutput, err error) bool {
				return err == nil && out.Signature == nil && out.KeyId != nil
			}, "", 200},
		{"a member that is misspelt is not a fault that was survived",
			[]Effect{Set("Signatur", nil)},
			func(_ *kms.SignOutput, err error) bool {
				var e *types.KMSInternalException
				return errors.As(err, &e) && strings.Contains(e.ErrorMessage(), `no member "Signatur"`)
			}, "KMSInternalException", 500},
		{"a Date far off",
			[]Effect{SkewDate(-2 * time.Hour)},
			func(out *kms.SignOutput, err error) bool {
				if err != nil {
					return false
				}
				resp := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
				date, _ := http.ParseTime(resp.Header.Get("Date"))
				off := time.Since(date)
				return off > 119*time.Minute && off < 121*time.Minute
			}, "", 200},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			onBoth(t, func(t *testing.T, f fake) {
				id := f.kms.AddKey(p256)
				defer f.kms.Inject(Match{}, tt.effects...)()
				out, err := f.Sign(t.Context(), signInput(id, []byte("m"), es256))
				if !tt.want(out, err) {
					t.Errorf("Sign = %+v, %v", out, err)
				}
				q := f.kms.Requests()
				if len(q) != 1 || q[0].Code != tt.code || q[0].Status != tt.status {
					t.Errorf("recorded %+v, want one with status %d, code %q", q, tt.status, tt.code)
				}
			})
		})
	}
}

// endingContext is a context that the test ends, with an error of its choice.
type endingContext struct {
	context.Context
	done chan struct{}
	err  error
}

func (c endingContext) Done() <-chan struct{} { return c.done }

func (c endingContext) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// arrival returns an effect that closes a channel when a call reaches the fake.
func arrival() (Effect, <-chan struct{}) {
	arrived := make(chan struct{})
	return Effect{wait: func(context.Context) error { close(arrived); return nil }}, arrived
}

// TestEndless checks that a call that a fault holds up ends with the context of
// the caller, before there is an answer and in the middle of one.
func TestEndless(t *testing.T) {
	for name, tt := range map[string]struct {
		effect Effect
		inBody bool // the caller waits for the body
	}{
		"Hang":     {Hang(), false},
		"Delay":    {Delay(time.Hour), false},
		"HangBody": {HangBody(), true},
		"Drip":     {Drip(time.Hour), true},
	} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(name+"/"+want.Error(), func(t *testing.T) {
				onBoth(t, func(t *testing.T, f fake) {
					ctx := endingContext{t.Context(), make(chan struct{}), want}
					arrive, arrived := arrival()
					f.kms.Inject(Match{}, arrive, tt.effect)
					_, err := f.ListKeys(ctx, nil, func(o *kms.Options) {
						client := o.HTTPClient
						o.HTTPClient = smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
							if !tt.inBody {
								go func() { <-arrived; close(ctx.done) }()
								return client.Do(r)
							}
							resp, err := client.Do(r)
							close(ctx.done) // the headers are here
							return resp, err
						})
					})
					// See HangBody for net.ErrClosed.
					if !errors.Is(err, want) && !(tt.inBody && errors.Is(err, net.ErrClosed)) {
						t.Errorf("got %v, want %v", err, want)
					}
				})
			})
		}
	}
}

// TestWait checks how long Delay and Drip take, on a fake clock.
func TestWait(t *testing.T) {
	for _, tt := range []struct {
		effect Effect
		want   time.Duration
	}{
		{Delay(time.Minute), time.Minute},
		{Drip(time.Second), time.Duration(len(`{"Keys":[],"Truncated":false}`)) * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			k, start := New(), time.Now()
			k.Inject(Match{}, tt.effect)
			out, err := k.ListKeys(t.Context(), nil)
			if err != nil || len(out.Keys) != 0 {
				t.Errorf("ListKeys = %v, %v", out, err)
			}
			if got := time.Since(start); got != tt.want {
				t.Errorf("it took %v, want %v", got, tt.want)
			}

			// A deadline that comes first ends the call when it is due.
			ctx, cancel := context.WithTimeout(t.Context(), tt.want-time.Millisecond)
			defer cancel()
			start = time.Now()
			_, err = k.ListKeys(ctx, nil)
			if got := time.Since(start); got != tt.want-time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("past its deadline: %v after %v", err, got)
			}
		})
	}
}

// TestDrip checks that an answer that drips is complete in the end.
func TestDrip(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		f.kms.Inject(Match{Operation: "ListKeys"}, Drip(time.Microsecond))
		out, err := f.ListKeys(t.Context(), nil)
		if err != nil || len(out.Keys) != 0 {
			t.Errorf("ListKeys = %v, %v", out, err)
		}
	})
}

// TestCloseEndsHanging checks that a fault does not hold up Close.
func TestCloseEndsHanging(t *testing.T) {
	for _, effect := range []Effect{Hang(), HangBody(), Drip(time.Hour), Delay(time.Hour)} {
		k := New()
		s := NewServer(k)
		arrive, arrived := arrival()
		k.Inject(Match{}, arrive, effect)
		done := make(chan error)
		go func() {
			_, err := s.Client().ListKeys(t.Context(), nil, func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
			done <- err
		}()
		<-arrived
		s.Close()
		if <-done == nil {
			t.Error("a closed server answered")
		}
	}
}

// TestWrongResults checks effects that answer with a well-formed signature, MAC
// or public key that is wrong.
func TestWrongResults(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id, other := f.kms.AddKey(p256), f.kms.AddKey(p256)
		public := func(id string) *ecdsa.PublicKey {
			public, err := x509.ParsePKIXPublicKey(f.publicKey(id).PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			return public.(*ecdsa.PublicKey)
		}
		own, foreign := public(id), public(other)
		msg, twin := []byte("message"), []byte("lessage") // one bit apart
		valid := func(public *ecdsa.PublicKey, msg, sig []byte) bool {
			digest := sha256.Sum256(msg)
			return ecdsa.VerifyASN1(public, digest[:], sig)
		}
		with := func(e Effect) []byte {
			defer f.kms.Inject(Match{Operation: "Sign"}, e)()
			return f.mustSign(signInput(id, msg, es256)) // checks the other members
		}
		if sig := with(Corrupt()); valid(own, msg, sig) {
			t.Error("Corrupt: the signature verifies")
		}
		if sig := with(OtherKey(other)); valid(own, msg, sig) || !valid(foreign, msg, sig) {
			t.Error("OtherKey: not a signature of the other key")
		}
		if sig := with(OtherMessage()); valid(own, msg, sig) || !valid(own, twin, sig) {
			t.Error("OtherMessage: not a signature of another message")
		}
		if sig := f.mustSign(signInput(id, msg, es256)); !valid(own, msg, sig) {
			t.Error("a fault that was removed still applies")
		}

		remove := f.kms.Inject(Match{Operation: "GetPublicKey"}, OtherKey(other))
		if got := f.publicKey(id); !reflect.DeepEqual(got.PublicKey, f.publicKey(other).PublicKey) || *got.KeyId != f.kms.arn("key/"+id) {
			t.Error("OtherKey: not the public key of the other key, or its KeyId")
		}
		remove()
		before := f.publicKey(id).PublicKey
		remove = f.kms.Inject(Match{Operation: "GetPublicKey"}, Corrupt())
		if slices.Equal(f.publicKey(id).PublicKey, before) {
			t.Error("Corrupt: the same public key")
		}
		remove()
		if !slices.Equal(f.publicKey(id).PublicKey, before) {
			t.Error("Corrupt changed the key")
		}

		mac := func(e Effect, id string, msg []byte) []byte {
			defer f.kms.Inject(Match{Operation: "GenerateMac"}, e)()
			out, err := f.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: &id, Message: msg, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			if err != nil {
				t.Fatal(err)
			}
			return out.Mac
		}
		h, h2, none := f.kms.AddKey(types.KeySpecHmac256), f.kms.AddKey(types.KeySpecHmac256), Delay(0)
		if !slices.Equal(mac(OtherKey(h2), h, msg), mac(none, h2, msg)) {
			t.Error("OtherKey: not a MAC of the other key")
		}
		if !slices.Equal(mac(OtherMessage(), h, msg), mac(none, h, twin)) {
			t.Error("OtherMessage: not a MAC of another message")
		}
		if got, want := mac(Corrupt(), h, msg), mac(none, h, msg); slices.Equal(got, want) || !slices.Equal(got[:31], want[:31]) {
			t.Error("Corrupt: not one bit")
		}

		// An effect that cannot be applied to an operation is an error.
		for _, e := range []Effect{OtherKey(h), OtherKey("alias/none")} {
			remove := f.kms.Inject(Match{Operation: "Sign"}, e)
			_, err := f.Sign(t.Context(), signInput(id, msg, es256))
			if codeOf(err) != "KMSInternalException" || !strings.Contains(err.Error(), "a fault cannot be applied") {
				t.Error(err)
			}
			remove()
		}
		f.kms.Inject(Match{Operation: "ListKeys"}, Corrupt())
		f.kms.Inject(Match{Operation: "ListAliases"}, OtherMessage())
		f.kms.Inject(Match{Operation: "GetPublicKey"}, OtherMessage())
		f.kms.Inject(Match{Operation: "DescribeKey"}, OtherKey(other))
		if _, err := f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &id}); codeOf(err) != "KMSInternalException" {
			t.Error(err)
		}
		if _, err := f.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}); codeOf(err) != "KMSInternalException" {
			t.Error(err)
		}
		if _, err := f.ListKeys(t.Context(), nil); codeOf(err) != "KMSInternalException" {
			t.Error(err)
		}
		if _, err := f.ListAliases(t.Context(), nil); codeOf(err) != "KMSInternalException" {
			t.Error(err)
		}
	})
}

// TestMatch checks which calls in a sequence a fault applies to.
func TestMatch(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		a, b := f.kms.AddKey(p256), f.kms.AddKey(p256)
		f.alias("alias/a", a)
		calls := []string{ // what is called, with which key
			"Sign " + a, "Sign " + b, "GetPublicKey " + a, "Sign alias/a", "Sign " + f.kms.arn("key/"+a), "ListKeys ", "Sign alias/none",
		}
		call := func(what string) error {
			op, id, _ := strings.Cut(what, " ")
			var err error
			switch op {
			case "Sign":
				_, err = f.Sign(t.Context(), signInput(id, []byte("m"), es256))
			case "GetPublicKey":
				_, err = f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &id})
			case "ListKeys":
				_, err = f.ListKeys(t.Context(), nil)
			}
			return err
		}
		for _, tt := range []struct {
			reason string
			m      Match
			hit    []int
		}{
			{"every call", Match{}, []int{0, 1, 2, 3, 4, 5, 6}},
			{"of an operation", Match{Operation: "Sign"}, []int{0, 1, 3, 4, 6}},
			{"of a key, by whatever name", Match{Key: a}, []int{0, 2, 3, 4}},
			{"of a key, by an alias", Match{Key: "alias/a"}, []int{0, 2, 3, 4}},
			{"of both", Match{Operation: "Sign", Key: f.kms.arn("alias/a")}, []int{0, 3, 4}},
			{"of a key that does not exist", Match{Key: "alias/none"}, []int{6}},
			{"the next two", Match{Times: 2}, []int{0, 1}},
			{"the next two of an operation", Match{Operation: "Sign", Times: 2}, []int{0, 1}},
			{"one, after two", Match{Operation: "Sign", Skip: 2, Times: 1}, []int{3}},
			{"all, after two", Match{Key: a, Skip: 2}, []int{3, 4}},
			{"more than there are", Match{Times: 100}, []int{0, 1, 2, 3, 4, 5, 6}},
			{"none", Match{Skip: 100}, nil},
		} {
			remove := f.kms.Inject(tt.m, Throttle())
			var hit []int
			for i, what := range calls {
				if codeOf(call(what)) == "ThrottlingException" {
					hit = append(hit, i)
				}
			}
			if !slices.Equal(hit, tt.hit) {
				t.Errorf("%s: hit %v, want %v", tt.reason, hit, tt.hit)
			}
			remove()
			remove() // twice does no harm
		}
		if err := call(calls[0]); err != nil {
			t.Error(err)
		}

		// Several faults apply, one after the other or at once.
		f.kms.Inject(Match{Times: 1}, Throttle())
		f.kms.Inject(Match{Skip: 1, Times: 1}, Fail(&types.KMSInternalException{}))
		f.kms.Inject(Match{Times: 2}, Status(418))
		for _, want := range []string{"ThrottlingException", "KMSInternalException", ""} {
			err := call(calls[0])
			if codeOf(err) != want || want != "" && statusOfError(err) != 418 {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

// TestRetries checks that each attempt of a client that retries is a call.
func TestRetries(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256)
		patient := func(o *kms.Options) {
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		}
		f.kms.Inject(Match{Operation: "Sign", Times: 2}, Throttle())
		if _, err := f.Sign(t.Context(), signInput(id, []byte("m"), es256), patient); err != nil {
			t.Error(err)
		}
		if n := f.kms.Calls("Sign"); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
		for _, e := range []Effect{Reset(), Respond(503, ""), Fail(&types.DependencyTimeoutException{})} {
			f.kms.Inject(Match{Times: 1}, e)
			if _, err := f.Sign(t.Context(), signInput(id, []byte("m"), es256), patient); err != nil {
				t.Error(err)
			}
		}
		if n := f.kms.Calls("Sign"); n != 9 {
			t.Errorf("%d calls, want 9", n)
		}
		if n := len(f.kms.faults); n != 0 {
			t.Errorf("%d faults are kept after their last call", n)
		}
	})
}

// TestReplacedIsNotRun checks that an operation does not run if an effect
// replaces it.
func TestReplacedIsNotRun(t *testing.T) {
	k := New()
	for _, e := range []Effect{Throttle(), Respond(200, "{}"), Reset()} {
		remove := k.Inject(Match{}, e)
		k.CreateKey(t.Context(), nil)
		remove()
	}
	if len(k.keys) != 0 {
		t.Errorf("%d keys", len(k.keys))
	}
	k.Inject(Match{}, Cut()) // the operation runs, and its answer is lost
	k.CreateKey(t.Context(), nil)
	if len(k.keys) != 1 {
		t.Errorf("%d keys", len(k.keys))
	}
}

// TestInjectPanics checks that Inject panics if an operation does not exist.
func TestInjectPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic on an operation that does not exist")
		}
	}()
	New().Inject(Match{Operation: "sign"}, Throttle())
}

// TestFaultsConcurrently checks the number of concurrent calls that a fault
// applies to.
func TestFaultsConcurrently(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256)
		f.kms.Inject(Match{Operation: "Sign", Skip: 3, Times: 20}, Throttle())
		var hit atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 8 {
					if _, err := f.Sign(t.Context(), signInput(id, []byte("m"), es256)); err != nil {
						hit.Add(1)
					}
					f.kms.Inject(Match{}, Delay(0))()
					f.kms.Requests()
				}
			})
		}
		wg.Wait()
		if hit.Load() != 20 || f.kms.Calls("Sign") != 64 || len(f.kms.Requests()) != 64 {
			t.Errorf("%d of %d calls hit", hit.Load(), f.kms.Calls("Sign"))
		}
	})
}
