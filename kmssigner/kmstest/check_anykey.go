package kmstest

import (
	"bytes"
	"crypto"
	"fmt"
	"slices"
	"sync"
)

// unknownHash has a number that no hash has.
const unknownHash crypto.Hash = 255

// Reasons that more than one kind of key shares.
const (
	whyNilOpts     = "options name the hash, without them nobody knows what was asked for; a slip of one caller must not end the service"
	whyUnknownHash = "no hash has the number 255; to make one up, or to panic, is worse than to say so"
	whyNilRand     = "a signer with randomness of its own ignores rand, and its callers pass nil"
)

// lengths demands messages of lengths that KMS does not take whole. Of Sign, which
// gets the digest, they demand nothing new.
func (c *signerCheck) lengths(s signerScheme, d demand) {
	if !c.isMessageSigner {
		return
	}
	s.why = "what is signed is the hash, which every message has: one that is empty, and one that is longer than the 4096 bytes that KMS takes"
	for _, size := range []int{0, longMessage} {
		msg := c.message(size)
		c.do(c.messageCall(s, d, msg, s.digest(msg)))
	}
}

// plainOpts are options of a type that no signer knows.
type plainOpts crypto.Hash

func (o plainOpts) HashFunc() crypto.Hash { return crypto.Hash(o) }

// optionTypes demands that options are looked at through their interface. This
// is also where a signer that is no MessageSigner meets crypto.SignMessage.
func (c *signerCheck) optionTypes() {
	i := slices.IndexFunc(c.working, func(s signerScheme) bool { _, ok := s.opts.(crypto.Hash); return ok })
	if i < 0 {
		return
	}
	s := c.working[i]
	s.opts = plainOpts(s.opts.HashFunc())
	s.name += " in options of an unknown type"
	s.why = "crypto.SignerOpts is an interface: any type with a HashFunc will do"
	msg := c.message(shortMessage)
	c.do(c.signCall(s, mustSign, s.digest(msg)))
	c.do(c.messageCall(s, mustSign, msg, s.digest(msg)))
}

// nilRand demands signatures without rand, for the first scheme and the last:
// with RSA these are PKCS #1 v1.5 and PSS.
func (c *signerCheck) nilRand() {
	ends := []signerScheme{c.working[0]}
	if n := len(c.working); n > 1 {
		ends = append(ends, c.working[n-1])
	}
	for _, s := range ends {
		s.why = whyNilRand
		call := c.signCall(s, mustSign, s.digest(c.message(shortMessage)))
		call.rand, call.how, call.slip = nil, ", rand nil", true
		if c.std {
			call.demand = maySign
		}
		c.do(call)
	}
}

// buffers demands that nothing is shared between inputs and signatures, or kept.
func (c *signerCheck) buffers() {
	s := c.working[0]
	s.why = "the input belongs to the caller, who may change it once Sign has returned, and the signature as well"
	digest, other := s.digest(c.message(shortMessage)), s.digest(c.message(shortMessage))
	call := c.signCall(s, mustSign, digest)
	call.how = ", its buffer to be used again"
	first, ok := c.do(call)
	if !ok {
		return
	}
	was := bytes.Clone(first)

	copy(call.input, other)
	call.given, call.digest, call.how = other, other, ", in the buffer of the call before"
	second, ok := c.do(call)
	if !bytes.Equal(first, was) {
		c.violation("%v: it changed the signature of the call before; want a new slice for each: %s", call, s.why)
	}
	if !ok {
		return
	}

	was = bytes.Clone(second)
	first = first[:cap(first)] // the memory behind it is the caller's too: append uses it
	for i := range first {
		first[i] ^= 0xff
	}
	if !bytes.Equal(second, was) {
		c.violation("%v: the signature changed with that of the call before, or with the memory behind that; want a new slice for each: %s", call, s.why)
	}

	call = c.signCall(s, mustSign, digest)
	call.how = ", whose last signature the caller has overwritten"
	c.do(call)
}

// checkGoroutines is how many goroutines sign at once.
const checkGoroutines = 16

// concurrency demands right signatures and the same public key in all of them.
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
		s.why = "tls.Config and http.Server call one signer from many goroutines"
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
		c.violations = append(c.violations[:before], fmt.Errorf("%w (and so %d more)", c.violations[before], n-1))
	}
	for i := range publics {
		if !c.samePublic(publics[i], errs[i], fmt.Sprintf("in one of %d goroutines", checkGoroutines)) {
			return // once is enough
		}
	}
}
