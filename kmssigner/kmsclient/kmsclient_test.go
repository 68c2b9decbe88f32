package kmsclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const concurrency = 128

// endpoint is what a client must know of a server.
type endpoint struct {
	url, key    string
	roots       *x509.CertPool
	credentials aws.CredentialsProvider
}

// tlsServer is a fake behind TLS and HTTP/1.1 that counts the connections it accepts.
type tlsServer struct {
	endpoint
	conns atomic.Int64

	// all, if not nil, holds every call back until there are as many as it was made
	// for.
	all atomic.Pointer[sync.WaitGroup]
}

func newTLSServer(tb testing.TB, latency time.Duration) *tlsServer {
	tb.Helper()
	fake := kmstest.New()
	s := &tlsServer{endpoint: endpoint{
		key:         fake.AddKey(types.KeySpecEccNistP256),
		roots:       x509.NewCertPool(),
		credentials: serverCredentials(fake),
	}}
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(latency))
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if all := s.all.Load(); all != nil {
			all.Done()
			all.Wait()
		}
		fake.ServeHTTP(w, r)
	}))
	h.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	h.StartTLS()
	tb.Cleanup(h.Close)
	s.url = h.URL
	s.roots.AddCert(h.Certificate())
	return s
}

// signer is one whose calls go through httpClient, which will trust the server.
func (s *endpoint) signer(tb testing.TB, httpClient *awshttp.BuildableClient) *kmssigner.Signer {
	tb.Helper()
	httpClient = httpClient.WithTransportOptions(func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = s.roots })
	client := kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &s.url,
		HTTPClient:   httpClient,
		Retryer:      aws.NopRetryer{}, // a call is an attempt
		Credentials:  s.credentials,
	})
	signer, err := kmssigner.New(tb.Context(), client, s.key,
		func(o *kmssigner.Options) { o.SkipVerification, o.Timeout = true, time.Minute })
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// serverCredentials are those that the fake accepts.
func serverCredentials(fake *kmstest.KMS) aws.CredentialsProvider {
	server := kmstest.NewServer(fake)
	defer server.Close()
	return server.Config().Credentials
}

func sign(tb testing.TB, signer crypto.Signer) {
	if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
		tb.Error(err)
	}
}

// With 128 signatures at a time NewHTTP opens 128 connections once and no more. The
// rounds are in step, each call waits at the server until all 128 are there: so the
// number of connections does not hang on how goroutines are scheduled.
func TestSteadyConnections(t *testing.T) {
	const rounds = 5
	// The SDK closes the body of its request when the answer begins, and net/http drops
	// the connection if it has not seen the end of the body by then. A few milliseconds
	// are enough, but not on a machine that is very busy.
	const latency = 100 * time.Millisecond
	run := func(httpClient *awshttp.BuildableClient) int64 {
		s := newTLSServer(t, latency)
		signer := s.signer(t, httpClient)
		var before int64
		for round := range rounds + 1 {
			if round == 1 {
				before = s.conns.Load()
			}
			var all sync.WaitGroup
			all.Add(concurrency)
			s.all.Store(&all)
			var calls sync.WaitGroup
			for range concurrency {
				calls.Go(func() { sign(t, signer) })
			}
			calls.Wait()
		}
		if before < concurrency {
			t.Fatalf("%d connections after the first %d calls at once", before, concurrency)
		}
		return s.conns.Load() - before
	}
	if n := run(kmsclient.NewHTTP(concurrency)); n != 0 {
		t.Errorf("%d new connections in %d rounds of %d calls, want none", n, rounds, concurrency)
	}
	// The SDK's default keeps ten. If it did as well, the test would show nothing.
	if n := run(awshttp.NewBuildableClient()); n < rounds*(concurrency-10)/2 {
		t.Errorf("%d new connections with the SDK's default client: NewHTTP is not needed", n)
	}
}

