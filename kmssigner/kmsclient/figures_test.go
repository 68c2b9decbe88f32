package kmsclient_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
)

// runs is the number of times that the figures are measured. With more than
// one, the tests print them.
var runs = flag.Int("runs", 1, "measure the figures of docs/benchmarks.md this `number` of times, and print them")

// simulated answers the SDK's client after 5 ms, with a signature or as fault
// says. fault may be nil. It is called once for each request.
type simulated struct {
	fault    func() (status int, body string, err error)
	requests atomic.Int64
}

func (s *simulated) Do(r *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	io.Copy(io.Discard, r.Body)
	status, body, err := s.fault()
	select {
	case <-time.After(5 * time.Millisecond):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "Content-Length": {strconv.Itoa(len(body))}},
		Body:       io.NopCloser(bytes.NewReader([]byte(body))),
	}, nil
}

const (
	signature = `{"KeyId":"k","Signature":"AAAA","SigningAlgorithm":"ECDSA_SHA_256"}`
	throttled = `{"__type":"ThrottlingException","message":"slow down"}`
	internal  = `{"__type":"KMSInternalException","message":"internal"}`
)

// outcome counts what became of the calls of a run.
type outcome struct {
	mu     sync.Mutex
	took   []time.Duration // of the calls that succeeded
	failed int
}

// call makes one call of at most ten seconds. It counts from the time at which
// it was due.
func (o *outcome) call(ctx context.Context, client *kms.Client) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := client.Sign(ctx, &kms.SignInput{
		KeyId: aws.String("k"), Message: make([]byte, 32), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.failed++
		return
	}
	o.took = append(o.took, time.Since(start))
}

// percentile returns a latency in milliseconds.
func (o *outcome) percentile(p float64) float64 {
	sorted := slices.Sorted(slices.Values(o.took))
	return sorted[int(math.Ceil(p/100*float64(len(sorted))))-1].Seconds() * 1000
}

// figures collects one measurement for each run, by name.
type figures map[string][]float64

func (f figures) add(name string, value float64) { f[name] = append(f[name], value) }

func (f figures) of(name string) turns.Figure { return turns.NewFigure(f[name]) }

// client returns the SDK's client on a simulated KMS.
func (s *simulated) client(optFns ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{Region: "us-east-1", HTTPClient: s, Credentials: aws.CredentialsProviderFunc(credentials)}, optFns...)
}

// BenchmarkQuota runs 128 signers without pause against a quota of 1,000
// requests per second of 5 ms each, with several retryers in turn. Each makes
// 10,000 tokens in each round, and a round takes about two minutes. The time is
// real, because with the SDK's adaptive mode it does not end in simulated time.
//
//	go test -run '^$' -bench Quota -benchtime 3x ./kmssigner/kmsclient
func BenchmarkQuota(b *testing.B) {
	const tokens = 10_000
	adaptive := func(o *kms.Options) { o.Retryer = retry.NewAdaptiveMode() }
	variants := []struct {
		name    string
		optFns  []func(*kms.Options)
		figures figures
	}{
		{"standard", nil, figures{}},
		{"standard, `Limit(4)`", []func(*kms.Options){kmsclient.Limit(4)}, figures{}},
		{"standard, `Limit(8)`", []func(*kms.Options){kmsclient.Limit(8)}, figures{}},
		{"adaptive", []func(*kms.Options){adaptive}, figures{}},
		{"adaptive, `Limit(8)`", []func(*kms.Options){adaptive, kmsclient.Limit(8)}, figures{}},
	}
	for b.Loop() {
		for _, v := range variants {
			kmsFake := &simulated{fault: quota(1000)}
			client := kmsFake.client(v.optFns...)
			var out outcome
			var left atomic.Int64
			left.Store(tokens)
			var signers sync.WaitGroup
			start := time.Now()
			for range concurrency {
				signers.Go(func() {
					for left.Add(-1) >= 0 {
						out.call(b.Context(), client)
					}
				})
			}
			signers.Wait()
			issued := float64(len(out.took))
			v.figures.add("rate", issued/time.Since(start).Seconds())
			v.figures.add("failed", 100*float64(out.failed)/tokens)
			v.figures.add("requests", float64(kmsFake.requests.Load())/issued)
			v.figures.add("p50", out.percentile(50))
			v.figures.add("p99", out.percentile(99))
		}
	}
	table := turns.NewTable("retryer", "tokens per second", "failed, %", "requests for each token", "p50, ms", "p99, ms")
	for _, v := range variants {
		f := v.figures
		table.Row(v.name, f.of("rate"), f.of("failed"), f.of("requests"), f.of("p50"), f.of("p99"))
	}
	table.Write(os.Stdout)
}

