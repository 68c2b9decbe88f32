package jwtkms

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A MAC is a key for HS256, HS384 and HS512 that others keep: *kmssigner.HMAC is
// one. Whatever it needs a context for, it carries.
type MAC interface {
	// Size is the length of the MACs in bytes: 32 for HS256, 48 for HS384 and 64
	// for HS512.
	Size() int
	// Generate returns the MAC of msg.
	Generate(msg []byte) ([]byte, error)
	// Verify reports whether mac is the MAC of msg. An error means that this
	// could not be found out.
	Verify(msg, mac []byte) (bool, error)
}

// ErrNotChecked is in the chain of an error of HS256, HS384 and HS512 when the
// [MAC] could not say whether a signature is right: KMS was out of reach, refused
// to answer, or cannot take so long a token. It tells such an outage from a
// forgery, which is [jwt.ErrSignatureInvalid], behind golang-jwt's parser too,
// which wraps both in [jwt.ErrTokenSignatureInvalid].
var ErrNotChecked = errors.New("signature not checked")

func newHS(alg string, size int) *SigningMethod {
	return &SigningMethod{alg: alg, keys: fmt.Sprintf("a MAC of %d bytes", size), macSize: size}
}

func (m *SigningMethod) mac(key any) (MAC, error) {
	mac, ok := key.(MAC)
	if !ok || mac.Size() != m.macSize {
		return nil, m.misfit(key)
	}
	return mac, nil
}

func (m *SigningMethod) signMAC(signingString string, key any) ([]byte, error) {
	mac, err := m.mac(key)
	if err != nil {
		return nil, err
	}
	sig, err := mac.Generate([]byte(signingString))
	if err != nil {
		return nil, fmt.Errorf("jwtkms: %s: %w", m.alg, err)
	}
	if err := checkLength(sig, m.macSize); err != nil {
		return nil, fmt.Errorf("jwtkms: %s: %T made a bad MAC: %w", m.alg, mac, err)
	}
	return sig, nil
}

func (m *SigningMethod) verifyMAC(signingString string, sig []byte, key any) error {
	mac, err := m.mac(key)
	if err != nil {
		return err
	}
	switch valid, err := mac.Verify([]byte(signingString), sig); {
	case err != nil:
		return fmt.Errorf("jwtkms: %s: %w: %w", m.alg, ErrNotChecked, err)
	case !valid:
		return jwt.ErrSignatureInvalid
	}
	return nil
}
