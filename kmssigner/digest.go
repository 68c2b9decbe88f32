package kmssigner

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// hashed returns the request for a signature by algorithm over a digest by
// hash. KMS wants digests of the length of algorithmHash, the hash of
// algorithm.
func (in input) hashed(algorithm types.SigningAlgorithmSpec, hash, algorithmHash crypto.Hash) (request, error) {
	r := request{
		algorithm:   algorithm,
		hash:        algorithmHash,
		messageType: types.MessageTypeDigest,
		opts:        in.opts,
	}
	size := algorithmHash.Size()
	if in.isDigest {
		if len(in.data) != hash.Size() {
			return request{}, fmt.Errorf("digest has %d bytes, want %d, the length of %v", len(in.data), hash.Size(), hash)
		}
		r.signed, r.message = in.data, in.data
		if len(in.data) < size {
			r.message = append(make([]byte, size-len(in.data), size), in.data...)
		}
	} else {
		// The padding of a short digest goes before it, in the same allocation.
		padding := max(0, size-hash.Size())
		r.message = appendSum(make([]byte, padding, padding+hash.Size()), hash, in.data)
		r.signed = r.message[padding:]
		if hash == algorithmHash && in.preferRaw && fits(in.data) {
			r.messageType, r.message = types.MessageTypeRaw, in.data
		}
	}
	if r.messageType == types.MessageTypeDigest {
		r.message = r.message[:size:size]
	}
	return r, nil
}

// appendSum appends the hash of msg to dst. It does not use New of a
// crypto.Hash, which allocates.
func appendSum(dst []byte, hash crypto.Hash, msg []byte) []byte {
	switch hash {
	case crypto.SHA224:
		sum := sha256.Sum224(msg)
		return append(dst, sum[:]...)
	case crypto.SHA256:
		sum := sha256.Sum256(msg)
		return append(dst, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(msg)
		return append(dst, sum[:]...)
	case crypto.SHA512:
		sum := sha512.Sum512(msg)
		return append(dst, sum[:]...)
	case crypto.SHA512_224:
		sum := sha512.Sum512_224(msg)
		return append(dst, sum[:]...)
	case crypto.SHA512_256:
		sum := sha512.Sum512_256(msg)
		return append(dst, sum[:]...)
	case crypto.SHA3_224:
		sum := sha3.Sum224(msg)
		return append(dst, sum[:]...)
	case crypto.SHA3_256:
		sum := sha3.Sum256(msg)
		return append(dst, sum[:]...)
	case crypto.SHA3_384:
		sum := sha3.Sum384(msg)
		return append(dst, sum[:]...)
	case crypto.SHA3_512:
		sum := sha3.Sum512(msg)
		return append(dst, sum[:]...)
	}
	panic("kmssigner: no sum for " + hash.String()) // not a hash of any keyType
}
