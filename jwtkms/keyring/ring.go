// Package keyring lets an issuer of JWTs change its KMS key without one token that
// fails.
//
// KMS does not rotate asymmetric keys: rotation is a new key and a moved alias.
// What goes wrong by hand is timing. Verifiers cache the issuer's public keys, and
// a token signed with a key that they have not fetched yet fails. A [Ring] holds
// back a new signing key until every verifier must have it, and holds on to an old
// one until its last token has expired.
//
//	ring, err := keyring.New(ctx, client, "alias/jwt")
//	...
//	go ring.Run(ctx)
//	mux.Handle("/.well-known/jwks.json", ring)
//	...
//	compact, err := ring.Sign(r.Context(), claims)
//
// # Aliases
//
// A Ring signs with the key behind one alias, and publishes the keys behind it and
// behind two more, by default the same name with "-next" and "-prev" appended. The
// aliases are all the state there is: any number of issuers that read them agree,
// without talking to one another, and after any restart. [Rotate] moves the
// aliases, one step at a time; the AWS console or any other tool will do as well.
//
//	prepare   alias/jwt-next  ->  a new key, which is published from now on
//	promote   alias/jwt-prev  ->  the old key,
//	          alias/jwt       ->  the new key
//	retire    alias/jwt-prev is deleted, the old key disabled
//
// # Timing
//
// A key may sign once it has been published for the propagation delay: the time an
// issuer takes to see it ([Options.RefreshInterval]) and a verifier to fetch it
// ([Options.MaxAge]), and a minute for KMS, where a moved alias takes a moment to be
// seen everywhere. If the signing alias moves to a key sooner than that, the Ring
// publishes the new key and goes on signing with the old one until the delay is over.
// Since when a key has been published, KMS itself remembers, as the date of the alias
// that names it; a Ring that was just started and finds its signing key too new signs
// with the previous key meanwhile, if there is one.
//
// A key that was published stays published until every token that any issuer can
// have signed with it has expired ([Options.MaxLifetime]), whether an alias still
// names it or not, for as long as the Ring runs. After a restart it is published
// while an alias names it: that is what the "-prev" alias is for. So who moves the
// signing alias by hand points "-prev" to the old key first, as [Rotate] does.
//
// If KMS refuses to sign with the key, because it is disabled for example, the Ring
// looks at the aliases, and if the signing alias names another key by now it changes
// over at once and says so: tokens that some verifiers cannot check yet are better
// than none.
//
// exp is on the issuer's clock. An issuer whose clock is fast by more than a minute
// makes tokens that outlive what the others reckon with.
//
// # Failures
//
// A refresh that fails keeps what it could not learn anew as it was, and is logged.
// A published alias that names a key which cannot be published, because it is
// pending deletion or no signing key, counts as absent, with a warning. As long as
// refreshes fail a Ring cannot see keys that others have begun to sign with, so
// choose a propagation delay longer than the outages that are to go unnoticed.
//
// # Cost and permissions
//
// A refresh makes one GetPublicKey call for each alias, and one ListAliases call for
// each key that it has not seen before; a token is one Sign call. Needed are
// kms:GetPublicKey and kms:Sign on the keys, and kms:ListAliases. Without the last, a
// Ring that was just started has to trust that its signing key has propagated, and
// counts for other keys from when it first sees them.
package keyring

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// Client is the part of the KMS API that a [Ring] calls. *kms.Client and
// *kmstest.KMS satisfy it.
type Client interface {
	kmssigner.Client
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
}

