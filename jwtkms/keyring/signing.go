package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/kmssigner"
)

// ErrLifetime is returned by [Ring.Sign] for claims without an exp, with an exp
// that is not after now, or with one further away than [Timing.MaxLifetime]:
// nobody could say how long the key must stay published. No call was made.
var ErrLifetime = errors.New("token lifetime")

// errRevoked is the answer to Sign while there is no key left to sign with.
var errRevoked = errors.New("every key of the ring is revoked")

// Sign returns a compact JWT with the claims, signed with the current key,
// whose kid is in the header. The claims must have an exp after now and at most
// [Timing.MaxLifetime] away, else the error is [ErrLifetime].
//
// Sign makes one Sign call to KMS. If KMS refuses to sign with the key, because
// it is disabled for example, Sign makes a call with each other key of the ring
// until one signs. It takes keys that have propagated first. If none of them
// signs, it looks at the aliases again and takes any key that one of them
// names: tokens that some verifiers cannot check yet are better than none.
// Tokens after that start with the key that has signed. Errors of the Signer
// are wrapped; ctx bounds the calls.
func (r *Ring) Sign(ctx context.Context, claims jwt.Claims) (string, error) {
	exp, err := r.checkLifetime(claims)
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	began := time.Now()
	s := r.state.Load()
	m := s.current()
	if m == nil { // every key was revoked when the Ring last looked
		if err := r.refresh(ctx, began); err != nil {
			return "", err
		}
		s = r.state.Load()
		if m = s.current(); m == nil {
			return "", fmt.Errorf("keyring: %w", errRevoked)
		}
	}
	compact, err := m.sign(ctx, claims, exp)
	if err != nil && refused(err) {
		compact, err = r.signWithAnother(ctx, s, m, err, began, claims, exp)
	}
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	return compact, nil
}

// signWithAnother signs with a key that takes the place of m, which KMS has
// refused to use.
func (r *Ring) signWithAnother(ctx context.Context, s *state, m *member, refusal error, began time.Time, claims jwt.Claims, exp time.Time) (string, error) {
	tried := []*member{m}
	try := func(s *state, propagated bool) (compact string, err error, ended bool) {
		for _, c := range s.order {
			if c.propagated != propagated || slices.Contains(tried, c.member) {
				continue
			}
			tried = append(tried, c.member)
			switch compact, err := c.sign(ctx, claims, exp); {
			case err == nil:
				r.leave(ctx, s, c, refusal)
				return compact, nil, true
			case !refused(err):
				return "", err, true
			}
		}
		return "", nil, false
	}
	if compact, err, ended := try(s, true); ended {
		return compact, err
	}
	// The aliases may have moved since the last refresh.
	if err := r.refresh(ctx, began); err == nil {
		s = r.state.Load()
	}
	for _, propagated := range []bool{true, false} {
		if compact, err, ended := try(s, propagated); ended {
			return compact, err
		}
	}
	return "", refusal
}

// leave announces that tokens are signed with another key than the one that KMS
// has refused to use.
func (r *Ring) leave(ctx context.Context, s *state, to candidate, refusal error) {
	if r.state.Load().current() != to.member {
		return // the next refresh decides
	}
	text := "the signing key is unusable, changed over to another that has propagated"
	if !to.propagated {
		text = "the signing key is unusable, changed over before the new key has propagated"
	}
	r.announce(ctx, to.member, slog.LevelWarn, text, slog.Any("error", refusal))
}

// checkLifetime reads exp as the verifiers will, from the JSON: jwt.MapClaims,
// for one, marshals an int64 and yet does not take it for a date.
func (r *Ring) checkLifetime(claims jwt.Claims) (exp time.Time, err error) {
	data, err := json.Marshal(claims)
	if err != nil {
		return exp, fmt.Errorf("claims: %w", err)
	}
	// Not a struct: encoding/json would take EXP for exp.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return exp, fmt.Errorf("%w: the claims are not a JSON object: %w", ErrLifetime, err)
	}
	var seconds *float64
	if raw, ok := members["exp"]; ok {
		if err := json.Unmarshal(raw, &seconds); err != nil {
			return exp, fmt.Errorf("%w: exp: %w", ErrLifetime, err)
		}
	}
	if seconds == nil {
		return exp, fmt.Errorf("%w: the claims have no exp", ErrLifetime)
	}
	now := time.Now()
	switch {
	case *seconds <= float64(now.Unix()):
		// golang-jwt reads an exp of 0 as absent: that token would live for
		// ever.
		return exp, fmt.Errorf("%w: exp is %s, want it after now, %s", ErrLifetime, date(*seconds), date(float64(now.Unix())))
	case *seconds > float64(now.Add(r.opts.MaxLifetime).Unix()+1):
		return exp, fmt.Errorf("%w: exp is %s, want at most %v from now, %s", ErrLifetime, date(*seconds), r.opts.MaxLifetime, date(float64(now.Unix())))
	}
	return time.Unix(int64(math.Ceil(*seconds)), 0), nil
}

// date formats a NumericDate (RFC 7519 section 2) for an error.
func date(seconds float64) string {
	const year9999 = 253402300799 // the last second that RFC 3339 can express
	if seconds < 0 || seconds > year9999 {
		return fmt.Sprintf("%g seconds since 1970", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

// sign signs with m. It first notes how long m must stay published.
func (m *member) sign(ctx context.Context, claims jwt.Claims, exp time.Time) (string, error) {
	for {
		last := m.lastExp.Load()
		if exp.Unix() < last || m.lastExp.CompareAndSwap(last, exp.Unix()+1) {
			break
		}
	}
	token := jwt.NewWithClaims(m.method, claims)
	token.Header["kid"] = m.jwk.Kid
	compact, err := token.SignedString(m.signer.WithContext(ctx))
	m.note(err)
	return compact, err
}

// dryRun asks KMS whether it would sign with m.
func (r *Ring) dryRun(ctx context.Context, m *member) error {
	known := func(o *kmssigner.Options) {
		o.KeepAlias, o.PublicKey = false, nil
		if arn.IsARN(m.signer.KeyARN()) { // an emulator may answer with a key ID
			o.PublicKey = m.signer.Public() // so that New makes no call
		}
	}
	signer, err := kmssigner.New(ctx, dryRunClient{r.client}, m.signer.KeyARN(), append(slices.Clip(r.opts.SignerOptions), known)...)
	if err == nil {
		_, err = m.method.Sign("dry run", signer.WithContext(ctx))
	}
	if _, ok := errors.AsType[*types.DryRunOperationException](err); ok {
		err = nil
	}
	m.note(err) // an emulator that does not know dry runs has signed
	return err
}

// dryRunClient asks KMS to check everything and to make no signature.
type dryRunClient struct{ kmssigner.Client }

func (c dryRunClient) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	dry := *in
	dry.DryRun = aws.Bool(true)
	return c.Client.Sign(ctx, &dry, optFns...)
}

// note remembers whether KMS signs with m.
func (m *member) note(err error) {
	switch {
	case err == nil && m.refused.Load():
		m.refused.Store(false)
	case err != nil && refused(err):
		m.refused.Store(true)
	}
}

// refused reports whether KMS will not sign with the key, now or later: it is
// disabled, about to be deleted, gone, or not ours to use.
func refused(err error) bool {
	apiErr, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	switch apiErr.ErrorCode() {
	case (&types.DisabledException{}).ErrorCode(),
		(&types.KMSInvalidStateException{}).ErrorCode(),
		(&types.NotFoundException{}).ErrorCode(),
		(&types.InvalidKeyUsageException{}).ErrorCode(),
		"AccessDeniedException":
		return true
	}
	return false
}
