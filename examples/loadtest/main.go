// Loadtest issues JWTs signed by a KMS key as fast as asked, verifies every one,
// and says what came of it: throughput, latency, errors by kind, KMS calls per
// token and connections opened.
//
// Without -key it signs with a fake KMS that runs inside the program and is reached
// through the real SDK client over TLS; -latency and -faults make the fake slow and
// unreliable. Program and fake share the processor, so its throughput is that of
// both. With -key it uses the ordinary AWS configuration, and every token costs
// money and counts against the quota of the account: it says how much, and goes on
// only with -yes.
//
//	go -C examples run ./loadtest
//	go -C examples run ./loadtest -concurrency 64 -rate 640 -burst 64 -default-client
//	go -C examples run ./loadtest -faults throttle=5%,500=5%,reset=1% -svg latency.svg
//	go -C examples run ./loadtest -key alias/token-signing -rate 20 -duration 10s -yes
//
// The latency of a token is that of issuing it, retries included. With -rate it
// counts from the moment the token was due, so that waiting for a free place among
// -concurrency is part of it.
//
// The table, or with -json the same as JSON, goes to standard output, and what goes
// wrong to standard error. The first interrupt ends the run early. The exit status
// is 0; 2 for a wrong command line or a -key without -yes; and 1 for any other
// failure: a token that does not verify, or one that was not issued, unless -faults
// asked for such.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms"
)

// algs has every -alg, and the key that the fake KMS makes for it.
var algs = []struct {
	method *jwtkms.SigningMethod
	spec   types.KeySpec
}{
	{jwtkms.ES256, types.KeySpecEccNistP256},
	{jwtkms.ES384, types.KeySpecEccNistP384},
	{jwtkms.ES512, types.KeySpecEccNistP521},
	{jwtkms.ES256K, types.KeySpecEccSecgP256k1},
	{jwtkms.RS256, types.KeySpecRsa2048},
	{jwtkms.RS384, types.KeySpecRsa2048},
	{jwtkms.RS512, types.KeySpecRsa2048},
	{jwtkms.PS256, types.KeySpecRsa2048},
	{jwtkms.PS384, types.KeySpecRsa2048},
	{jwtkms.PS512, types.KeySpecRsa2048},
	{jwtkms.EdDSA, types.KeySpecEccNistEdwards25519},
	{jwtkms.Ed25519, types.KeySpecEccNistEdwards25519},
	{jwtkms.MLDSA44, types.KeySpecMlDsa44},
	{jwtkms.MLDSA65, types.KeySpecMlDsa65},
	{jwtkms.MLDSA87, types.KeySpecMlDsa87},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// request is what the command line asks for.
type request struct {
	key      string
	yes      bool
	method   *jwtkms.SigningMethod // nil: what the key calls for
	timeout  time.Duration
	attempts int // 0: as configured

	concurrency int
	rate        float64 // 0: as fast as possible
	burst       int     // that many are due at the same time
	duration    time.Duration
	tokens      int

	latency       time.Duration
	faults        schedule
	defaultClient bool

	json bool
	svg  string
}

// most is the number of tokens that the run cannot exceed.
func (r request) most() int {
	if r.rate == 0 {
		return r.tokens
	}
	bursts := math.Ceil(r.rate * r.duration.Seconds() / float64(r.burst))
	return int(min(float64(r.tokens), bursts*float64(r.burst)))
}

// errUsage stands for an error that the flag package has reported already.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	req, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return 2
	}
	if req.key != "" {
		fmt.Fprintf(stderr, "loadtest: %s\n", price(req.most()))
		if !req.yes {
			fmt.Fprintln(stderr, "loadtest: nothing was done; -yes starts it")
			return 2
		}
	}
	fail := func(err error) int {
		// Joined errors span lines; here they share one.
		fmt.Fprintf(stderr, "loadtest: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	issuer, err := open(ctx, req)
	if err != nil {
		return fail(err)
	}
	defer issuer.close()
	res := issuer.drive(ctx, req, progress(stderr))
	if err := res.write(stdout, req.json); err != nil {
		return fail(err)
	}
	if req.svg != "" {
		if err := os.WriteFile(req.svg, res.plot(), 0o644); err != nil {
			return fail(fmt.Errorf("-svg: %w", err))
		}
	}
	if res.unverified > 0 {
		return fail(fmt.Errorf("%d tokens do not verify; the first: %w", res.unverified, res.firstErr))
	}
	if res.Failed > 0 && len(req.faults.shares) == 0 {
		return fail(fmt.Errorf("%d of %d tokens were not issued; the first: %w", res.Failed, res.Tried, res.firstErr))
	}
	return 0
}

// price says what signatures with a key in AWS cost.
func price(signatures int) string {
	n := float64(signatures) / 10_000
	return fmt.Sprintf("up to %d signatures, and as many requests again for each that the SDK has to repeat: "+
		"about USD %.4f, or %.4f with an RSA_2048 key, by the prices of 0.15 and 0.03 for 10,000 requests that "+
		"https://aws.amazon.com/kms/pricing/ had when this was written; they may have changed, and ML-DSA has its own",
		signatures, 0.15*n, 0.03*n)
}

func parse(args []string, stderr io.Writer) (request, error) {
	var req request
	flags := flag.NewFlagSet("loadtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&req.key, "key", "", "key `ID`, key ARN, alias name or alias ARN; none: a key on the embedded fake KMS")
	flags.BoolVar(&req.yes, "yes", false, "with -key: go on, at the cost that is named")
	alg := flags.String("alg", "", "JWT `algorithm`: "+strings.Join(algNames(), ", ")+" (default: what the key calls for; ES256 on the fake)")
	flags.IntVar(&req.concurrency, "concurrency", 32, "how many tokens to work on at a time")
	flags.Float64Var(&req.rate, "rate", 0, "tokens per second; 0: as fast as possible")
	flags.IntVar(&req.burst, "burst", 1, "with -rate: this `number` of tokens are due together, at the same rate")
	flags.DurationVar(&req.duration, "duration", 3*time.Second, "begin no token after this `time`")
	flags.IntVar(&req.tokens, "tokens", 10_000, "begin no more than this `number` of tokens")
	flags.DurationVar(&req.timeout, "timeout", 10*time.Second, "give up a token after this `time`, retries included")
	flags.IntVar(&req.attempts, "attempts", 0, "how often the SDK tries a call; 0: as configured, which is 3 unless it was changed")
	flags.DurationVar(&req.latency, "latency", 5*time.Millisecond, "how long the fake waits before it signs")
	faults := flags.String("faults", "", "what the fake does wrong, as a `list` like throttle=5%,500=5%,reset=1%; the kinds are "+strings.Join(faultNames(), ", "))
	seed := flags.Uint64("seed", 1, "which calls -faults hits: the same ones for the same seed")
	flags.BoolVar(&req.defaultClient, "default-client", false, "leave the SDK's HTTP client at its 10 idle connections instead of -concurrency")
	flags.BoolVar(&req.json, "json", false, "write JSON instead of a table")
	flags.StringVar(&req.svg, "svg", "", "`file` to write a plot of the latencies to")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return req, err
		}
		return req, errUsage
	}
	if flags.NArg() > 0 {
		return req, fmt.Errorf("unexpected argument %q; the flags are listed by -h", flags.Arg(0))
	}
	var wrong error
	flags.Visit(func(f *flag.Flag) {
		switch {
		case f.Value.String() == "":
			// -key "$KEY" with KEY unset must not sign something else with another key.
			wrong = fmt.Errorf("-%s is empty; leave it out for its default", f.Name)
		case req.key != "" && (f.Name == "latency" || f.Name == "faults" || f.Name == "seed"):
			wrong = fmt.Errorf("-%s is for the fake, and -key names another KMS", f.Name)
		}
	})
	switch {
	case wrong != nil:
		return req, wrong
	case req.concurrency < 1 || req.concurrency > 10_000:
		return req, fmt.Errorf("-concurrency is %d, want 1 to 10000", req.concurrency)
	case !(req.rate == 0 || req.rate >= 0.001 && req.rate <= 1e6):
		return req, fmt.Errorf("-rate is %v, want 0 or 0.001 to 1000000", req.rate)
	case req.burst < 1 || req.burst > 1 && req.rate == 0:
		return req, fmt.Errorf("-burst is %d, want 1 or, with -rate, more", req.burst)
	case req.duration <= 0:
		return req, fmt.Errorf("-duration is %v, want more than 0", req.duration)
	case req.tokens < 1 || req.tokens > 1_000_000:
		return req, fmt.Errorf("-tokens is %d, want 1 to 1000000", req.tokens)
	case req.timeout <= 0:
		return req, fmt.Errorf("-timeout is %v, want more than 0", req.timeout)
	case req.attempts < 0 || req.attempts > 100:
		return req, fmt.Errorf("-attempts is %d, want 0 to 100", req.attempts)
	case req.latency < 0:
		return req, fmt.Errorf("-latency is %v, want 0 or more", req.latency)
	}
	var err error
	if req.faults, err = parseFaults(*faults, *seed); err != nil {
		return req, err
	}
	if *alg == "" {
		return req, nil
	}
	for _, a := range algs {
		if a.method.Alg() == *alg {
			req.method = a.method
			return req, nil
		}
	}
	return req, fmt.Errorf("unknown -alg %q, want one of %s", *alg, strings.Join(algNames(), ", "))
}

