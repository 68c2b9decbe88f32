package multiregion_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// A spy records how the contexts of Sign calls ended.
type spy struct {
	*kmstest.KMS
	mu    sync.Mutex
	ended []error
}

func (s *spy) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	out, err := s.KMS.Sign(ctx, in, optFns...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, ctx.Err())
	return out, err
}

func hedged(t *testing.T, w *world, optFns ...func(*multiregion.Options)) (*multiregion.Client, *spy, *spy) {
	t.Helper()
	a, b := &spy{KMS: w.a}, &spy{KMS: w.b}
	c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: a}, {Name: regionB, Client: b}},
		append(optFns, func(o *multiregion.Options) { o.HedgeAfter = 50 * time.Millisecond })...)
	if err != nil {
		t.Fatal(err)
	}
	return c, a, b
}

func TestHedge(t *testing.T) {
	for name, test := range map[string]struct {
		a, b      time.Duration
		want      time.Duration
		callsB    int
		cancelled string
	}{
		"first is quick":         {a: 49 * time.Millisecond, want: 49 * time.Millisecond},
		"second is quicker":      {a: 200 * time.Millisecond, b: 10 * time.Millisecond, want: 60 * time.Millisecond, callsB: 1, cancelled: regionA},
		"first is quicker still": {a: 60 * time.Millisecond, b: 100 * time.Millisecond, want: 60 * time.Millisecond, callsB: 1, cancelled: regionB},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				c, a, b := hedged(t, w)
				s := newSigner(t, c, w.arn)
				w.a.Inject(signFault, kmstest.Delay(test.a))
				w.b.Inject(signFault, kmstest.Delay(test.b))
				began := time.Now()
				mustSign(t, s)
				if took := time.Since(began); took != test.want {
					t.Errorf("it took %v, want %v", took, test.want)
				}
				synctest.Wait() // the loser's goroutine ends without time passing
				if took := time.Since(began); took != test.want {
					t.Errorf("the loser took %v", took)
				}
				w.signs(t, 1, test.callsB)
				for _, s := range []struct {
					region string
					*spy
					calls int
				}{{regionA, a, 1}, {regionB, b, test.callsB}} {
					if len(s.ended) != s.calls {
						t.Fatalf("%s: %d calls have ended, want %d", s.region, len(s.ended), s.calls)
					}
					if s.calls == 1 && errors.Is(s.ended[0], context.Canceled) != (s.region == test.cancelled) {
						t.Errorf("%s: its context ended with %v, %q should have been cancelled", s.region, s.ended[0], test.cancelled)
					}
				}
				down(t, c)
			})
		})
	}
}

// TestHedgeRefusals checks that a refusal of the first Region is final, and
// that one of the second does not replace the answer of the first.
func TestHedgeRefusals(t *testing.T) {
	denied := kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"})
	for name, test := range map[string]struct {
		a, b []kmstest.Effect
		ok   bool
	}{
		"first refuses": {
			[]kmstest.Effect{kmstest.Delay(100 * time.Millisecond), denied}, []kmstest.Effect{kmstest.Delay(time.Second)}, false},
		"second refuses": {
			[]kmstest.Effect{kmstest.Delay(100 * time.Millisecond)}, []kmstest.Effect{denied}, true},
		"second refuses, first fails": {
			[]kmstest.Effect{kmstest.Delay(100 * time.Millisecond), kmstest.Reset()}, []kmstest.Effect{denied}, false},
		"first fails, second refuses": {
			[]kmstest.Effect{kmstest.Reset()}, []kmstest.Effect{denied}, false},
		"second fails": {
			[]kmstest.Effect{kmstest.Delay(100 * time.Millisecond)}, []kmstest.Effect{kmstest.Reset()}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				c, _, _ := hedged(t, w)
				s := newSigner(t, c, w.arn)
				w.a.Inject(signFault, test.a...)
				w.b.Inject(signFault, test.b...)
				began := time.Now()
				err := sign(s)
				said, ok := errors.AsType[smithy.APIError](err)
				if test.ok && err != nil || !test.ok && (!ok || said.ErrorCode() != "AccessDeniedException") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestHedgeHang checks that a Region that hangs is hedged for a second, then
// passed over, then probed.
func TestHedgeHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Hang())
		// Each call takes 50 ms, so every other one counts.
		for i := range 19 {
			w.signs(t, i, i)
			down(t, c)
			mustSign(t, s)
		}
		down(t, c, regionA)
		began := time.Now()
		mustSign(t, s)
		w.signs(t, 19, 20)
		if time.Since(began) != 0 {
			t.Error("a Region that is down was waited for")
		}
		time.Sleep(10 * time.Second)
		began = time.Now()
		mustSign(t, s) // a probe, hedged
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("the probe took %v", took)
		}
		down(t, c, regionA)
		heal()
		time.Sleep(10 * time.Second)
		mustSign(t, s)
		down(t, c)
	})
}

