package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serveWith serves a handler with limits until the test ends, and returns the
// address.
func serveWith(t *testing.T, handler http.Handler, l limits) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(handler, l)
	done := make(chan error, 1)
	go func() { done <- server.Serve(limitConnections(listener, l.connections)) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestSlowClients has clients that never finish a request, never read the
// answer, or never send another request. The server ends each connection.
func TestSlowClients(t *testing.T) {
	large := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(make([]byte, 64<<20)) // more than the buffers of a connection
	})
	small := withHealth(large)
	l := limits{connections: 10, read: 50 * time.Millisecond, write: 50 * time.Millisecond, idle: 50 * time.Millisecond, headerBytes: 64 << 10}
	for _, tt := range []struct {
		reason  string
		handler http.Handler
		send    string
		reads   bool
	}{
		{"half of a header", small, "POST / HTTP/1.1\r\nHost: x\r\n", true},
		{"half of a body", small, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf", true},
		{"nothing", small, "", true},
		{"no other request", small, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", true},
		{"the answer is not read", large, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", false},
	} {
		ended := make(chan struct{}, 1)
		watched := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended <- struct{}{} }()
			tt.handler.ServeHTTP(w, r)
		})
		conn := dial(t, serveWith(t, watched, l))
		io.WriteString(conn, tt.send)
		if tt.reads {
			io.Copy(io.Discard, conn) // returns when the server closes it, or never
		} else {
			<-ended // likewise
		}
	}
}

// TestConnectionLimit opens one connection more than the limit. It is served
// once another is closed.
func TestConnectionLimit(t *testing.T) {
	l := defaultLimits
	l.connections = 2
	addr := serveWith(t, withHealth(nil), l)
	ask := func(conn net.Conn) error {
		io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && resp.StatusCode != 200 {
			err = errors.New(resp.Status)
		}
		return err
	}
	first, second, third := dial(t, addr), dial(t, addr), dial(t, addr)
	for _, conn := range []net.Conn{first, second} {
		if err := ask(conn); err != nil {
			t.Fatal(err)
		}
	}
	answered := make(chan error, 1)
	go func() { answered <- ask(third) }()
	select {
	case err := <-answered:
		t.Fatalf("a third connection is served: %v", err)
	case <-time.After(20 * time.Millisecond): // can only miss a failure
	}
	first.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestLargeHeader sends a request of 800 kB with a header that SignedHeaders
// names many times.
func TestLargeHeader(t *testing.T) {
	p := start(t, "-credentials", "any")
	addr := strings.TrimPrefix(p.env["AWS_ENDPOINT_URL_KMS"], "http://")
	conn := dial(t, addr)
	start := time.Now()
	go io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.1\r\nA: "+strings.Repeat("x", 400_000)+
		"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKID/20300101/us-east-1/kms/aws4_request, SignedHeaders="+strings.Repeat("a;", 200_000)+"host, Signature=0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %v", resp.Status, time.Since(start).Round(time.Microsecond))
	if resp.StatusCode < 400 || resp.StatusCode > 499 {
		t.Error(resp.Status)
	}
}
