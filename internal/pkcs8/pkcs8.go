// Package pkcs8 encodes and decodes the private keys of every KMS key spec that
// signs. It adds secp256k1 to what package filippo.io/mldsa/x509 knows.
package pkcs8

import (
	"crypto"
	"crypto/ecdsa"
	"errors"

	"filippo.io/mldsa/x509"

	"github.com/kmssign/kmssign/internal/secp256k1"
)

// Parse parses an unencrypted private key in PKCS #8, DER form (RFC 5958). It
// returns an *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey,
// *mldsa.PrivateKey, or a key of another type that crypto/x509 knows. The curve
// of a key on secp256k1 is [secp256k1.Curve].
func Parse(der []byte) (crypto.PrivateKey, error) {
	key, err := secp256k1.ParsePKCS8PrivateKey(der)
	if errors.Is(err, secp256k1.ErrOtherKey) {
		return x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Marshal returns the encoding of a private key that [Parse] can return.
func Marshal(key crypto.PrivateKey) ([]byte, error) {
	if key, ok := key.(*ecdsa.PrivateKey); ok && key != nil && key.Curve == secp256k1.Curve {
		return secp256k1.MarshalPKCS8PrivateKey(key)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
