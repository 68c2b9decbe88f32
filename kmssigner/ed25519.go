package kmssigner

import (
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

var ed25519Specs = []types.KeySpec{types.KeySpecEccNistEdwards25519}

// ed25519Key signs with pure Ed25519 (RFC 8032 section 5.1).
type ed25519Key struct{ pub ed25519.PublicKey }

func newEd25519(pub ed25519.PublicKey) (keyType, error) {
	if len(pub) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: Ed25519 public key of %d bytes, want %d", ErrUnsupportedKey, len(pub), ed25519.PublicKeySize)
	}
	if hasSmallOrder(pub) {
		return nil, fmt.Errorf("%w: Ed25519 public key is a point of small order, with which anybody can make signatures", ErrUnsupportedKey)
	}
	return ed25519Key{pub}, nil
}

// smallOrderY are the y-coordinates of the eight points of small order, in the
// little-endian encoding of RFC 8032 section 5.1.2, including the encodings of
// 0 and 1 that are not reduced modulo p = 2^255-19.
var smallOrderY = [][ed25519.PublicKeySize]byte{
	{},     // 0, of order 4
	{0: 1}, // 1, the neutral element
	fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // p-1, of order 2
	fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), // of order 8
	fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), // of order 8
	fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // p = 0
	fromHex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // p+1 = 1
}

func hasSmallOrder(pub ed25519.PublicKey) bool {
	y := [ed25519.PublicKeySize]byte(pub)
	y[31] &^= 0x80 // The sign of x does not matter.
	return slices.Contains(smallOrderY, y)
}

func fromHex(s string) (b [ed25519.PublicKeySize]byte) {
	if n, err := hex.Decode(b[:], []byte(s)); n != len(b) || err != nil {
		panic("kmssigner: bad constant " + s)
	}
	return b
}

func (k ed25519Key) public() crypto.PublicKey { return k.pub }
func (ed25519Key) spec() types.KeySpec        { return types.KeySpecEccNistEdwards25519 }
func (ed25519Key) defaultHash() crypto.Hash   { return 0 }

// algorithms leaves out ED25519_PH_SHA_512. With it KMS hashes the digest a
// second time, so the signature is Ed25519ph over the digest, not over the
// message.
func (ed25519Key) algorithms() []types.SigningAlgorithmSpec {
	return []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEd25519Sha512}
}

func (k ed25519Key) prepare(in input) (request, error) {
	switch {
	case in.opts.none || in.opts.pss || in.opts.hash != 0:
		err := in.opts.refuse("an Ed25519 key wants HashFunc 0 and the message itself")
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
