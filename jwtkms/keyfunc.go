package jwtkms

import (
	"errors"
	"fmt"
	"slices"

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
// Verifying HS256, HS384 or HS512 with keys in KMS makes calls, also for forged
// tokens. See the package documentation for how to limit them.
//
// A token whose header names another algorithm, or has the member crit (RFC
// 7515 section 4.1.11) or b64 (RFC 7797), is rejected with
// [jwt.ErrTokenUnverifiable]. This package understands no extension that crit
// could name. golang-jwt itself ignores crit and b64. The Keyfunc is safe for
// concurrent use.
func (m *SigningMethod) Keyfunc(keys ...any) jwt.Keyfunc {
	set := keySet(slices.Clone(keys)) // so that changes by the caller have no effect
	return func(token *jwt.Token) (any, error) {
		if m.isZero() {
			return nil, errNoMethod
		}
		if token == nil {
			return nil, errors.New("jwtkms: the token is nil")
		}
		if alg := token.Header["alg"]; alg != m.alg {
			return nil, fmt.Errorf("jwtkms: the token's alg is %.100q, want %s", fmt.Sprint(alg), m.alg)
		}
		if err := jws.CheckHeader(token.Header); err != nil {
			return nil, fmt.Errorf("jwtkms: %w", err)
		}
		// The parser verifies with the Method that it finds here after
		// this function has returned.
		token.Method = m
		return set, nil
	}
}

// ValidateFirst returns a [jwt.Keyfunc] that validates the claims of a token
// with validator and, if they are valid, returns the result of keyfunc. An
// expired token is then rejected before its signature is verified, which saves
// a call if verifying calls KMS. Afterwards the parser validates the claims
// with its own options, which a Keyfunc cannot see. Give both the same:
//
//	options := []jwt.ParserOption{jwt.WithExpirationRequired()}
//	validator := jwt.NewValidator(options...)
//	keyfunc := jwtkms.ValidateFirst(validator, jwtkms.HS256.Keyfunc(mac))
//	token, err := jwt.Parse(compact, keyfunc, options...)
//
// If the claims are not valid, the parser returns [jwt.ErrTokenUnverifiable]
// with the reason in its text. The error does not wrap [jwt.ErrTokenExpired]
// and the like, because programs take these to mean that the signature is
// valid. If the claims have a method Validate() error, it is called before the
// signature is verified.
//
// If validator or keyfunc is nil, the Keyfunc returns an error. It is safe for
// concurrent use if keyfunc is.
func ValidateFirst(validator *jwt.Validator, keyfunc jwt.Keyfunc) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		switch {
		case validator == nil:
			return nil, errors.New("jwtkms: the validator is nil")
		case keyfunc == nil:
			return nil, errors.New("jwtkms: the keyfunc is nil")
		case token == nil || token.Claims == nil:
			return nil, errors.New("jwtkms: the token has no claims")
		}
		if err := validator.Validate(token.Claims); err != nil {
			return nil, fmt.Errorf("jwtkms: invalid claims in a token whose signature was not verified: %v", err)
		}
		return keyfunc(token)
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
