package kmsclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
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
