package kmsclient_test

import (
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

// tlsServer is a fake behind TLS and HTTP/1.1 that counts the connections it accepts.
type tlsServer struct {
	fake  *kmstest.KMS
	url   string
	roots *x509.CertPool
	conns atomic.Int64

	// all, if not nil, holds every Sign call back until there are as many as it was
	// made for.
	all atomic.Pointer[sync.WaitGroup]
}

func newTLSServer(tb testing.TB, latency time.Duration) *tlsServer {
	tb.Helper()
	s := &tlsServer{fake: kmstest.New(), roots: x509.NewCertPool()}
	s.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(latency))
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if all := s.all.Load(); all != nil {
			all.Done()
			all.Wait()
		}
		s.fake.ServeHTTP(w, r)
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
func (s *tlsServer) signer(tb testing.TB, httpClient *awshttp.BuildableClient) *kmssigner.Signer {
	tb.Helper()
	httpClient = httpClient.WithTransportOptions(func(tr *http.Transport) { tr.TLSClientConfig.RootCAs = s.roots })
	client := kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &s.url,
		HTTPClient:   httpClient,
		Retryer:      aws.NopRetryer{}, // a call is an attempt
		Credentials:  serverCredentials(s.fake),
	})
	signer, err := kmssigner.New(tb.Context(), client, s.fake.AddKey(types.KeySpecEccNistP256),
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
	run := func(httpClient *awshttp.BuildableClient) int64 {
		s := newTLSServer(t, 2*time.Millisecond)
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

// Idle connections apart, the client is the SDK's.
func TestNewHTTPChangesNothingElse(t *testing.T) {
	for concurrency, perHost := range map[int]int{-1: 10, 0: 10, 10: 10, 11: 11, 5000: 5000} {
		got, want := kmsclient.NewHTTP(concurrency).GetTransport(), awshttp.NewBuildableClient().GetTransport()
		if got.MaxIdleConnsPerHost != perHost {
			t.Errorf("NewHTTP(%d) keeps %d idle connections, want %d", concurrency, got.MaxIdleConnsPerHost, perHost)
		}
		if got.MaxIdleConns != 0 && got.MaxIdleConns < perHost {
			t.Errorf("NewHTTP(%d) keeps %d idle connections in all", concurrency, got.MaxIdleConns)
		}
		fields := reflect.TypeFor[http.Transport]()
		for i := range fields.NumField() {
			f := fields.Field(i)
			a, b := reflect.ValueOf(got).Elem().Field(i), reflect.ValueOf(want).Elem().Field(i)
			if !f.IsExported() || f.Name == "MaxIdleConnsPerHost" || f.Name == "MaxIdleConns" {
				continue
			}
			switch f.Type.Kind() {
			case reflect.Func:
				if a.IsNil() != b.IsNil() {
					t.Errorf("NewHTTP(%d) changes %s", concurrency, f.Name)
				}
			default:
				x, y := a.Interface(), b.Interface()
				if c, ok := x.(*tls.Config); ok {
					x, y = c.MinVersion, y.(*tls.Config).MinVersion
				}
				if !reflect.DeepEqual(x, y) {
					t.Errorf("NewHTTP(%d) changes %s from %v to %v", concurrency, f.Name, y, x)
				}
			}
		}
	}
}

// BenchmarkConnections runs 128 signers with the SDK's default HTTP client and with
// NewHTTP in turn, over TLS and with 5 ms of latency. Server and signers share the
// machine, so the handshakes of both ends count.
//
//	go test -run '^$' -bench Connections ./kmssigner/kmsclient
func BenchmarkConnections(b *testing.B) {
	const perSigner = 8
	s := newTLSServer(b, 5*time.Millisecond)
	variants := []struct {
		name    string
		signer  *kmssigner.Signer
		elapsed time.Duration
		conns   int64
	}{
		{name: "default", signer: s.signer(b, awshttp.NewBuildableClient())},
		{name: "tuned", signer: s.signer(b, kmsclient.NewHTTP(concurrency))},
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
	}
	for b.Loop() {
		for i := range variants {
			v := &variants[i]
			start, before := time.Now(), s.conns.Load()
			run(v.signer)
			v.elapsed += time.Since(start)
			v.conns += s.conns.Load() - before
		}
	}
	calls := float64(b.N * concurrency * perSigner)
	for _, v := range variants {
		b.ReportMetric(calls/v.elapsed.Seconds(), v.name+"-calls/s")
		b.ReportMetric(1000*float64(v.conns)/calls, v.name+"-conns/1000")
	}
	b.ReportMetric(float64(variants[0].elapsed)/float64(variants[1].elapsed), "ratio")
}
