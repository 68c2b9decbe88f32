package keyring

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

// errRevoked is the answer to Sign while there is no key left to sign with.
var errRevoked = errors.New("every key of the ring is revoked")

// Sign returns a compact JWT with the claims, signed with the current key. The
// claims must have an exp after now and at most [Timing.MaxLifetime] away, or a
// second more, because exp may be rounded up. Otherwise the error is
// [ErrLifetime]. The claims are marshaled once, by encoding/json.
//
// The header has typ, which is JWT, and the alg and the kid of the key. The
// functions, if any, may change it:
//
//	ring.Sign(ctx, claims, func(h map[string]any) { h["typ"] = "at+jwt" }) // RFC 9068
//
// Each attempt to sign calls them in order with a map of its own, which has the
// alg and the kid of the key that will sign, so that a function can choose an
// x5t#S256, for example. What they do to alg and kid has no effect. A function
// that is nil, a value that cannot be marshaled, and a header with crit (RFC
// 7515 section 4.1.11) or b64 (RFC 7797), which [Ring.Keyfunc] rejects, are
// errors, and KMS is not asked to sign.
//
// Sign makes one Sign call to KMS. If KMS refuses to sign with the key, for
// example because it is disabled, Sign makes a call with each other key of the
// ring that has propagated, until one signs. If none of them signs, Sign
// refreshes the Ring and then tries every key that the signing, the previous or
// the next alias names, including keys that have not propagated. Tokens that
// some verifiers cannot check yet are better than none. Later calls begin with
// the key that has signed. Errors of the Signer are wrapped; ctx bounds the
// calls.
func (r *Ring) Sign(ctx context.Context, claims jwt.Claims, header ...func(map[string]any)) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("keyring: claims: %w", err)
	}
	return r.SignPayload(ctx, payload, header...)
}

// SignPayload is like [Ring.Sign] for claims that are a JSON object already. It
// signs the bytes as they are: numbers keep their digits, and < stays <, which
// golang-jwt would write as \u003c. The payload must be in UTF-8 (RFC 8259
// section 8.1), and must have exp once and no member whose name differs from
// that only by case, because verifiers do not agree on which one counts. The
// errors are those of Sign: an exp that is missing, ambiguous or not a number
// is [ErrLifetime].
func (r *Ring) SignPayload(ctx context.Context, payload []byte, header ...func(map[string]any)) (string, error) {
	if r.isZero() {
		return "", errNoRing
	}
	t, err := r.newToken(payload, header)
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
	compact, err := m.sign(ctx, t)
	if err != nil && refused(err) {
		compact, err = r.signWithAnother(ctx, s, m, err, began, t)
	}
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	return compact, nil
}

// signWithAnother signs with a key that takes the place of m, which KMS has
// refused to use.
func (r *Ring) signWithAnother(ctx context.Context, s *state, m *member, refusal error, began time.Time, t *token) (string, error) {
	tried := []*member{m}
	try := func(s *state, propagated bool) (compact string, err error, ended bool) {
		for _, c := range s.order {
			if c.propagated != propagated || slices.Contains(tried, c.member) {
				continue
			}
			tried = append(tried, c.member)
			switch compact, err := c.sign(ctx, t); {
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

// sign signs with m. It first notes how long m must stay published.
func (m *member) sign(ctx context.Context, t *token) (string, error) {
	signingString, err := t.signingString(m)
	if err != nil {
		return "", err
	}
	for {
		last := m.lastExp.Load()
		if t.exp < last || m.lastExp.CompareAndSwap(last, t.exp+1) {
			break
		}
	}
	sig, err := m.method.Sign(signingString, m.signer.WithContext(ctx))
	m.note(err)
	if err != nil {
		return "", err
	}
	return signingString + "." + base64.RawURLEncoding.EncodeToString(sig), nil
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
