package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve serves on listener, and runs [Service.Run], until ctx ends. Then it
// closes listener and waits for the requests under way. If they take longer
// than [Options.ShutdownTimeout], it closes their connections and returns an
// error.
func (s *Service) Serve(ctx context.Context, listener net.Listener) error {
	running, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Run(running)
	}()
	defer func() {
		stop()
		<-stopped
	}()

	const readTimeout = 10 * time.Second
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + s.opts.RequestTimeout + 5*time.Second, // it starts at the end of the header
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelWarn),
	}
	idle := idleLimit{most: s.opts.MaxIdle, idle: map[net.Conn]bool{}}
	server.ConnState = idle.changed
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("service: %w", err)
	case <-ctx.Done():
	}
	// The requests do not use ctx, so they continue.
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		server.Close()
		return fmt.Errorf("service: requests under way did not end within %v: %w", s.opts.ShutdownTimeout, err)
	}
	<-served
	return nil
}

// idleLimit limits the number of idle connections. It closes a connection that
// becomes idle beyond the limit.
type idleLimit struct {
	most int

	mu   sync.Mutex
	idle map[net.Conn]bool
}

// changed is a ConnState hook of an http.Server.
func (l *idleLimit) changed(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case state != http.StateIdle:
		delete(l.idle, conn)
	case len(l.idle) < l.most:
		l.idle[conn] = true
	default:
		conn.Close()
	}
}
