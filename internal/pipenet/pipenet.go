// Package pipenet is a network inside one process, for tests with a fake clock.
//
// A goroutine that reads from a socket is not durably blocked, so the clock of
// a testing/synctest bubble never advances while a connection is idle. The
// connections of this package are those of [net.Pipe], which a bubble can wait
// for. An [http.Server] and an [http.Transport] work over them unchanged:
//
//	network := pipenet.Listen()
//	go server.Serve(network)
//	transport.DialContext = network.DialContext
//
// A write on such a connection waits for the reader, and closing it shows at
// the other end as io.EOF; it cannot be reset.
package pipenet

import (
	"context"
	"net"
	"sync"
)

// Listener is a [net.Listener] that is dialled with its method DialContext. It
// is safe for concurrent use.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

// Listen returns a new Listener, which is a network of its own.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next connection. After Close it returns net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and DialContext. It leaves open connections as they are.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address that only names the network.
func (l *Listener) Addr() net.Addr { return addr{} }

// DialContext connects to l, whatever the network and the address. It waits for
// Accept, until ctx ends or l is closed.
func (l *Listener) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	var err error
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	client.Close()
	server.Close()
	return nil, &net.OpError{Op: "dial", Net: network, Addr: addr{}, Err: err}
}

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }
