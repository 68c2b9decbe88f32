package service

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// A connection that becomes idle while enough are is closed. The others stay.
func TestIdleLimit(t *testing.T) {
	limit := idleLimit{most: 2, idle: map[net.Conn]bool{}}
	open := func(c net.Conn) bool {
		t.Helper()
		go io.WriteString(c, "a")
		_, err := io.ReadFull(peers[c], make([]byte, 1))
		return err == nil
	}
	a, b, c := pipe(t), pipe(t), pipe(t)
	for _, conn := range []net.Conn{a, b, c} {
		limit.changed(conn, http.StateNew)
		limit.changed(conn, http.StateActive)
	}
	limit.changed(a, http.StateIdle)
	limit.changed(b, http.StateIdle)
	limit.changed(a, http.StateActive)
	limit.changed(c, http.StateIdle)
	if !open(a) || !open(b) || !open(c) {
		t.Error("a connection was closed below the limit")
	}
	limit.changed(a, http.StateIdle)
	if open(a) || !open(b) || !open(c) {
		t.Error("the connection above the limit was not closed, or another was")
	}
	limit.changed(a, http.StateClosed)
	limit.changed(b, http.StateClosed)
	d := pipe(t)
	limit.changed(d, http.StateIdle)
	if !open(d) {
		t.Error("a connection was closed although another had ended")
	}
	if len(limit.idle) != 2 {
		t.Errorf("%d connections are counted, want 2", len(limit.idle))
	}
}

// peers has the other ends of connections.
var peers = map[net.Conn]net.Conn{}

func pipe(t *testing.T) net.Conn {
	a, b := net.Pipe()
	peers[a] = b
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a
}
