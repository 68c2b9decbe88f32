package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestChaosCertificates has an endpoint whose certificate is not good for it.
// The error says what is wrong, and no request is sent.
func TestChaosCertificates(t *testing.T) {
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		fake := newChaosFake()
		keys := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		unchanged := func(*x509.Certificate) {}
		is := func(target any) func(error) bool {
			return func(err error) bool { return errors.As(err, target) }
		}
		expired := func(err error) bool {
			invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && invalid.Reason == x509.Expired
		}
		for _, tt := range []struct {
			reason  string
			edit    func(*x509.Certificate)
			trusted bool
			want    func(error) bool // nil if the call succeeds
		}{
			{"good", unchanged, true, nil},
			{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, true, expired},
			{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, true, expired},
			{"for another host", func(c *x509.Certificate) { c.DNSNames = []string{"other.example.test"} }, true, is(new(x509.HostnameError))},
			{"for no host", func(c *x509.Certificate) { c.DNSNames = nil }, true, is(new(x509.HostnameError))},
			{"by an unknown authority", unchanged, false, is(new(x509.UnknownAuthorityError))},
		} {
			certificate, roots := newCertificate(t, tt.edit)
			if !tt.trusted {
				_, roots = newCertificate(t, unchanged)
			}
			var requests atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				fake.ServeHTTP(w, r)
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			p := newPeer(t, roots)
			var altered atomic.Int64
			for _, c := range keys.calls(crypto.SHA256, &altered) {
				name := c.name + ", certificate " + tt.reason
				err := p.run(t, name, (&proxy{upstream: server.Listener.Addr().String()}).serve, c.do)
				if tt.want == nil && err != nil || tt.want != nil && !tt.want(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if n := requests.Load(); (n > 0) != (tt.want == nil) || altered.Load() != 0 {
				t.Errorf("certificate %s: %d requests were sent, %d MACs or verdicts are altered", tt.reason, n, altered.Load())
			}
			server.Close()
		}

		// An endpoint without TLS.
		plain := kmstest.NewServer(fake)
		defer plain.Close()
		_, roots := newCertificate(t, unchanged)
		err := newPeer(t, roots).run(t, "plain HTTP", (&proxy{upstream: strings.TrimPrefix(plain.URL, "http://")}).serve, keys.sign(chaosMessage, crypto.SHA256))
		if !strings.Contains(fmt.Sprint(err), "server gave HTTP response to HTTPS client") {
			t.Errorf("without TLS: %v", err)
		}
	})
	noLeaks()
}

// An http2Abort is how an HTTP/2 connection goes wrong: at which point, and by
// which frame or ending of the connection.
type http2Abort struct {
	point http2Point
	how   ending // if frame is 0
	frame byte
	code  uint32 // the error code in the frame
	last  uint32 // the last stream in a GOAWAY frame
}

// An http2Point is how much of the answer is sent before it is aborted.
type http2Point int

const (
	http2Nothing http2Point = iota
	http2Headers
	http2HalfBody
	http2WholeBody // without the end of the stream
	http2Points
)

// Frame types and flags of RFC 9113 section 6.
const (
	frameData       = 0x0
	frameHeaders    = 0x1
	frameRSTStream  = 0x3
	frameSettings   = 0x4
	frameGoAway     = 0x7
	flagAck         = 0x1
	flagEndStream   = 0x1
	flagEndHeaders  = 0x4
	http2Preface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	http2ErrorCodes = 14      // of RFC 9113 section 7
	hpackStatus200  = 0x88    // the field ":status: 200" of RFC 7541 appendix A
	maxFrame        = 1 << 14 // bytes that a peer may send by default
)

func writeFrame(w io.Writer, kind, flags byte, stream uint32, payload []byte) error {
	frame := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	frame = binary.BigEndian.AppendUint32(frame, stream)
	_, err := w.Write(append(frame, payload...))
	return err
}

func readFrame(r io.Reader) (kind, flags byte, stream uint32, err error) {
	var header [9]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, 0, err
	}
	size := int64(header[0])<<16 | int64(header[1])<<8 | int64(header[2])
	_, err = io.CopyN(io.Discard, r, size)
	return header[3], header[4], binary.BigEndian.Uint32(header[5:]), err
}

