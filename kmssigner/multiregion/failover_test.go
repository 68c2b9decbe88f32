package multiregion_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// faults make a Region unavailable. wait is how long the first call waits for
// the Region.
var faults = map[string]struct {
	effects []kmstest.Effect
	wait    time.Duration
}{
	"reset":               {[]kmstest.Effect{kmstest.Reset()}, 0},
	"throttled":           {[]kmstest.Effect{kmstest.Throttle()}, 0},
	"429":                 {[]kmstest.Effect{kmstest.Respond(429, "")}, 0},
	"internal":            {[]kmstest.Effect{kmstest.Fail(&types.KMSInternalException{})}, 0},
	"internal as 400":     {[]kmstest.Effect{kmstest.Fail(&types.KMSInternalException{}), kmstest.Status(400)}, 0},
	"dependency timeout":  {[]kmstest.Effect{kmstest.Fail(&types.DependencyTimeoutException{})}, 0},
	"key unavailable":     {[]kmstest.Effect{kmstest.Fail(&types.KeyUnavailableException{})}, 0},
	"unavailable as 400":  {[]kmstest.Effect{kmstest.Fail(&types.KeyUnavailableException{}), kmstest.Status(400)}, 0},
	"500":                 {[]kmstest.Effect{kmstest.Respond(500, "{}")}, 0},
	"502 of a proxy":      {[]kmstest.Effect{kmstest.Respond(502, "<html>Bad Gateway")}, 0},
	"503":                 {[]kmstest.Effect{kmstest.Respond(503, "")}, 0},
	"cut":                 {[]kmstest.Effect{kmstest.Cut()}, 0},
	"truncated":           {[]kmstest.Effect{kmstest.Truncate()}, 0},
	"200 of a proxy":      {[]kmstest.Effect{kmstest.Respond(200, "<html>Welcome")}, 0},
	"hanging":             {[]kmstest.Effect{kmstest.Hang()}, 2 * time.Second},
	"hanging in the body": {[]kmstest.Effect{kmstest.HangBody()}, 2 * time.Second},
	"too slow":            {[]kmstest.Effect{kmstest.Delay(3 * time.Second)}, 2 * time.Second},
}

func TestFailover(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				c := w.client(t)
				s := newSigner(t, c, w.arn)
				mustSign(t, s)
				w.signs(t, 1, 0)

				w.a.Inject(signFault, fault.effects...)
				began := time.Now()
				mustSign(t, s)
				if took := time.Since(began); took != fault.wait {
					t.Errorf("the first signature took %v, want %v", took, fault.wait)
				}
				w.signs(t, 2, 1)
				down(t, c, regionA)

				began = time.Now()
				mustSign(t, s)
				if took := time.Since(began); took != 0 {
					t.Errorf("the second signature took %v, want none", took)
				}
				w.signs(t, 2, 2)
				if s.KeyARN() != w.arn {
					t.Errorf("KeyARN is %q, want %q", s.KeyARN(), w.arn)
				}
			})
		})
	}
}

// TestRefusal checks that no other Region is asked after a refusal of KMS or of
// the SDK.
func TestRefusal(t *testing.T) {
	for name, refusal := range map[string]smithy.APIError{
		"denied":        &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"},
		"disabled":      &types.DisabledException{},
		"invalid state": &types.KMSInvalidStateException{},
		"not found":     &types.NotFoundException{},
		"validation":    &smithy.GenericAPIError{Code: "ValidationException"},
		"usage":         &types.InvalidKeyUsageException{},
		"grant token":   &types.InvalidGrantTokenException{},
		"expired token": &smithy.GenericAPIError{Code: "ExpiredTokenException"},
		"unknown":       &smithy.GenericAPIError{Code: "SomethingNewException"},
	} {
		for _, hedge := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprint(name, hedge), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					c := w.client(t, func(o *multiregion.Options) { o.HedgeAfter = hedge })
					s := newSigner(t, c, w.arn)
					w.a.Inject(signFault, kmstest.Fail(refusal))
					err := sign(s)
					said, ok := errors.AsType[smithy.APIError](err)
					if !ok || said.ErrorCode() != refusal.ErrorCode() || !strings.Contains(err.Error(), regionA) {
						t.Errorf("got %v, want the %s of %s", err, refusal.ErrorCode(), regionA)
					}
					w.signs(t, 1, 0)
					down(t, c)
				})
			})
		}
	}
	t.Run("by the SDK", func(t *testing.T) {
		w := ecWorld(t)
		_, err := w.client(t).Sign(t.Context(), &kms.SignInput{KeyId: aws.String(w.arn)})
		if _, ok := errors.AsType[smithy.InvalidParamsError](err); !ok {
			t.Errorf("got %v, want an InvalidParamsError", err)
		}
		w.signs(t, 0, 0)
	})
}

func TestBothDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Reset())
		w.b.Inject(signFault, kmstest.Fail(&types.KMSInternalException{Message: aws.String("oh")}))
		for range 2 { // they are tried in spite of what is remembered
			err := sign(s)
			_, internal := errors.AsType[*types.KMSInternalException](err)
			if !internal || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v, want both causes in the chain", err)
			}
			for _, part := range []string{"multiregion: Sign: ", regionA + ": ", "connection reset", "; " + regionB + ": ", "KMSInternalException: oh"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not have %q", err, part)
				}
			}
		}
		w.signs(t, 2, 2)
		down(t, c, regionA, regionB)
	})
}

// TestBothHang checks that the Regions share the time until the caller's
// deadline.
func TestBothHang(t *testing.T) {
	for name, test := range map[string]struct {
		deadline    time.Duration
		firstAsksBy time.Duration
	}{
		"ample": {10 * time.Second, 2 * time.Second},
		"short": {time.Second, 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				c := w.client(t)
				s := newSigner(t, c, w.arn)
				w.a.Inject(signFault, kmstest.Hang())
				w.b.Inject(signFault, kmstest.Hang())
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				defer cancel()
				go func() {
					time.Sleep(test.firstAsksBy - 1)
					synctest.Wait()
					if n := w.b.Calls("Sign"); n != 0 {
						t.Errorf("B was asked too early, %d times", n)
					}
					time.Sleep(2 * time.Nanosecond)
					synctest.Wait()
					if n := w.b.Calls("Sign"); n != 1 {
						t.Errorf("B was asked %d times, want 1 by now", n)
					}
				}()
				err := sign(s.WithContext(ctx))
				if took := time.Since(began); took != test.deadline {
					t.Errorf("it took %v, want %v", took, test.deadline)
				}
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), regionA) || !strings.Contains(err.Error(), regionB) {
					t.Errorf("got %v, want the deadline and both Regions", err)
				}
				down(t, c, regionA) // B had all the caller gave, and that was the caller's doing
			})
		})
	}
}

func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Hang())
		mustSign(t, s)
		w.signs(t, 1, 1)

		// After the interval one of many callers probes for a second.
		time.Sleep(10 * time.Second)
		var slow, fast atomic.Int32
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				began := time.Now()
				if err := sign(s); err != nil {
					t.Error(err)
				}
				switch took := time.Since(began); took {
				case 0:
					fast.Add(1)
				case time.Second:
					slow.Add(1)
				default:
					t.Errorf("a call took %v", took)
				}
			})
		}
		wg.Wait()
		if slow.Load() != 1 || fast.Load() != 63 {
			t.Errorf("%d calls waited and %d did not, want 1 and 63", slow.Load(), fast.Load())
		}
		w.signs(t, 2, 65)

		// The interval begins again.
		heal()
		time.Sleep(10*time.Second - 1)
		mustSign(t, s)
		w.signs(t, 2, 66)
		time.Sleep(time.Nanosecond)
		mustSign(t, s)
		w.signs(t, 3, 66)
		down(t, c)
		mustSign(t, s)
		w.signs(t, 4, 66)
	})
}

// TestProbeCancelled checks that the next caller probes after one whose context
// ended during the probe.
func TestProbeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Hang())
		mustSign(t, s)
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(time.Millisecond, cancel)
		if err := sign(s.WithContext(ctx)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		heal()
		mustSign(t, s)
		w.signs(t, 3, 1)
		down(t, c)
	})
}

// TestOneProbe checks that a call probes one Region at most.
func TestOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, third := w.threeRegions(t)
		s := newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Hang())
		w.b.Inject(signFault, kmstest.Hang())
		mustSign(t, s)
		down(t, c, regionA, regionB)
		time.Sleep(20 * time.Second)
		for range 2 {
			began := time.Now()
			mustSign(t, s)
			if took := time.Since(began); took != time.Second {
				t.Errorf("it took %v, want the second of one probe", took)
			}
		}
		if n := third.Calls("Sign"); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	})
}