// NewHTTP changes the numbers of idle connections and nothing else.
func TestNewHTTPChangesNothingElse(t *testing.T) {
	// The same way through the SDK's client, because copying a transport may
	// fill in fields.
	want := awshttp.NewBuildableClient().WithTransportOptions(func(*http.Transport) {}).GetTransport()
	for concurrency, perHost := range map[int]int{-1: 10, 0: 10, 10: 10, 11: 11, 5000: 5000} {
		got := kmsclient.NewHTTP(concurrency).GetTransport()
		if got.MaxIdleConnsPerHost != perHost {
			t.Errorf("NewHTTP(%d) keeps %d idle connections, want %d", concurrency, got.MaxIdleConnsPerHost, perHost)
		}
		if got.MaxIdleConns != 0 && got.MaxIdleConns < perHost {
			t.Errorf("NewHTTP(%d) keeps %d idle connections in all", concurrency, got.MaxIdleConns)
		}
		for field, value := range reflect.ValueOf(got).Elem().Fields() {
			if !field.IsExported() || field.Name == "MaxIdleConnsPerHost" || field.Name == "MaxIdleConns" {
				continue
			}
			wanted := reflect.ValueOf(want).Elem().FieldByIndex(field.Index)
			if field.Type.Kind() == reflect.Func { // only nil can be compared
				if value.IsNil() != wanted.IsNil() {
					t.Errorf("NewHTTP(%d) changes %s", concurrency, field.Name)
				}
				continue
			}
			x, y := value.Interface(), wanted.Interface()
			if config, ok := x.(*tls.Config); ok {
				x, y = config.MinVersion, y.(*tls.Config).MinVersion
			}
			if !reflect.DeepEqual(x, y) {
				t.Errorf("NewHTTP(%d) changes %s from %v to %v", concurrency, field.Name, y, x)
			}
		}
	}
}

// BenchmarkConnections runs 128 signers with the SDK's default HTTP client and with
// NewHTTP in turn, over TLS and with 5 ms of latency, against a server in a process of
// its own.
//
//	go test -run '^$' -bench Connections -benchtime 10x ./kmssigner/kmsclient
func BenchmarkConnections(b *testing.B) {
	const perSigner = 8
	s := startServer(b)
	type variant struct {
		name    string
		signer  *kmssigner.Signer
		conns   *atomic.Int64
		elapsed time.Duration
	}
	var variants []*variant
	for name, httpClient := range map[string]*awshttp.BuildableClient{
		"default": awshttp.NewBuildableClient(),
		"tuned":   kmsclient.NewHTTP(concurrency),
	} {
		v := &variant{name: name, conns: new(atomic.Int64)}
		dial := httpClient.GetTransport().DialContext
		v.signer = s.signer(b, httpClient.WithTransportOptions(func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				v.conns.Add(1)
				return dial(ctx, network, address)
			}
		}))
		variants = append(variants, v)
	}
	run := func(signer crypto.Signer) {
		var signers sync.WaitGroup
		for range concurrency {
			signers.Go(func() {
				for range perSigner {
					sign(b, signer)
				}
			})
		}
		signers.Wait()
	}
	for _, v := range variants {
		run(v.signer)
		v.conns.Store(0)
	}
	for b.Loop() {
		for _, v := range variants {
			start := time.Now()
			run(v.signer)
			v.elapsed += time.Since(start)
		}
	}
	calls := float64(b.N * concurrency * perSigner)
	rate := map[string]float64{}
	for _, v := range variants {
		rate[v.name] = calls / v.elapsed.Seconds()
		b.ReportMetric(rate[v.name], v.name+"-calls/s")
		b.ReportMetric(1000*float64(v.conns.Load())/calls, v.name+"-conns/1000")
	}
	b.ReportMetric(rate["tuned"]/rate["default"], "ratio")
}

// serverEnv makes the test binary a server, and nothing else, until its standard input
// ends.
const serverEnv = "KMSCLIENT_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) == "" {
		os.Exit(m.Run())
	}
	fake := kmstest.New()
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(5*time.Millisecond))
	h := httptest.NewTLSServer(fake)
	fmt.Println(h.URL)
	fmt.Println(fake.AddKey(types.KeySpecEccNistP256))
	fmt.Println(base64.StdEncoding.EncodeToString(h.Certificate().Raw))
	io.Copy(io.Discard, os.Stdin)
}

// startServer starts the test binary as a server.
func startServer(tb testing.TB) *endpoint {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	var cert string
	s := &endpoint{credentials: serverCredentials(kmstest.New()), roots: x509.NewCertPool()}
	if _, err := fmt.Fscanln(stdout, &s.url); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fscanln(stdout, &s.key); err != nil {
		tb.Fatal(err)
	}
	if _, err := fmt.Fscanln(stdout, &cert); err != nil {
		tb.Fatal(err)
	}
	der, err := base64.StdEncoding.DecodeString(cert)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	s.roots.AddCert(parsed)
	return s
}
