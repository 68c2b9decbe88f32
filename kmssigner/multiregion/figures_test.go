package multiregion_test

import (
	"context"
	"crypto"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// seeds makes TestFigures print its figures. Without it, the test runs each
// fault once, with hedging.
var seeds = flag.Int("seeds", 0, "measure the figures of docs/benchmarks.md with this `number` of seeds, and print them")

// A regionalKMS answers the SDK's client like KMS in one Region, in simulated
// time: after the latency that pause returns, with a signature that nobody
// verifies.
type regionalKMS struct {
	pause    func() time.Duration
	failing  atomic.Pointer[func(context.Context) error] // if set, is called after the pause
	requests atomic.Int64
}

func (r *regionalKMS) Do(req *http.Request) (*http.Response, error) {
	r.requests.Add(1)
	var in struct{ KeyId string }
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		return nil, err
	}
	if err := wait(req.Context(), r.pause()); err != nil {
		return nil, err
	}
	if fail := r.failing.Load(); fail != nil {
		if err := (*fail)(req.Context()); err != nil {
			return nil, err
		}
	}
	body := fmt.Sprintf(`{"KeyId":%q,"Signature":"MAYCAQECAQE=","SigningAlgorithm":"ECDSA_SHA_256"}`, in.KeyId)
	return &http.Response{
		StatusCode:    http.StatusOK,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(strings.NewReader(body)),
	}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *regionalKMS) client(region string, optFns ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{
		Region:     region,
		HTTPClient: r,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
		}),
	}, optFns...)
}

// TestFigures measures fail-over and hedging in simulated time. 100 tokens a
// second are due for 60 seconds. A request takes 5 to 10 ms in the first
// Region and 20 to 25 ms in the second; one in 200 takes 250 ms longer. In all
// but one scenario, the first Region has a fault from the 20th to the 40th
// second. No token may fail.
//
//	go test -v ./kmssigner/multiregion -run TestFigures -seeds 10
func TestFigures(t *testing.T) {
	refuse := func(context.Context) error { return syscall.ECONNREFUSED }
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	slow := func(ctx context.Context) error { return wait(ctx, time.Second) }
	short := func(o *kms.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = 2, 20*time.Millisecond })
	}
	table := turns.NewTable("first Region, for 20 seconds", "retries", "hedging", "p50, ms", "p99, ms", "p99.9, ms", "longest, ms",
		"extra requests, %", "passed over after, ms", "asked again after, ms")
	for _, scenario := range []struct {
		name  string
		fault func(context.Context) error
	}{
		{"well", nil}, {"refuses connections", refuse}, {"does not answer", hang}, {"takes a second longer", slow},
	} {
		for _, settings := range []struct {
			retries, hedging string
			hedgeAfter       time.Duration
			optFns           []func(*kms.Options)
		}{
			{"the SDK's", "none", 0, nil},
			{"one, after 20 ms", "none", 0, []func(*kms.Options){short}},
			{"one, after 20 ms", "after 30 ms", 30 * time.Millisecond, []func(*kms.Options){short}},
		} {
			brief := *seeds == 0
			if brief && (scenario.fault == nil || settings.hedgeAfter == 0) {
				continue
			}
			results := map[string][]float64{}
			for seed := range max(1, *seeds) {
				synctest.Test(t, func(t *testing.T) {
					for name, value := range failOver(t, uint64(seed), scenario.fault, settings.hedgeAfter, settings.optFns) {
						results[name] = append(results[name], value)
					}
				})
			}
			of := func(name string) any {
				if len(results[name]) == 0 {
					return "never"
				}
				return turns.NewFigure(results[name])
			}
			again := of("again")
			if scenario.fault == nil || len(results["over"]) == 0 {
				again = ""
			}
			table.Row(scenario.name, settings.retries, settings.hedging,
				of("p50"), of("p99"), of("p99.9"), of("longest"), of("extra"), of("over"), again)
		}
	}
	if *seeds > 0 {
		table.Write(os.Stdout)
	}
}

// failOver makes one run. The figures of the first Region's being passed over
// are missing if it was not.
func failOver(t *testing.T, seed uint64, fault func(context.Context) error, hedgeAfter time.Duration, optFns []func(*kms.Options)) map[string]float64 {
	const tokens, perSecond = 6000, 100
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	latency := func(least time.Duration) func() time.Duration {
		return func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			d := least + time.Duration(random.Float64()*float64(5*time.Millisecond))
			if random.IntN(200) == 0 {
				d += 250 * time.Millisecond
			}
			return d
		}
	}
	first, second := &regionalKMS{pause: latency(5 * time.Millisecond)}, &regionalKMS{pause: latency(20 * time.Millisecond)}
	start := time.Now()
	figures := map[string]float64{}
	began, ended := start.Add(20*time.Second), start.Add(40*time.Second)
	client, err := multiregion.New([]multiregion.Region{
		{Client: first.client(regionA, optFns...)}, {Client: second.client(regionB, optFns...)},
	}, func(o *multiregion.Options) {
		o.HedgeAfter = hedgeAfter
		o.OnChange = func(region string, err error) {
			mu.Lock()
			defer mu.Unlock()
			switch _, known := figures["over"]; {
			case region != regionA:
			case err != nil && !known:
				figures["over"] = milliseconds(time.Since(began))
			case err == nil && time.Now().After(ended):
				figures["again"] = milliseconds(time.Since(ended))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	w := ecWorld(t)
	public := newSigner(t, w.a, w.arn).Public()
	signer, err := kmssigner.New(t.Context(), client, w.arn, func(o *kmssigner.Options) { o.PublicKey, o.SkipVerification = public, true })
	if err != nil {
		t.Fatal(err)
	}
	if fault != nil {
		time.AfterFunc(time.Until(began), func() { first.failing.Store(&fault) })
		time.AfterFunc(time.Until(ended), func() { first.failing.Store(nil) })
	}
	took := make([]time.Duration, tokens)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			due := time.Now()
			if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
				t.Errorf("a token failed: %v", err)
			}
			took[i] = time.Since(due)
		})
		time.Sleep(time.Second / perSecond)
	}
	all.Wait()
	slices.Sort(took)
	for name, p := range map[string]float64{"p50": 50, "p99": 99, "p99.9": 99.9, "longest": 100} {
		figures[name] = milliseconds(took[int(math.Ceil(p/100*tokens))-1])
	}
	figures["extra"] = 100 * (float64(first.requests.Load()+second.requests.Load())/tokens - 1)
	return figures
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
