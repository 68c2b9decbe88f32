package kmssigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/internal/secp256k1"
)

var ecdsaSpecs = []types.KeySpec{curveP256.spec, curveP384.spec, curveP521.spec, curveSecp256k1.spec}

// An ecdsaCurve is a curve that KMS signs on, with the one algorithm that KMS
// pairs with it.
type ecdsaCurve struct {
	spec      types.KeySpec
	algorithm types.SigningAlgorithmSpec
	hash      crypto.Hash // of algorithm
	verify    func(pub *ecdsa.PublicKey, digest, sig []byte) bool
}

var (
	curveP256      = &ecdsaCurve{types.KeySpecEccNistP256, types.SigningAlgorithmSpecEcdsaSha256, crypto.SHA256, ecdsa.VerifyASN1}
	curveP384      = &ecdsaCurve{types.KeySpecEccNistP384, types.SigningAlgorithmSpecEcdsaSha384, crypto.SHA384, ecdsa.VerifyASN1}
	curveP521      = &ecdsaCurve{types.KeySpecEccNistP521, types.SigningAlgorithmSpecEcdsaSha512, crypto.SHA512, ecdsa.VerifyASN1}
	curveSecp256k1 = &ecdsaCurve{types.KeySpecEccSecgP256k1, types.SigningAlgorithmSpecEcdsaSha256, crypto.SHA256, secp256k1.VerifyASN1}
)

// ecdsaKey signs with ECDSA (FIPS 186-5 section 6).
type ecdsaKey struct {
	pub *ecdsa.PublicKey
	*ecdsaCurve
}

func newECDSA(pub *ecdsa.PublicKey) (keyType, error) {
	//lint:ignore SA1019 PublicKey.Bytes panics on a key without a point.
	if pub == nil || pub.Curve == nil || pub.X == nil || pub.Y == nil {
		return nil, fmt.Errorf("%w: the ECDSA public key is nil", ErrUnsupportedKey)
	}
	const want = "want P-256, P-384, P-521 or decred's secp256k1"
	// Compare curves by identity and don't call methods of an unknown Curve
	// implementation.
	switch pub.Curve {
	case elliptic.P256():
		return ecdsaKey{pub, curveP256}, nil
	case elliptic.P384():
		return ecdsaKey{pub, curveP384}, nil
	case elliptic.P521():
		return ecdsaKey{pub, curveP521}, nil
	case secp256k1.Curve:
		return ecdsaKey{pub, curveSecp256k1}, nil
	case elliptic.P224():
		return nil, fmt.Errorf("%w: curve P-224, %s", ErrUnsupportedKey, want)
	}
	return nil, fmt.Errorf("%w: curve of type %T, %s", ErrUnsupportedKey, pub.Curve, want)
}

func (k ecdsaKey) public() crypto.PublicKey { return k.pub }
func (k ecdsaKey) spec() types.KeySpec      { return k.ecdsaCurve.spec }

func (k ecdsaKey) algorithms() []types.SigningAlgorithmSpec {
	return []types.SigningAlgorithmSpec{k.algorithm}
}

func (k ecdsaKey) defaultHash() crypto.Hash { return k.hash }

// ecdsaHashes are the hashes of digests that an ECDSA key signs. SHA-1 and MD5
// are not among them, because they are not collision resistant.
var ecdsaHashes = []crypto.Hash{
	crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_224, crypto.SHA512_256,
	crypto.SHA3_224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512,
}

// prepare accepts every hash in ecdsaHashes, although KMS offers only one for
// each curve. ECDSA signs the leftmost bits of the digest as a number (FIPS
// 186-5 section 6.4.1), so a digest that was cut or padded on the left to the
// length that KMS wants has the same signatures as the digest itself.
func (k ecdsaKey) prepare(in input) (request, error) {
	const want = "an ECDSA key wants a SHA-2 or SHA-3 hash"
	hash := in.opts.hash
	switch {
	case in.opts.none && in.isDigest:
		if len(in.data) != k.hash.Size() {
			return request{}, fmt.Errorf("opts is nil and digest has %d bytes, want %d or options that name its hash", len(in.data), k.hash.Size())
		}
		hash = k.hash
	case in.opts.none || in.opts.pss || !slices.Contains(ecdsaHashes, hash):
		return request{}, in.opts.refuse(want)
	}
	r, err := in.hashed(k.algorithm, hash, k.hash)
	// KMS does not document that it signs fitted digests, so always verify.
	r.mustVerify = hash != k.hash
	return r, err
}

// checkForm checks the DER encoding and the range of R and S.
func (k ecdsaKey) checkForm(sig []byte) error {
	var p1363 [2 * 66]byte // room for the widest curve, P-521
	_, err := derconv.AppendP1363(p1363[:0], sig, k.pub.Curve)
	return err
}

func (k ecdsaKey) verify(r request, sig []byte) bool {
	return k.ecdsaCurve.verify(k.pub, r.signed, sig)
}
