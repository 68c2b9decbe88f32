package kmstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"
)

// response is the HTTP response to a call, and how it ends.
type response struct {
	status int
	header http.Header
	body   []byte
	code   string // error code, for the record
	end    ending
	pause  time.Duration // before each byte of the body, if end is drips
}

// ending is how a response ends.
type ending int

const (
	whole  ending = iota
	resets        // the connection is reset instead of a response
	cuts          // the connection is closed after half of the body
	hangs         // nothing follows half of the body
	drips         // the body comes one byte at a time
)

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// answerTo returns the response to a call that returned body or err.
func answerTo(body []byte, err error) *response {
	r := &response{status: http.StatusOK, header: http.Header{}, body: body}
	r.header.Set("Content-Type", contentType)
	r.header.Set("Cache-Control", "no-cache, no-store, must-revalidate, private")
	r.header.Set("Date", httpDate(time.Now()))
	r.header.Set("X-Amzn-Requestid", newUUID())
	if err == nil {
		return r
	}
	var no *refusal
	if !errors.As(err, &no) {
		// The fake returns no other errors, unless it has a bug.
		no = refuse("KMSInternalException", "kmstest: %v", err)
	}
	r.status, r.body, r.code = no.status(), no.body(), no.code
	return r
}

// inMemory is an HTTP client of the SDK that calls a KMS without a network. Its
// errors are those of [http.Client].
type inMemory struct{ k *KMS }

func (m inMemory) Do(r *http.Request) (*http.Response, error) {
	fail := func(err error) (*http.Response, error) {
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: err}
	}
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return fail(err)
	}
	var denied error
	if len(body) > maxBody {
		denied = tooLarge
	}
	a, err := m.k.handle(ctx, r.Header.Get("X-Amz-Target"), body, denied)
	if err != nil {
		return fail(err)
	}
	half := bytes.NewReader(a.body[:len(a.body)/2])
	var content io.Reader
	switch a.end {
	case whole:
		content = bytes.NewReader(a.body)
	case resets:
		return fail(&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)})
	case cuts:
		content = io.MultiReader(half, failing(func() error { return io.ErrUnexpectedEOF }))
	case drips:
		content = &dripping{ctx, a.pause, a.body}
	case hangs:
		content = io.MultiReader(half, failing(func() error { <-ctx.Done(); return ctx.Err() }))
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(content),
		ContentLength: int64(len(a.body)),
		Request:       r,
	}, nil
}

// failing is a reader that returns the error that the function returns.
type failing func() error

func (f failing) Read([]byte) (int, error) { return 0, f() }

// dripping is a reader that returns one byte at a time, with a pause before
// each.
type dripping struct {
	ctx   context.Context
	pause time.Duration
	body  []byte
}

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.body) == 0 {
		return 0, io.EOF
	}
	if err := sleep(d.ctx, d.pause); err != nil {
		return 0, err
	}
	n := copy(p, d.body[:1])
	d.body = d.body[n:]
	return n, nil
}

// sleep waits for d. It returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes the response to w.
func (a *response) write(ctx context.Context, w http.ResponseWriter) {
	if a.end == resets {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler) // closes the connection without a reset
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0) // makes Close reset the connection
		}
		conn.Close()
		return
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	switch a.end {
	case whole:
		w.Write(a.body)
		return
	case drips:
		flusher := http.NewResponseController(w)
		flusher.Flush() // sends the headers at once
		for i := range a.body {
			if sleep(ctx, a.pause) != nil {
				panic(http.ErrAbortHandler)
			}
			w.Write(a.body[i : i+1])
			flusher.Flush()
		}
		return
	}
	w.Write(a.body[:len(a.body)/2])
	http.NewResponseController(w).Flush()
	if a.end == hangs {
		<-ctx.Done()
	}
	panic(http.ErrAbortHandler) // closes the connection
}
