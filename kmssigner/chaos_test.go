package kmssigner_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The chaos tests put a peer between the SDK's client and the fake. The peer
// breaks connections and answers. The tests check that
//
//   - no signature is returned that does not verify, and no MAC of a wrong length
//   - an error has its cause in its chain
//   - a call returns when its context ends, while its peer still stalls
//   - no connection and no goroutine is left
//
// Without KMSSIGN_FULL in the environment they try a sample of the cases, which
// is the same in each run. All cases take less than two minutes of two
// processors:
//
//	KMSSIGN_FULL=1 go test -run Chaos -v ./kmssigner

// sample returns n of the cases, or all of them if KMSSIGN_FULL is set.
func sample[T any](cases []T, n int) []T {
	if os.Getenv("KMSSIGN_FULL") != "" || len(cases) <= n {
		return cases
	}
	picked := make([]T, n)
	for i, at := range mathrand.New(mathrand.NewPCG(1, 2)).Perm(len(cases))[:n] {
		picked[i] = cases[at]
	}
	return picked
}

// errWrong is the error of a call that returned without an error, but not with
// the right result.
var errWrong = errors.New("a wrong result")

// A chaosCall is a call of this package. It returns errWrong if it succeeds
// with a wrong result.
type chaosCall struct {
	name string
	do   func(ctx context.Context, client *kms.Client) error
}

// chaosKeys are the keys that calls are for, and a message signed with them.
type chaosKeys struct {
	fake   *kmstest.KMS
	signer *kmssigner.Signer
	mac    *kmssigner.HMAC
	macOf  []byte // of chaosMessage
}

var chaosMessage = []byte("message")

// directed is a Client and an HMACClient whose calls go to the client in their
// context, or to the fake if there is none.
type directed struct{ *kmstest.KMS }

type clientKey struct{}

func (d directed) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	if client, ok := ctx.Value(clientKey{}).(*kms.Client); ok {
		return client.Sign(ctx, in, optFns...)
	}
	return d.KMS.Sign(ctx, in, optFns...)
}

func (d directed) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	if client, ok := ctx.Value(clientKey{}).(*kms.Client); ok {
		return client.GenerateMac(ctx, in, optFns...)
	}
	return d.KMS.GenerateMac(ctx, in, optFns...)
}

func (d directed) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	if client, ok := ctx.Value(clientKey{}).(*kms.Client); ok {
		return client.VerifyMac(ctx, in, optFns...)
	}
	return d.KMS.VerifyMac(ctx, in, optFns...)
}

func directTo(ctx context.Context, client *kms.Client) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

func newChaosKeys(t *testing.T, fake *kmstest.KMS, spec types.KeySpec) *chaosKeys {
	t.Helper()
	k := &chaosKeys{fake: fake, signer: newSigner(t, directed{fake}, fake.AddKey(spec))}
	var err error
	if k.mac, err = kmssigner.NewHMAC(t.Context(), directed{fake}, fake.AddKey(types.KeySpecHmac256)); err != nil {
		t.Fatal(err)
	}
	if k.macOf, err = k.mac.Generate(chaosMessage); err != nil {
		t.Fatal(err)
	}
	return k
}

// getPublicKey makes a Signer. It is right if it has the key.
func (k *chaosKeys) getPublicKey(ctx context.Context, client *kms.Client) error {
	s, err := kmssigner.New(ctx, client, k.signer.KeyARN())
	if err != nil {
		return err
	}
	if s.KeyARN() != k.signer.KeyARN() || !s.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(k.signer.Public()) {
		return fmt.Errorf("%w: a Signer with %q, %v", errWrong, s.KeyARN(), s.Public())
	}
	return nil
}

// sign returns a call that signs msg. Its result is right if it verifies.
func (k *chaosKeys) sign(msg []byte, opts crypto.SignerOpts) func(context.Context, *kms.Client) error {
	return func(ctx context.Context, client *kms.Client) error {
		sig, err := k.signer.WithContext(directTo(ctx, client)).SignMessage(nil, msg, opts)
		if err != nil {
			if sig != nil {
				return fmt.Errorf("%w: a signature beside the error %v", errWrong, err)
			}
			return err
		}
		if err := verify(k.signer.Public(), msg, sig, opts); err != nil {
			return fmt.Errorf("%w: %w", errWrong, err)
		}
		return nil
	}
}

func (k *chaosKeys) describeKey(ctx context.Context, client *kms.Client) error {
	h, err := kmssigner.NewHMAC(ctx, client, k.mac.KeyARN())
	if err == nil && (h.KeyARN() != k.mac.KeyARN() || h.Size() != k.mac.Size()) {
		return fmt.Errorf("%w: an HMAC with %q, size %d", errWrong, h.KeyARN(), h.Size())
	}
	return err
}

// generateMAC returns a call that makes a MAC. Its result is right if it has
// the right length, because only KMS can tell more. It adds to altered if the
// MAC is another one.
func (k *chaosKeys) generateMAC(altered *atomic.Int64) func(context.Context, *kms.Client) error {
	return func(ctx context.Context, client *kms.Client) error {
		mac, err := k.mac.WithContext(directTo(ctx, client)).Generate(chaosMessage)
		switch {
		case err != nil && mac != nil:
			return fmt.Errorf("%w: a MAC beside the error %v", errWrong, err)
		case err != nil:
			return err
		case len(mac) != k.mac.Size():
			return fmt.Errorf("%w: a MAC of %d bytes", errWrong, len(mac))
		case string(mac) != string(k.macOf):
			altered.Add(1)
		}
		return nil
	}
}

