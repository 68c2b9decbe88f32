package kmstest

import (
	"encoding/asn1"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// secpKey signs with ECDSA on secp256k1.
type secpKey struct {
	publicOnly
	private *secp256k1.PrivateKey
}

func newSecp256k1() (material, error) {
	private, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	curve := asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	public, err := marshalSPKI(ecPublicKey, curve, private.PubKey().SerializeUncompressed())
	return secpKey{public, private}, err
}

// sign is ECDSA as FIPS 186-5 section 6.4.1 has it, with a random nonce and
// without a rule for s, as KMS does it. The package's own Sign has neither: its
// signatures are deterministic and have a low s. (crypto/ecdsa has both, but it
// panics on this curve when GODEBUG=fips140=only.)
func (k secpKey) sign(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) ([]byte, error) {
	var e, r, s secp256k1.ModNScalar
	e.SetByteSlice(digest(alg, t, msg))
	for r.IsZero() || s.IsZero() { // once, but for a chance of 1 in 2^255
		nonce, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			return nil, err
		}
		// The x-coordinate of the point nonce*G is that of its public key.
		r.SetByteSlice(nonce.PubKey().SerializeCompressed()[1:])
		s.Mul2(&k.private.Key, &r).Add(&e).Mul(nonce.Key.InverseNonConst())
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, x := range [][32]byte{r.Bytes(), s.Bytes()} {
			b.AddASN1BigInt(new(big.Int).SetBytes(x[:]))
		}
	})
	return b.Bytes()
}

func (k secpKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	parsed, err := ecdsa.ParseDERSignature(sig)
	return err == nil && parsed.Verify(digest(alg, t, msg), k.private.PubKey())
}