// quota throttles all but the first requests of each second.
func quota(perSecond int) func() (int, string, error) {
	var (
		mu     sync.Mutex
		second int64
		used   int
	)
	return func() (int, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Unix(); now != second {
			second, used = now, 0
		}
		used++
		if used > perSecond {
			return http.StatusBadRequest, throttled, nil
		}
		return http.StatusOK, signature, nil
	}
}

// TestFaults issues 200 tokens a second for 3 seconds, in simulated time, while
// 5 % of all requests are throttled, 5 % fail with status 500 and 1 % are
// reset. A token is lost if all of its attempts fail, so the number of lost
// tokens is expected to be 600 times 0.11 to the power of the attempts.
//
//	go test -v ./kmssigner/kmsclient -run TestFaults -runs 200
func TestFaults(t *testing.T) {
	const tokens, share = 600, 0.11
	attempts := func(n int, maxBackoff time.Duration) func(*kms.Options) {
		return func(o *kms.Options) {
			o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = n, maxBackoff })
		}
	}
	table := turns.NewTable("attempts", "`MaxBackoff`", "lost of 600, expected", "lost of 600, mean", "most lost in a run",
		"requests for each token", "p50, ms", "p95, ms", "p99, ms")
	for _, v := range []struct {
		attempts   int
		maxBackoff time.Duration
	}{
		{3, retry.DefaultMaxBackoff}, {3, 100 * time.Millisecond}, {4, 100 * time.Millisecond},
		{5, 100 * time.Millisecond}, {6, 100 * time.Millisecond},
	} {
		f := figures{}
		lost, most := 0, 0
		for run := range *runs {
			synctest.Test(t, func(t *testing.T) {
				kmsFake := &simulated{fault: faults(uint64(run))}
				client := kmsFake.client(attempts(v.attempts, v.maxBackoff))
				var out outcome
				var all sync.WaitGroup
				for range tokens {
					all.Go(func() { out.call(t.Context(), client) })
					time.Sleep(time.Second / 200)
				}
				all.Wait()
				lost, most = lost+out.failed, max(most, out.failed)
				f.add("requests", float64(kmsFake.requests.Load())/tokens)
				for _, p := range []float64{50, 95, 99} {
					f.add(fmt.Sprint(p), out.percentile(p))
				}
			})
		}
		expected := tokens * math.Pow(share, float64(v.attempts))
		// The number of lost tokens has the Poisson distribution.
		if total := expected * float64(*runs); math.Abs(float64(lost)-total) > 5*math.Sqrt(total)+2 {
			t.Errorf("%d attempts: %d tokens lost in %d runs, want about %.2f", v.attempts, lost, *runs, total)
		}
		table.Row(v.attempts, v.maxBackoff, fmt.Sprintf("%.4f", expected), fmt.Sprintf("%.4f", float64(lost)/float64(*runs)), most,
			f.of("requests"), f.of("50"), f.of("95"), f.of("99"))
	}
	if *runs > 1 {
		table.Write(os.Stdout)
	}
}

// faults hits requests at random, always the same ones for the same seed.
func faults(seed uint64) func() (int, string, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	return func() (int, string, error) {
		mu.Lock()
		defer mu.Unlock()
		switch x := random.Float64(); {
		case x < 0.05:
			return http.StatusBadRequest, throttled, nil
		case x < 0.10:
			return http.StatusInternalServerError, internal, nil
		case x < 0.11:
			return 0, "", syscall.ECONNRESET
		}
		return http.StatusOK, signature, nil
	}
}
