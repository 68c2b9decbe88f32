package kmsclient_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// gauge is an HTTP client that counts the requests in progress, until the body
// of the answer is closed.
type gauge struct {
	next      kms.HTTPClient
	now, most atomic.Int64
}

func (g *gauge) Do(r *http.Request) (*http.Response, error) {
	now := g.now.Add(1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	resp, err := g.next.Do(r)
	if err != nil {
		g.now.Add(-1)
		return nil, err
	}
	resp.Body = &gauged{resp.Body, g, sync.Once{}}
	return resp, nil
}

type gauged struct {
	io.ReadCloser
	g    *gauge
	once sync.Once
}

func (b *gauged) Close() error {
	b.once.Do(func() { b.g.now.Add(-1) })
	return b.ReadCloser.Close()
}

// At most five of 100 calls at once reach KMS, whatever its answers, and
// afterwards the limit is still five.
func TestLimit(t *testing.T) {
	const n, calls = 5, 100
	for _, tt := range []struct {
		reason  string
		effects []kmstest.Effect
	}{
		{"prompt", nil},
		{"slow", []kmstest.Effect{kmstest.Delay(10 * time.Millisecond)}},
		{"throttled, and retried", []kmstest.Effect{kmstest.Delay(time.Millisecond), kmstest.Throttle()}},
		{"reset", []kmstest.Effect{kmstest.Delay(time.Millisecond), kmstest.Reset()}},
		{"hanging in the body", []kmstest.Effect{kmstest.HangBody()}},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := kmstest.New()
			g := &gauge{}
			clientOptions := []func(*kms.Options){kmsclient.Limit(n), func(o *kms.Options) {
				if g.next == nil {
					g.next = o.HTTPClient
				}
				o.HTTPClient = g
				o.Retryer = retry.NewStandard()
			}}
			signer, err := kmssigner.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256),
				func(o *kmssigner.Options) { o.ClientOptions = clientOptions })
			if err != nil {
				t.Fatal(err)
			}
			remove := fake.Inject(kmstest.Match{Operation: "Sign"}, tt.effects...)
			var all sync.WaitGroup
			for range calls {
				all.Go(func() { signer.Sign(nil, make([]byte, 32), crypto.SHA256) })
			}
			all.Wait()
			remove()
			if most := g.most.Load(); most > n || tt.effects != nil && most != n {
				t.Errorf("%s: %d requests at a time, want %d", tt.reason, most, n)
			}
			if now := g.now.Load(); now != 0 {
				t.Errorf("%s: %d requests are still in progress", tt.reason, now)
			}
			// Every failed call has made room again.
			g.most.Store(0)
			fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(time.Millisecond))
			for range 2 * n {
				all.Go(func() {
					if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
						t.Errorf("%s: afterwards: %v", tt.reason, err)
					}
				})
			}
			all.Wait()
			if most := g.most.Load(); most != n {
				t.Errorf("%s: afterwards %d requests at a time, want %d", tt.reason, most, n)
			}
		})
	}
}

// A waiting call ends with its context and sends nothing. So does a call whose
// context has ended before, even if it need not wait.
func TestLimitHonoursContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		signer, err := kmssigner.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256), func(o *kmssigner.Options) {
			o.ClientOptions = []func(*kms.Options){kmsclient.Limit(1), func(o *kms.Options) { o.Retryer = retry.NewStandard() }}
		})
		if err != nil {
			t.Fatal(err)
		}
		sign := func(ctx context.Context) error {
			_, err := signer.WithContext(ctx).Sign(nil, make([]byte, 32), crypto.SHA256)
			return err
		}
		remove := fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
		first, end := context.WithCancel(t.Context())
		hanging := make(chan error, 1)
		go func() { hanging <- sign(first) }()
		synctest.Wait()

		// Waiting calls end at their deadlines, in whatever order they came.
		start := time.Now()
		var order []time.Duration
		var mu sync.Mutex
		var all sync.WaitGroup
		deadlines := []time.Duration{3 * time.Second, time.Second, 2 * time.Second}
		for _, d := range deadlines {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				err := sign(ctx)
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waiting while 1 requests, the limit, are in progress") {
					t.Errorf("a deadline while waiting: %v", err)
				}
				if waited := time.Since(start); waited != d {
					t.Errorf("waited %v, want %v", waited, d)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, d)
			})
		}
		all.Wait()
		if !slices.IsSorted(order) {
			t.Errorf("ended in the order %v", order)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := sign(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while waiting: %v", err)
		}
		if calls := fake.Calls("Sign"); calls != 1 {
			t.Errorf("%d calls, want only the hanging one", calls)
		}
		// When the hanging call ends, the next one is sent.
		next := make(chan error, 1)
		remove()
		go func() { next <- sign(t.Context()) }()
		synctest.Wait()
		if calls := fake.Calls("Sign"); calls != 1 {
			t.Errorf("%d calls, want only the hanging one", calls)
		}
		end()
		if err := <-hanging; !errors.Is(err, context.Canceled) {
			t.Errorf("the call that hung: %v", err)
		}
		if err := <-next; err != nil {
			t.Errorf("the next call: %v", err)
		}
		for range 10 {
			if err := sign(cancelled); !errors.Is(err, context.Canceled) {
				t.Errorf("with a context that has ended: %v", err)
			}
		}
		if calls := fake.Calls("Sign"); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// A call that pauses before a retry lets others go first.
func TestLimitDuringRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pause = 10 * time.Second
		fake := kmstest.New()
		fake.Inject(kmstest.Match{Times: 1}, kmstest.Throttle())
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		limit := kmsclient.Limit(1)
		retrying := func(o *kms.Options) {
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return pause, nil })
			})
		}
		took := func() time.Duration {
			start := time.Now()
			if _, err := fake.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &keyID}, limit, retrying); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		throttled := make(chan time.Duration)
		go func() { throttled <- took() }()
		synctest.Wait()
		if d := took(); d != 0 {
			t.Errorf("a call during the pause took %v, want 0s", d)
		}
		if d := <-throttled; d != pause {
			t.Errorf("the throttled call took %v, want %v", d, pause)
		}
	})
}

// Clients with the same option share its limit, across operations.
func TestLimitIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		fake.Inject(kmstest.Match{}, kmstest.Delay(time.Second))
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		limit, none := kmsclient.Limit(2), kmsclient.Limit(0)
		took := func(limit func(*kms.Options)) time.Duration {
			start := time.Now()
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if _, err := fake.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &keyID}, limit); err != nil {
						t.Error(err)
					}
				})
				all.Go(func() {
					if _, err := fake.ListAliases(t.Context(), &kms.ListAliasesInput{}, limit); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return time.Since(start)
		}
		if d := took(limit); d != 3*time.Second {
			t.Errorf("six calls of a second took %v, want 3s, two at a time", d)
		}
		if d := took(none); d != time.Second {
			t.Errorf("six calls of a second took %v without a limit, want 1s", d)
		}
	})
}
