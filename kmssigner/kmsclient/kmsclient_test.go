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
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/pipenet"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const concurrency = 128

// endpoint is what a client needs to know about a server.
type endpoint struct {
	url, key    string
	roots       *x509.CertPool
	credentials aws.CredentialsProvider
}

// signer returns a Signer that reaches the server through httpClient.
func (e *endpoint) signer(tb testing.TB, httpClient *awshttp.BuildableClient) *kmssigner.Signer {
	tb.Helper()
	client := kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &e.url,
		HTTPClient: httpClient.WithTransportOptions(func(tr *http.Transport) {
			tr.TLSClientConfig.RootCAs = e.roots
		}),
		Retryer:     aws.NopRetryer{}, // one attempt a call
		Credentials: e.credentials,
	})
	signer, err := kmssigner.New(tb.Context(), client, e.key, func(o *kmssigner.Options) {
		o.SkipVerification, o.Timeout = true, time.Minute
	})
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

// staticCredentials are those of newFake.
var staticCredentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}

func credentials(context.Context) (aws.Credentials, error) { return staticCredentials, nil }

// newFake returns a fake whose Sign takes some time, and its one key.
func newFake(latency time.Duration) (fake *kmstest.KMS, key string) {
	fake = kmstest.New(func(o *kmstest.Options) { o.Credentials = staticCredentials })
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(latency))
	return fake, fake.AddKey(types.KeySpecEccNistP256)
}

func sign(tb testing.TB, signer crypto.Signer) {
	tb.Helper()
	if _, err := signer.Sign(nil, make([]byte, 32), crypto.SHA256); err != nil {
		tb.Error(err)
	}
}

// This is what the package is for: when 128 goroutines sign at once, again and
// again, NewHTTP opens 128 connections and keeps them. The SDK's default client
// keeps 10 and opens 118 new ones each time.
func TestSteadyConnections(t *testing.T) {
	const rounds = 3
	if n := newConnections(t, kmsclient.NewHTTP(concurrency), rounds); n != 0 {
		t.Errorf("%d new connections in %d rounds of %d calls, want none", n, rounds, concurrency)
	}
	if n := newConnections(t, awshttp.NewBuildableClient(), rounds); n != rounds*(concurrency-10) {
		t.Errorf("%d new connections with the SDK's default client, want %d: is NewHTTP needed?", n, rounds*(concurrency-10))
	}
}

// newConnections lets 128 goroutines sign at once over TLS and HTTP/1.1, and
// again in each of the rounds. It returns the number of connections that the
// rounds opened.
func newConnections(t *testing.T, httpClient *awshttp.BuildableClient, rounds int) (n int64) {
	synctest.Test(t, func(t *testing.T) {
		fake, key := newFake(time.Second) // of fake time, so that all calls are in progress at once
		var conns atomic.Int64
		network := pipenet.Listen()
		server := httptest.NewUnstartedServer(fake)
		server.Listener.Close()
		server.Listener = network
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		server.StartTLS()
		defer server.Close()
		e := &endpoint{
			url:         "https://127.0.0.1", // which is in the certificate
			key:         key,
			roots:       x509.NewCertPool(),
			credentials: aws.CredentialsProviderFunc(credentials),
		}
		e.roots.AddCert(server.Certificate())
		signer := e.signer(t, httpClient.WithTransportOptions(func(tr *http.Transport) {
			tr.DialContext = network.DialContext
		}))
		round := func() {
			var calls sync.WaitGroup
			for range concurrency {
				calls.Go(func() { sign(t, signer) })
			}
			calls.Wait()
			synctest.Wait() // for the connections to be idle or closed
		}
		round()
		first := conns.Load()
		if first != concurrency {
			t.Fatalf("%d connections after the first %d calls at once", first, concurrency)
		}
		for range rounds {
			round()
		}
		n = conns.Load() - first
	})
	return n
}

// NewHTTP changes the numbers of idle connections, bounds headers, and changes
// nothing else.
func TestNewHTTPChangesNothingElse(t *testing.T) {
	// The SDK's client with an option, because copying a transport may set
	// fields.
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
			if !field.IsExported() || field.Name == "MaxIdleConnsPerHost" || field.Name == "MaxIdleConns" || field.Name == "MaxResponseHeaderBytes" {
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

// BenchmarkConnections runs 128 signers over TLS, alternating between the SDK's
// default HTTP client and NewHTTP. The server is another process, with a
// latency of 5 ms.
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

// serverEnv is an environment variable that makes the test binary a server
// until its standard input ends.
const serverEnv = "KMSCLIENT_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) == "" {
		os.Exit(m.Run())
	}
	fake, key := newFake(5 * time.Millisecond)
	h := httptest.NewTLSServer(fake)
	fmt.Println(h.URL)
	fmt.Println(key)
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
	s := &endpoint{credentials: aws.CredentialsProviderFunc(credentials), roots: x509.NewCertPool()}
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
