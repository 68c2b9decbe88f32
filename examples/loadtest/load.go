package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// issuer issues the tokens of a load test and verifies them.
type issuer struct {
	arn    string
	alg    string
	issue  func(ctx context.Context) (token string, err error)
	verify func(token string) error
	close  func()

	wire *wire
	idle int
	hits []int // schedule.hits of the faults; nil: none
}

// wire counts calls and connections.
type wire struct{ calls, connections atomic.Int64 }

// newHTTPClient returns an HTTP client that counts in w the connections that it
// opens. It is sized for the concurrency, or with -default-client the SDK's
// own. idle is the number of idle connections that it keeps.
func newHTTPClient(w *wire, req request, roots *x509.CertPool) (client *awshttp.BuildableClient, idle int) {
	client = kmsclient.NewHTTP(req.concurrency)
	if req.defaultClient {
		client = awshttp.NewBuildableClient()
	}
	client = client.WithTransportOptions(func(t *http.Transport) {
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			w.connections.Add(1)
			return dial(ctx, network, address)
		}
		if roots != nil {
			t.TLSClientConfig.RootCAs = roots
		}
	})
	return client, client.GetTransport().MaxIdleConnsPerHost
}

// countCalls makes a client count in w each attempt of each call.
func countCalls(w *wire) func(*kms.Options) {
	return func(o *kms.Options) { o.HTTPClient = countedClient{o.HTTPClient, w} }
}

type countedClient struct {
	kms.HTTPClient
	wire *wire
}

func (c countedClient) Do(r *http.Request) (*http.Response, error) {
	c.wire.calls.Add(1)
	return c.HTTPClient.Do(r)
}

// open returns the issuer that the command line asks for.
func open(ctx context.Context, req request) (*issuer, error) {
	// golang-jwt's parser does not know all of the algorithms.
	if err := jwtkms.Register(); err != nil {
		return nil, err
	}
	is := &issuer{wire: &wire{}}
	if req.key == "" {
		return is, is.openFake(ctx, req)
	}
	return is, is.openKey(ctx, req)
}

// credentials are an example from the AWS documentation. Only the fake of this
// program accepts them.
var credentials = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}

// openFake starts a fake KMS and opens a new key on it. The fake speaks TLS, as
// KMS does, so that opening a connection costs what it costs with KMS.
func (is *issuer) openFake(ctx context.Context, req request) error {
	const region = "us-east-1"
	fake := kmstest.New(func(o *kmstest.Options) { o.Region, o.Credentials = region, credentials })
	server := httptest.NewUnstartedServer(fake)
	serving, stop := context.WithCancel(context.Background())
	server.Config.BaseContext = func(net.Listener) context.Context { return serving }
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report connections that -timeout and -faults close
	server.StartTLS()
	is.close = func() {
		stop() // ends the requests that a fault has left hanging
		server.Close()
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	httpClient, idle := newHTTPClient(is.wire, req, roots)
	is.idle = idle
	cfg := aws.Config{
		Region:           region,
		BaseEndpoint:     aws.String(server.URL),
		Credentials:      aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
		HTTPClient:       httpClient,
		RetryMaxAttempts: req.attempts,
	}
	if err := is.ready(ctx, req, cfg, fake.AddKey(algs.SpecFor(req.method))); err != nil {
		is.close()
		return err
	}
	// All calls after this are Sign calls.
	if req.latency > 0 {
		fake.Inject(kmstest.Match{}, kmstest.Delay(req.latency))
	}
	if len(req.faults.shares) > 0 {
		attempts := req.attempts
		if attempts == 0 {
			attempts = 3
		}
		is.hits = req.faults.hits(req.most() * attempts)
		inject(fake, is.hits)
	}
	return nil
}

// openKey opens the key that -key names.
func (is *issuer) openKey(ctx context.Context, req request) error {
	is.close = func() {}
	httpClient, idle := newHTTPClient(is.wire, req, nil)
	is.idle = idle
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient)}
	if req.attempts > 0 {
		options = append(options, config.WithRetryMaxAttempts(req.attempts))
	}
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(req.key), "give -key an ARN", options...)
	if err != nil {
		return err
	}
	is.wire.connections.Store(0) // without those to other services, for the credentials
	return is.ready(ctx, req, cfg, req.key)
}

// ready makes the Signer, which makes the first call.
func (is *issuer) ready(ctx context.Context, req request, cfg aws.Config, keyID string) error {
	start, cancel := context.WithTimeout(ctx, req.timeout)
	defer cancel()
	signer, err := kmssigner.New(start, kms.NewFromConfig(cfg, countCalls(is.wire)), keyID)
	if err != nil {
		return err
	}
	method := req.method
	if method == nil {
		if method, err = jwtkms.MethodFor(signer.Public()); err != nil {
			return err
		}
	}
	jwk, err := method.JWK(signer.Public())
	if err != nil {
		return err
	}
	is.arn, is.alg = signer.KeyARN(), method.Alg()
	is.issue = func(ctx context.Context) (string, error) {
		now := time.Now()
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": "https://issuer.example",
			"sub": "alice",
			"iat": now.Unix(),
			"exp": now.Add(time.Hour).Unix(),
		})
		token.Header["kid"] = jwk.Kid
		return token.SignedString(signer.WithContext(ctx))
	}
	is.verify = verifier(method, signer.Public())
	is.wire.calls.Store(0)
	return nil
}

// verifier returns a function that verifies a token as its receiver would, who
// knows the key and the algorithm to expect.
func verifier(method *jwtkms.SigningMethod, public crypto.PublicKey) func(string) error {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}))
	return func(token string) error {
		_, err := parser.Parse(token, func(*jwt.Token) (any, error) { return public, nil })
		return err
	}
}

