package kmssigner_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A peer is what the SDK's client talks to in place of the endpoint. It accepts
// every connection that its client opens, whichever address that is for, and
// serves it as the case under test says. One case uses a peer at a time.
type peer struct {
	listener net.Listener
	roots    *x509.CertPool // for HTTPS, nil for HTTP

	mu     sync.Mutex
	serve  func(*net.TCPConn, *stall)
	stall  *stall
	dialed []<-chan struct{} // for each of the client's connections, closed with it
	served []<-chan struct{} // for each accepted connection, closed when serve has returned
}

// A stall is the point at which a peer does nothing any more.
type stall struct {
	reached chan struct{} // receives a value when a connection stalls
	release chan struct{} // closed when stalled connections may end
}

// wait stalls.
func (s *stall) wait() {
	select {
	case s.reached <- struct{}{}:
	default: // another connection stalls too
	}
	<-s.release
}

// errGivenUp is the cause with which a call that stalls is cancelled.
var errGivenUp = errors.New("the test has seen the peer stall")

// newPeer returns a peer whose client uses HTTP, or HTTPS if it is given roots.
func newPeer(t *testing.T, roots *x509.CertPool) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{listener: listener, roots: roots}
	var accepting sync.WaitGroup
	accepting.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		accepting.Wait()
	})
	return p
}

// newClient returns a client that makes one attempt for each call.
func (p *peer) newClient() *kms.Client {
	endpoint := "http://" + chaosHost
	if p.roots != nil {
		endpoint = "https://" + chaosHost
	}
	return kms.New(kms.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		HTTPClient: kmsclient.NewHTTP(1).WithTransportOptions(func(tr *http.Transport) {
			tr.Proxy = nil
			tr.DialContext = p.dial
			tr.TLSClientConfig.RootCAs = p.roots
		}),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return chaosCredentials, nil
		}),
		Retryer: aws.NopRetryer{},
	})
}

const chaosHost = "kms.example.test"

var chaosCredentials = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}

func newChaosFake() *kmstest.KMS {
	return kmstest.New(func(o *kmstest.Options) { o.Credentials = chaosCredentials })
}

// dial connects the client to p.
func (p *peer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", p.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	c := &closeNotifier{Conn: conn, closed: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialed = append(p.dialed, c.closed)
	return c, nil
}

// A closeNotifier closes a channel when it is closed.
type closeNotifier struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *closeNotifier) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (p *peer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		done := make(chan struct{})
		p.mu.Lock()
		serve, stall := p.serve, p.stall
		p.served = append(p.served, done)
		p.mu.Unlock()
		go func() {
			<-stall.release
			conn.Close()
		}()
		go func() {
			defer close(done)
			defer conn.Close()
			serve(conn.(*net.TCPConn), stall)
		}()
	}
}

// wait receives from each channel in *list, one of the lists of p.
func (p *peer) wait(list *[]<-chan struct{}) {
	p.mu.Lock()
	all := *list
	*list = nil
	p.mu.Unlock()
	for _, closed := range all {
		<-closed
	}
}

// run returns the error of call, which is given a client of its own, with
// connections that serve serves. If serve stalls,
// run cancels the call. It closes a stalled connection only after call has
// returned and, over plain HTTP, after the client has closed the connection. If
// either waits for its peer, run never ends.
//
// When run returns, the client has closed all of its connections.
func (p *peer) run(t *testing.T, name string, serve func(*net.TCPConn, *stall), call func(context.Context, *kms.Client) error) error {
	// Name the case if the call hangs.
	watchdog := time.AfterFunc(time.Minute, func() { panic(name + ": hangs") })
	defer watchdog.Stop()
	s := &stall{make(chan struct{}, 1), make(chan struct{})}
	p.mu.Lock()
	p.serve, p.stall = serve, s
	p.mu.Unlock()

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	returned := make(chan error, 1)
	go func() { returned <- call(ctx, p.newClient()) }()
	var err error
	select {
	case err = <-returned:
	case <-s.reached:
		cancel(errGivenUp)
		err = <-returned
		// In HTTP/2 the connection is still of use, and a TLS handshake goes on
		// for the next request.
		if p.roots == nil {
			p.wait(&p.dialed)
		}
	}
	close(s.release)
	p.wait(&p.dialed)
	p.wait(&p.served)
	return err
}

