package kmstest

import (
	"crypto/sha256"
	"crypto/sha3"
	"slices"
	"sync"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func mldsaSpec(params mldsa.Parameters) spec {
	return spec{
		usages:   []types.KeyUsageType{signVerify},
		signing:  []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecMlDsaShake256},
		generate: func() (material, error) { return generateMLDSA(params) },
	}
}

// mldsaKey signs with ML-DSA: messages, with the empty context, or a message
// representative mu that the caller computed. Signatures are randomized.
type mldsaKey struct {
	publicOnly
	private *mldsa.PrivateKey

	// made holds fingerprints of the last maxMade signatures that the key has
	// made. Package mldsa cannot verify a signature of a mu, but only this key
	// can make one. After that many signatures, and after a restart with a
	// state file, Verify with EXTERNAL_MU does not know a signature any more.
	mu    sync.Mutex
	made  map[[sha256.Size]byte]bool
	order [][sha256.Size]byte // the keys of made, a ring that begins at next
	next  int
}

const maxMade = 10_000

func generateMLDSA(params mldsa.Parameters) (material, error) {
	private, err := mldsa.GenerateKey(params)
	if err != nil {
		return nil, err
	}
	return newMLDSA(private)
}

func newMLDSA(private *mldsa.PrivateKey) (material, error) {
	public, err := x509.MarshalPKIXPublicKey(private.PublicKey())
	if err != nil {
		return nil, err
	}
	return &mldsaKey{publicOnly: public, private: private, made: map[[sha256.Size]byte]bool{}}, nil
}

func (k *mldsaKey) sign(in input) ([]byte, error) {
	mu := in.message
	if in.messageType != types.MessageTypeExternalMu {
		mu = messageRepresentative(k.private.PublicKey(), in.message)
	}
	sig, err := k.private.Sign(nil, mu, mldsacrypto.MLDSAMu)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remember(fingerprint(mu, sig))
	return sig, nil
}

// remember adds a fingerprint to made, in place of the oldest one if there are
// too many. The caller must hold k.mu.
func (k *mldsaKey) remember(f [sha256.Size]byte) {
	if len(k.order) < maxMade {
		k.order = append(k.order, f)
	} else {
		delete(k.made, k.order[k.next])
		k.order[k.next] = f
		k.next = (k.next + 1) % maxMade
	}
	k.made[f] = true
}

func (k *mldsaKey) verify(in input, sig []byte) bool {
	if in.messageType != types.MessageTypeExternalMu {
		return mldsa.Verify(k.private.PublicKey(), in.message, sig, nil) == nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.made[fingerprint(in.message, sig)]
}

// messageRepresentative computes mu with the empty context (FIPS 204 algorithms
// 2 and 7).
func messageRepresentative(pub *mldsa.PublicKey, msg []byte) []byte {
	tr := sha3.SumSHAKE256(pub.Bytes(), 64)
	return sha3.SumSHAKE256(slices.Concat(tr, []byte{0, 0}, msg), muSize)
}

// fingerprint returns the hash of a mu, whose length is fixed, and a signature.
func fingerprint(mu, sig []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat(mu, sig))
}
