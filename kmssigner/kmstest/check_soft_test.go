package kmstest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
)

// The functions of a softSigner, which tests replace.
type (
	publicFunc func() crypto.PublicKey
	signFunc   func(rand io.Reader, input []byte, opts crypto.SignerOpts) ([]byte, error)
)

// softSigner is a signer in software. It keeps the promises, and refuses the
// same options as a kmssigner.Signer.
type softSigner struct {
	public            publicFunc
	sign, signMessage signFunc
}

func (s *softSigner) Public() crypto.PublicKey { return s.public() }

func (s *softSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(rand, digest, opts)
}

func (s *softSigner) SignMessage(rand io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.signMessage(rand, msg, opts)
}

var errRefused = errors.New("refused")

// soft returns a softSigner. Its sign and signMessage do not call each other,
// so that a test can break one of them.
func soft(key crypto.Signer) *softSigner {
	allowed := func(opts crypto.SignerOpts) bool {
		if opts == nil {
			return false
		}
		pss, isPSS := opts.(*rsa.PSSOptions)
		h := opts.HashFunc()
		switch pub := key.Public().(type) {
		case *rsa.PublicKey:
			return (h == crypto.SHA256 || h == crypto.SHA384 || h == crypto.SHA512) &&
				(!isPSS || pss.SaltLength == rsa.PSSSaltLengthEqualsHash || pss.SaltLength == rsa.PSSSaltLengthAuto || pss.SaltLength == h.Size())
		case *ecdsa.PublicKey:
			return h == ownHash(pub)
		case ed25519.PublicKey:
			o, ok := opts.(*ed25519.Options)
			return h == 0 && (!ok || o.Context == "")
		}
		return h == 0
	}
	sign := func(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		if !allowed(opts) || opts.HashFunc() != 0 && len(digest) != opts.HashFunc().Size() {
			return nil, errRefused
		}
		return key.Sign(rand.Reader, digest, opts)
	}
	return &softSigner{key.Public, sign, hashing(func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return sign(r, digest, opts)
	}, allowed)}
}

// hashing returns a SignMessage that calls a Sign.
func hashing(sign signFunc, allowed func(crypto.SignerOpts) bool) signFunc {
	return func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
		if !allowed(opts) {
			return nil, errRefused
		}
		return sign(r, digestOf(opts.HashFunc(), msg), opts)
	}
}

func ownHash(pub *ecdsa.PublicKey) crypto.Hash {
	switch pub.Curve {
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return crypto.SHA256
}

func digestOf(h crypto.Hash, msg []byte) []byte {
	if h == 0 {
		return msg
	}
	w := h.New()
	w.Write(msg)
	return w.Sum(nil)
}

// edit returns a signFunc that changes the input of sign.
func edit(sign signFunc, input func([]byte, crypto.SignerOpts) ([]byte, crypto.SignerOpts)) signFunc {
	return func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
		in, opts = input(in, opts)
		return sign(r, in, opts)
	}
}

// editSig returns a signFunc that changes the result of sign.
func editSig(sign signFunc, change func([]byte) []byte) signFunc {
	return func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
		sig, err := sign(r, in, opts)
		if err != nil {
			return nil, err
		}
		return change(sig), nil
	}
}

// resize truncates or pads input to size.
func resize(input []byte, size int) []byte {
	return append(bytes.Clone(input[:min(size, len(input))]), make([]byte, max(0, size-len(input)))...)
}