// serve answers one request with body and aborts.
func (a http2Abort) serve(c *net.TCPConn, s *stall, config *tls.Config, body []byte) {
	conn := tls.Server(c, config)
	preface := make([]byte, len(http2Preface))
	if _, err := io.ReadFull(conn, preface); err != nil || string(preface) != http2Preface {
		return
	}
	writeFrame(conn, frameSettings, 0, 0, nil)
	for {
		kind, flags, stream, err := readFrame(conn)
		if err != nil {
			return
		}
		switch {
		case kind == frameSettings && flags&flagAck == 0:
			writeFrame(conn, frameSettings, flagAck, 0, nil)
		case (kind == frameData || kind == frameHeaders) && flags&flagEndStream != 0:
			a.answer(conn, stream, body)
			switch {
			case a.frame == frameGoAway || a == http2Good:
				ends.end(c, s)
				return
			case a.frame == 0:
				a.how.end(c, s)
				return
			}
		}
	}
}

// http2Good is not an abort, so that a call succeeds.
var http2Good = http2Abort{point: http2WholeBody}

// answer sends as much of an answer as a says, and the frame that aborts it.
func (a http2Abort) answer(w io.Writer, stream uint32, body []byte) {
	if a.point >= http2Headers {
		writeFrame(w, frameHeaders, flagEndHeaders, stream, []byte{hpackStatus200})
	}
	switch a.point {
	case http2HalfBody:
		writeFrame(w, frameData, 0, stream, body[:len(body)/2])
	case http2WholeBody:
		writeFrame(w, frameData, 0, stream, body)
	}
	code := binary.BigEndian.AppendUint32(nil, a.code)
	switch a.frame {
	case frameRSTStream:
		writeFrame(w, frameRSTStream, 0, stream, code)
	case frameGoAway:
		writeFrame(w, frameGoAway, 0, 0, append(binary.BigEndian.AppendUint32(nil, a.last), code...))
	}
	if a == http2Good {
		writeFrame(w, frameData, flagEndStream, stream, nil)
	}
}

// TestChaosHTTP2Aborts aborts answers of HTTP/2 by every error code.
func TestChaosHTTP2Aborts(t *testing.T) {
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		fake := newChaosFake()
		keys := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		server := kmstest.NewServer(fake)
		defer server.Close()

		certificate, roots := newCertificate(t, func(*x509.Certificate) {})
		config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
		serve := func(a http2Abort, body []byte) func(*net.TCPConn, *stall) {
			return func(conn *net.TCPConn, s *stall) { a.serve(conn, s, config, body) }
		}

		type abortCase struct {
			chaosCall
			http2Abort
			body []byte
		}
		var cases []abortCase
		var altered atomic.Int64
		calls := keys.calls(crypto.SHA256, &altered)
		for _, c := range calls[:len(calls)-1] { // The last one is a refusal.
			answers := recording{}
			answers.record(t, strings.TrimPrefix(server.URL, "http://"), c)
			_, body, _ := bytes.Cut(answers["TrentService."+c.name], []byte("\r\n\r\n"))
			if len(body) == 0 || len(body) > maxFrame {
				t.Fatalf("%s: an answer of %d bytes", c.name, len(body))
			}
			p := newPeer(t, roots)
			if err := p.run(t, c.name, serve(http2Good, body), c.do); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			for point := range http2Points {
				for how := resets; how <= stalls; how++ {
					cases = append(cases, abortCase{c, http2Abort{point: point, how: how}, body})
				}
				for code := range uint32(http2ErrorCodes) {
					cases = append(cases,
						abortCase{c, http2Abort{point: point, frame: frameRSTStream, code: code}, body},
						abortCase{c, http2Abort{point: point, frame: frameGoAway, code: code}, body},
						abortCase{c, http2Abort{point: point, frame: frameGoAway, code: code, last: 1}, body})
				}
			}
		}
		chosen := sample(cases, 200)
		var succeeded atomic.Int64
		eachCase(t, roots, chosen, func(p *peer, c abortCase) {
			name := fmt.Sprintf("%s, %+v", c.name, c.http2Abort)
			err := p.run(t, name, serve(c.http2Abort, c.body), c.do)
			stalled := c.frame == 0 && c.how == stalls
			switch {
			case err == nil && c.point == http2WholeBody:
				succeeded.Add(1)
			case err == nil || errors.Is(err, errWrong):
				t.Errorf("%s: %v", name, err)
			case stalled && !(errors.Is(err, context.Canceled) && errors.Is(err, errGivenUp)):
				t.Errorf("%s: %v, want context.Canceled with its cause", name, err)
			case !stalled && !explained(err):
				t.Errorf("%s: %v, want an error with its cause", name, err)
			}
		})
		if altered.Load() != 0 {
			t.Errorf("%d MACs or verdicts are altered", altered.Load())
		}
		t.Logf("%d of %d aborts, %d calls succeeded", len(chosen), len(cases), succeeded.Load())
	})
	noLeaks()
}