// verifyMAC returns a call that verifies a good MAC. It adds to altered if the
// result is that the MAC is not valid.
func (k *chaosKeys) verifyMAC(altered *atomic.Int64) func(context.Context, *kms.Client) error {
	return func(ctx context.Context, client *kms.Client) error {
		valid, err := k.mac.WithContext(directTo(ctx, client)).Verify(chaosMessage, k.macOf)
		if err != nil && valid {
			return fmt.Errorf("%w: true beside the error %v", errWrong, err)
		}
		if err == nil && !valid {
			altered.Add(1)
		}
		return err
	}
}

func (k *chaosKeys) verifyForgedMAC(ctx context.Context, client *kms.Client) error {
	valid, err := k.mac.WithContext(directTo(ctx, client)).Verify(chaosMessage, make([]byte, k.mac.Size()))
	if valid {
		return fmt.Errorf("%w: a forged MAC is valid", errWrong)
	}
	return err
}

// calls returns each call that this package makes.
func (k *chaosKeys) calls(opts crypto.SignerOpts, altered *atomic.Int64) []chaosCall {
	return []chaosCall{
		{"GetPublicKey", k.getPublicKey},
		{"Sign", k.sign(chaosMessage, opts)},
		{"DescribeKey", k.describeKey},
		{"GenerateMac", k.generateMAC(altered)},
		{"VerifyMac", k.verifyMAC(altered)},
		{"VerifyMac of a forgery", k.verifyForgedMAC},
	}
}

// An upstream is the fake behind one transport.
type upstream struct {
	name    string
	address string
	roots   *x509.CertPool // nil for plain HTTP
}

func newUpstreams(t *testing.T, fake *kmstest.KMS) []upstream {
	t.Helper()
	plain := kmstest.NewServer(fake)
	t.Cleanup(plain.Close)
	all := []upstream{{"HTTP/1.1", strings.TrimPrefix(plain.URL, "http://"), nil}}
	for _, http2 := range []bool{false, true} {
		certificate, roots := newCertificate(t, func(*x509.Certificate) {})
		server := httptest.NewUnstartedServer(fake)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.EnableHTTP2 = http2
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		name := "HTTP/1.1 over TLS"
		if http2 {
			name = "HTTP/2"
		}
		all = append(all, upstream{name, server.Listener.Addr().String(), roots})
	}
	return all
}

// newCertificate returns a certificate for chaosHost that edit has changed, and
// the roots that trust it.
func newCertificate(t *testing.T, edit func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{chaosHost},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	edit(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, roots
}

// eachCase runs the cases on several peers at once, each with its own client.
func eachCase[T any](t *testing.T, roots *x509.CertPool, cases []T, run func(p *peer, c T)) {
	t.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(4*runtime.GOMAXPROCS(0), len(cases)) {
		p := newPeer(t, roots)
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(cases) || t.Failed() {
					return
				}
				run(p, cases[i])
			}
		})
	}
	workers.Wait()
}

// brokenConnection reports whether a connection that the peer has ended is the
// cause of err. The error of net/http is net.ErrClosed if it has noticed the
// end and closed the connection while it still wrote the request.
func brokenConnection(err error) bool {
	for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, cause) {
			return true
		}
	}
	// net/http does not keep io.EOF if it ends a status line, a header, an
	// HTTP/2 connection before its first frame, or a connection on which it has
	// not sent anything yet.
	_, sending := errors.AsType[*smithyhttp.RequestSendError](err)
	return sending && (strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "could not be established") ||
		strings.Contains(err.Error(), "server closed idle connection"))
}

// TestChaosCuts ends the connection after every byte of the request and of the
// answer.
func TestChaosCuts(t *testing.T) {
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		fake := newChaosFake()
		keys := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		for _, up := range newUpstreams(t, fake) {
			testCuts(t, up, keys)
		}
	})
	noLeaks()
}

func testCuts(t *testing.T, up upstream, keys *chaosKeys) {
	type cutCase struct {
		chaosCall
		cut
	}
	var cases []cutCase
	var altered atomic.Int64
	calls := keys.calls(crypto.SHA256, &altered)
	if up.roots != nil {
		calls = calls[1:2] // The transport does not depend on the operation.
	}
	for _, c := range calls {
		whole := &proxy{upstream: up.address}
		p := newPeer(t, up.roots)
		if err := p.run(t, c.name, whole.serve, c.do); err != nil {
			t.Fatalf("%s, %s: %v", up.name, c.name, err)
		}
		for how := resets; how <= stalls; how++ {
			for n := range whole.request.Len() + 1 {
				cases = append(cases, cutCase{c, cut{false, n, how}})
			}
			for n := range whole.answer.Len() + 1 {
				cases = append(cases, cutCase{c, cut{true, n, how}})
			}
		}
	}
	chosen := sample(cases, 300)
	var succeeded atomic.Int64
	eachCase(t, up.roots, chosen, func(p *peer, c cutCase) {
		name := fmt.Sprintf("%s, %s, cut %+v", up.name, c.name, c.cut)
		err := p.run(t, name, (&proxy{upstream: up.address, cut: c.cut}).serve, c.do)
		switch {
		case err == nil:
			succeeded.Add(1)
		case errors.Is(err, errWrong):
			t.Errorf("%s: %v", name, err)
		case c.how == stalls && !(errors.Is(err, context.Canceled) && errors.Is(err, errGivenUp)):
			t.Errorf("%s: %v, want context.Canceled with its cause", name, err)
		case c.how != stalls && !brokenConnection(err):
			t.Errorf("%s: %v, want the end of the connection as its cause", name, err)
		}
	})
	if altered.Load() != 0 {
		t.Errorf("%s: %d MACs or verdicts are altered", up.name, altered.Load())
	}
	t.Logf("%s: %d of %d cuts, %d calls succeeded", up.name, len(chosen), len(cases), succeeded.Load())
}