// TestProbeEach checks that a Region that is throttled all the time, and so due
// for a probe every second, does not keep another from being probed.
func TestProbeEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, third := w.threeRegions(t)
		s := newSigner(t, c, w.arn)
		healA, healC := w.a.Inject(signFault, kmstest.Reset()), third.Inject(signFault, kmstest.Reset())
		w.b.Inject(signFault, kmstest.Throttle())
		if err := sign(s); err == nil {
			t.Fatal("no error")
		}
		healA()
		healC()
		for range 6 {
			time.Sleep(2 * time.Second)
			mustSign(t, s)
		}
		down(t, c, regionB)

		// Nor does one whose answers are wrong, while no other has a right one.
		w = ecWorld(t)
		c, third = w.threeRegions(t)
		s = newSigner(t, c, w.arn)
		w.a.Inject(signFault, kmstest.Corrupt())
		healB := w.b.Inject(signFault, kmstest.Reset())
		mustSign(t, s)
		down(t, c, regionA, regionB)
		healB()
		third.Inject(signFault, kmstest.Fail(&types.DisabledException{}))
		for range 8 {
			time.Sleep(2 * time.Second)
			sign(s)
		}
		down(t, c, regionA)
	})
}

// TestThrottledForASecond checks that a throttled Region is passed over for one
// second, because the quotas of KMS are per second.
func TestThrottledForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		s := newSigner(t, w.client(t), w.arn)
		w.a.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Throttle())
		mustSign(t, s)
		time.Sleep(time.Second - 1)
		mustSign(t, s)
		w.signs(t, 1, 2)
		time.Sleep(time.Nanosecond)
		mustSign(t, s)
		w.signs(t, 2, 2)
	})
}

func TestCallersContext(t *testing.T) {
	for name, test := range map[string]struct {
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancelled before": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, context.Canceled},
	} {
		for _, hedge := range []time.Duration{0, 100 * time.Millisecond} {
			t.Run(fmt.Sprint(name, hedge), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					b := &spy{KMS: w.b}
					c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: w.a}, {Name: regionB, Client: b}},
						func(o *multiregion.Options) { o.HedgeAfter = hedge })
					if err != nil {
						t.Fatal(err)
					}
					s := newSigner(t, c, w.arn)
					w.a.Inject(signFault, kmstest.Hang())
					w.b.Inject(signFault, kmstest.Hang())
					ctx, cancel := test.ctx(t.Context())
					defer cancel()
					if err := sign(s.WithContext(ctx)); !errors.Is(err, test.want) {
						t.Errorf("got %v, want %v", err, test.want)
					}
					if hedge == 0 && len(b.ended) != 0 {
						t.Error("B was asked for a caller that is gone")
					}
					down(t, c)
				})
			})
		}
	}
}

// TestHurry checks that a Region is not passed over after a few calls that gave
// it little time, and is after many.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Hang())
		hurry := func() {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			mustSign(t, s.WithContext(ctx))
		}
		for range 15 {
			hurry()
		}
		heal()
		hurry() // an answer in between: the count starts again
		w.a.Inject(signFault, kmstest.Hang())
		calls := w.a.Calls("Sign")
		// Each call takes 50 ms, so every other one counts.
		for range 18 {
			hurry()
			down(t, c)
		}
		hurry()
		down(t, c, regionA)
		w.signs(t, calls+19, 15+19)
	})
}

// TestStaleFailure checks that a call that began to hang before the end of an
// outage does not bring the outage back.
func TestStaleFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t)
		s := newSigner(t, c, w.arn)
		w.a.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Hang())
		var wg sync.WaitGroup
		wg.Go(func() { mustSign(t, s) })
		time.Sleep(time.Second)
		mustSign(t, s)
		wg.Wait()
		down(t, c)
		w.signs(t, 2, 1)
	})
}

