package kmstest_test

import (
	"bytes"
	"crypto"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

var brokenAnyKey = []brokenSigner{
	{"signs with another key", p256, func(s *softSigner, _ crypto.Signer) {
		*s = softSigner{s.public, soft(p256()).sign, soft(p256()).signMessage}
	}, []string{"it is by a key that Public did not return"}},

	{"always fails", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errRefused }
		s.signMessage = s.sign
	}, []string{"got an error: refused; want a valid signature"}},

	{"swallows errors", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, _ := sign(r, digest, opts)
			return append([]byte{}, sig...), nil
		}
	}, []string{"got neither a signature nor an error"}},

	{"panics on nil opts", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"Sign of a message of 32 bytes with nil options: panicked"}},

	{"SignMessage panics on nil opts", ed, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"SignMessage of a message of 100 bytes with nil options: panicked"}},

	{"panics on another type of options", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil {
				opts = opts.(crypto.Hash)
			}
			return in, opts
		})
	}, []string{"in options of an unknown type: panicked"}},

	{"SignMessage panics on an unknown hash", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() != 0 {
				opts.HashFunc().New()
			}
			return in, opts
		})
	}, []string{"SignMessage of a message of 100 bytes with an unknown hash: panicked"}},

	{"needs rand", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if r == nil {
				return nil, errRefused
			}
			return sign(r, digest, opts)
		}
	}, []string{"with SHA-256 and a nil rand: got an error: refused"}},

	{"changes its input", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, err := sign(r, digest, opts)
			clear(digest)
			return sig, err
		}
	}, []string{"modified its input"}},

	{"appends to its input", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			return sign(r, append(msg, 1)[:len(msg)], opts)
		}
	}, []string{"the spare capacity behind it"}},

	{"keeps its input", p256, func(s *softSigner, _ crypto.Signer) {
		var made sync.Map // by the address of the digest
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || len(digest) == 0 {
				return nil, errRefused
			}
			if sig, ok := made.Load(&digest[0]); ok {
				return bytes.Clone(sig.([]byte)), nil
			}
			sig, err := sign(r, digest, opts)
			if err == nil {
				made.Store(&digest[0], sig)
			}
			return sig, err
		}
	}, []string{"in the buffer of the previous call: the signature does not verify: it is an ECDSA signature over the input of another call"}},

	{"returns one buffer", ed, func(s *softSigner, _ crypto.Signer) {
		var lock sync.Mutex
		var buf [64]byte
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			lock.Lock()
			defer lock.Unlock()
			return append(buf[:0], sig...)
		})
	}, []string{"modified the signature of the previous call", "the signature shares memory with that of the previous call",
		"in one of 16 goroutines: the signature does not verify: it is an Ed25519 signature over the input of another call"}},

	{"returns parts of one buffer", ed, func(s *softSigner, _ crypto.Signer) {
		var lock sync.Mutex
		buf := make([]byte, 0, 1<<16)
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			lock.Lock()
			defer lock.Unlock()
			buf = append(buf, sig...)
			return buf[len(buf)-len(sig):]
		})
	}, []string{"the signature shares memory with that of the previous call, or with its spare capacity"}},

	{"keeps what it returned", ed, func(s *softSigner, _ crypto.Signer) {
		var made sync.Map // by digest
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if sig, ok := made.Load(string(msg)); ok && opts != nil && opts.HashFunc() == 0 {
				return sig.([]byte), nil
			}
			sig, err := sign(r, msg, opts)
			if err == nil {
				made.Store(string(msg), sig)
			}
			return sig, err
		}
	}, []string{"after the caller overwrote the previous signature: the signature does not verify"}},

	{"not safe for goroutines", p256, func(s *softSigner, _ crypto.Signer) {
		var shared atomic.Pointer[[]byte] // atomic: right to the race detector, and wrong
		var inside atomic.Int64
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			shared.Store(&digest)
			inside.Add(1)
			defer inside.Add(-1)
			for range 1000 { // let another come in
				if inside.Load() > 1 {
					break
				}
				runtime.Gosched()
			}
			return sign(r, *shared.Load(), opts)
		}
	}, []string{"in one of 16 goroutines: the signature does not verify: it is an ECDSA signature over the input of another call"}},

	{"panics in goroutines", p256, func(s *softSigner, _ crypto.Signer) {
		var calls atomic.Int64
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if calls.Add(1) == 20 { // after the 15 that are made one by one
				panic("concurrent map writes")
			}
			return sign(r, digest, opts)
		}
	}, []string{"in one of 16 goroutines: panicked: concurrent map writes"}},
}
