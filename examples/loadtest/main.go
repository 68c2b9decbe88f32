// Loadtest issues JWTs signed by a KMS key at a given rate, verifies each of
// them, and reports the throughput, the latency, the errors by kind, the KMS
// calls per token and the connections opened.
//
// Without -key it signs with a fake KMS that runs inside the program and is
// reached through the real SDK client over TLS; -latency and -faults make the
// fake slow and unreliable. The program and the fake share the processor, so
// the throughput is that of both together. With -key it uses the ordinary AWS
// configuration, and each token costs money and counts against the quota of the
// account. The program then names the price, and continues only with -yes.
//
//	go -C examples run ./loadtest
//	go -C examples run ./loadtest -concurrency 64 -rate 640 -burst 64 -default-client
//	go -C examples run ./loadtest -faults throttle=5%,500=5%,reset=1% -svg latency.svg
//	go -C examples run ./loadtest -key alias/token-signing -rate 20 -duration 10s -yes
//
// The latency of a token is the time to issue it, retries included. With -rate
// it is measured from the time at which the token was due, so it includes the
// wait until fewer than -concurrency tokens are under way.
//
// The result goes to standard output, as a table or with -json as JSON. Errors
// go to standard error. The first interrupt ends the run early. The exit status
// is 0, 2 for a wrong command line or a -key without -yes, and 1 for any other
// failure. A token that does not verify is a failure. A token that was not
// issued is a failure too, unless -faults is given.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms"
)

const about = `
Loadtest issues JWTs signed by a KMS key at a given rate, verifies each of them, and reports the throughput, the latencies, the errors by kind, the KMS calls and the connections. Without -key it signs with an embedded fake KMS, which -latency and -faults make slow and unreliable. With -key each token costs money, so it names the price and signs only with -yes.

  loadtest -concurrency 64 -rate 640 -svg latency.svg
  loadtest -key alias/token-signing -rate 20 -duration 10s -yes
`

// algs are the choices of -alg.
var algs = cli.Signatures

func main() { cli.Main("loadtest", run) }

// request is what the command line asks for.
type request struct {
	key      string
	yes      bool
	method   *jwtkms.SigningMethod // nil: what the key calls for
	timeout  time.Duration
	attempts int // 0: as configured

	concurrency int
	rate        float64 // 0: as fast as possible
	burst       int     // number of tokens that are due at the same time
	duration    time.Duration
	tokens      int

	latency       time.Duration
	faults        schedule
	defaultClient bool

	json bool
	svg  *cli.Output // nil: none
}

// most returns the largest number of tokens that the run can begin.
func (r request) most() int {
	if r.rate == 0 {
		return r.tokens
	}
	bursts := math.Ceil(r.rate * r.duration.Seconds() / float64(r.burst))
	return int(min(float64(r.tokens), bursts*float64(r.burst)))
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	req, err := parse(args, stdio)
	if err != nil {
		return err
	}
	defer req.svg.Discard()
	if req.key != "" {
		fmt.Fprintf(stdio.Err, "loadtest: %s\n", price(req.most()))
		if !req.yes {
			return cli.Usage(errors.New("nothing was signed, because -yes is not given"))
		}
	}
	issuer, err := open(ctx, req)
	if err != nil {
		return err
	}
	defer issuer.close()
	res := issuer.drive(ctx, req, cli.Progress(stdio.Err))
	if err := res.write(stdio.Out, req.json); err != nil {
		return err
	}
	if req.svg != nil {
		if err := req.svg.Commit(res.plot()); err != nil {
			return fmt.Errorf("-svg: %w", err)
		}
	}
	if res.unverified > 0 {
		return fmt.Errorf("%d tokens do not verify; the first: %w", res.unverified, res.firstErr)
	}
	if res.Failed > 0 && len(req.faults.shares) == 0 {
		return fmt.Errorf("%d of %d tokens were not issued; the first: %w", res.Failed, res.Tried, res.firstErr)
	}
	return nil
}

// price returns a sentence that says what signatures with a key in AWS cost.
func price(signatures int) string {
	n := float64(signatures) / 10_000
	return fmt.Sprintf("up to %d signatures cost %s, or %s with an RSA_2048 key, and each retry costs as much as a signature; "+
		"the prices were USD 0.15 and 0.03 for 10,000 requests at https://aws.amazon.com/kms/pricing/ when this was written; "+
		"they may have changed, and ML-DSA has a price of its own",
		signatures, dollars(0.15*n), dollars(0.03*n))
}

// dollars formats an amount. It does not round an amount to zero.
func dollars(amount float64) string {
	if amount < 0.0001 {
		return "less than USD 0.0001"
	}
	return fmt.Sprintf("about USD %.4f", amount)
}

