package kmstest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"io"
	"math/big"
	"slices"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var brokenECDSA = []brokenSigner{
	{"hashes again", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA256, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-256 of the input"}},

	{"hashes again, P-521", p521, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA512, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-512 of the input"}},

	{"R‖S", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, rawSignature)
		s.signMessage = editSig(s.signMessage, rawSignature)
	}, []string{"is not a DER-encoded SEQUENCE of two INTEGERs without trailing data: it is an ECDSA signature in the form R‖S"}},

	{"a byte too many", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return append(sig, 0) })
	}, []string{"without trailing data: it is an ECDSA signature with trailing data over the input"}},

	{"a byte too few", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return sig[:len(sig)-1] })
	}, []string{"is not a DER-encoded SEQUENCE of two INTEGERs"}},

	{"BER", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = editSig(s.sign, func(sig []byte) []byte { return slices.Concat([]byte{0x30, 0x81, sig[1]}, sig[2:]) })
	}, []string{"is not a DER-encoded SEQUENCE of two INTEGERs"}},

	{"one nonce for all", secp, func(s *softSigner, key crypto.Signer) {
		nonce := secpKey()
		s.sign = func(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 || len(digest) != 32 {
				return nil, errRefused
			}
			return signWithNonce(key.(*ecdsa.PrivateKey), nonce, digest), nil
		}
	}, []string{"two signatures with one nonce reveal the private key"}},

	{"fills up short digests", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return resize(in, max(len(in), 32)), opts
		})
	}, []string{"of a digest of 31 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the input padded to 32 bytes"}},

	{"panics on a wrong length", p256, func(s *softSigner, _ crypto.Signer) {
		s.sign = edit(s.sign, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			digest := [32]byte(in)
			return digest[:], opts
		})
	}, []string{"of a digest of 0 bytes with SHA-256: panicked", "of a digest of 31 bytes with SHA-256: panicked"}},

	{"SignMessage with another hash", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return sign(r, digestOf(crypto.SHA512, msg)[:32], opts)
		}
	}, []string{"SignMessage of a message of 100 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the SHA-512 of the input",
		"it is an ECDSA signature over the SHA-512 of the input"}},

	{"SignMessage ignores the hash", p256, func(s *softSigner, _ crypto.Signer) {
		sign := s.sign
		s.signMessage = func(r io.Reader, msg []byte, _ crypto.SignerOpts) ([]byte, error) {
			return sign(r, digestOf(crypto.SHA256, msg), crypto.SHA256)
		}
	}, []string{"with SHA-384: the signature does not verify: it is an ECDSA signature over the SHA-256 of the input",
		"with SHA-512: the signature does not verify", "with SHA3-256: the signature does not verify",
		"with no hash: the signature does not verify", "with an unknown hash: got a signature"}},

	{"SignMessage hashes twice", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return digestOf(crypto.SHA256, in), opts
		})
	}, []string{"it is an ECDSA signature over the SHA-256 of the SHA-256 of the input"}},

	{"SignMessage does not hash", p256, func(s *softSigner, key crypto.Signer) {
		s.signMessage = func(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
			if opts == nil || opts.HashFunc() != crypto.SHA256 {
				return nil, errRefused
			}
			return ecdsa.SignASN1(rand.Reader, key.(*ecdsa.PrivateKey), resize(msg, max(len(msg), 1)))
		}
	}, []string{"the signature does not verify: it is an ECDSA signature over the input"}},

	{"SignMessage cuts long messages", p256, func(s *softSigner, _ crypto.Signer) {
		s.signMessage = edit(s.signMessage, func(in []byte, opts crypto.SignerOpts) ([]byte, crypto.SignerOpts) {
			return in[:min(len(in), 4096)], opts
		})
	}, []string{"SignMessage of a message of 5000 bytes with SHA-256: the signature does not verify: it is an ECDSA signature over the SHA-256 of the first 4096 bytes"}},
}

// rawSignature converts a signature on P-256 from DER to R‖S.
func rawSignature(der []byte) []byte {
	var inner cryptobyte.String
	var r, s []byte
	input := cryptobyte.String(der)
	input.ReadASN1(&inner, cbasn1.SEQUENCE)
	inner.ReadASN1Integer(&r)
	inner.ReadASN1Integer(&s)
	raw := make([]byte, 64)
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return raw
}

// signWithNonce signs with ECDSA (FIPS 186-5 section 6.4.1) and a given nonce.
func signWithNonce(key *ecdsa.PrivateKey, nonce *secp256k1.PrivateKey, digest []byte) []byte {
	var d, e, r, s, inverse secp256k1.ModNScalar
	//lint:ignore SA1019 PrivateKey.Bytes does not know this curve.
	d.SetByteSlice(key.D.Bytes())
	e.SetByteSlice(digest)
	r.SetByteSlice(nonce.PubKey().SerializeCompressed()[1:])
	s.Mul2(&d, &r).Add(&e).Mul(inverse.InverseValNonConst(&nonce.Key))
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, x := range [][32]byte{r.Bytes(), s.Bytes()} {
			b.AddASN1BigInt(new(big.Int).SetBytes(x[:]))
		}
	})
	return b.BytesOrPanic()
}

// signsAnyDigest returns a signer that ignores options and signs digests of all
// lengths, as ECDSA is defined for. An empty digest is the number 0.
func signsAnyDigest(key *ecdsa.PrivateKey) crypto.Signer {
	s := soft(key)
	s.sign = func(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
		return ecdsa.SignASN1(rand.Reader, key, resize(digest, max(len(digest), 1)))
	}
	return s
}
