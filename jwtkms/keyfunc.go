package jwtkms

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Keyfunc returns a [jwt.Keyfunc] for tokens that are signed with this method and
// one of these keys, each of which is what Verify takes; they are tried in turn. It
// makes golang-jwt verify with this method even where it has its own of the same
// name, and changes nothing for other tokens:
//
//	token, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(mac.WithContext(ctx)))
//
// A token whose header names another algorithm is unverifiable
// ([jwt.ErrTokenUnverifiable]). It is safe for concurrent use.
func (m *SigningMethod) Keyfunc(keys ...any) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if alg := token.Header["alg"]; alg != m.alg {
			return nil, fmt.Errorf("jwtkms: the token's alg is %v, want %s", alg, m.alg)
		}
		// The parser looks at Method after it has asked for the key.
		token.Method = m
		return keySet(keys), nil
	}
}

// A keySet does what [jwt.VerificationKeySet] does, except that a key that could not
// be asked is not forgotten because the next one says no: that would make a forgery of
// an outage.
type keySet []any

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