// TestLoad checks that no signature fails under load while one Region after the
// other fails.
func TestLoad(t *testing.T) {
	for _, name := range []string{"reset", "throttled", "internal", "hanging", "hanging in the body", "too slow"} {
		fault := faults[name]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := ecWorld(t)
				w.a.Inject(kmstest.Match{}, kmstest.Delay(5*time.Millisecond))
				w.b.Inject(kmstest.Match{}, kmstest.Delay(80*time.Millisecond))
				s := newSigner(t, w.client(t), w.arn)
				var (
					wg      sync.WaitGroup
					longest atomic.Int64
					stop    = time.Now().Add(45 * time.Second)
				)
				for i := range 24 {
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 20 * time.Millisecond)
						for time.Now().Before(stop) {
							began := time.Now()
							if err := sign(s); err != nil {
								t.Error(err)
							}
							took := int64(time.Since(began))
							for was := longest.Load(); took > was && !longest.CompareAndSwap(was, took); was = longest.Load() {
							}
							time.Sleep(time.Second)
						}
					})
				}
				time.Sleep(3 * time.Second)
				healA := w.a.Inject(signFault, fault.effects...)
				time.Sleep(12 * time.Second)
				healA()
				time.Sleep(11 * time.Second) // until A is back
				healB := w.b.Inject(signFault, fault.effects...)
				time.Sleep(5 * time.Second)
				healB()
				wg.Wait()
				if limit := fault.wait + 200*time.Millisecond; time.Duration(longest.Load()) > limit {
					t.Errorf("the slowest signature took %v, want at most %v", time.Duration(longest.Load()), limit)
				}
				if w.a.Calls("Sign") < 400 || w.b.Calls("Sign") < 200 {
					t.Errorf("%d and %d calls: the Regions were not both used", w.a.Calls("Sign"), w.b.Calls("Sign"))
				}
			})
		})
	}
}

func TestNames(t *testing.T) {
	w := ecWorld(t)
	in := func(name, region string) string {
		parsed, err := arn.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		parsed.Region = region
		return parsed.String()
	}
	aliasARN := strings.Replace(w.arn, "key/"+w.id, alias, 1)
	for name, test := range map[string]struct{ asked, want string }{
		"key ARN":           {w.arn, w.arn},
		"replica's ARN":     {in(w.arn, regionB), in(w.arn, regionB)},
		"key ID":            {w.id, w.arn},
		"alias":             {alias, w.arn},
		"alias ARN":         {aliasARN, w.arn},
		"replica alias ARN": {in(aliasARN, regionB), in(w.arn, regionB)},
		"third Region":      {in(w.arn, "ap-south-1"), in(w.arn, "ap-south-1")},
	} {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprint(name, keep), func(t *testing.T) {
				w := w
				heal := func() {}
				for _, dead := range []*kmstest.KMS{nil, w.a, w.b} {
					s := newSigner(t, w.client(t), test.asked, func(o *kmssigner.Options) { o.KeepAlias = keep })
					if dead != nil {
						heal = dead.Inject(kmstest.Match{}, kmstest.Reset())
					}
					fresh := newSigner(t, w.client(t), test.asked, func(o *kmssigner.Options) { o.KeepAlias = keep })
					for _, s := range []*kmssigner.Signer{s, fresh} {
						if s.KeyARN() != test.want {
							t.Errorf("KeyARN is %q, want %q", s.KeyARN(), test.want)
						}
						mustSign(t, s)
					}
					heal()
				}
				// Each Region was asked for keys in that Region.
				for region, k := range map[string]*kmstest.KMS{regionA: w.a, regionB: w.b} {
					for _, r := range k.Requests() {
						if p, err := arn.Parse(r.Key); err == nil && p.Region != region {
							t.Errorf("%s was asked for %q", region, r.Key)
						}
					}
				}
			})
		}
	}
	for _, asked := range []string{
		"", "arn:::::", "arn:aws:kms:us-east-1:111122223333:grant/x", "arn:aws:iam::111122223333:role/x",
		"1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
	} {
		before := w.a.Calls("")
		_, err := w.client(t).Sign(t.Context(), &kms.SignInput{KeyId: aws.String(asked)})
		if err == nil || w.a.Calls("") != before {
			t.Errorf("%q: got %v and %d calls, want an error and none", asked, err, w.a.Calls("")-before)
		}
		if strings.Contains(asked, "1234abcd") != errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("%q: got %v", asked, err)
		}
	}
	// The alias names a key that is in one Region only.
	w.alias(t, w.a, w.a.AddKey(types.KeySpecEccNistP256))
	if _, err := kmssigner.New(t.Context(), w.client(t), alias); !errors.Is(err, kmssigner.ErrUnsupportedKey) {
		t.Errorf("got %v, want ErrUnsupportedKey", err)
	}
}

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c := w.client(t, func(o *multiregion.Options) { o.Spread = true })
		s := newSigner(t, c, w.arn)
		base := w.a.Calls("Sign")
		for range 50 {
			mustSign(t, s)
		}
		if base != 0 {
			t.Fatal("New signed")
		}
		w.signs(t, 25, 25)
		w.b.Inject(signFault, kmstest.Reset())
		for range 50 {
			mustSign(t, s)
		}
		w.signs(t, 75, 26)
		down(t, c, regionB)
	})
}
