package kmssigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"filippo.io/mldsa"
	// It is crypto/x509 for all keys but those of ML-DSA.
	"filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// parsePublicKey reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1), the
// form in which GetPublicKey answers, and says which KeySpec it belongs to.
func parsePublicKey(spki []byte) (crypto.PublicKey, types.KeySpec, error) {
	koblitz, err := parseSecp256k1(spki)
	if err != nil {
		return nil, "", fmt.Errorf("parse public key: %w", err)
	}
	if koblitz != nil {
		return koblitz, types.KeySpecEccSecgP256k1, nil
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, "", fmt.Errorf("parse public key: %w", err)
	}
	spec, err := keySpecOf(pub)
	return pub, spec, err
}

// marshalPublicKey is the opposite of parsePublicKey, for a key that the
// caller supplied: it may be nil inside, or no point of its curve.
func marshalPublicKey(pub crypto.PublicKey) ([]byte, error) {
	spec, err := keySpecOf(pub)
	switch {
	case err != nil:
		return nil, err
	case spec == types.KeySpecEccSecgP256k1:
		return marshalSecp256k1(pub.(*ecdsa.PublicKey))
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// keySpecOf is the KeySpec of the KMS keys that have public keys like pub, or
// ErrUnsupportedKey.
func keySpecOf(pub crypto.PublicKey) (types.KeySpec, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			return "", fmt.Errorf("%w: the RSA public key is nil", ErrUnsupportedKey)
		}
		switch pub.N.BitLen() {
		case 2048:
			return types.KeySpecRsa2048, nil
		case 3072:
			return types.KeySpecRsa3072, nil
		case 4096:
			return types.KeySpecRsa4096, nil
		}
		return "", fmt.Errorf("%w: RSA modulus of %d bits, want 2048, 3072 or 4096", ErrUnsupportedKey, pub.N.BitLen())

	case *ecdsa.PublicKey:
		//lint:ignore SA1019 only to see that they are there: Bytes panics on a key without a point.
		if pub == nil || pub.Curve == nil || pub.X == nil || pub.Y == nil {
			return "", fmt.Errorf("%w: the ECDSA public key is nil", ErrUnsupportedKey)
		}
		switch pub.Curve {
		case elliptic.P256():
			return types.KeySpecEccNistP256, nil
		case elliptic.P384():
			return types.KeySpecEccNistP384, nil
		case elliptic.P521():
			return types.KeySpecEccNistP521, nil
		case curveSecp256k1:
			return types.KeySpecEccSecgP256k1, nil
		}
		if pub.Curve == elliptic.P224() {
			return "", fmt.Errorf("%w: curve P-224, want P-256, P-384, P-521 or decred's secp256k1", ErrUnsupportedKey)
		}
		// A curve of who knows what package: not one call to it.
		return "", fmt.Errorf("%w: curve of type %T, want P-256, P-384, P-521 or decred's secp256k1", ErrUnsupportedKey, pub.Curve)

	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return "", fmt.Errorf("%w: Ed25519 public key of %d bytes, want %d", ErrUnsupportedKey, len(pub), ed25519.PublicKeySize)
		}
		return types.KeySpecEccNistEdwards25519, nil

	case *mldsa.PublicKey:
		if pub == nil || pub.Equal(&mldsa.PublicKey{}) {
			return "", fmt.Errorf("%w: the ML-DSA public key is nil", ErrUnsupportedKey)
		}
		switch pub.Parameters() {
		case mldsa.MLDSA44():
			return types.KeySpecMlDsa44, nil
		case mldsa.MLDSA65():
			return types.KeySpecMlDsa65, nil
		case mldsa.MLDSA87():
			return types.KeySpecMlDsa87, nil
		}
	}
	return "", fmt.Errorf("%w: public key is a %T, want *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey or *mldsa.PublicKey",
		ErrUnsupportedKey, pub)
}

// checkAnswer takes from an answer of GetPublicKey the public key and the ways
// to sign with it, or says why the key cannot be used here.
func checkAnswer(out *kms.GetPublicKeyOutput) (crypto.PublicKey, []scheme, error) {
	if out.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, nil, fmt.Errorf("%w: its key usage is %q, want %q: the usage is fixed when a key is created, so use another key",
			ErrUnsupportedKey, out.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	spec := out.KeySpec
	if spec == "" {
		//lint:ignore SA1019 old emulators fill only the deprecated twin.
		spec = types.KeySpec(out.CustomerMasterKeySpec)
	}
	// The spec goes before the bytes: of a key that cannot be used here its name
	// says more than the reason why the bytes do not parse.
	if _, ok := schemes[spec]; !ok && spec != "" {
		return nil, nil, unsupportedSpec(spec)
	}
	if len(out.PublicKey) == 0 {
		return nil, nil, errors.New("KMS answered without a public key")
	}
	pub, parsed, err := parsePublicKey(out.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	if spec != "" && spec != parsed {
		return nil, nil, fmt.Errorf("KMS answered with key spec %s and a public key of spec %s", spec, parsed)
	}
	usable := listed(schemes[parsed], out.SigningAlgorithms)
	if len(usable) == 0 {
		return nil, nil, fmt.Errorf("%w: its signing algorithms are %q, want any of %q",
			ErrUnsupportedKey, out.SigningAlgorithms, algorithmNames(schemes[parsed]))
	}
	return pub, usable, nil
}

func unsupportedSpec(spec types.KeySpec) error {
	if spec == types.KeySpecSm2 {
		return fmt.Errorf("%w: its key spec is SM2, for which Go has no type and JOSE no algorithm: use an RSA, ECC or ML-DSA key",
			ErrUnsupportedKey)
	}
	return fmt.Errorf("%w: its key spec is %s, which this version does not know: use an RSA, ECC or ML-DSA key",
		ErrUnsupportedKey, spec)
}
