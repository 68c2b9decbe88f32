package keyring

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/kmssign/kmssign/internal/jws"
)

// ErrLifetime is returned by [Ring.Sign] and [Ring.SignPayload] for claims
// whose exp is missing, is not a number, is not after now, or is further away
// than [Timing.MaxLifetime], and for claims that have it twice. The Ring could
// not tell how long it must publish the key of such a token. KMS is not called.
var ErrLifetime = errors.New("token lifetime")

// A token is one to be signed, with whichever key.
type token struct {
	payload string // in base64url
	exp     int64  // Unix time, rounded up
	header  []func(map[string]any)
}

// newToken checks what can be checked before it is known which key signs.
func (r *Ring) newToken(payload []byte, header []func(map[string]any)) (*token, error) {
	for i, fn := range header {
		if fn == nil {
			return nil, fmt.Errorf("header function %d is nil", i+1)
		}
	}
	exp, err := checkLifetime(payload, time.Now(), r.opts.MaxLifetime)
	if err != nil {
		return nil, err
	}
	return &token{base64.RawURLEncoding.EncodeToString(payload), exp, header}, nil
}

// signingString returns what m signs: the header and the payload.
func (t *token) signingString(m *member) (string, error) {
	header := map[string]any{"typ": "JWT", "alg": m.method.Alg(), "kid": m.jwk.Kid}
	for _, fn := range t.header {
		fn(header)
	}
	if err := jws.CheckHeader(header); err != nil {
		return "", err
	}
	header["alg"], header["kid"] = m.method.Alg(), m.jwk.Kid
	data, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("the token's header: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(data) + "." + t.payload, nil
}

// expMembers are the members of the claims that a verifier may take for exp.
// encoding/json decodes a member whose name differs only by case into the first
// field of that name.
type expMembers struct {
	Similar values `json:"EXP"`
	Exp     values `json:"exp"`
}

// values are those of all members of one name.
type values []json.RawMessage

func (v *values) UnmarshalJSON(data []byte) error {
	*v = append(*v, append(json.RawMessage(nil), data...))
	return nil
}

// checkLifetime reads exp as the verifiers will, from the JSON: jwt.MapClaims,
// for one, marshals an int64 and yet does not take it for a date. It returns
// exp in Unix time, rounded up.
func checkLifetime(payload []byte, now time.Time, limit time.Duration) (exp int64, err error) {
	if !utf8.Valid(payload) {
		return 0, errors.New("the claims are not in UTF-8")
	}
	var members expMembers
	err = json.Unmarshal(payload, &members)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return 0, fmt.Errorf("%w: the claims are a JSON %s, want an object", ErrLifetime, mismatch.Value)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: the claims are not JSON: %w", ErrLifetime, err)
	}
	switch {
	case len(members.Exp) > 1:
		return 0, fmt.Errorf("%w: the claims have exp %d times", ErrLifetime, len(members.Exp))
	case len(members.Similar) > 0:
		// A verifier that decodes into a struct may read it as exp.
		return 0, fmt.Errorf("%w: the claims have a member like exp in other case", ErrLifetime)
	}
	var seconds *float64
	for _, value := range members.Exp {
		if err := json.Unmarshal(value, &seconds); err != nil {
			return 0, fmt.Errorf("%w: exp: %w", ErrLifetime, err)
		}
	}
	if seconds == nil {
		return 0, fmt.Errorf("%w: the claims have no exp", ErrLifetime)
	}
	switch {
	case math.Floor(*seconds) <= float64(now.Unix()):
		// golang-jwt drops the fraction, and reads 0 as absent: that token
		// would live for ever.
		return 0, fmt.Errorf("%w: exp is %s, want it after now, %s", ErrLifetime, date(*seconds), date(float64(now.Unix())))
	case *seconds > float64(now.Add(limit).Unix()+1):
		return 0, fmt.Errorf("%w: exp is %s, want at most %v from now, %s", ErrLifetime, date(*seconds), limit, date(float64(now.Unix())))
	}
	return int64(math.Ceil(*seconds)), nil
}

// date formats a NumericDate (RFC 7519 section 2) for an error.
func date(seconds float64) string {
	const year9999 = 253402300799 // the last second that RFC 3339 can express
	if seconds < 0 || seconds > year9999 {
		return fmt.Sprintf("%g seconds since 1970", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}
