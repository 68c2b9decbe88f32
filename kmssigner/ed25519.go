package kmssigner

import (
	"crypto"
	"crypto/ed25519"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var ed25519Specs = []types.KeySpec{types.KeySpecEccNistEdwards25519}

// ed25519Key signs with pure Ed25519 (RFC 8032 section 5.1).
type ed25519Key struct{ pub ed25519.PublicKey }

func newEd25519(pub ed25519.PublicKey) (keyType, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: Ed25519 public key of %d bytes, want %d", ErrUnsupportedKey, len(pub), ed25519.PublicKeySize)
	}
	return ed25519Key{pub}, nil
}

func (k ed25519Key) public() crypto.PublicKey { return k.pub }
func (ed25519Key) spec() types.KeySpec        { return types.KeySpecEccNistEdwards25519 }

// algorithms leaves out ED25519_PH_SHA_512. With it KMS hashes the digest a
// second time, so the signature is Ed25519ph over the digest, not over the
// message.
func (ed25519Key) algorithms() []types.SigningAlgorithmSpec {
	return []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEd25519Sha512}
}

func (k ed25519Key) prepare(in input) (request, error) {
	switch {
	case in.opts.none || in.opts.pss || in.opts.hash != 0:
		err := in.opts.refuse(k.algorithms())
		if in.opts.hash == crypto.SHA512 {
			err = fmt.Errorf("%w; no Ed25519ph, because KMS hashes the digest a second time", err)
		}
		return request{}, err
	case in.opts.context != "":
		return request{}, fmt.Errorf("opts ask for an ML-DSA context, the key signs with %s", types.SigningAlgorithmSpecEd25519Sha512)
	case !fits(in.data):
		return request{}, fmt.Errorf("%w: message has %d bytes, KMS takes 1 to %d for Ed25519", ErrMessageLength, len(in.data), maxMessage)
	}
	return request{
		algorithm:   types.SigningAlgorithmSpecEd25519Sha512,
		messageType: types.MessageTypeRaw,
		message:     in.data,
		signed:      in.data,
		opts:        in.opts,
	}, nil
}

func (ed25519Key) checkForm(sig []byte) error { return checkLength(sig, ed25519.SignatureSize) }

func (k ed25519Key) verify(r request, sig []byte) bool { return ed25519.Verify(k.pub, r.signed, sig) }
