package kmssigner_test

import (
	"context"
	"crypto"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/internal/pipenet"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The tests of this file run the SDK's client, net/http and the fake's server
// in a synctest bubble, over a network of pipes. Time passes only while all
// goroutines wait, so it is exact however busy the machine is.

// fault is something that goes wrong with every Sign call.
type fault struct {
	reason   string
	effects  []kmstest.Effect
	attempts int // that the SDK makes if it has the time; 0: the first never ends
}

// lastingFaults are the faults that outlast any deadline or come again at every
// attempt.
var lastingFaults = []fault{
	{"no answer", []kmstest.Effect{kmstest.Hang()}, 0},
	{"half an answer", []kmstest.Effect{kmstest.HangBody()}, 0},
	{"an answer that drips", []kmstest.Effect{kmstest.Drip(time.Minute)}, 0},
	{"a late answer", []kmstest.Effect{kmstest.Delay(time.Hour)}, 0},
	{"a late error", []kmstest.Effect{kmstest.Delay(time.Hour), kmstest.Fail(&types.KMSInternalException{})}, 0},
	{"connections closed", []kmstest.Effect{kmstest.Reset()}, 3},
	// The SDK does not retry a success whose body it cannot read.
	{"answers cut", []kmstest.Effect{kmstest.Cut()}, 1},
	{"throttling", []kmstest.Effect{kmstest.Throttle()}, 3},
	{"503s of a front end", []kmstest.Effect{kmstest.Respond(http.StatusServiceUnavailable, "")}, 3},
	{"internal errors", []kmstest.Effect{kmstest.Fail(&types.KMSInternalException{})}, 3},
	{"slow throttling", []kmstest.Effect{kmstest.Delay(30 * time.Millisecond), kmstest.Throttle()}, 3},
}

// pipe is a fake KMS behind HTTP in the bubble of a test.
type pipe struct {
	fake      *kmstest.KMS
	client    *kms.Client
	transport *http.Transport
	conns     atomic.Int64 // that are open at the server
}

// newPipe returns a pipe that is closed when the test ends. synctest then fails
// the test if a goroutine is left.
func newPipe(t *testing.T, optFns ...func(*kms.Options)) *pipe {
	t.Helper()
	credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
	p := &pipe{
		fake:      kmstest.New(func(o *kmstest.Options) { o.Credentials = credentials }),
		transport: awshttp.NewBuildableClient().GetTransport(),
	}
	network := pipenet.Listen()
	server := &http.Server{
		Handler: p.fake,
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				p.conns.Add(1)
			case http.StateClosed, http.StateHijacked: // Reset takes the connection over and closes it
				p.conns.Add(-1)
			}
		},
	}
	go server.Serve(network)
	p.transport.DialContext = network.DialContext
	t.Cleanup(func() {
		p.transport.CloseIdleConnections()
		server.Close()
	})
	p.client = kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://127.0.0.1"), // a loopback address, which no proxy is asked for
		HTTPClient:   &http.Client{Transport: p.transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return credentials, nil
		}),
	}, optFns...)
	return p
}

// With the SDK's default retryer, which waits up to two and then up to four
// seconds between attempts, a call ends at its deadline whatever goes wrong, or
// earlier if its attempts are used up. The deadline is that of the caller's
// context, or Options.Timeout if the context has none.
func TestDeadline(t *testing.T) {
	for _, f := range lastingFaults {
		for _, deadline := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second} {
			t.Run(f.reason+"/"+deadline.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPipe(t)
					signer := newSigner(t, p.client, p.fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.Timeout = deadline })
					p.fake.Inject(kmstest.Match{Operation: "Sign"}, f.effects...)
					for range 3 { // the pauses between attempts are random
						ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
						checkEnd(t, "the caller's deadline", f, 2*deadline, signer.WithContext(ctx))
						cancel()
						checkEnd(t, "Options.Timeout", f, deadline, signer)
					}
				})
			})
		}
	}
}

// checkEnd checks when and how a call of a Signer with this deadline ends.
func checkEnd(t *testing.T, whose string, f fault, deadline time.Duration, signer *kmssigner.Signer) {
	t.Helper()
	start := time.Now()
	_, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
	took := time.Since(start)
	if errors.Is(err, context.DeadlineExceeded) {
		if took != deadline {
			t.Errorf("%s: context.DeadlineExceeded after %v, want it after %v", whose, took, deadline)
		}
		if f.attempts > 0 && deadline > 7*time.Second {
			t.Errorf("%s: %v, although all attempts fit in", whose, err)
		}
		return
	}
	if took >= deadline || f.attempts == 0 || !isLastAttempt(err, f.attempts) {
		t.Errorf("%s: %v after %v, want context.DeadlineExceeded after %v or the last attempt's error before", whose, err, took, deadline)
	}
}

