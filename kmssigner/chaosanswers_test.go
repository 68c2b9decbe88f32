package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A mixedCall is a call that may be given the answer to another one.
type mixedCall struct {
	chaosCall
	keys     *chaosKeys
	verifies bool // VerifyMac
	fails    bool // even with its own answer
}

// takes reports whether c may return without an error if it gets the answer to
// other. KMS's refusal of a MAC does not name the key, and an answer without a
// verdict is one that the MAC is not valid.
func (c mixedCall) takes(other mixedCall) bool {
	return c.name == other.name ||
		c.verifies && (other.verifies || c.keys == other.keys && strings.HasPrefix(other.name, "GenerateMac"))
}

// A mixing is a way in which the answers to two calls are mixed up.
type mixing string

const (
	swapped mixing = "swapped" // each of two calls at once gets the answer to the other
	late    mixing = "late"    // the second call gets the answer to the first again
	doubled mixing = "doubled" // each answer comes twice, one after the other
)

// TestChaosMixedAnswers gives calls the answers to other calls.
func TestChaosMixedAnswers(t *testing.T) {
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		discardLog(t)
		fake := newChaosFake()
		server := kmstest.NewServer(fake)
		defer server.Close()
		address := strings.TrimPrefix(server.URL, "http://")

		var altered atomic.Int64
		var calls []mixedCall
		for _, name := range []string{"A", "B"} {
			k := newChaosKeys(t, fake, types.KeySpecEccNistP256)
			add := func(what string, verifies bool, do func(context.Context, *kms.Client) error) {
				calls = append(calls, mixedCall{chaosCall{what + " " + name, do}, k, verifies, false})
			}
			add("Sign", false, k.sign(chaosMessage, crypto.SHA256))
			add("Sign another message", false, k.sign([]byte("another message"), crypto.SHA256))
			add("GetPublicKey", false, k.getPublicKey)
			add("DescribeKey", false, k.describeKey)
			add("GenerateMac", false, k.generateMAC(&altered))
			add("VerifyMac", true, k.verifyMAC(&altered))
			add("VerifyMac of a forgery", true, k.verifyForgedMAC)
		}
		rsaKeys, disabled := newChaosKeys(t, fake, types.KeySpecRsa2048), newChaosKeys(t, fake, types.KeySpecEccNistP256)
		if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(disabled.signer.KeyARN())}); err != nil {
			t.Fatal(err)
		}
		pss := &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}
		calls = append(calls,
			mixedCall{chaosCall{"Sign PKCS #1", rsaKeys.sign(chaosMessage, crypto.SHA256)}, rsaKeys, false, false},
			mixedCall{chaosCall{"Sign PSS", rsaKeys.sign(chaosMessage, pss)}, rsaKeys, false, false},
			mixedCall{chaosCall{"Sign refused", disabled.sign(chaosMessage, crypto.SHA256)}, disabled, false, true},
		)

		type mixedCase struct {
			how           mixing
			first, second mixedCall
		}
		var cases []mixedCase
		for _, how := range []mixing{swapped, late, doubled} {
			for _, first := range calls {
				for _, second := range calls {
					cases = append(cases, mixedCase{how, first, second})
				}
			}
		}
		chosen := sample(cases, 300)
		var taken, unknowable atomic.Int64
		eachCase(t, nil, chosen, func(p *peer, c mixedCase) {
			name := fmt.Sprintf("%s: %s, %s", c.how, c.first.name, c.second.name)
			m := &mixer{upstream: address, how: c.how}
			var errs [2]error
			p.run(t, name, m.serve, func(ctx context.Context, client *kms.Client) error {
				if c.how == swapped {
					var both sync.WaitGroup
					both.Go(func() { errs[0] = c.first.do(ctx, client) })
					both.Go(func() { errs[1] = c.second.do(ctx, client) })
					both.Wait()
				} else {
					errs[0] = c.first.do(ctx, client)
					errs[1] = c.second.do(ctx, client)
				}
				return nil
			})
			// check checks the error of a call that got the answer to another
			// one.
			check := func(err error, call, answered mixedCall, mayFail bool) {
				switch {
				case errors.Is(err, errWrong) && call.verifies && answered.verifies && call.keys == answered.keys:
					unknowable.Add(1) // A forged MAC with the answer for a good one.
				case errors.Is(err, errWrong):
					t.Errorf("%s: %s: %v", name, call.name, err)
				case err != nil && !explained(err):
					t.Errorf("%s: %s: %v, want an error with its cause", name, call.name, err)
				case err == nil && !call.takes(answered):
					t.Errorf("%s: %s takes the answer to %s", name, call.name, answered.name)
				case err != nil && call.takes(answered) && !call.fails && !mayFail && !answered.verifies:
					t.Errorf("%s: %s: %v", name, call.name, err)
				case err == nil:
					taken.Add(1)
				}
			}
			switch c.how {
			case swapped:
				check(errs[0], c.first, c.second, false)
				check(errs[1], c.second, c.first, false)
			case late:
				check(errs[0], c.first, c.first, false)
				check(errs[1], c.second, c.first, false)
			case doubled:
				check(errs[0], c.first, c.first, true)
				// net/http usually drops the connection before the second call.
				if errs[1] == nil {
					check(nil, c.second, c.second, true)
				} else {
					check(errs[1], c.second, c.first, true)
				}
			}
		})
		t.Logf("%d of %d pairs, %d answers taken, %d MACs or verdicts altered, %d forged MACs accepted with the answer for a good one",
			len(chosen), len(cases), taken.Load(), altered.Load(), unknowable.Load())
	})
	noLeaks()
}