func parse(args []string, stdio cli.Stdio) (request, error) {
	var req request
	flags := cli.NewFlags("loadtest", stdio)
	flags.About = about
	flags.StringVar(&req.key, "key", "", "key `ID`, key ARN, alias name or alias ARN; none: a key on the embedded fake KMS")
	flags.BoolVar(&req.yes, "yes", false, "with -key: sign, at the price that is named without -yes")
	alg := flags.String("alg", "", "JWT `algorithm`: "+algs.String()+" (default: what the key calls for; ES256 on the fake)")
	flags.IntVar(&req.concurrency, "concurrency", 32, "`number` of tokens to issue at a time")
	flags.Float64Var(&req.rate, "rate", 0, "tokens to issue per second; 0: as fast as possible")
	flags.IntVar(&req.burst, "burst", 1, "with -rate: `number` of tokens that are due at the same time; the rate stays the same")
	flags.PositiveVar(&req.duration, "duration", 3*time.Second, "begin no token after this `time`")
	flags.IntVar(&req.tokens, "tokens", 10_000, "begin at most this `number` of tokens")
	flags.PositiveVar(&req.timeout, "timeout", 10*time.Second, "give up a token after this `time`, retries included")
	flags.IntVar(&req.attempts, "attempts", 0, "how often the SDK tries a call; 0: as configured, which is 3 times by default")
	flags.DurationVar(&req.latency, "latency", 5*time.Millisecond, "`time` that the fake waits before it signs")
	faults := flags.String("faults", "", "faults of the fake and the shares of the calls that they hit, a `list` like throttle=5%,500=5%,reset=1%; the kinds are "+strings.Join(faultNames(), ", "))
	seed := flags.Uint64("seed", 1, "`seed` of the random choice of calls that -faults hits, which is the same for the same seed")
	flags.BoolVar(&req.defaultClient, "default-client", false, "use the SDK's default HTTP client, which keeps 10 idle connections, instead of one that keeps as many as -concurrency")
	flags.BoolVar(&req.json, "json", false, "write JSON instead of a table")
	svg := flags.String("svg", "", "`file` to write a plot of the latencies to")
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	if req.key != "" {
		var wrong error
		flags.Visit(func(f *flag.Flag) {
			if f.Name == "latency" || f.Name == "faults" || f.Name == "seed" {
				wrong = fmt.Errorf("-%s is for the embedded fake KMS, and -key is given", f.Name)
			}
		})
		if wrong != nil {
			return req, cli.Usage(wrong)
		}
	}
	if req.yes && req.key == "" {
		return req, cli.Usage(errors.New("-yes is for -key, because the fake costs nothing"))
	}
	if flags.Given("seed") && *faults == "" {
		return req, cli.Usage(errors.New("-seed is for -faults"))
	}
	var err error
	if req.faults, err = parseFaults(*faults, *seed); err != nil {
		return req, cli.Usage(err)
	}
	if req.method, err = algs.Parse(*alg); err != nil {
		return req, cli.Usage(err)
	}
	if err := req.check(); err != nil {
		return req, cli.Usage(err)
	}
	if *svg != "" {
		if cli.IsOutput(*svg, stdio) {
			return req, cli.Usage(fmt.Errorf("-svg is %s, which is also standard output, want another file", *svg))
		}
		if req.svg, err = cli.CreateOutput(*svg); err != nil {
			return req, fmt.Errorf("-svg: %w", err)
		}
	}
	return req, nil
}

// check returns an error unless the numbers are in range.
func (r *request) check() error {
	switch {
	case r.concurrency < 1 || r.concurrency > 10_000:
		return fmt.Errorf("-concurrency is %d, want 1 to 10000", r.concurrency)
	case !(r.rate == 0 || r.rate >= 0.001 && r.rate <= 1e6):
		return fmt.Errorf("-rate is %v, want 0 or 0.001 to 1000000", r.rate)
	case r.burst < 1 || r.burst > 1 && r.rate == 0:
		return fmt.Errorf("-burst is %d, want 1, or more with -rate", r.burst)
	case r.tokens < 1 || r.tokens > 1_000_000:
		return fmt.Errorf("-tokens is %d, want 1 to 1000000", r.tokens)
	case r.attempts < 0 || r.attempts > 100:
		return fmt.Errorf("-attempts is %d, want 0 to 100", r.attempts)
	case r.latency < 0:
		return fmt.Errorf("-latency is %v, want 0 or more", r.latency)
	}
	return nil
}

// write writes the result as a table or as JSON.
func (r *result) write(out io.Writer, asJSON bool) error {
	var b bytes.Buffer
	if asJSON {
		enc := json.NewEncoder(&b)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
		_, err := out.Write(b.Bytes())
		return err
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "key\t%s\n", r.Key)
	fmt.Fprintf(w, "alg\t%s\n", r.Alg)
	fmt.Fprintf(w, "concurrency\t%d\n", r.Concurrency)
	fmt.Fprintf(w, "idle connections kept\t%d\n", r.IdleConnections)
	fmt.Fprintf(w, "tokens tried\t%d\n", r.Tried)
	fmt.Fprintf(w, "issued and verified\t%d\n", r.Issued)
	fmt.Fprintf(w, "failed\t%d\n", r.Failed)
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "  %s\t%d\n", kind, r.Errors[kind])
	}
	if r.Interrupted > 0 {
		fmt.Fprintf(w, "interrupted\t%d\n", r.Interrupted)
	}
	fmt.Fprintf(w, "throughput\t%.1f tokens a second, for %.2f s\n", r.PerSecond, r.Seconds)
	if l := r.Latency; l != nil {
		fmt.Fprintf(w, "latency p50\t%.1f ms\n", l.P50)
		fmt.Fprintf(w, "latency p95\t%.1f ms\n", l.P95)
		fmt.Fprintf(w, "latency p99\t%.1f ms\n", l.P99)
		fmt.Fprintf(w, "latency max\t%.1f ms\n", l.Max)
	}
	fmt.Fprintf(w, "KMS calls\t%d", r.Calls)
	if r.CallsPerToken > 0 {
		fmt.Fprintf(w, ", %.3f for each token", r.CallsPerToken)
	}
	fmt.Fprintln(w)
	for _, kind := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(w, "  hit by %s\t%d\n", kind, r.Faults[kind])
	}
	fmt.Fprintf(w, "connections opened\t%d\n", r.Connections)
	w.Flush()
	_, err := out.Write(b.Bytes())
	return err
}