// result is the result of a load test.
type result struct {
	Key             string         `json:"key"`
	Alg             string         `json:"alg"`
	Concurrency     int            `json:"concurrency"`
	IdleConnections int            `json:"idle_connections_kept"`
	Tried           int            `json:"tokens_tried"`
	Issued          int            `json:"tokens_issued"` // and verified
	Failed          int            `json:"tokens_failed"`
	Errors          map[string]int `json:"errors"` // by kind; their sum is Failed
	Interrupted     int            `json:"tokens_interrupted"`
	Seconds         float64        `json:"seconds"`
	PerSecond       float64        `json:"tokens_per_second"`
	Latency         *percentiles   `json:"latency_ms"`                   // of the tokens issued; nil if no token was issued
	Calls           int            `json:"kms_calls"`                    // Sign calls, retries included
	CallsPerToken   float64        `json:"kms_calls_per_token,omitzero"` // of the tokens tried
	Faults          map[string]int `json:"faults"`                       // of the calls, by kind of -faults
	Connections     int            `json:"connections_opened"`

	latencies  []time.Duration // sorted
	unverified int             // of Failed
	firstErr   error
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// drive issues and verifies tokens until the limits of req are reached or ctx
// ends. It finishes the tokens that are under way when the duration is over,
// and gives them up when ctx ends. If show is not nil, drive calls it with a
// line that reports the progress, and at the end with an empty one.
func (is *issuer) drive(ctx context.Context, req request, show func(line string)) *result {
	res := &result{
		Key: is.arn, Alg: is.alg, Concurrency: req.concurrency, IdleConnections: is.idle,
		Errors: map[string]int{},
	}
	var (
		next, issued, failed atomic.Int64
		mu                   sync.Mutex // guards res
		wg                   sync.WaitGroup
	)
	start := time.Now()
	end := start.Add(req.duration)
	worker := func() {
		for {
			number := next.Add(1) - 1
			due := time.Now()
			if req.rate > 0 {
				first := number - number%int64(req.burst)
				due = start.Add(time.Duration(float64(first) / req.rate * float64(time.Second)))
			}
			if number >= int64(req.tokens) || !due.Before(end) || !sleepUntil(ctx, due) || !time.Now().Before(end) {
				return
			}
			token, err := is.issueWithin(ctx, req.timeout)
			took := time.Since(due)
			interrupted := err != nil && ctx.Err() != nil
			var bad error
			if err == nil {
				bad = is.verify(token)
			}
			mu.Lock()
			res.Tried++
			switch {
			case interrupted:
				res.Interrupted++
			case err != nil:
				res.Errors[kind(err)]++
				if res.firstErr == nil {
					res.firstErr = err
				}
				failed.Add(1)
			case bad != nil:
				res.Errors["does not verify"]++
				if res.unverified == 0 {
					res.firstErr = bad
				}
				res.unverified++
				failed.Add(1)
			default:
				res.latencies = append(res.latencies, took)
				issued.Add(1)
			}
			mu.Unlock()
		}
	}
	for range req.concurrency {
		wg.Go(worker)
	}
	done := make(chan struct{})
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		if show == nil {
			return
		}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				show("")
				return
			case now := <-tick.C:
				passed := now.Sub(start)
				show(fmt.Sprintf("%.0f/%.0f s: %d tokens, %.0f a second, %d failed, %d connections", passed.Seconds(), req.duration.Seconds(),
					issued.Load(), float64(issued.Load())/passed.Seconds(), failed.Load(), is.wire.connections.Load()))
			}
		}
	}()
	wg.Wait()
	elapsed := time.Since(start)
	close(done)
	<-shown

	res.Issued, res.Failed = int(issued.Load()), int(failed.Load())
	res.Seconds = elapsed.Seconds()
	res.PerSecond = float64(res.Issued) / res.Seconds
	slices.Sort(res.latencies)
	if len(res.latencies) > 0 {
		res.Latency = &percentiles{res.percentile(50), res.percentile(95), res.percentile(99), res.percentile(100)}
	}
	res.Calls, res.Connections = int(is.wire.calls.Load()), int(is.wire.connections.Load())
	if res.Tried > 0 {
		res.CallsPerToken = float64(res.Calls) / float64(res.Tried)
	}
	res.Faults = counted(is.hits, res.Calls)
	return res
}

func (is *issuer) issueWithin(ctx context.Context, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return is.issue(ctx)
}

// sleepUntil reports whether t came before ctx ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// percentile returns, in milliseconds, the latency that p percent of the tokens
// did not exceed, by the nearest rank. At least one token must have been
// issued.
func (r *result) percentile(p float64) float64 {
	rank := int(math.Ceil(p / 100 * float64(len(r.latencies))))
	return ms(r.latencies[max(rank, 1)-1])
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// kind returns the name under which err is counted.
func kind(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline exceeded"
	case errors.Is(err, kmssigner.ErrBadSignature):
		return "bad signature, withheld"
	case errors.Is(err, kmssigner.ErrKeyChanged):
		return "key changed"
	}
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	switch {
	case errors.As(err, &api) && api.ErrorCode() != "" && api.ErrorCode() != "UnknownError":
		return api.ErrorCode()
	case errors.As(err, &response) && response.HTTPStatusCode() >= 300:
		return fmt.Sprintf("HTTP status %d", response.HTTPStatusCode())
	case errors.As(err, new(*smithyhttp.RequestSendError)):
		return "connection failed"
	case errors.As(err, &response):
		return "broken answer"
	}
	return "other"
}
