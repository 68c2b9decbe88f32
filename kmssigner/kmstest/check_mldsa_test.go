package kmstest_test

import (
	"crypto"
	"io"

	"filippo.io/mldsa/mldsacrypto"
)

var brokenMLDSA = []brokenSigner{
	{"ignores ML-DSA options", ml, func(s *softSigner, key crypto.Signer) {
		s.sign = func(_ io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) { return key.Sign(nil, msg, nil) }
	}, []string{"with a context: the signature does not verify: it is an ML-DSA signature with the empty context over the input",
		"with a context of 256 bytes: got a signature", "with SHA-256: got a signature: it is an ML-DSA signature with the empty context over the input",
		"with MLDSAMu: the signature does not verify: it is an ML-DSA signature with the empty context over the input", "with MLDSAMu: got a signature",
		"with an unknown hash: got a signature"}},

	{"ML-DSA key that panics on nil opts", ml, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			opts.HashFunc()
			return in, opts
		})
	}, []string{"Sign of a message of 100 bytes with nil options: panicked"}},

	{"fills up mu", ml, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == mldsacrypto.MLDSAMu {
				return key.Sign(r, resize(in, 64), opts)
			}
			return sign(r, in, opts)
		}
	}, []string{"of 63 bytes with MLDSAMu: got a signature", "of 0 bytes with MLDSAMu", "of 65 bytes with MLDSAMu"}},

	{"takes ML-DSA messages that KMS takes whole", ml, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) < 1 || len(msg) > 4096 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"Sign of a message of 0 bytes", "Sign of a message of 5000 bytes"}},

	{"long ML-DSA signature", ml, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return append(sig, 0) })
	}, []string{"the signature has 2421 bytes, want 2420"}},
}
