package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// limits bounds what clients can make the program spend.
type limits struct {
	connections   int           // at a time; further ones wait
	read, write   time.Duration // of one request and its answer
	idle          time.Duration // of a connection between requests
	headerBytes   int
	shutdownGrace time.Duration // of requests under way when the program ends
}

var defaultLimits = limits{
	connections:   512,
	read:          20 * time.Second,
	write:         20 * time.Second,
	idle:          time.Minute,
	headerBytes:   64 << 10,
	shutdownGrace: 200 * time.Millisecond,
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, c config, stdout, stderr io.Writer) (err error) {
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if !c.closedNetwork && !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return usagef("-listen %s is not a loopback address: everybody who reaches it could use the keys; add -closed-network if only trusted programs can, as in the network of docker-compose", c.listen)
	}
	fake, err := newFake(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fake.Close()) }()
	var made strings.Builder
	for _, k := range c.keys {
		md, err := makeKey(ctx, fake, k)
		if err != nil {
			return fmt.Errorf("-key %s: %w", k.text, err)
		}
		fmt.Fprintf(&made, "# %s %s %s\n", aws.ToString(md.Arn), md.KeySpec, k.alias)
		if k.spec != "" && k.spec != md.KeySpec {
			fmt.Fprintf(stderr, "fakekms: -key %s: the state wins, in which %s is a key of spec %s\n", k.text, k.alias, md.KeySpec)
		}
	}
	fmt.Fprint(stdout, environment(c, listener.Addr().(*net.TCPAddr)), made.String())

	logger := log.New(stderr, "fakekms: ", log.Ltime|log.Lmsgprefix)
	server := newServer(logged(withHealth(fake), logger, c), defaultLimits)
	server.ErrorLog = logger
	served := make(chan error, 1)
	go func() { served <- server.Serve(limitConnections(listener, defaultLimits.connections)) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.Background(), defaultLimits.shutdownGrace)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		server.Close()
	}
	return nil
}

func newServer(handler http.Handler, l limits) *http.Server {
	return &http.Server{
		Handler:        handler,
		ReadTimeout:    l.read,
		WriteTimeout:   l.write,
		IdleTimeout:    l.idle,
		MaxHeaderBytes: l.headerBytes,
	}
}

// environment returns shell commands that point the AWS SDKs and the AWS CLI to
// an address.
func environment(c config, addr *net.TCPAddr) string {
	note := ""
	if addr.IP.IsUnspecified() {
		note = fmt.Sprintf("# From other machines of the closed network, use the name of this one, with port %d.\n", addr.Port)
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.Port}
	}
	memory := "Everything is in memory and gone when it ends."
	if c.state != "" {
		memory = "It keeps its keys in " + c.state + "."
	}
	// AWS_DEFAULT_REGION is what version 1 of the AWS CLI and boto3 read. A
	// profile or a session token in the environment would win over the pair.
	return fmt.Sprintf(`# A fake AWS KMS for tests. %[1]s
# Paste this where you want to use it:
unset AWS_SESSION_TOKEN AWS_PROFILE
export AWS_ENDPOINT_URL_KMS=http://%[2]s
export AWS_REGION=%[3]s
export AWS_DEFAULT_REGION=%[3]s
export AWS_ACCESS_KEY_ID=%[4]s
export AWS_SECRET_ACCESS_KEY=%[5]s
%[6]s`, memory, addr, quote(c.region), quote(c.credentials.AccessKeyID), quote(c.credentials.SecretAccessKey), note)
}

// quote quotes a word for a shell, if it needs it.
func quote(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-./:=@_", r)
	}
	if strings.TrimFunc(word, safe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// withHealth answers GET / and GET /health. A fake of KMS answers them with
// 400, as KMS does.
func withHealth(fake http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.URL.Path == "/" || r.URL.Path == "/health") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(w, "fakekms is ready. It is a fake AWS KMS for tests.\n")
			return
		}
		fake.ServeHTTP(w, r)
	})
}

// limitConnections returns a listener with at most n connections that are not
// closed.
func limitConnections(l net.Listener, n int) net.Listener {
	return &limitedListener{l, make(chan struct{}, n)}
}

type limitedListener struct {
	net.Listener
	open chan struct{} // holds an element for each connection
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.open <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &limitedConn{Conn: conn, closed: l.open}, nil
}

type limitedConn struct {
	net.Conn
	closed <-chan struct{}
	once   sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.closed })
	return c.Conn.Close()
}