// A mixer is a server that mixes up the answers to two calls.
type mixer struct {
	upstream string
	how      mixing

	mu      sync.Mutex
	first   []byte      // the first answer
	waiting chan []byte // that waits for the second answer
}

func (m *mixer) serve(c *net.TCPConn, s *stall) {
	eachRequest(c, func(x rawRequest) error {
		answer, err := x.ask(m.upstream)
		if err != nil {
			return err
		}
		switch m.how {
		case swapped:
			answer, err = m.swap(answer, s)
		case late:
			m.mu.Lock()
			if m.first == nil {
				m.first = answer
			}
			answer = m.first
			m.mu.Unlock()
		case doubled:
			answer = append(answer, answer...)
		}
		if err == nil {
			_, err = c.Write(answer)
		}
		return err
	})
}

// swap returns the answer to the other one of two calls.
func (m *mixer) swap(answer []byte, s *stall) ([]byte, error) {
	m.mu.Lock()
	if m.waiting != nil {
		m.waiting <- answer
		answer = m.first
		m.mu.Unlock()
		return answer, nil
	}
	m.first, m.waiting = answer, make(chan []byte, 1)
	m.mu.Unlock()
	select {
	case other := <-m.waiting:
		return other, nil
	case <-s.release:
		return nil, io.EOF
	}
}

// TestChaosRedirects answers each call with a redirect. Nothing is sent
// anywhere else, and the body of the redirect is not taken for an answer.
func TestChaosRedirects(t *testing.T) {
	noLeaks := noGoroutineLeft(t)
	t.Run("cases", func(t *testing.T) {
		fake := newChaosFake()
		server := kmstest.NewServer(fake)
		defer server.Close()
		address := strings.TrimPrefix(server.URL, "http://")
		keys := newChaosKeys(t, fake, types.KeySpecEccNistP256)
		var altered atomic.Int64
		type redirect struct {
			chaosCall
			status   string
			location string
		}
		var cases []redirect
		calls := keys.calls(crypto.SHA256, &altered)
		for _, c := range calls[:len(calls)-1] { // The last one is refused anyway.
			for _, status := range []string{"300 Multiple Choices", "301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
				for _, location := range []string{"http://other.example.test/", "https://other.example.test/", "http://" + chaosHost + "/", "/other", "", "://", "file:///etc/passwd"} {
					cases = append(cases, redirect{c, status, location})
				}
			}
		}
		eachCase(t, nil, cases, func(p *peer, c redirect) {
			name := fmt.Sprintf("%s, %s to %q", c.name, c.status, c.location)
			var requests atomic.Int64
			err := p.run(t, name, func(conn *net.TCPConn, s *stall) {
				eachRequest(conn, func(x rawRequest) error {
					requests.Add(1)
					answer, err := x.ask(address)
					if err != nil {
						return err
					}
					_, rest, _ := bytes.Cut(answer, []byte("\r\n"))
					_, err = fmt.Fprintf(conn, "HTTP/1.1 %s\r\nLocation: %s\r\n%s", c.status, c.location, rest)
					return err
				})
			}, c.do)
			// net/http refuses a location that it cannot parse.
			_, isAPI := errors.AsType[smithy.APIError](err)
			if err == nil || errors.Is(err, errWrong) || !isAPI && !(c.location == "://" && explained(err)) {
				t.Errorf("%s: %v, want an APIError", name, err)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%s: %d requests, want 1", name, n)
			}
		})
		if altered.Load() != 0 {
			t.Errorf("%d MACs or verdicts are altered", altered.Load())
		}
		t.Logf("%d redirects", len(cases))
	})
	noLeaks()
}
