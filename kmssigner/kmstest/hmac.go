package kmstest

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// hmacKey makes HMACs (RFC 2104), never truncated.
type hmacKey struct {
	publicOnly
	hash   crypto.Hash
	secret []byte
}

func newHMAC(hash crypto.Hash) material {
	secret := make([]byte, hash.Size())
	rand.Read(secret)
	return hmacKey{hash: hash, secret: secret}
}

func (k hmacKey) mac(msg []byte) []byte {
	h := hmac.New(k.hash.New, k.secret)
	h.Write(msg)
	return h.Sum(nil)
}

func hmacSpec(alg types.MacAlgorithmSpec) spec {
	return spec{
		usages:   []types.KeyUsageType{generateVerifyMac},
		mac:      []types.MacAlgorithmSpec{alg},
		generate: func() (material, error) { return newHMAC(macHashes[alg]), nil },
	}
}

// macHashes names the hash of each MAC algorithm. The key is as long as it.
var macHashes = map[types.MacAlgorithmSpec]crypto.Hash{
	types.MacAlgorithmSpecHmacSha224: crypto.SHA224,
	types.MacAlgorithmSpecHmacSha256: crypto.SHA256,
	types.MacAlgorithmSpecHmacSha384: crypto.SHA384,
	types.MacAlgorithmSpecHmacSha512: crypto.SHA512,
}
