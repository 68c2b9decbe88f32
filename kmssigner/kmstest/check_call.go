package kmstest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"fmt"
	"io"
)

// A demand is what a signer must return from a call.
type demand string

const (
	mustSign   demand = "a valid signature"
	maySign    demand = "a valid signature or an error"
	mustRefuse demand = "an error"
)

// A signerScheme is a signature scheme with its options.
type signerScheme struct {
	name   string
	opts   crypto.SignerOpts
	verify func(digest, sig []byte) bool // nil if no signature is valid
	why    string                        // reason for the demand
}

// digest returns the input of Sign for a message.
func (s signerScheme) digest(msg []byte) []byte {
	if s.opts.HashFunc() == 0 {
		return msg
	}
	return sum(s.opts.HashFunc(), msg)
}

// A signerCall is one call of Sign or SignMessage.
type signerCall struct {
	signerScheme
	demand   demand
	method   string // "Sign" or "SignMessage"
	how      string // what is special about the call
	rand     io.Reader
	input    []byte
	given    []byte // copy of input
	digest   []byte // digest that the signature must be over
	mayPanic bool   // keys of the standard library may panic
}

// signCall returns a call of Sign.
func (c *signerCheck) signCall(s signerScheme, d demand, digest []byte) signerCall {
	// The spare capacity shows whether the signer appends to its input.
	input := append(make([]byte, 0, len(digest)+16), digest...)
	return signerCall{signerScheme: s, demand: d, method: "Sign", rand: rand.Reader,
		input: input, given: bytes.Clone(digest), digest: bytes.Clone(digest)}
}

// messageCall returns a call of SignMessage.
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

// requireSchemes demands a signature by each scheme of the key.
func (c *signerCheck) requireSchemes() {
	for _, s := range c.key.schemes() {
		if c.both(s, mustSign, shortMessage) {
			c.working = append(c.working, s)
		}
	}
}

// both makes the same demand of Sign and SignMessage with a new message. It
// reports whether Sign made a valid signature.
func (c *signerCheck) both(s signerScheme, d demand, size int) bool {
	msg := c.message(size)
	digest := s.digest(msg)
	_, signed := c.do(c.signCall(s, d, digest))
	if c.isMessageSigner {
		c.do(c.messageCall(s, d, msg, digest))
	}
	return signed
}

// invalidOpts is both for options without a hash that the message could be
// hashed with. The input of Sign is a digest that the key signs with other
// options.
func (c *signerCheck) invalidOpts(s signerScheme, d demand) {
	msg := c.message(shortMessage)
	digest := msg
	if c.key.hashed() {
		digest = sum(c.key.schemes()[0].opts.HashFunc(), msg)
	}
	call := c.signCall(s, d, digest)
	call.mayPanic = true
	c.do(call)
	if !c.isMessageSigner {
		return // crypto.SignMessage panics
	}
	if c.key.hashed() && s.opts != nil {
		d, s.verify = mustRefuse, nil // there is no digest to sign
	}
	call = c.messageCall(s, d, msg, digest)
	call.mayPanic = true
	c.do(call)
}

// A signerAnswer is the outcome of a signerCall.
type signerAnswer struct {
	sig      []byte
	err      error
	panicked any
	wrote    bool // the signer modified its input
}

// call makes a call. It is safe for concurrent use.
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

// do makes a call and judges the answer. It returns the signature and reports
// whether it is valid.
func (c *signerCheck) do(call signerCall) ([]byte, bool) {
	a := c.call(call)
	return a.sig, c.judge(call, a)
}

// judge records the violations of an answer. It reports whether the answer is a
// valid signature.
func (c *signerCheck) judge(call signerCall, a signerAnswer) (valid bool) {
	defer func() {
		c.earlier = append(c.earlier, call.given)
		c.earlier = c.earlier[max(0, len(c.earlier)-2*checkGoroutines):]
	}()
	if a.wrote && !c.wrote[call.method] {
		c.wrote[call.method] = true
		c.violation("%v: modified its input or the spare capacity behind it; want neither modified: "+
			"the caller owns both, and may verify the signature with the input", call)
	}
	if a.panicked != nil {
		if !(c.std && call.mayPanic) {
			c.violation("%v: panicked: %v; want %s: %s", call, a.panicked, call.demand, call.why)
		}
		return false
	}
	if a.err != nil {
		if call.demand == mustSign {
			c.violation("%v: got an error: %w; want %s: %s", call, a.err, call.demand, call.why)
		}
		return false
	}
	switch formError := c.key.formError(a.sig); {
	case len(a.sig) == 0:
		c.violation("%v: got neither a signature nor an error; want %s: a caller takes a nil error for a signature", call, call.demand)
	case call.demand == mustRefuse:
		c.violation("%v: got a signature: %s; want %s: %s", call, c.diagnose(call, a.sig), call.demand, call.why)
	case formError != "":
		c.violation("%v: %s: %s; want %s: %s", call, formError, c.diagnose(call, a.sig), call.demand, call.why)
	case !call.verify(call.digest, a.sig):
		c.violation("%v: the signature does not verify: %s; want %s: %s", call, c.diagnose(call, a.sig), call.demand, call.why)
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
