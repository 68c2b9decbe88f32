package kmssigner

import (
	"crypto"
	"crypto/sha3"
	"fmt"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var mldsaSpecs = []types.KeySpec{types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87}

const (
	muSize     = 64  // bytes of the message representative mu
	maxContext = 255 // bytes of a context string (FIPS 204 algorithm 2)
)

// mldsaKey signs with pure, hedged ML-DSA (FIPS 204).
type mldsaKey struct {
	pub     *mldsa.PublicKey
	keySpec types.KeySpec
}

func newMLDSA(pub *mldsa.PublicKey) (keyType, error) {
	// Parameters panics on a zero key.
	if pub == nil || pub.Equal(&mldsa.PublicKey{}) {
		return nil, fmt.Errorf("%w: the ML-DSA public key is nil", ErrUnsupportedKey)
	}
	switch params := pub.Parameters(); params {
	case mldsa.MLDSA44():
		return mldsaKey{pub, types.KeySpecMlDsa44}, nil
	case mldsa.MLDSA65():
		return mldsaKey{pub, types.KeySpecMlDsa65}, nil
	case mldsa.MLDSA87():
		return mldsaKey{pub, types.KeySpecMlDsa87}, nil
	default:
		return nil, fmt.Errorf("%w: parameters %v, want ML-DSA-44, ML-DSA-65 or ML-DSA-87", ErrUnsupportedKey, params)
	}
}

func (k mldsaKey) public() crypto.PublicKey { return k.pub }
func (k mldsaKey) spec() types.KeySpec      { return k.keySpec }
func (mldsaKey) defaultHash() crypto.Hash   { return 0 }

// algorithms returns the one name that KMS has for all parameter sets.
func (mldsaKey) algorithms() []types.SigningAlgorithmSpec {
	return []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecMlDsaShake256}
}

func (k mldsaKey) prepare(in input) (request, error) {
	wantsMu := in.opts.hash == mldsacrypto.MLDSAMu
	switch {
	case in.opts.none || in.opts.pss || in.opts.hash != 0 && !wantsMu:
		return request{}, in.opts.refuse("an ML-DSA key wants HashFunc 0 and the message itself, or MLDSAMu")
	case len(in.opts.context) > maxContext:
		return request{}, fmt.Errorf("ML-DSA context has %d bytes, want at most %d", len(in.opts.context), maxContext)
	}
	r := request{
		algorithm:   types.SigningAlgorithmSpecMlDsaShake256,
		messageType: types.MessageTypeRaw,
		message:     in.data,
		signed:      in.data,
		opts:        in.opts,
		// KMS signs whatever mu it is given. Only verification shows that the
		// context is in it.
		mustVerify: in.opts.context != "",
	}
	switch {
	case wantsMu && in.isDigest:
		if len(in.data) != muSize {
			return request{}, fmt.Errorf("mu has %d bytes, want %d", len(in.data), muSize)
		}
		r.messageType, r.signedMu = types.MessageTypeExternalMu, true
	case !fits(in.data) || in.opts.context != "":
		// KMS takes only short messages as RAW, and signs them with an empty
		// context. It signs any other message by its mu.
		mu := externalMu(k.pub, in.opts.context, in.data)
		r.messageType, r.message = types.MessageTypeExternalMu, mu[:]
	}
	return r, nil
}

func (k mldsaKey) checkForm(sig []byte) error {
	return checkLength(sig, k.pub.Parameters().SignatureSize())
}

func (k mldsaKey) verify(r request, sig []byte) bool {
	// No library verifies a mu without the message: golang.org/issue/80272.
	return r.signedMu || mldsa.Verify(k.pub, r.signed, sig, &mldsa.Options{Context: r.opts.context}) == nil
}

// externalMu returns the message representative mu of FIPS 204 algorithm 7 line
// 6, for the message that algorithm 2 makes of msg and context:
//
//	mu = SHAKE256(SHAKE256(pk, 64) ‖ 0 ‖ len(context) ‖ context ‖ msg, 64)
//
// KMS signs mu in place of msg, so msg may have any length.
func externalMu(pub *mldsa.PublicKey, context string, msg []byte) (mu [muSize]byte) {
	tr := sha3.SumSHAKE256(pub.Bytes(), 64)
	h := sha3.NewSHAKE256()
	h.Write(tr)
	h.Write([]byte{0, byte(len(context))})
	h.Write([]byte(context))
	h.Write(msg)
	h.Read(mu[:])
	return mu
}