// TestHedgeDown checks that a Region that was down when the call began is
// hedged to when it may be probed, and not before.
func TestHedgeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w, func(o *multiregion.Options) { o.ProbeInterval = 120 * time.Millisecond })
		s := newSigner(t, c, w.arn)
		healB := w.b.Inject(getFault, kmstest.Reset())
		newSigner(t, c, w.arn)
		healB()
		down(t, c, regionB)
		w.a.Inject(signFault, kmstest.Hang())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				began := time.Now()
				mustSign(t, s)
				if took := time.Since(began); took != 150*time.Millisecond && took != 200*time.Millisecond {
					t.Errorf("it took %v, want three times HedgeAfter, or four", took)
				}
			})
		}
		wg.Wait()
		w.signs(t, 8, 8)
		down(t, c)
	})
}

func input(w *world) *kms.SignInput {
	return &kms.SignInput{
		KeyId: aws.String(w.arn), Message: make([]byte, 32), MessageType: types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	}
}

// TestHedgeCancels checks that the attempt that lost is cancelled while the
// caller's context goes on.
func TestHedgeCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, a, _ := hedged(t, w)
		w.a.Inject(signFault, kmstest.Hang())
		if _, err := c.Sign(t.Context(), input(w)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(a.ended) != 1 || !errors.Is(a.ended[0], context.Canceled) {
			t.Errorf("the loser's context ended with %v, want context.Canceled", a.ended)
		}
	})
}

// TestHedgeLostBySecond checks that a hedge that comes second is not held
// against its Region, because it began later.
func TestHedgeLostBySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		s := newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Delay(60*time.Millisecond))
		w.b.Inject(signFault, kmstest.Delay(100*time.Millisecond))
		for range 20 {
			mustSign(t, s)
		}
		w.signs(t, 20, 20)
		down(t, c)
	})
}

// TestHedgeLostByProbe checks that a Region whose probe is overtaken by a hedge
// stays down for an interval.
func TestHedgeLostByProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Reset())
		mustSign(t, s)
		heal()
		w.a.Inject(signFault, kmstest.Hang())
		time.Sleep(10 * time.Second)
		for range 3 {
			mustSign(t, s)
		}
		w.signs(t, 2, 4)
	})
}

// TestHedgeThree checks that a call asks at most two Regions at the same time.
func TestHedgeThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _ := w.threeRegions(t, func(o *multiregion.Options) { o.HedgeAfter = 50 * time.Millisecond })
		w.a.Inject(signFault, kmstest.Hang())
		w.b.Inject(signFault, kmstest.Hang())
		began := time.Now()
		if _, err := c.Sign(t.Context(), input(w)); err != nil {
			t.Fatal(err)
		}
		// A has two seconds. Then B is alone, and C is its hedge.
		if took := time.Since(began); took != 2050*time.Millisecond {
			t.Errorf("it took %v, want the first Region's two seconds and HedgeAfter", took)
		}
	})
}

// TestHedgeInput checks that the caller may change its input when Sign has
// returned. The race detector would tell.
func TestHedgeInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		slow := slowReader{w.a, make(chan struct{})}
		c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: slow}, {Name: regionB, Client: w.b}},
			func(o *multiregion.Options) { o.HedgeAfter = time.Millisecond })
		if err != nil {
			t.Fatal(err)
		}
		in := input(w)
		if _, err := c.Sign(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		in.Message[0], *in.KeyId = 1, ""
		<-slow.read
	})
}

// A slowReader reads its input after its context has ended.
type slowReader struct {
	*kmstest.KMS
	read chan struct{}
}

func (s slowReader) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	if in.Message[0] != 0 {
		panic("the message has changed")
	}
	close(s.read)
	return nil, ctx.Err()
}

// TestRetries checks that the SDK's retries are part of the Region's time.
func TestRetries(t *testing.T) {
	for name, effect := range map[string]kmstest.Effect{
		"throttled": kmstest.Throttle(), "reset": kmstest.Reset(), "500": kmstest.Respond(500, ""), "hang": kmstest.Hang(),
	} {
		for region, bad := range map[string]func(w *world) *kmstest.KMS{
			regionA: func(w *world) *kmstest.KMS { return w.a },
			regionB: func(w *world) *kmstest.KMS { return w.b },
		} {
			t.Run(name+" "+region, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					c := w.client(t)
					retrying := func(o *kms.Options) {
						o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 100 })
					}
					s := newSigner(t, c, w.arn, func(o *kmssigner.Options) {
						o.ClientOptions = []func(*kms.Options){retrying}
					})
					bad(w).Inject(signFault, effect)
					began := time.Now()
					mustSign(t, s)
					if took := time.Since(began); took > 2*time.Second {
						t.Errorf("it took %v, want at most AttemptTimeout", took)
					}
					if region == regionA {
						down(t, c, regionA)
						w.signs(t, w.a.Calls("Sign"), 1)
					}
				})
			})
		}
	}
}
