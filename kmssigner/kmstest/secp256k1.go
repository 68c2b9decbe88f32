package kmstest

import (
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	internal "github.com/kmssign/kmssign/internal/secp256k1"
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
	public, err := internal.MarshalPKIXPublicKey(private.PubKey().ToECDSA())
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

// verify is ECDSA as FIPS 186-5 section 6.4.2 has it. Like sign, it is not the code
// that package kmssigner verifies with.
func (k secpKey) verify(alg types.SigningAlgorithmSpec, t types.MessageType, msg, sig []byte) bool {
	var e, r, s, w secp256k1.ModNScalar
	rBytes, sBytes, rest, ok := parseECDSA(sig)
	if !ok || len(rest) > 0 || !setScalar(&r, rBytes) || !setScalar(&s, sBytes) {
		return false
	}
	e.SetByteSlice(digest(alg, t, msg))
	w.InverseValNonConst(&s)

	// The point (e/s)*G + (r/s)*Q.
	var q, eG, rQ, sum secp256k1.JacobianPoint
	k.private.PubKey().AsJacobian(&q)
	secp256k1.ScalarBaseMultNonConst(e.Mul(&w), &eG)
	secp256k1.ScalarMultNonConst(w.Mul(&r), &q, &rQ)
	secp256k1.AddNonConst(&eG, &rQ, &sum)
	if sum.X.IsZero() && sum.Y.IsZero() || sum.Z.IsZero() {
		return false // the point at infinity
	}
	sum.ToAffine()
	var v secp256k1.ModNScalar
	v.SetBytes(sum.X.Bytes()) // modulo n
	return v.Equals(&r)
}

// setScalar sets x to a big-endian number and reports whether it is in the range
// 1 to n-1.
func setScalar(x *secp256k1.ModNScalar, b []byte) bool {
	return len(b) <= 32 && !x.SetByteSlice(b) && !x.IsZero()
}
