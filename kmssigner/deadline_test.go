package kmssigner_test

import (
	"context"
	"crypto"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// guard is when a call counts as one that hangs. It is no measurement: on a machine
// that is busy a call with a deadline of a tenth of a second may well take one, but
// not this long.
const guard = 15 * time.Second

// lasting are the faults that outlast a deadline, or come again at every attempt.
var lasting = []struct {
	reason   string
	effects  []kmstest.Effect
	attempts int // that the SDK makes if it has the time; 0: the first takes all there is
}{
	{"no answer", []kmstest.Effect{kmstest.Hang()}, 0},
	// The delay keeps net/http from dropping the connection: see TestHang.
	{"half an answer", []kmstest.Effect{kmstest.Delay(50 * time.Millisecond), kmstest.HangBody()}, 0},
	{"an answer that drips", []kmstest.Effect{kmstest.Delay(50 * time.Millisecond), kmstest.Drip(20 * time.Millisecond)}, 0},
	{"a late answer", []kmstest.Effect{kmstest.Delay(time.Hour)}, 0},
	{"a late error", []kmstest.Effect{kmstest.Delay(time.Hour), kmstest.Fail(&types.KMSInternalException{})}, 0},
	{"resets", []kmstest.Effect{kmstest.Reset()}, 3},
	// The SDK takes a success that is not JSON for its last word.
	{"answers cut", []kmstest.Effect{kmstest.Delay(20 * time.Millisecond), kmstest.Cut()}, 1},
	{"throttling", []kmstest.Effect{kmstest.Throttle()}, 3},
	{"503s of a front end", []kmstest.Effect{kmstest.Respond(http.StatusServiceUnavailable, "")}, 3},
	{"internal errors", []kmstest.Effect{kmstest.Fail(&types.KMSInternalException{})}, 3},
	{"slow throttling", []kmstest.Effect{kmstest.Delay(30 * time.Millisecond), kmstest.Throttle()}, 3},
}

// within fails the test if f takes so long that it must be hanging.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(guard):
		t.Fatalf("%s: still running after %v", what, guard)
	}
}

// With the retryer that the SDK has by default, which waits up to two and then up to
// four seconds between attempts, a call ends at its deadline whatever goes wrong, be it
// the caller's or the Signer's own, or before it when the attempts are used up.
func TestDeadline(t *testing.T) {
	const deadline = 100 * time.Millisecond
	for _, fault := range lasting {
		t.Run(fault.reason, func(t *testing.T) {
			t.Parallel() // most of the time is spent waiting
			fake := kmstest.New()
			server := kmstest.NewServer(fake)
			t.Cleanup(server.Close)
			signer := newSigner(t, server.Client(), fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.Timeout = deadline })
			fake.Inject(kmstest.Match{Operation: "Sign"}, fault.effects...)
			check := func(whose string, err error) {
				t.Helper()
				if errors.Is(err, context.DeadlineExceeded) {
					return
				}
				// All attempts may have fitted in: chance decides how long the waits are.
				_, exhausted := errors.AsType[*retry.MaxAttemptsError](err)
				if fault.attempts == 0 || exhausted != (fault.attempts > 1) || !kmsOrNetwork(err) {
					t.Errorf("%s: %v, want context.DeadlineExceeded or the last attempt's error", whose, err)
				}
			}
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				within(t, "the caller's deadline", func() {
					_, err := signer.WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256)
					check("the caller's deadline", err)
				})
				cancel()
				within(t, "Options.Timeout", func() {
					_, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
					check("Options.Timeout", err)
				})
			}
		})
	}
}

// kmsOrNetwork reports whether the chain has an error of KMS, of a front end or of the
// network.
func kmsOrNetwork(err error) bool {
	_, isAPI := errors.AsType[smithy.APIError](err)
	_, isResponse := errors.AsType[*awshttp.ResponseError](err)
	_, isNet := errors.AsType[net.Error](err)
	return isAPI || isResponse || isNet
}

