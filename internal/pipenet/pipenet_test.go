package pipenet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kmssign/kmssign/internal/pipenet"
)

// An HTTP call over a pipe takes the time that its handler sleeps, by the
// bubble's clock, and ends at its deadline.
func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Hour):
				io.Copy(w, r.Body)
			case <-r.Context().Done():
			}
		})}
		go server.Serve(network)
		defer server.Close()
		transport := &http.Transport{DialContext: network.DialContext}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		start := time.Now()
		resp, err := client.Post("http://pipe/", "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(got) != "hello" || err != nil || time.Since(start) != time.Hour {
			t.Errorf("%q, %v after %v, want hello after an hour", got, err, time.Since(start))
		}

		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "POST", "http://pipe/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("%v after %v, want context.DeadlineExceeded after a minute", err, time.Since(start))
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.Listen()
		accepted := make(chan error)
		go func() {
			_, err := network.Accept()
			accepted <- err
		}()
		synctest.Wait()
		network.Close()
		network.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, want net.ErrClosed", err)
		}
		if _, err := network.DialContext(t.Context(), "tcp", "host:80"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("DialContext: %v, want net.ErrClosed", err)
		}
	})
}

func TestDialContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := pipenet.Listen() // on which nobody calls Accept
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := network.DialContext(ctx, "tcp", "host:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("DialContext: %v, want context.DeadlineExceeded", err)
		}
	})
}
