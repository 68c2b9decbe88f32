package kmstest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"math/big"
	"slices"
)

var brokenRSA = []brokenSigner{
	{"fills up short RSA digests", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() == crypto.SHA256 {
				in = resize(in, max(len(in), 32))
			}
			return in, opts
		})
	}, []string{"and SHA-256 over the input padded to 32 bytes; want an error", "RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input padded to 32 bytes; want an error"}},

	{"cuts long RSA digests", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil && opts.HashFunc() == crypto.SHA256 {
				in = in[:min(len(in), 32)]
			}
			return in, opts
		})
	}, []string{"of a digest of 33 bytes", "of a digest of 64 bytes"}},

	{"panics where RSA keys of the standard library do", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			pss, isPSS := opts.(*rsa.PSSOptions)
			switch {
			case opts == nil:
				panic("nil options")
			case opts.HashFunc() == 255:
				panic("an unknown hash")
			case isPSS && pss.Hash == 0:
				panic("no hash")
			case isPSS && r == nil:
				panic("no rand")
			}
			return sign(r, digest, opts)
		}
	}, []string{"nil options: panicked", "an unknown hash: panicked", "no hash: panicked", "PSSSaltLengthAuto and a nil rand: panicked"}},

	{"guesses without options", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts == nil {
				opts = crypto.SHA256
			}
			return in, opts
		})
	}, []string{"with nil options: got a signature: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input; want an error"}},

	{"SignMessage takes what KMS takes", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if len(msg) < 1 || len(msg) > 4096 {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"SignMessage of a message of 0 bytes", "SignMessage of a message of 5000 bytes"}},

	{"ignores PSS options", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if opts != nil {
				opts = opts.HashFunc()
			}
			return in, opts
		})
	}, []string{"does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input; want a valid signature: *rsa.PSSOptions ask for RSASSA-PSS",
		"it is RSASSA-PKCS1-v1_5 and SHA-384", "it is RSASSA-PKCS1-v1_5 and SHA-512", "it is RSASSA-PKCS1-v1_5 and SHA-256"}},

	{"PSS only", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if h, ok := opts.(crypto.Hash); ok && h != 0 && h.Available() {
				opts = newPSS(opts, rsa.PSSSaltLengthEqualsHash)
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA-256: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes",
		"RSASSA-PKCS1-v1_5 and SHA-256", "RSASSA-PKCS1-v1_5 and SHA-384", "RSASSA-PKCS1-v1_5 and SHA-512"}},

	{"maximum salt", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if pss, ok := opts.(*rsa.PSSOptions); ok && (pss.SaltLength == -1 || pss.SaltLength >= 32) {
				opts = newPSS(opts, rsa.PSSSaltLengthAuto)
			}
			return in, opts
		})
	}, []string{"PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 222 bytes over the input",
		"a salt of 222 bytes", "a salt of 206 bytes", "a salt of 190 bytes"}},

	{"no salt", rsa2048, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, err := sign(r, digest, opts)
			if pss, ok := opts.(*rsa.PSSOptions); err == nil && ok && pss.SaltLength == rsa.PSSSaltLengthEqualsHash && pss.Hash == crypto.SHA256 {
				return signPSSWithoutSalt(key.(*rsa.PrivateKey), digest), nil
			}
			return sig, err
		}
	}, []string{"the signature does not verify: it is RSASSA-PSS, SHA-256 and no salt over the input"}},

	{"ignores the salt length", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if _, ok := opts.(*rsa.PSSOptions); ok {
				opts = newPSS(opts, rsa.PSSSaltLengthEqualsHash)
			}
			return in, opts
		})
	}, []string{"a salt of 20 bytes: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input; " +
		"want a valid signature or an error: the verifier expects the salt length of the options",
		"a salt of -2 bytes: got a signature: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes", "a salt of 256 bytes: got a signature"}},

	{"ignores the RSA hash", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			if h, ok := opts.(crypto.Hash); ok && h.Available() && len(in) > 32 {
				return in[:32], crypto.SHA256
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA-384: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input truncated to 32 bytes",
		"RSASSA-PKCS1-v1_5 and SHA-512: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input truncated to 32 bytes",
		"SHA-256: got a signature"}},

	{"takes the hash from the length", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			pss, ok := opts.(*rsa.PSSOptions)
			switch {
			case opts == nil || len(in) != 32:
			case ok:
				opts = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: pss.SaltLength}
			default:
				opts = crypto.SHA256
			}
			return in, opts
		})
	}, []string{"RSASSA-PKCS1-v1_5 and SHA3-256: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the input",
		"RSASSA-PSS, SHA3-256 and PSSSaltLengthEqualsHash: the signature does not verify: it is RSASSA-PSS, SHA-256 and a salt of 32 bytes over the input",
		"RSASSA-PKCS1-v1_5 and an unknown hash: got a signature", "RSASSA-PSS and an unknown hash: got a signature", "RSASSA-PSS and no hash: got a signature"}},

	{"prehashes what is not hashed", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == crypto.Hash(0) {
				return sign(r, digestOf(crypto.SHA256, in), crypto.SHA256)
			}
			return sign(r, in, opts)
		}
	}, []string{"RSASSA-PKCS1-v1_5 and no hash: the signature does not verify: it is RSASSA-PKCS1-v1_5 and SHA-256 over the SHA-256 of the input"}},

	{"forgets the hash", rsa2048, func(s *softSigner, key crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, in []byte, opts crypto.SignerOpts) ([]byte, error) {
			if sig, err := sign(r, in, opts); err != nil || opts != crypto.SHA256 {
				return sig, err
			}
			return key.Sign(r, in, crypto.Hash(0))
		}
	}, []string{"the signature does not verify: it is RSASSA-PKCS1-v1_5 without a hash over the input"}},

	{"drops a byte of RSA", rsa2048, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[1:] })
	}, []string{"the signature has 255 bytes, want the 256 of the modulus"}},

	{"one algorithm", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.sign = func(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if _, ok := opts.(*rsa.PSSOptions); ok || opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return sign(r, digest, opts)
		}
	}, []string{"RSASSA-PSS, SHA-256 and PSSSaltLengthEqualsHash: got an error: refused", "RSASSA-PSS", "RSASSA-PKCS1-v1_5 and SHA-384", "RSASSA-PKCS1-v1_5 and SHA-512"}},

	{"refuses PSSSaltLengthAuto", rsa2048, func(s *softSigner, _ crypto.Signer) {
		sign := s.signMessage
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if pss, ok := opts.(*rsa.PSSOptions); ok && pss.SaltLength == rsa.PSSSaltLengthAuto {
				return nil, errRefused
			}
			return sign(r, msg, opts)
		}
	}, []string{"PSSSaltLengthAuto: got an error: refused"}},
}

// signPSSWithoutSalt signs with RSASSA-PSS (RFC 8017 section 9.1.1), SHA-256
// and an empty salt, for which crypto/rsa has no option.
func signPSSWithoutSalt(key *rsa.PrivateKey, digest []byte) []byte {
	h := sha256.Sum256(slices.Concat(make([]byte, 8), digest))
	em := make([]byte, key.Size())
	db := em[:len(em)-len(h)-1]
	db[len(db)-1] = 1
	for i, block := 0, []byte(nil); i < len(db); i++ { // MGF1
		if i%32 == 0 {
			b := sha256.Sum256(append(h[:], 0, 0, 0, byte(i/32)))
			block = b[:]
		}
		db[i] ^= block[i%32]
	}
	db[0] &= 0x7f
	copy(em[len(db):], h[:])
	em[len(em)-1] = 0xbc
	return new(big.Int).Exp(new(big.Int).SetBytes(em), key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// newPSS returns PSS options with the hash of opts and a salt length.
func newPSS(opts crypto.SignerOpts, salt int) crypto.SignerOpts {
	return &rsa.PSSOptions{Hash: opts.HashFunc(), SaltLength: salt}
}