// An ending is how a peer ends a connection.
type ending int

const (
	whole  ending = iota // it doesn't
	resets               // RST
	ends                 // FIN
	stalls               // nothing more is sent
)

func (e ending) String() string { return [...]string{"whole", "RST", "FIN", "stall"}[e] }

// end ends the connection c to the client.
func (e ending) end(c *net.TCPConn, s *stall) {
	switch e {
	case resets:
		c.SetLinger(0) // so that Close resets
		c.Close()
	case ends:
		// Close would reset the connection if there is something left to read.
		c.CloseWrite()
		io.Copy(io.Discard, c)
	case stalls:
		s.wait()
	}
}

// A cut ends a connection after n bytes of the request or of the answer.
type cut struct {
	answer bool
	n      int
	how    ending
}

// A proxy connects clients with the server at an address, byte for byte.
type proxy struct {
	upstream string
	cut

	request, answer bytes.Buffer // what has passed
}

func (p *proxy) serve(c *net.TCPConn, s *stall) {
	conn, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return // as if the endpoint had closed the connection
	}
	defer conn.Close()
	up := conn.(*net.TCPConn)
	end := func() {
		if p.how != stalls {
			up.Close()
		}
		p.how.end(c, s)
		up.Close()
	}
	pump := func(dst, src *net.TCPConn, passed *bytes.Buffer, cut bool) {
		defer dst.CloseWrite()
		buf := make([]byte, 16<<10)
		for {
			n, err := src.Read(buf)
			reached := cut && passed.Len()+n >= p.n
			if reached {
				n = p.n - passed.Len()
			}
			passed.Write(buf[:n])
			if n > 0 {
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if reached {
				end()
				return
			}
			if err != nil {
				return
			}
		}
	}
	cuts := p.how != whole
	var both sync.WaitGroup
	both.Go(func() { pump(up, c, &p.request, cuts && !p.cut.answer) })
	both.Go(func() { pump(c, up, &p.answer, cuts && p.cut.answer) })
	both.Wait()
}

// A rawRequest is a request that a peer has read, and the name of its
// operation.
type rawRequest struct {
	raw       []byte
	operation string
}

// readRaw reads one request of HTTP/1.1.
func readRaw(br *bufio.Reader, raw *bytes.Buffer) (rawRequest, error) {
	r, err := http.ReadRequest(br)
	if err != nil {
		return rawRequest{}, err
	}
	io.Copy(io.Discard, r.Body)
	// The SDK closes the body of its request when the answer begins, and
	// net/http drops a connection on which it has not sent all of that body by
	// then. On a network with latency that does not happen.
	time.Sleep(time.Millisecond)
	return rawRequest{bytes.Clone(raw.Bytes()), r.Header.Get("X-Amz-Target")}, nil
}

// eachRequest calls answer for each request on c.
func eachRequest(c net.Conn, answer func(rawRequest) error) {
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		raw.Reset() // The client sends a request only after the answer to the last one.
		x, err := readRaw(br, &raw)
		if err != nil {
			return
		}
		if answer(x) != nil {
			return
		}
	}
}

// ask sends a request to a server and returns the answer as it is on the wire.
func (x rawRequest) ask(upstream string) ([]byte, error) {
	conn, err := net.Dial("tcp", upstream)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(x.raw); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return httputil.DumpResponse(resp, true)
}

// noGoroutineLeft returns a function that waits until there are no more
// goroutines than when noGoroutineLeft was called. A goroutine that has told
// its result still takes a moment to end.
func noGoroutineLeft(t *testing.T) func() {
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines are left, want %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
}
