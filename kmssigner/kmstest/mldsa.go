package kmstest

import (
	"crypto/sha256"
	"crypto/sha3"
	"sync"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// mldsaKey signs with ML-DSA: messages with the empty context, or a message
// representative mu that the caller computed. Signatures differ from call to call.
type mldsaKey struct {
	publicOnly
	private *mldsa.PrivateKey

	// The library has no way to verify a signature of a mu. But only this key
	// makes signatures that verify, so it is enough to know what it has made:
	// hashes of mu and signature.
	lock sync.Mutex
	made map[[sha256.Size]byte]bool
}

func newMLDSA(params mldsa.Parameters) (material, error) {
	private, err := mldsa.GenerateKey(params)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(private.PublicKey())
	return &mldsaKey{publicOnly: public, private: private, made: map[[sha256.Size]byte]bool{}}, err
}

// representative computes mu as in FIPS 204, algorithms 2 and 7: of the public
// key, 0 for pure ML-DSA, the length 0 of the context, and the message.
func (k *mldsaKey) representative(msg []byte) []byte {
	tr := sha3.SumSHAKE256(k.private.PublicKey().Bytes(), 64)
	h := sha3.NewSHAKE256()
	h.Write(tr)
	h.Write([]byte{0, 0})
	h.Write(msg)
	mu := make([]byte, 64)
	h.Read(mu)
	return mu
}

func (k *mldsaKey) sign(_ types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	mu := msg
	if t != types.MessageTypeExternalMu {
		mu = k.representative(msg)
	}
	sig, err := k.private.Sign(nil, mu, mldsacrypto.MLDSAMu)
	if err != nil {
		return nil, err
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	k.made[fingerprint(mu, sig)] = true
	return sig, nil
}

func (k *mldsaKey) verify(_ types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	if t != types.MessageTypeExternalMu {
		return mldsa.Verify(k.private.PublicKey(), msg, sig, nil) == nil
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.made[fingerprint(msg, sig)]
}

// fingerprint hashes a mu, whose length is fixed, and a signature.
func fingerprint(mu, sig []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write(mu)
	h.Write(sig)
	return [sha256.Size]byte(h.Sum(nil))
}

func mldsaSpec(params mldsa.Parameters) spec {
	return spec{
		usages:   []types.KeyUsageType{signVerify},
		signing:  []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecMlDsaShake256},
		generate: func() (material, error) { return newMLDSA(params) },
	}
}
