package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// invoke runs the program.
func invoke(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), "loadtest", run, args, cli.Stdio{Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

// measured runs the program with -json, which must succeed.
func measured(t *testing.T, args ...string) result {
	t.Helper()
	args = append([]string{"-json", "-latency", "0"}, args...)
	if slices.Contains(args, "-key") {
		args = slices.Delete(args, 1, 3)
	}
	status, stdout, stderr := invoke(t, args...)
	if status != 0 {
		t.Fatalf("loadtest %q: status %d\n%s", args, status, stderr)
	}
	var res result
	dec := json.NewDecoder(strings.NewReader(stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&res); err != nil {
		t.Fatalf("loadtest %q: %v in:\n%s", args, err, stdout)
	}
	addsUp(t, &res)
	return res
}

func addsUp(t *testing.T, res *result) {
	t.Helper()
	errs := 0
	for _, n := range res.Errors {
		errs += n
	}
	if res.Tried != res.Issued+res.Failed+res.Interrupted || res.Failed != errs {
		t.Errorf("%d tried, %d issued, %d failed, %d interrupted, %v", res.Tried, res.Issued, res.Failed, res.Interrupted, res.Errors)
	}
	if (res.Latency == nil) != (res.Issued == 0) {
		t.Errorf("%d issued, latencies %+v", res.Issued, res.Latency)
	}
	if l := res.Latency; l != nil && (l.P50 > l.P95 || l.P95 > l.P99 || l.P99 > l.Max) {
		t.Errorf("latencies %+v", l)
	}
}

func TestEveryAlg(t *testing.T) {
	for _, a := range algs {
		res := measured(t, "-alg", a.Method.Alg(), "-tokens", "4", "-concurrency", "2", "-duration", "1m")
		if res.Issued != 4 || res.Calls != 4 || res.CallsPerToken != 1 || res.Alg != a.Method.Alg() {
			t.Errorf("%+v, want 4 tokens of %s", res, a.Method.Alg())
		}
	}
}

func TestBounds(t *testing.T) {
	if res := measured(t, "-tokens", "100", "-duration", "1m", "-concurrency", "8"); res.Issued != 100 || res.Connections < 1 || res.IdleConnections != 10 {
		t.Errorf("%+v, want 100 tokens", res)
	}
	// As many tokens as are due before the end, which a slow machine may miss
	// by some.
	res := measured(t, "-rate", "100", "-duration", "200ms", "-concurrency", "4")
	if res.Issued < 1 || res.Issued > 20 {
		t.Errorf("%d tokens at 100 a second in 200 ms", res.Issued)
	}
	res = measured(t, "-rate", "100", "-burst", "16", "-duration", "200ms", "-concurrency", "16")
	if res.Issued < 1 || res.Issued > 32 {
		t.Errorf("%d tokens in bursts of 16 at 100 a second in 200 ms", res.Issued)
	}
}

func TestIdleConnections(t *testing.T) {
	for want, args := range map[int][]string{
		64: {"-concurrency", "64"},
		10: {"-concurrency", "64", "-default-client"},
	} {
		if res := measured(t, append(args, "-tokens", "64")...); res.IdleConnections != want || res.Connections < 1 {
			t.Errorf("%q: %d kept and %d opened, want %d kept", args, res.IdleConnections, res.Connections, want)
		}
	}
}

// The table has the figures of the JSON.
func TestTable(t *testing.T) {
	status, stdout, stderr := invoke(t, "-tokens", "50", "-latency", "0", "-duration", "1m")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	for _, want := range []string{
		"key                    arn:aws:kms:us-east-1:111122223333:key/",
		"alg                    ES256\n",
		"concurrency            32\n",
		"idle connections kept  32\n",
		"tokens tried           50\n",
		"issued and verified    50\n",
		"failed                 0\n",
		" tokens a second, for ",
		"latency p50            ", "latency p95            ", "latency p99            ", "latency max            ",
		"KMS calls              50, 1.000 for each token\n",
		"connections opened     ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("standard output lacks %q:\n%s", want, stdout)
		}
	}
	if !regexp.MustCompile(`^(\S[^\n]{21} \S[^\n]*\n)+$`).MatchString(stdout) {
		t.Errorf("not aligned:\n%s", stdout)
	}
}

// With one attempt for a call every fault is an error, of its own kind.
func TestFaults(t *testing.T) {
	faults := "throttle=10%,500=10%,503=5%,reset=5%,cut=5%,corrupt=10%"
	args := []string{"-tokens", "300", "-duration", "1m", "-attempts", "1", "-latency", "3ms", "-faults", faults}
	res := measured(t, args...)
	want := map[string]int{
		"ThrottlingException":     res.Faults["throttle"],
		"KMSInternalException":    res.Faults["500"],
		"HTTP status 503":         res.Faults["503"],
		"connection failed":       res.Faults["reset"],
		"broken answer":           res.Faults["cut"],
		"bad signature, withheld": res.Faults["corrupt"],
	}
	if !maps.Equal(res.Errors, want) || len(res.Faults) != 6 || res.Calls != 300 || res.Issued+res.Failed != 300 {
		t.Errorf("errors %v of %d calls, want %v", res.Errors, res.Calls, want)
	}
	if again := measured(t, args...); !maps.Equal(again.Faults, res.Faults) {
		t.Errorf("faults %v and then, with the same seed, %v", res.Faults, again.Faults)
	}
}

// opened returns what the program makes of its arguments before the run.
func opened(t *testing.T, args ...string) (request, *issuer) {
	t.Helper()
	req, err := parse(args, cli.Stdio{Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	is, err := open(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.close)
	return req, is
}

// A token that is not issued within -timeout is given up.
func TestTimeout(t *testing.T) {
	req, is := opened(t, "-tokens", "4", "-attempts", "1", "-faults", "hang=100%", "-duration", "1m")
	req.timeout = 20 * time.Millisecond // but not for open, which may take longer
	res := is.drive(t.Context(), req, nil)
	addsUp(t, res)
	if res.Errors["deadline exceeded"] != 4 || res.Issued != 0 {
		t.Errorf("%+v, want nothing but deadlines", res)
	}
}

// The SDK tries again, which costs calls and no tokens.
func TestRetries(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	fake.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Reset())
	res := measured(t, "-key", key, "-yes", "-tokens", "5", "-attempts", "3", "-duration", "1m")
	if res.Issued != 5 || res.Calls != 6 || fake.Calls("Sign") != 6 {
		t.Errorf("%d tokens with %d calls, of which KMS saw %d; want 5 with 6", res.Issued, res.Calls, fake.Calls("Sign"))
	}
}

func TestScheduleShares(t *testing.T) {
	s, err := parseFaults("throttle=5%,reset=0.5%", 7)
	if err != nil {
		t.Fatal(err)
	}
	hits := s.hits(100_000)
	count := counted(hits, len(hits))
	if n := count["throttle"]; n < 4500 || n > 5500 {
		t.Errorf("%d of 100000 calls are throttled, want 5 %%", n)
	}
	if n := count["reset"]; n < 400 || n > 600 || len(count) != 2 {
		t.Errorf("%d of 100000 calls are reset, want 0.5 %%; all: %v", n, count)
	}
	if !slices.Equal(hits, s.hits(100_000)) {
		t.Error("the same seed makes two schedules")
	}
	s.seed++
	if slices.Equal(hits, s.hits(100_000)) {
		t.Error("another seed makes the same schedule")
	}
}

// A real key costs money: nothing happens without a yes.
func TestKeyAsksFirst(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecRsa2048)
	status, stdout, stderr := invoke(t, "-key", key, "-tokens", "20000")
	if status != 2 || stdout != "" || fake.Calls("") != 0 {
		t.Errorf("status %d, standard output %q, %d calls", status, stdout, fake.Calls(""))
	}
	for _, want := range []string{"up to 20000 signatures", "cost about USD 0.3000, or about USD 0.0600 with", "may have changed", "nothing was signed, because -yes is not given"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("standard error lacks %q:\n%s", want, stderr)
		}
	}
	// A few tokens cost something, too.
	if _, _, stderr := invoke(t, "-key", key, "-rate", "3", "-duration", "1500ms"); !strings.Contains(stderr, "up to 5 signatures cost less than USD 0.0001, or less than USD 0.0001 with") {
		t.Errorf("standard error: %s", stderr)
	}
	if res := measured(t, "-key", key, "-yes", "-tokens", "5"); res.Issued != 5 || res.Alg != "RS256" || fake.Calls("Sign") != 5 {
		t.Errorf("%+v with %d Sign calls", res, fake.Calls("Sign"))
	}
}

