package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"sync"
)

// unknownHash is not the number of a hash.
const unknownHash crypto.Hash = 255

// Reasons that several key types share.
const (
	whyNilOpts     = "nil options do not name a hash, and an error does not end the program as a panic does"
	whyUnknownHash = "there is no hash with the number 255, and an error does not end the program as a panic does"
	whyNilRand     = "callers pass a nil rand to a signer that has its own randomness"
)

// lengths demands signatures over messages of lengths that KMS refuses. It
// calls only SignMessage, because the input of Sign is a digest.
func (c *signerCheck) lengths(s signerScheme, d demand) {
	if !c.isMessageSigner {
		return
	}
	s.why = "the signature is over the hash, so the message may be empty, or longer than the 4096 bytes that KMS accepts"
	for _, size := range []int{0, longMessage} {
		msg := c.message(size)
		c.do(c.messageCall(s, d, msg, s.digest(msg)))
	}
}

// plainOpts is a type of options that no signer knows.
type plainOpts crypto.Hash

func (o plainOpts) HashFunc() crypto.Hash { return crypto.Hash(o) }

// optionTypes demands that the signer accepts options of any type. It also
// calls crypto.SignMessage with a signer that is not a MessageSigner.
func (c *signerCheck) optionTypes() {
	i := slices.IndexFunc(c.working, func(s signerScheme) bool { _, ok := s.opts.(crypto.Hash); return ok })
	if i < 0 {
		return
	}
	s := c.working[i]
	s.opts = plainOpts(s.opts.HashFunc())
	s.name += " in options of an unknown type"
	s.why = "crypto.SignerOpts is an interface, so options may have any type"
	msg := c.message(shortMessage)
	c.do(c.signCall(s, mustSign, s.digest(msg)))
	c.do(c.messageCall(s, mustSign, msg, s.digest(msg)))
}

// nilRand demands signatures with a nil rand, by the first and the last scheme.
// With RSA these are RSASSA-PKCS1-v1_5 and RSASSA-PSS.
func (c *signerCheck) nilRand() {
	ends := []signerScheme{c.working[0]}
	if n := len(c.working); n > 1 {
		ends = append(ends, c.working[n-1])
	}
	for _, s := range ends {
		s.why = whyNilRand
		call := c.signCall(s, mustSign, s.digest(c.message(shortMessage)))
		call.rand, call.how, call.mayPanic = nil, " and a nil rand", true
		if c.std {
			call.demand = maySign
		}
		c.do(call)
	}
}

// buffers demands that inputs and signatures do not share memory, and that the
// signer does not retain them.
func (c *signerCheck) buffers() {
	s := c.working[0]
	s.why = "the caller owns the input and the signature, and may modify them after Sign returns"
	digest, other := s.digest(c.message(shortMessage)), s.digest(c.message(shortMessage))
	call := c.signCall(s, mustSign, digest)
	call.how = ", whose buffer is used again"
	first, ok := c.do(call)
	if !ok {
		return
	}
	was := bytes.Clone(first)

	copy(call.input, other)
	call.given, call.digest, call.how = other, other, ", in the buffer of the previous call"
	second, ok := c.do(call)
	if !bytes.Equal(first, was) {
		c.violation("%v: modified the signature of the previous call; want a new slice for each call: %s", call, s.why)
	}
	if !ok {
		return
	}

	was = bytes.Clone(second)
	first = first[:cap(first)] // the caller also owns the spare capacity, which append uses
	for i := range first {
		first[i] ^= 0xff
	}
	if !bytes.Equal(second, was) {
		c.violation("%v: the signature shares memory with that of the previous call, or with its spare capacity; want a new slice for each call: %s", call, s.why)
	}

	call = c.signCall(s, mustSign, digest)
	call.how = ", after the caller overwrote the previous signature"
	c.do(call)
}

// checkGoroutines is the number of goroutines that sign concurrently.
const checkGoroutines = 16

// concurrency demands a valid signature and the same public key in each of
// several goroutines.
func (c *signerCheck) concurrency() {
	var (
		calls   [checkGoroutines]signerCall
		answers [checkGoroutines]signerAnswer
		publics [checkGoroutines]crypto.PublicKey
		errs    [checkGoroutines]error
		start   = make(chan struct{})
		done    sync.WaitGroup
	)
	for i := range calls {
		s := c.working[i%len(c.working)]
		s.why = "crypto/tls and net/http use a signer from many goroutines"
		calls[i] = c.signCall(s, mustSign, s.digest(c.message(shortMessage)))
		calls[i].how = fmt.Sprintf(", in one of %d goroutines", checkGoroutines)
		c.earlier = append(c.earlier, calls[i].given)
		done.Go(func() {
			<-start
			publics[i], errs[i] = c.callPublic()
			answers[i] = c.call(calls[i])
		})
	}
	close(start)
	done.Wait()
	before := len(c.violations)
	for i := range calls {
		c.judge(calls[i], answers[i])
	}
	if n := len(c.violations) - before; n > 1 {
		c.violations = append(c.violations[:before], fmt.Errorf("%w (and %d similar)", c.violations[before], n-1))
	}
	for i := range publics {
		if !c.samePublic(publics[i], errs[i], fmt.Sprintf("in one of %d goroutines", checkGoroutines)) {
			return // one violation suffices
		}
	}
}
