package jwtkms

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// A MAC is a key for HS256, HS384 and HS512 that is held elsewhere, such as a
// *kmssigner.HMAC. Its methods take no context, so a MAC that needs one carries
// it. A MAC that several goroutines use must be safe for concurrent use.
//
// To limit the calls that forged tokens cause, wrap a MAC in one whose Verify
// returns an error when the limit is reached. The example shows how.
type MAC interface {
	// Size returns the length of the MACs in bytes: 32 for HS256, 48 for
	// HS384 and 64 for HS512.
	Size() int
	// Generate returns the MAC of msg.
	Generate(msg []byte) ([]byte, error)
	// Verify reports whether mac, which has Size bytes, is the MAC of msg.
	// If err is not nil, mac was not checked and may or may not be valid.
	Verify(msg, mac []byte) (valid bool, err error)
}

// ErrNotChecked is wrapped by the error of [SigningMethod.Verify] if the key of
// HS256, HS384 or HS512, a [MAC], could not check the signature. Reasons are
// that KMS could not be reached or refused the call, that the token is too long
// for KMS, or that the MAC limits its calls. If the signature was checked and
// is invalid, the error is [jwt.ErrSignatureInvalid] instead. golang-jwt's
// parser wraps both in [jwt.ErrTokenSignatureInvalid], so use [errors.Is] with
// ErrNotChecked to distinguish them. The error also wraps that of the MAC. The
// error for a token that is too long wraps kmssigner.ErrMessageLength. Such a
// token cannot be valid, so test for ErrMessageLength first.
var ErrNotChecked = errors.New("signature not checked")

// An hs is HMAC with one hash (RFC 7518 section 3.2). Its keys are MACs.
type hs struct {
	alg  string // for errors
	size int    // of a MAC, in bytes
}

func newHS(alg string, size int) *SigningMethod {
	return &SigningMethod{alg, hs{alg, size}}
}

func (hs) signer() string { return "a jwtkms.MAC" }

func (hs) public(key any) (pub any, ok bool) { return key, isMAC(key) }

// isMAC reports whether key is a MAC whose methods can be called.
func isMAC(key any) bool {
	_, ok := key.(MAC)
	return ok && !isNil(key)
}

func (a hs) wants() string { return fmt.Sprintf("a MAC of %d bytes", a.size) }

func (a hs) fits(pub any) bool {
	return isMAC(pub) && pub.(MAC).Size() == a.size
}

func (hs) sign(msg []byte, key any) ([]byte, error) { return key.(MAC).Generate(msg) }

func (a hs) encode(sig []byte, _ any) ([]byte, error) { return sig, checkLength(sig, a.size) }

func (a hs) verify(signingString string, sig []byte, pub any) error {
	// A MAC of another length is wrong, which takes no call to find out.
	if len(sig) != a.size {
		return jwt.ErrSignatureInvalid
	}
	switch valid, err := pub.(MAC).Verify([]byte(signingString), sig); {
	case err != nil:
		return fmt.Errorf("jwtkms: %s: %w: %w", a.alg, ErrNotChecked, err)
	case !valid:
		return jwt.ErrSignatureInvalid
	}
	return nil
}

func (hs) describe(pub any) string {
	if !isMAC(pub) {
		return ""
	}
	return fmt.Sprintf("a %T with MACs of %d bytes", pub, pub.(MAC).Size())
}

func (hs) jwk(any) (JWK, error) {
	return JWK{}, fmt.Errorf("a MAC has no public key: %w", jwt.ErrInvalidKeyType)
}
