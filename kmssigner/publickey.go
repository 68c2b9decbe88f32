package kmssigner

import (
	"errors"
	"fmt"
	"slices"

	// For all keys except those of ML-DSA this is crypto/x509.
	"filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// parsePKIX parses a DER-encoded SubjectPublicKeyInfo (RFC 5280 section 4.1),
// the form of the public key in an answer of GetPublicKey.
func parsePKIX(spki []byte) (keyType, error) {
	onSecp256k1, err := secp256k1.ParsePKIXPublicKey(spki)
	if err == nil {
		return newECDSA(onSecp256k1)
	}
	if !errors.Is(err, secp256k1.ErrOtherKey) {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	return newKeyType(pub)
}

// marshalPKIX is the inverse of parsePKIX. It returns an error if the key is of
// a supported type but not valid, such as a point that is not on its curve.
func marshalPKIX(k keyType) ([]byte, error) {
	if k, ok := k.(ecdsaKey); ok && k.pub.Curve == secp256k1.Curve {
		return secp256k1.MarshalPKIXPublicKey(k.pub)
	}
	return x509.MarshalPKIXPublicKey(k.public())
}

// readPublicKey returns the key in an answer of GetPublicKey, and those of its
// algorithms that KMS lists. It returns an error if a Signer cannot use the key.
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
	// Check the spec first, because naming it is more helpful than a parse error.
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