// isLastAttempt reports whether err is the error of the last of so many
// attempts, with a cause in KMS, a front end or the network.
func isLastAttempt(err error, attempts int) bool {
	last, exhausted := errors.AsType[*retry.MaxAttemptsError](err)
	_, isAPI := errors.AsType[smithy.APIError](err)
	_, isResponse := errors.AsType[*awshttp.ResponseError](err)
	_, isNet := errors.AsType[net.Error](err)
	return (isAPI || isResponse || isNet) && exhausted == (attempts > 1) && (!exhausted || last.Attempt == attempts)
}

// If there is time for all attempts, the error is that of the last one.
func TestAttemptsUsedUp(t *testing.T) {
	for _, f := range lastingFaults {
		if f.attempts == 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			p := newPipe(t, withoutBackoff)
			signer := newSigner(t, p.client, p.fake.AddKey(types.KeySpecEccNistP256))
			p.fake.Inject(kmstest.Match{Operation: "Sign"}, f.effects...)
			_, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
			if errors.Is(err, context.DeadlineExceeded) || !isLastAttempt(err, f.attempts) {
				t.Errorf("%s: %v, want the error of attempt %d", f.reason, err, f.attempts)
			}
			if calls := p.fake.Calls("Sign"); calls != f.attempts {
				t.Errorf("%s: %d attempts, want %d", f.reason, calls, f.attempts)
			}
		})
	}
}

// withoutBackoff sets the SDK's default retryer without its pauses.
func withoutBackoff(o *kms.Options) {
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// Cancelling a call, at whatever point it is, disturbs no other call on the
// client.
func TestCancelDisturbsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(t, func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
		healthy := newSigner(t, p.client, p.fake.AddKey(types.KeySpecEccNistP256))
		hanging := newSigner(t, p.client, p.fake.AddKey(types.KeySpecEccNistP256))
		p.fake.Inject(kmstest.Match{Operation: "Sign", Key: hanging.KeyARN()}, kmstest.Delay(2*time.Millisecond), kmstest.HangBody())

		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					if _, err := healthy.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
						t.Errorf("a call that nobody cancelled: %v", err)
					}
				}
			})
			all.Go(func() {
				for i := range 50 { // at once, before the headers, in the body
					ctx, cancel := context.WithCancel(t.Context())
					start, after := time.Now(), time.Duration(i)*100*time.Microsecond
					time.AfterFunc(after, cancel)
					if _, err := hanging.WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
						t.Error("a call that hangs succeeded")
					}
					if took := time.Since(start); took != after {
						t.Errorf("a call cancelled after %v ended after %v", after, took)
					}
					cancel()
				}
			})
		}
		all.Wait()
	})
}

// Calls that fail in every way leave nothing behind: no goroutine, and no
// connection except those that the client keeps for the next calls.
func TestFaultyCallsLeakNothing(t *testing.T) {
	signers, perSigner := 16, 32
	if os.Getenv("KMSSIGN_FULL") != "" {
		signers, perSigner = 64, 160
	}
	faults := []fault{
		{reason: "none"},
		{reason: "a flipped bit", effects: []kmstest.Effect{kmstest.Corrupt()}},
		{reason: "half of the JSON", effects: []kmstest.Effect{kmstest.Truncate()}},
	}
	faults = append(faults, lastingFaults...)
	synctest.Test(t, func(t *testing.T) {
		p := newPipe(t, withoutBackoff)
		keys := make([]*kmssigner.Signer, len(faults))
		for i, f := range faults {
			keys[i] = newSigner(t, p.client, p.fake.AddKey(types.KeySpecEccNistP256))
			if f.effects != nil {
				p.fake.Inject(kmstest.Match{Operation: "Sign", Key: keys[i].KeyARN()}, f.effects...)
			}
		}
		var all sync.WaitGroup
		for s := range signers {
			all.Go(func() {
				for i := range perSigner {
					n := (s + i) % len(faults)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, err := keys[n].WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256)
					if failed, want := err != nil, faults[n].effects != nil; failed != want {
						t.Errorf("%s: %v", faults[n].reason, err)
					}
					cancel()
				}
			})
		}
		all.Wait()
		p.transport.CloseIdleConnections()
		synctest.Wait()
		if n := p.conns.Load(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
		// synctest sees that no goroutine is left.
	})
}
