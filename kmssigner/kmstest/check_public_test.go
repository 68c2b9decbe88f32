package kmstest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"sync"
	"sync/atomic"

	"filippo.io/mldsa"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

var brokenPublic = []brokenSigner{
	{"nil Public", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { return nil }
	}, []string{"Public: got nil; want one of *rsa.PublicKey"}},

	{"Public is a nil pointer", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { return (*ecdsa.PublicKey)(nil) }
	}, []string{"got an incomplete *ecdsa.PublicKey"}},

	{"Public panics", p256, func(s *softSigner, _ crypto.Signer) {
		s.public = func() crypto.PublicKey { panic("no network") }
	}, []string{"Public: panicked: no network"}},

	{"Public without Equal", p256, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		s.public = func() crypto.PublicKey { return pub }
	}, []string{"got a ecdsa.PublicKey, which has no method Equal", "got a ecdsa.PublicKey; want one of"}},

	{"Public on another curve", p256, func(s *softSigner, key crypto.Signer) {
		s.public = ecKey(elliptic.P224()).Public
	}, []string{"on the curve P-224"}},

	{"Public off the curve", p256, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey {
			//lint:ignore SA1019 the alternatives check the point.
			return &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}
	}, []string{"signatures are verified with it"}},

	{"Public off secp256k1", secp, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey {
			//lint:ignore SA1019 the alternatives do not know the curve.
			return &ecdsa.PublicKey{Curve: secp256k1.S256(), X: big.NewInt(1), Y: big.NewInt(1)}
		}
	}, []string{"signatures are verified with it"}},

	{"Public out of the range of secp256k1", secp, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		//lint:ignore SA1019 the alternatives do not know the curve.
		pub.X = new(big.Int).Neg(pub.X) // its absolute value is on the curve
		s.public = func() crypto.PublicKey { return &pub }
	}, []string{"the point of the secp256k1 key is out of range; want one of"}},

	{"Public is a short RSA key", rsa2048, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537} }
	}, []string{"the RSA modulus has 1024 bits"}},

	{"Public is a short Ed25519 key", ed, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return key.Public().(ed25519.PublicKey)[:31] }
	}, []string{"the Ed25519 key has 31 bytes"}},

	{"Public is a zero ML-DSA key", ml, func(s *softSigner, key crypto.Signer) {
		s.public = func() crypto.PublicKey { return new(mldsa.PublicKey) }
	}, []string{"got an incomplete *mldsa.PublicKey"}},

	{"new Public at each call", p256, func(s *softSigner, key crypto.Signer) {
		calls := 0
		var lock sync.Mutex
		s.public = func() crypto.PublicKey {
			lock.Lock()
			defer lock.Unlock()
			if calls++; calls == 1 {
				return key.Public()
			}
			return p256().Public()
		}
	}, []string{"another key at the second call", "another key in one of 16 goroutines", "another key after signing"}},

	{"Public goes away", p256, func(s *softSigner, key crypto.Signer) {
		var signed atomic.Bool
		s.sign = editSig(s.sign, func(sig []byte) []byte { signed.Store(true); return sig })
		s.public = func() crypto.PublicKey {
			if signed.Load() {
				return nil
			}
			return key.Public()
		}
	}, []string{"Public: in one of 16 goroutines: got a <nil>; want the same key at each call", "Public: after signing: got a <nil>"}},

	{"other Public to some goroutines", p256, func(s *softSigner, key crypto.Signer) {
		var calls atomic.Int64
		s.public = func() crypto.PublicKey {
			if calls.Add(1) == 5 {
				return p256().Public()
			}
			return key.Public()
		}
	}, []string{"another key in one of 16 goroutines"}},

	{"Public changes in place", p256, func(s *softSigner, key crypto.Signer) {
		pub := *key.Public().(*ecdsa.PublicKey)
		s.public = func() crypto.PublicKey { return &pub }
		var once sync.Once
		s.sign = editSig(s.sign, func(sig []byte) []byte {
			once.Do(func() { pub = *p256().Public().(*ecdsa.PublicKey) })
			return sig
		})
	}, []string{"in the value of the first call, after signing", "another key after signing", "it is by a key that Public did not return"}},
}