// Failures of a KMS that nobody asked for are the program's.
func TestKeyFails(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := invoke(t, "-key", key, "-yes", "-tokens", "3")
	if status != 1 || !strings.Contains(stdout, "  DisabledException    3\n") || !strings.Contains(stderr, "loadtest: 3 of 3 tokens were not issued; the first: ") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	fails(t, "NotFoundException", 1, "-key", "alias/none", "-yes")
	fails(t, "RS256 wants an RSA key", 1, "-key", key, "-yes", "-alg", "RS256")
	os.Unsetenv("AWS_REGION")
	fails(t, "no AWS Region", 1, "-key", key, "-yes")
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	os.Unsetenv("AWS_SECRET_ACCESS_KEY")
	fails(t, "no AWS credentials", 1, "-key", "arn:aws:kms:us-east-1:111122223333:key/"+key, "-yes")
}

// fails runs the program, which must end with a clear last line and no output.
func fails(t *testing.T, want string, status int, args ...string) {
	t.Helper()
	got, stdout, stderr := invoke(t, args...)
	if got != status || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("loadtest %q: status %d, standard output %q, want status %d and %q in standard error:\n%s", args, got, stdout, status, want, stderr)
	}
}

func TestWrongUsage(t *testing.T) {
	if status, stdout, stderr := invoke(t, "-h"); status != 0 || stderr != "" || !strings.HasPrefix(stdout, "Loadtest issues JWTs") || !strings.Contains(stdout, "Usage of loadtest:") {
		t.Errorf("-h: status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
	fails(t, "-yes is for -key", 2, "-yes")
	fails(t, "-seed is for -faults", 2, "-seed", "1")
	fails(t, "flag provided but not defined: -nonsense", 2, "-nonsense")
	fails(t, `unexpected argument "extra"`, 2, "extra")
	fails(t, "-key is empty; leave it out for its default", 2, "-key", "")
	fails(t, `unknown -alg "HS256", want one of ES256, `, 2, "-alg", "HS256")
	fails(t, "-concurrency is 0, want 1 to 10000", 2, "-concurrency", "0")
	fails(t, "-rate is -1", 2, "-rate", "-1")
	fails(t, "-rate is NaN", 2, "-rate", "NaN")
	fails(t, "-burst is 8, want 1, or more with -rate", 2, "-burst", "8")
	fails(t, "-duration is 0s", 2, "-duration", "0")
	fails(t, "-tokens is 0", 2, "-tokens", "0")
	fails(t, "-timeout is -1s", 2, "-timeout", "-1s")
	fails(t, "-attempts is -1", 2, "-attempts", "-1")
	fails(t, "-latency is -1s", 2, "-latency", "-1s")
	fails(t, "-seed is for the embedded fake KMS, and -key is given", 2, "-key", "alias/a", "-seed", "2")
	fails(t, "-faults is for the embedded fake KMS", 2, "-faults", "reset=1%", "-key", "alias/a")
	for _, text := range []string{"reset", "reset=1", "reset=x%", "reset=0%", "reset=NaN%", "reset=101%", "reset=1%,"} {
		fails(t, "want a kind and its share, such as throttle=5%", 2, "-faults", text)
	}
	fails(t, `-faults has the kind "flood", want one of throttle, 500, `, 2, "-faults", "flood=1%")
	fails(t, "-faults has reset twice", 2, "-faults", "reset=1%,reset=2%")
	fails(t, "-faults has 110% of all calls", 2, "-faults", "reset=50%,500=60%")
}

// The plot and the result do not go to the same file.
func TestOneStandardOutput(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, args := range [][]string{{"-json", "-svg", file.Name()}, {"-svg", file.Name()}} {
		var errs bytes.Buffer
		status := cli.Run(t.Context(), "loadtest", run, append(args, "-tokens", "1"), cli.Stdio{Out: file, Err: &errs})
		if status != 2 || !strings.Contains(errs.String(), "which is also standard output, want another file") {
			t.Errorf("%q: status %d, standard error %q", args, status, &errs)
		}
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

func TestTokenThatDoesNotVerify(t *testing.T) {
	req, is := opened(t, "-tokens", "40", "-concurrency", "4", "-duration", "1m", "-latency", "0")
	issue := is.issue
	var n atomic.Int64
	is.issue = func(ctx context.Context) (string, error) {
		token, err := issue(ctx)
		if n.Add(1) == 7 { // replace the first character of the signature, A by B and B by A
			at := strings.LastIndex(token, ".") + 1
			token = token[:at] + string('A'+token[at]%2) + token[at+1:]
		}
		return token, err
	}
	res := is.drive(t.Context(), req, nil)
	addsUp(t, res)
	if res.Issued != 39 || res.unverified != 1 || res.Errors["does not verify"] != 1 || !errors.Is(res.firstErr, jwt.ErrTokenSignatureInvalid) {
		t.Errorf("%+v, want one token that does not verify", res)
	}
}

// An interrupt leaves a table of what was done, and is not a failure.
func TestInterrupt(t *testing.T) {
	fake := awsenv.Serve(t)
	key := fake.AddKey(types.KeySpecEccNistP256)
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
	arrived := make(chan struct{}, 3)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "TrentService.Sign" {
			arrived <- struct{}{}
		}
		fake.ServeHTTP(w, r)
	}))
	defer front.Close()
	t.Setenv("AWS_ENDPOINT_URL_KMS", front.URL)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	status := make(chan int)
	go func() {
		args := []string{"-key", key, "-yes", "-json", "-timeout", "2h", "-duration", "1h", "-concurrency", "3"}
		status <- cli.Run(ctx, "loadtest", run, args, cli.Stdio{Out: &out, Err: &errs})
	}()
	for range 3 {
		<-arrived
	}
	cancel()
	if got := <-status; got != 0 {
		t.Fatalf("status %d\n%s%s", got, &out, &errs)
	}
	var res result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil {
		t.Fatal(err)
	}
	addsUp(t, &res)
	if res.Interrupted != 3 || res.Tried != 3 {
		t.Errorf("%+v, want 3 tokens, all interrupted", res)
	}
}

func TestProgress(t *testing.T) {
	req, is := opened(t, "-rate", "20", "-duration", "500ms", "-latency", "0")
	var lines []string
	is.drive(t.Context(), req, func(line string) { lines = append(lines, line) })
	if len(lines) == 0 || lines[len(lines)-1] != "" {
		t.Errorf("lines %q, want the last one cleared", lines)
	}
}

func TestSVG(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.svg")
	measured(t, "-tokens", "500", "-svg", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, data)
	if !strings.Contains(string(data), "Latency of 500 ES256 tokens, 32 at a time") || len(data) > 20_000 {
		t.Errorf("%d bytes:\n%.1000s", len(data), data)
	}
	for _, n := range []int{0, 1, 2, 199, 200, 20_001} {
		for _, spread := range []time.Duration{0, time.Nanosecond, time.Hour} {
			res := &result{Issued: n}
			for i := range n {
				res.latencies = append(res.latencies, time.Duration(i)*spread)
			}
			if n > 0 {
				res.Latency = &percentiles{res.percentile(50), res.percentile(95), res.percentile(99), res.percentile(100)}
			}
			wellFormed(t, res.plot())
		}
	}
	fails(t, "loadtest: -svg: ", 1, "-tokens", "1", "-svg", filepath.Join(file, "none"))
}

// There is no latency without a token, and a plot is not left unfinished.
func TestNoToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latency.svg")
	status, stdout, stderr := invoke(t, "-tokens", "2", "-attempts", "1", "-faults", "500=100%", "-svg", file)
	if status != 0 || strings.Contains(stdout, "latency") || !strings.Contains(stdout, "issued and verified     0\n") {
		t.Errorf("status %d, standard error %q, standard output:\n%s", status, stderr, stdout)
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), "no token was issued") {
		t.Errorf("%v, %s", err, data)
	}
	_, stdout, _ = invoke(t, "-tokens", "2", "-attempts", "1", "-faults", "500=100%", "-json")
	if !strings.Contains(stdout, `"latency_ms": null`) {
		t.Errorf("JSON:\n%s", stdout)
	}
}

