package jwtkms

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/internal/jws"
)

// Keyfunc returns a [jwt.Keyfunc] for tokens that were signed with m and one of
// the keys:
//
//	jwt.Parse(compact, jwtkms.HS256.Keyfunc(mac.WithContext(ctx)))
//
// Each key is one that [SigningMethod.Verify] takes. They are tried in order
// until one verifies the signature. The parser then verifies with m even if
// golang-jwt has a method of the same name. Other calls of the parser are not
// affected.
//
// A token whose header names another algorithm, or has the member crit (RFC
// 7515 section 4.1.11) or b64 (RFC 7797), is rejected with
// [jwt.ErrTokenUnverifiable]. This package understands no extension that crit
// could name. The Keyfunc is safe for concurrent use.
func (m *SigningMethod) Keyfunc(keys ...any) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if m.isZero() {
			return nil, errNoMethod
		}
		if token == nil {
			return nil, errors.New("jwtkms: the token is nil")
		}
		if alg := token.Header["alg"]; alg != m.alg {
			return nil, fmt.Errorf("jwtkms: the token's alg is %v, want %s", alg, m.alg)
		}
		if err := jws.CheckHeader(token.Header); err != nil {
			return nil, fmt.Errorf("jwtkms: %w", err)
		}
		// The parser verifies with the Method that it finds here after
		// this function has returned.
		token.Method = m
		return keySet(keys), nil
	}
}

// A keySet is like a [jwt.VerificationKeySet], but an [ErrNotChecked] of one
// key takes precedence over a failed verification with another. Otherwise an
// outage would look like a forgery.
type keySet []any

// verify tries the keys in order. It returns nil at the first that verifies
// sig.
func (set keySet) verify(m *SigningMethod, signingString string, sig []byte) error {
	err := fmt.Errorf("jwtkms: %s has no key to verify with: %w", m.alg, jwt.ErrInvalidKey)
	for i, key := range set {
		keyErr := m.Verify(signingString, sig, key)
		if keyErr == nil {
			return nil
		}
		if i == 0 || !errors.Is(err, ErrNotChecked) {
			err = keyErr
		}
	}
	return err
}
