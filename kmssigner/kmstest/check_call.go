package kmstest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"
)

// A demand is what a signer owes to a call.
type demand string

const (
	mustSign   demand = "a right signature"
	maySign    demand = "a right signature or an error"
	mustRefuse demand = "an error"
)

// A signerScheme is one way to sign.
type signerScheme struct {
	name   string
	opts   crypto.SignerOpts
	verify func(digest, sig []byte) bool // nil: no signature is right
	why    string
}

// digest returns what Sign gets for a message.
func (s signerScheme) digest(msg []byte) []byte {
	if s.opts.HashFunc() == 0 {
		return msg
	}
	return sum(s.opts.HashFunc(), msg)
}

// A signerCall is one call of Sign or SignMessage.
type signerCall struct {
	signerScheme
	demand demand
	method string // "Sign" or "SignMessage"
	how    string // of the call, if special
	rand   io.Reader
	input  []byte // what the signer gets
	given  []byte // a copy of it
	digest []byte // what the signature is verified with
	slip   bool   // a mistake of the programmer, for which the standard library's keys panic
}

func (c *signerCheck) signCall(s signerScheme, d demand, digest []byte) signerCall {
	// Room behind the digest, for who appends to it to show.
	input := append(make([]byte, 0, len(digest)+16), digest...)
	return signerCall{signerScheme: s, demand: d, method: "Sign", rand: rand.Reader,
		input: input, given: bytes.Clone(digest), digest: bytes.Clone(digest)}
}

func (c *signerCheck) messageCall(s signerScheme, d demand, msg, digest []byte) signerCall {
	call := c.signCall(s, d, msg)
	call.method, call.digest = "SignMessage", digest
	return call
}

func (call signerCall) String() string {
	input := "message"
	if call.method == "Sign" && call.opts != nil && call.opts.HashFunc() != 0 {
		input = "digest"
	}
	return fmt.Sprintf("%s of a %s of %d bytes with %s%s", call.method, input, len(call.given), call.name, call.how)
}

// mustSign demands signatures by all schemes.
func (c *signerCheck) mustSign() {
	for _, s := range c.key.schemes() {
		if c.both(s, mustSign, shortMessage) {
			c.working = append(c.working, s)
		}
	}
}

// both demands the same of Sign and SignMessage, over a new message.
// It reports whether Sign made a right signature.
func (c *signerCheck) both(s signerScheme, d demand, size int) bool {
	msg := c.message(size)
	digest := s.digest(msg)
	_, signed := c.do(c.signCall(s, d, digest))
	if c.isMessageSigner {
		c.do(c.messageCall(s, d, msg, digest))
	}
	return signed
}

// slip is both for options that name no hash to make a digest with. Sign gets a
// digest that the key would sign with other options.
func (c *signerCheck) slip(s signerScheme, d demand) {
	msg := c.message(shortMessage)
	digest := msg
	if c.key.hashed() {
		digest = sum(c.key.schemes()[0].opts.HashFunc(), msg)
	}
	call := c.signCall(s, d, digest)
	call.slip = true
	c.do(call)
	if !c.isMessageSigner {
		return // crypto.SignMessage itself panics
	}
	if c.key.hashed() && s.opts != nil {
		d, s.verify = mustRefuse, nil // without a hash there is nothing to sign
	}
	call = c.messageCall(s, d, msg, digest)
	call.slip = true
	c.do(call)
}

// A signerAnswer is what came of a call.
type signerAnswer struct {
	sig      []byte
	err      error
	panicked any
	wrote    bool // to the input
}

// call makes the call. It is safe for concurrent use.
func (c *signerCheck) call(call signerCall) (a signerAnswer) {
	defer func() { a.panicked = recover() }()
	whole := call.input[:cap(call.input)]
	before := bytes.Clone(whole)
	if call.method == "Sign" {
		a.sig, a.err = c.signer.Sign(call.rand, call.input, call.opts)
	} else {
		a.sig, a.err = crypto.SignMessage(c.signer, call.rand, call.input, call.opts)
	}
	a.wrote = !bytes.Equal(before, whole)
	return a
}

// do makes the call and judges the answer. It reports whether there is a right
// signature.
func (c *signerCheck) do(call signerCall) ([]byte, bool) {
	a := c.call(call)
	return a.sig, c.judge(call, a)
}

func (c *signerCheck) judge(call signerCall, a signerAnswer) (right bool) {
	defer func() {
		c.earlier = append(c.earlier, call.given)
		c.earlier = c.earlier[max(0, len(c.earlier)-2*checkGoroutines):]
	}()
	if a.wrote && !c.wrote[call.method] {
		c.wrote[call.method] = true
		c.violation("%v: it changed its input, or the memory behind it that append uses; want it read only: the caller still owns it, "+
			"and may be about to verify with it", call)
	}
	if a.panicked != nil {
		if !(c.std && call.slip) {
			c.violation("%v: it panicked: %v; want %s: %s", call, a.panicked, call.demand, call.why)
		}
		return false
	}
	if a.err != nil {
		if call.demand == mustSign {
			c.violation("%v: got an error: %w; want %s: %s", call, a.err, call.demand, call.why)
		}
		return false
	}
	switch wrong := c.key.form(a.sig); {
	case len(a.sig) == 0:
		c.violation("%v: got neither a signature nor an error; want %s: a nil error tells callers to go on, with nothing", call, call.demand)
	case call.demand == mustRefuse:
		c.violation("%v: got a signature: %s; want %s: %s", call, c.reading(call, a.sig), call.demand, call.why)
	case wrong != "":
		c.violation("%v: %s: %s; want %s: %s", call, wrong, c.reading(call, a.sig), call.demand, call.why)
	case !call.verify(call.digest, a.sig):
		c.violation("%v: the signature does not verify: %s; want %s: %s", call, c.reading(call, a.sig), call.demand, call.why)
	default:
		if key, ok := c.key.(interface {
			checkNonce(*signerCheck, signerCall, []byte)
		}); ok {
			key.checkNonce(c, call, a.sig)
		}
		return true
	}
	return false
}