// Options change what [New] and the Ring it returns do. The zero value works.
type Options struct {
	// Next and Previous name the keys that are published beside the signing
	// key: the one to come and the last one. Empty means the signing alias with
	// "-next" and "-prev" appended, or none if the Ring signs with a key ID. An
	// alias that does not exist is no error.
	Next, Previous string

	// Others are further keys or aliases to publish, such as those of another
	// issuer with the same tokens.
	Others []string

	// RefreshInterval is how often Run looks at the aliases. It must be the same
	// for all issuers. Zero means five minutes.
	RefreshInterval time.Duration

	// MaxAge is how long verifiers may cache the public keys: it is announced in
	// Cache-Control. Zero means five minutes.
	MaxAge time.Duration

	// MaxLifetime is the longest time from now to exp that Sign allows. All
	// issuers must have the same. Zero means one hour.
	MaxLifetime time.Duration

	// PropagationDelay is how long a key is published before it signs. Zero means
	// RefreshInterval + MaxAge + one minute, which is enough if no refresh fails,
	// verifiers keep to MaxAge, and KMS shows a moved alias within the minute. A
	// negative delay means none, and is for tests.
	PropagationDelay time.Duration

	// Method picks the algorithm for a public key. Nil means jwtkms.MethodFor.
	Method func(crypto.PublicKey) (*jwtkms.SigningMethod, error)

	// SignerOptions go to kmssigner.New for every key. KeepAlias and PublicKey have
	// no effect: the aliases move, and the Ring must see where.
	SignerOptions []func(*kmssigner.Options)

	// Logger is told of changes of the signing key and of failures. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// ErrLifetime is returned by [Ring.Sign] for claims without exp, or with an exp
// further away than [Options.MaxLifetime]: nobody could say how long the key must
// stay published. No call was made.
var ErrLifetime = errors.New("token lifetime")

// A Ring signs tokens and publishes the keys that verify them. It is safe for
// concurrent use. Make one with [New].
type Ring struct {
	client  Client
	signing string
	opts    Options

	state atomic.Pointer[state] // what Sign, Keyfunc and ServeHTTP work with

	// What refreshes need from one to the next. Whoever holds the one token of
	// refreshing owns it.
	refreshing chan struct{}
	refreshed  time.Time          // when the last refresh began
	behind     map[string]*member // by alias: the key that it named last
	members    map[string]*member // by ARN: every key that is published
	warned     map[string]string  // by alias: what was said of it last
}

// A state is what all tokens are signed and verified with until the next refresh.
// It is never changed: a token's kid and its signature come from one state.
type state struct {
	current *member // signs
	target  *member // behind the signing alias: current, or waiting to be
	byKid   map[string]*member
	jwks    []byte
	etag    string
}

// A member is one key.
type member struct {
	signer *kmssigner.Signer
	method *jwtkms.SigningMethod
	jwk    jwtkms.JWK

	// Owned by refreshes.
	published time.Time // since when issuers can have published it, without a gap
	seen      time.Time // when an alias last named it
	named     bool      // an alias named it at the last refresh

	lastExp atomic.Int64 // Unix time: the latest exp that it was asked to sign
}

// Key is one key of a [Ring].
type Key struct {
	KeyARN string
	KID    string
	Alg    string
	Public crypto.PublicKey
}

// New returns a Ring that signs with the key behind signing, an alias or, for keys
// that never change, a key ID or ARN. It makes the first refresh, and fails if that
// fails: an issuer that starts without having seen the previous key, because KMS did
// not answer for a moment, would deny that key's tokens. That an alias other than
// signing does not exist is no failure. ctx serves New alone.
//
// It starts nothing: see [Ring.Run].
func New(ctx context.Context, client Client, signing string, optFns ...func(*Options)) (*Ring, error) {
	r := &Ring{
		client:     client,
		signing:    signing,
		refreshing: make(chan struct{}, 1),
		behind:     map[string]*member{},
		members:    map[string]*member{},
		warned:     map[string]string{},
	}
	for _, fn := range optFns {
		fn(&r.opts)
	}
	if err := r.opts.complete(signing); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// slack is what the default delay allows for: the time that a refresh and a fetch take,
// and KMS's eventual consistency.
const slack = time.Minute

func (o *Options) complete(signing string) error {
	if signing == "" {
		return errors.New("no signing key, want an alias, a key ID or a key ARN")
	}
	if strings.HasPrefix(signing, "alias/") || strings.Contains(signing, ":alias/") {
		if o.Next == "" {
			o.Next = signing + "-next"
		}
		if o.Previous == "" {
			o.Previous = signing + "-prev"
		}
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"RefreshInterval", &o.RefreshInterval, 5 * time.Minute},
		{"MaxAge", &o.MaxAge, 5 * time.Minute},
		{"MaxLifetime", &o.MaxLifetime, time.Hour},
	} {
		if *d.value < 0 {
			return fmt.Errorf("the option %s is %v, want 0 or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	switch {
	case o.PropagationDelay == 0:
		o.PropagationDelay = o.RefreshInterval + o.MaxAge + slack
	case o.PropagationDelay < 0:
		o.PropagationDelay = 0
	}
	if o.Method == nil {
		o.Method = jwtkms.MethodFor
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// hold is how long after its alias has moved away the tokens of a key can be out:
// another issuer may have last seen the alias one refresh later than this one, acts
// on the next, then waits for the new key to propagate, and its last token lives on.
func (o *Options) hold() time.Duration {
	return 2*o.RefreshInterval + o.PropagationDelay + o.MaxLifetime
}

// Sign returns a compact JWT with the claims, signed with the key of the time, whose
// kid is in the header. The claims must have an exp at most [Options.MaxLifetime]
// away, else it is [ErrLifetime]. It makes one Sign call, and a second one only if
// KMS refuses the key and another is at hand. Errors of the Signer are wrapped; ctx
// bounds the calls.
func (r *Ring) Sign(ctx context.Context, claims jwt.Claims) (string, error) {
	exp, err := r.checkLifetime(claims)
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	began := time.Now()
	s := r.state.Load()
	compact, err := s.current.sign(ctx, claims, exp)
	if err != nil && refused(err) {
		if other := r.other(ctx, s, began); other != nil {
			refusal := err
			if compact, err = other.sign(ctx, claims, exp); err == nil {
				r.abandon(ctx, s.current, other, refusal)
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	return compact, nil
}

// other returns a key to sign with in place of the one that KMS refused to use: the one
// that waits to propagate, or one that the signing alias has moved to since the last
// refresh. It is nil if there is none.
func (r *Ring) other(ctx context.Context, s *state, began time.Time) *member {
	if s.target == s.current {
		if err := r.refresh(ctx, began); err != nil {
			return nil // the refusal says more
		}
		s = &state{current: s.current, target: r.state.Load().target}
	}
	if s.target == s.current {
		return nil
	}
	return s.target
}

// checkLifetime reads exp as the verifiers will, from the JSON: jwt.MapClaims, for
// one, marshals an int64 and yet does not take it for a date.
func (r *Ring) checkLifetime(claims jwt.Claims) (exp time.Time, err error) {
	data, err := json.Marshal(claims)
	if err != nil {
		return exp, fmt.Errorf("claims: %w", err)
	}
	// Not a struct: encoding/json would take EXP for exp.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return exp, fmt.Errorf("%w: the claims are no JSON object: %w", ErrLifetime, err)
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
	if limit := float64(time.Now().Add(r.opts.MaxLifetime).Unix() + 1); *seconds > limit || *seconds < -limit {
		return exp, fmt.Errorf("%w: exp is %v, want at most %v from now", ErrLifetime, *seconds, r.opts.MaxLifetime)
	}
	return time.Unix(int64(math.Ceil(*seconds)), 0), nil
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
	return token.SignedString(m.signer.WithContext(ctx))
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
		"AccessDeniedException":
		return true
	}
	return false
}

// abandon makes other, which has just signed, the signing key in place of one that KMS
// refuses to use. A refresh that has begun before may undo it; then the next token does
// it again.
func (r *Ring) abandon(ctx context.Context, current, other *member, refusal error) {
	s := r.state.Load()
	if s.current != current {
		return // somebody was faster
	}
	next := *s
	next.current = other
	if r.state.CompareAndSwap(s, &next) {
		r.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "keyring: the signing key is unusable, changed over before the new key has propagated",
			slog.String("from", current.signer.KeyARN()), slog.String("to", other.signer.KeyARN()), slog.Any("error", refusal))
	}
}

// Keyfunc is a [jwt.Keyfunc] for the tokens of this Ring and of all others with the
// same aliases. It answers the public key with the token's kid, if its algorithm is
// the token's. An unknown kid or another algorithm is unverifiable
// ([jwt.ErrTokenUnverifiable]). It never calls KMS.
//
//	jwt.Parse(compact, ring.Keyfunc)
func (r *Ring) Keyfunc(token *jwt.Token) (any, error) {
	kid, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("keyring: the token has no kid")
	}
	m, ok := r.state.Load().byKid[kid]
	if !ok {
		return nil, fmt.Errorf("keyring: no key has the kid %q", kid)
	}
	if alg := token.Method.Alg(); alg != m.method.Alg() {
		return nil, fmt.Errorf("keyring: the token's alg is %s, the key's %s", alg, m.method.Alg())
	}
	return m.signer.Public(), nil
}

// Current returns the key that signs.
func (r *Ring) Current() Key {
	m := r.state.Load().current
	return Key{KeyARN: m.signer.KeyARN(), KID: m.jwk.Kid, Alg: m.method.Alg(), Public: m.signer.Public()}
}