// Where there is time for all attempts, the error is the last one's, not the deadline's.
func TestAttemptsUsedUp(t *testing.T) {
	for _, fault := range lasting {
		if fault.attempts == 0 {
			continue
		}
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		defer server.Close()
		client := kms.NewFromConfig(server.Config(), withoutBackoff)
		signer := newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.Timeout = time.Minute })
		fake.Inject(kmstest.Match{Operation: "Sign"}, fault.effects...)
		_, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256)
		last, exhausted := errors.AsType[*retry.MaxAttemptsError](err)
		if !kmsOrNetwork(err) || errors.Is(err, context.DeadlineExceeded) || exhausted != (fault.attempts > 1) ||
			exhausted && last.Attempt != fault.attempts {
			t.Errorf("%s: %v, want the error of attempt %d", fault.reason, err, fault.attempts)
		}
		if calls := fake.Calls("Sign"); calls != fault.attempts {
			t.Errorf("%s: %d attempts, want %d", fault.reason, calls, fault.attempts)
		}
	}
}

// withoutBackoff is the SDK's default retryer but for the waits.
func withoutBackoff(o *kms.Options) {
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

// Cancelling calls, at whatever point they are, disturbs no other call on the client.
func TestCancelDisturbsNoOther(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
	well := newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) { o.Timeout = time.Minute })
	ill := newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256))
	fake.Inject(kmstest.Match{Operation: "Sign", Key: ill.KeyARN()}, kmstest.Delay(2*time.Millisecond), kmstest.HangBody())

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if _, err := well.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
					t.Errorf("a call that nobody cancelled: %v", err)
				}
			}
		})
		all.Go(func() {
			for i := range 50 { // before the connection is there, before the headers, in the body
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(i)*100*time.Microsecond, cancel)
				if _, err := ill.WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
					t.Error("a call that hangs succeeded")
				}
				cancel()
			}
		})
	}
	all.Wait()
}

// Thousands of calls that fail in every way leave nothing behind: no goroutine, and no
// connection but those that the client keeps for the next calls.
func TestFaultyCallsLeakNothing(t *testing.T) {
	const signers, perSigner = 64, 160 // 10,240 calls, some of them of several attempts
	fake := kmstest.New()
	var open atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	h := httptest.NewUnstartedServer(fake)
	h.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked: // a reset takes the connection over, and closes it
			open.Add(-1)
		}
	}
	h.Start()
	defer h.Close()
	defer stop()
	reference := kmstest.NewServer(fake)
	config := reference.Config() // for its credentials
	reference.Close()
	config.BaseEndpoint = aws.String(h.URL)
	transport := awshttp.NewBuildableClient().GetTransport()
	config.HTTPClient = &http.Client{Transport: transport} // so that the test can close what is idle
	client := kms.NewFromConfig(config, withoutBackoff)

	faults := [][]kmstest.Effect{nil, {kmstest.Corrupt()}, {kmstest.Truncate()}}
	for _, fault := range lasting {
		faults = append(faults, fault.effects)
	}
	keys := make([]*kmssigner.Signer, len(faults))
	for i, effects := range faults {
		keys[i] = newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256))
		if effects != nil {
			fake.Inject(kmstest.Match{Operation: "Sign", Key: keys[i].KeyARN()}, effects...)
		}
	}
	settled := func() (goroutines int, connections int64) {
		transport.CloseIdleConnections()
		return runtime.NumGoroutine(), open.Load()
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(guard); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				goroutines, connections := settled()
				t.Fatalf("%s: %d goroutines, %d connections", what, goroutines, connections)
			}
		}
	}
	var before int
	eventually("at the start", func() bool {
		var connections int64
		before, connections = settled()
		return connections == 0
	})
	var failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		var all sync.WaitGroup
		for s := range signers {
			all.Go(func() {
				for i := range perSigner {
					signer := keys[(s+i)%len(keys)]
					// Hanging calls are cancelled, the others have time to end by themselves.
					ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
					if _, err := signer.WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
						failed.Add(1)
					}
					cancel()
				}
			})
		}
		all.Wait()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the calls do not end")
	}
	if n := failed.Load(); n < signers*perSigner/2 {
		t.Errorf("only %d of %d calls failed: the faults did not hit", n, signers*perSigner)
	}
	eventually("after the calls", func() bool {
		goroutines, connections := settled()
		return connections == 0 && goroutines <= before
	})
	t.Logf("%d calls, %d failed, %d attempts", signers*perSigner, failed.Load(), fake.Calls("Sign"))
}