func algNames() []string {
	var names []string
	for _, a := range algs {
		names = append(names, a.method.Alg())
	}
	return names
}

// progress returns what shows one line of progress on a terminal, or nil.
func progress(stderr io.Writer) func(line string) {
	f, ok := stderr.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(line string) { fmt.Fprintf(f, "\r%s\x1b[K", line) }
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
	for _, kind := range sorted(r.Errors) {
		fmt.Fprintf(w, "  %s\t%d\n", kind, r.Errors[kind])
	}
	if r.Interrupted > 0 {
		fmt.Fprintf(w, "interrupted\t%d\n", r.Interrupted)
	}
	fmt.Fprintf(w, "throughput\t%.1f tokens a second, for %.2f s\n", r.PerSecond, r.Seconds)
	fmt.Fprintf(w, "latency p50\t%.1f ms\n", r.Latency.P50)
	fmt.Fprintf(w, "latency p95\t%.1f ms\n", r.Latency.P95)
	fmt.Fprintf(w, "latency p99\t%.1f ms\n", r.Latency.P99)
	fmt.Fprintf(w, "latency max\t%.1f ms\n", r.Latency.Max)
	fmt.Fprintf(w, "KMS calls\t%d, %.3f for each token\n", r.Calls, r.CallsPerToken)
	for _, kind := range sorted(r.Faults) {
		fmt.Fprintf(w, "  hit by %s\t%d\n", kind, r.Faults[kind])
	}
	fmt.Fprintf(w, "connections opened\t%d\n", r.Connections)
	w.Flush()
	_, err := out.Write(b.Bytes())
	return err
}
