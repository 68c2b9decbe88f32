package multiregion_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// A simulatedRegion answers Sign as answer says.
type simulatedRegion struct {
	kmssigner.Client
	name   string
	answer func(ctx context.Context) error
	calls  atomic.Int64
}

func (r *simulatedRegion) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	r.calls.Add(1)
	if err := r.answer(ctx); err != nil {
		return nil, err
	}
	return &kms.SignOutput{
		KeyId:            aws.String("arn:aws:kms:" + r.name + ":111122223333:key/" + figuresKey),
		Signature:        []byte{1},
		SigningAlgorithm: in.SigningAlgorithm,
	}, nil
}

const figuresKey = "mrk-1234abcd12ab34cd56ef1234567890ab"

// after answers after d.
func after(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drive makes a Sign call every 10 ms, each of at most ten seconds, which is the
// default of a Signer. It returns the latencies in order of size.
func drive(t *testing.T, calls int, first, second *simulatedRegion, optFns ...func(*multiregion.Options)) []time.Duration {
	t.Helper()
	client, err := multiregion.New([]multiregion.Region{{Name: first.name, Client: first}, {Name: second.name, Client: second}}, optFns...)
	if err != nil {
		t.Fatal(err)
	}
	took := make([]time.Duration, calls)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := client.Sign(ctx, &kms.SignInput{KeyId: aws.String(figuresKey), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			took[i] = time.Since(start)
		})
		time.Sleep(10 * time.Millisecond)
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func milliseconds(d time.Duration) string {
	return fmt.Sprint(d.Round(time.Millisecond).Milliseconds(), " ms")
}

// percentile returns the latency that p of 1,000 calls do not exceed.
func percentile(took []time.Duration, p int) time.Duration { return took[(len(took)-1)*p/1000] }

// TestFailoverFigures makes 6,000 calls in a minute of simulated time, while the
// first Region is not available. The second answers after 20 ms. With -v it
// prints a table of docs/benchmarks.md.
func TestFailoverFigures(t *testing.T) {
	table := turns.NewTable("first Region", "p50", "p99", "longest", "calls that it got, of 6,000", "failed")
	for _, test := range []struct {
		name    string
		answer  func(context.Context) error
		longest time.Duration // at most
		calls   int64         // at most
	}{
		{"answers after 5 ms", after(5 * time.Millisecond), 6 * time.Millisecond, 6000},
		{"refuses connections", func(context.Context) error {
			return &smithyhttp.RequestSendError{Err: errors.New("connection refused")}
		}, 30 * time.Millisecond, 100},
		{"does not answer", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 3 * time.Second, 400},
	} {
		synctest.Test(t, func(t *testing.T) {
			first := &simulatedRegion{name: regionA, answer: test.answer}
			second := &simulatedRegion{name: regionB, answer: after(20 * time.Millisecond)}
			took := drive(t, 6000, first, second)
			longest := took[len(took)-1]
			if longest > test.longest || first.calls.Load() > test.calls {
				t.Errorf("%s: the longest call took %v, and the Region got %d calls, want at most %v and %d",
					test.name, longest, first.calls.Load(), test.longest, test.calls)
			}
			table.Row(test.name, milliseconds(percentile(took, 500)), milliseconds(percentile(took, 990)), milliseconds(longest), first.calls.Load(), 0)
		})
	}
	if testing.Verbose() {
		table.Write(os.Stdout)
	}
}

// TestHedgingFigures makes 20,000 calls to a first Region that answers after 5
// ms, but in 1 % of the calls after 500 ms. With -v it prints a table of
// docs/benchmarks.md.
func TestHedgingFigures(t *testing.T) {
	table := turns.NewTable("`HedgeAfter`", "p50", "p99", "p99.9", "longest", "additional calls")
	var before time.Duration
	for _, hedge := range []time.Duration{0, 100 * time.Millisecond, 30 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var mu sync.Mutex
			first := &simulatedRegion{name: regionA, answer: func(ctx context.Context) error {
				mu.Lock()
				slow := random.IntN(100) == 0
				mu.Unlock()
				if slow {
					return after(500 * time.Millisecond)(ctx)
				}
				return after(5 * time.Millisecond)(ctx)
			}}
			second := &simulatedRegion{name: regionB, answer: after(20 * time.Millisecond)}
			took := drive(t, 20_000, first, second, func(o *multiregion.Options) { o.HedgeAfter = hedge })
			longest := took[len(took)-1]
			extra := 100 * float64(first.calls.Load()+second.calls.Load()-20_000) / 20_000
			name := "none"
			if hedge > 0 {
				name = hedge.String()
				if longest > hedge+25*time.Millisecond || longest >= before || extra > 2 {
					t.Errorf("%v: the longest call took %v, before %v, with %.1f %% more calls", hedge, longest, before, extra)
				}
			}
			before = longest
			table.Row(name, milliseconds(percentile(took, 500)), milliseconds(percentile(took, 990)), milliseconds(percentile(took, 999)),
				milliseconds(longest), fmt.Sprintf("%.1f %%", extra))
		})
	}
	if testing.Verbose() {
		table.Write(os.Stdout)
	}
}