// wellFormed checks that data is XML and that what is drawn lies on the paper.
func wellFormed(t *testing.T, data []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader(data))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in:\n%.2000s", err, data)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range start.Attr {
			if a.Name.Local != "d" {
				continue
			}
			for point := range strings.FieldsFuncSeq(a.Value, func(r rune) bool { return r == 'M' || r == 'L' }) {
				var x, y float64
				if _, err := fmt.Sscan(point, &x, &y); err != nil || !(x >= 63 && x <= 697 && y >= 71 && y <= 345) {
					t.Fatalf("point %q of the path is off the plot", point)
				}
			}
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      []float64
	}{
		{6, 30, []float64{5, 10, 20, 50}},
		{5, 5, []float64{5, 10}},
		{0.3, 0.4, []float64{0.2, 0.5}},
		{0, 0, []float64{0.001, 0.002}},
	} {
		if got := logTicks(c.low, c.high); !slices.Equal(got, c.want) {
			t.Errorf("from %v to %v: %v, want %v", c.low, c.high, got, c.want)
		}
	}
	for _, tick := range logTicks(0, 1e6) {
		if text := strconv.FormatFloat(tick, 'f', -1, 64); len(text) > 7 {
			t.Errorf("a tick is labelled %s", text)
		}
	}
}

func TestPercentiles(t *testing.T) {
	res := new(result)
	for i := range 100 {
		res.latencies = append(res.latencies, time.Duration(i+1)*time.Millisecond)
	}
	for p, want := range map[float64]float64{1: 1, 50: 50, 95: 95, 99: 99, 100: 100} {
		if got := res.percentile(p); got != want {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
}
