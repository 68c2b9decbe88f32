package kmstest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"io"
)

var brokenEd25519 = []brokenSigner{
	{"Ed25519ph like KMS", ed, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts != nil && opts.HashFunc() == crypto.SHA512 && len(in) == 64 {
				again := sha512.Sum512(in)
				return key.Sign(rand.Reader, again[:], opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"with Ed25519ph: the signature does not verify: it is an Ed25519ph signature over the SHA-512 of the input; want a valid signature or an error",
		"with Ed25519ph, as crypto.SHA512: the signature does not verify: it is an Ed25519ph signature over the SHA-512 of the input"}},

	{"Ed25519ph over any length", ed, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts != nil && opts.HashFunc() == crypto.SHA512 {
				return key.Sign(rand.Reader, resize(in, 64), opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"Sign of a digest of 63 bytes with Ed25519ph: got a signature: it is an Ed25519ph signature over the input padded to 64 bytes",
		"Sign of a digest of 0 bytes", "Sign of a digest of 65 bytes"}},

	{"ignores all Ed25519 options", ed, func(s *softSigner, key crypto.Signer) {
		s.sign = func(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
			return ed25519.Sign(key.(ed25519.PrivateKey), msg), nil
		}
	}, []string{"with a context: the signature does not verify: it is an Ed25519 signature over the input",
		"with a context of 256 bytes: got a signature", "with SHA-256: got a signature", "with an unknown hash: got a signature",
		"with Ed25519ph: got a signature", "with Ed25519ph, as crypto.SHA512: the signature does not verify", "with Ed25519ph: the signature does not verify: it is an Ed25519 signature over the input"}},

	{"cuts long Ed25519 messages", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return in[:min(len(in), 4096)], opts
		})
	}, []string{"Sign of a message of 5000 bytes with HashFunc 0: the signature does not verify: it is an Ed25519 signature over the first 4096 bytes of the input"}},

	{"replaces empty Ed25519 messages", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return resize(in, max(len(in), 1)), opts
		})
	}, []string{"Sign of a message of 0 bytes with HashFunc 0: the signature does not verify"}},

	{"refuses long Ed25519 messages too early", ed, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) == 1 || len(msg) > 1024 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"Sign of a message of 4096 bytes", "Sign of a message of 1 bytes"}},

	{"short Ed25519 signature", ed, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[:63] })
	}, []string{"the signature has 63 bytes, want 64"}},
}
