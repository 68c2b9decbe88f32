package kmstest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func hmacSpec(alg types.MacAlgorithmSpec, hash crypto.Hash) spec {
	return spec{
		usages:   []types.KeyUsageType{generateVerifyMac},
		mac:      []types.MacAlgorithmSpec{alg},
		generate: func() (material, error) { return generateHMAC(hash), nil },
	}
}

// hmacKey makes HMACs (RFC 2104) that are not truncated. The key is as long as
// the hash. It has no public key.
type hmacKey struct {
	publicOnly
	hash   crypto.Hash
	secret []byte
}

func generateHMAC(hash crypto.Hash) material {
	secret := make([]byte, hash.Size())
	rand.Read(secret)
	return hmacKey{hash: hash, secret: secret}
}

func (k hmacKey) sign(in input) ([]byte, error) { return k.mac(in.message), nil }

func (k hmacKey) verify(in input, mac []byte) bool { return hmac.Equal(k.mac(in.message), mac) }

func (k hmacKey) mac(msg []byte) []byte {
	h := hmac.New(k.hash.New, k.secret)
	h.Write(msg)
	return h.Sum(nil)
}
