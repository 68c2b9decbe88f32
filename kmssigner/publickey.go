package kmssigner

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"slices"

	// For all keys except those of ML-DSA this is crypto/x509.
	"filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// ParsePKIXPublicKey parses a DER-encoded SubjectPublicKeyInfo (RFC 5280
// section 4.1), such as the answer of "aws kms get-public-key". It accepts the
// public key of every KMS key that [New] accepts, including secp256k1 and
// ML-DSA keys, and returns one of the types that [Signer.Public] returns.
//
// ParsePKIXPublicKey returns [ErrUnsupportedKey] for a key of another type,
// size or curve, and for a weak key: an RSA key with an even modulus or an
// exponent that is not an odd number from 3 to 2^31-1, or an Ed25519 key that
// is a point of small order. It returns another error if the encoding is
// malformed or has trailing data. It does not call KMS and is safe for
// concurrent use.
func ParsePKIXPublicKey(spki []byte) (crypto.PublicKey, error) {
	k, err := parsePKIX(spki)
	if err != nil {
		return nil, fmt.Errorf("kmssigner: %w", err)
	}
	return k.public(), nil
}

// MarshalPKIXPublicKey returns the DER-encoded SubjectPublicKeyInfo of pub,
// which is of a type that [Signer.Public] returns. It is the inverse of
// [ParsePKIXPublicKey] and returns [ErrUnsupportedKey] for the same keys. It
// returns another error for an ECDSA key whose point is not on its curve. It
// does not call KMS and is safe for concurrent use.
func MarshalPKIXPublicKey(pub crypto.PublicKey) ([]byte, error) {
	spki, err := marshalPKIX(pub)
	if err != nil {
		return nil, fmt.Errorf("kmssigner: %w", err)
	}
	return spki, nil
}

func parsePKIX(spki []byte) (keyType, error) {
	var pub crypto.PublicKey
	pub, err := secp256k1.ParsePKIXPublicKey(spki)
	if errors.Is(err, secp256k1.ErrOtherKey) {
		pub, err = x509.ParsePKIXPublicKey(spki)
	}
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	k, err := newKeyType(pub)
	if err != nil {
		return nil, err
	}
	// crypto/x509 ignores data at the end of the algorithm's parameters.
	if again, err := marshalPKIX(pub); err != nil || !bytes.Equal(again, spki) {
		return nil, errors.New("parse public key: the SubjectPublicKeyInfo has trailing data or is not DER")
	}
	return k, nil
}

func marshalPKIX(pub crypto.PublicKey) ([]byte, error) {
	if _, err := newKeyType(pub); err != nil {
		return nil, err
	}
	if pub, ok := pub.(*ecdsa.PublicKey); ok && pub.Curve == secp256k1.Curve {
		return secp256k1.MarshalPKIXPublicKey(pub)
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// readPublicKey returns the key in an answer of GetPublicKey, and those of its
// algorithms that KMS lists. It returns an error if a Signer cannot use the
// key.
func readPublicKey(out *kms.GetPublicKeyOutput) (keyType, []types.SigningAlgorithmSpec, error) {
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, nil, fmt.Errorf("%w: its key usage is %q, want %q: the usage is fixed when a key is created, so use another key",
			ErrUnsupportedKey, out.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	spec := out.KeySpec
	if spec == "" {
		//lint:ignore SA1019 Old emulators set only this deprecated twin.
		spec = types.KeySpec(out.CustomerMasterKeySpec)
	}
	// Check the spec first, because naming it is more helpful than a parse
	// error.
	if spec != "" && !slices.Contains(supportedSpecs, spec) {
		return nil, nil, unsupportedSpec(spec)
	}
	if len(out.PublicKey) == 0 {
		return nil, nil, errors.New("KMS answered without a public key")
	}
	k, err := parsePKIX(out.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	if spec != "" && spec != k.spec() {
		return nil, nil, fmt.Errorf("KMS answered with key spec %s and a public key of spec %s", spec, k.spec())
	}
	usable := k.algorithms()
	usable = slices.DeleteFunc(usable, func(a types.SigningAlgorithmSpec) bool {
		return !slices.Contains(out.SigningAlgorithms, a)
	})
	if len(usable) == 0 {
		return nil, nil, fmt.Errorf("%w: its signing algorithms are %q, want any of %q",
			ErrUnsupportedKey, out.SigningAlgorithms, k.algorithms())
	}
	return k, usable, nil
}

func unsupportedSpec(spec types.KeySpec) error {
	if spec == types.KeySpecSm2 {
		return fmt.Errorf("%w: its key spec is SM2, for which Go has no type and JOSE no algorithm: use an RSA, ECC or ML-DSA key",
			ErrUnsupportedKey)
	}
	return fmt.Errorf("%w: its key spec is %s, which this version does not know: use an RSA, ECC or ML-DSA key",
		ErrUnsupportedKey, spec)
}
