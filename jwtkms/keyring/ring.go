package keyring

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/internal/jws"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// Client is the part of the KMS API that a [Ring] calls. *kms.Client,
// *multiregion.Client and *kmstest.KMS implement it. Implementations must be
// safe for concurrent use.
type Client interface {
	kmssigner.Client
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
}

// Options configures [New]. The zero value works.
type Options struct {
	// Timing must be the same for all issuers of the ring.
	Timing

	// Next and Previous name the aliases beside the signing one. Empty means
	// the signing alias with "-next" and "-prev" appended, or none if the Ring
	// signs with a key ID. An alias that does not exist is not an error.
	Next, Previous string

	// Others are further keys or aliases to publish, such as those of another
	// issuer whose tokens the same verifiers accept. The Ring never signs with
	// them.
	Others []string

	// Method picks the algorithm for a public key. Nil means jwtkms.MethodFor.
	Method func(crypto.PublicKey) (*jwtkms.SigningMethod, error)

	// SignerOptions are passed to kmssigner.New for every key. KeepAlias and
	// PublicKey have no effect, because the Ring must see which key an alias
	// names.
	SignerOptions []func(*kmssigner.Options)

	// OnRefresh is called after each refresh that Run, Refresh or Sign makes,
	// with nil or its error. Nil means that nothing is called.
	OnRefresh func(error)

	// OnChange is called when another key has become the signing key, by a
	// refresh or because KMS refused to sign with the one before. It may be
	// called by several goroutines at a time. Nil means that nothing is called.
	OnChange func(from, to Key)

	// Logger receives changes of the signing key and failures. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Ring signs tokens and publishes the keys that verify them. It is safe for
// concurrent use. Use [New] to make a Ring. The methods of a nil or zero Ring
// return errors or zero values.
type Ring struct {
	client  Client
	signing string
	opts    Options
	jitter  func(time.Duration) time.Duration // a random part of a wait

	state     atomic.Pointer[state]  // what Sign, Keyfunc and ServeHTTP work with
	announced atomic.Pointer[member] // the signing key that OnChange was told last

	// What refreshes need from one to the next. Whoever holds the one token of
	// refreshing owns it.
	refreshing chan struct{}
	refreshed  time.Time          // when the last refresh began
	completed  time.Time          // when the last one began that learned everything
	members    map[string]*member // by ARN: every key that is published or revoked
	behind     map[string]*member // by alias: the key that it names
	unreadable map[string]bool    // by alias: it names a key that could not be read
	told       map[string]string  // by subject: what was last logged about it
}

// A state is what all tokens are signed and verified with until the next
// refresh. It is never changed.
type state struct {
	order     []candidate // to sign with, the best first
	published []*member   // by kid
	byKid     map[string]*member
	jwks      []byte
	etag      string
	until     time.Time // verifiers may use jwks so long; zero means any time
}

// A candidate is a key to sign with.
type candidate struct {
	*member
	propagated bool // every verifier has it
}

// A member is one key.
type member struct {
	signer *kmssigner.Signer
	method *jwtkms.SigningMethod
	jwk    jwtkms.JWK

	refused atomic.Bool  // KMS would not sign with it when last asked
	lastExp atomic.Int64 // Unix time: the latest exp that it was asked to sign

	// Owned by refreshes.
	since    time.Time // since when every issuer can know it
	moved    time.Time // the same on KMS's clock, or zero
	readable time.Time // since when this issuer can read it, if it once could not
	named    bool      // an alias names it
	revoked  bool      // an alias marks it as revoked
	idle     time.Time // since when other issuers have had reason to leave it; zero: they may sign with it
}

// Key is one key of a [Ring]. KID is its RFC 7638 thumbprint, as
// jwtkms.Thumbprint returns it, and Alg is the algorithm of its tokens, such as
// "ES256".
type Key struct {
	KeyARN string
	KID    string
	Alg    string
	Public crypto.PublicKey
}

func (m *member) key() Key {
	if m == nil {
		return Key{}
	}
	return Key{KeyARN: m.signer.KeyARN(), KID: m.jwk.Kid, Alg: m.method.Alg(), Public: m.signer.Public()}
}

// New returns a Ring that signs with the key behind signing. signing is an
// alias name or an alias ARN, or a key ID or a key ARN if the key never
// changes. New makes the first refresh and returns its error. If it ignored the
// error, an issuer that starts during a short outage of KMS would not publish
// the previous key, and the tokens of that key would fail. If KMS answers that
// an alias does not exist or that its key cannot be used, New still succeeds as
// long as the signing, the previous or the next alias names a key that can be
// used. ctx is used only by New.
//
// New starts no goroutine. The caller must call [Ring.Run] to keep the keys up
// to date.
func New(ctx context.Context, client Client, signing string, optFns ...func(*Options)) (*Ring, error) {
	r := &Ring{
		client:     client,
		signing:    signing,
		jitter:     func(d time.Duration) time.Duration { return rand.N(max(d, 1)) },
		refreshing: make(chan struct{}, 1),
		members:    map[string]*member{},
		behind:     map[string]*member{},
		unreadable: map[string]bool{},
		told:       map[string]string{},
	}
	for _, fn := range optFns {
		fn(&r.opts)
	}
	if err := r.opts.complete(signing); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	if isNil(client) {
		return nil, errors.New("keyring: the client is nil")
	}
	if err := r.refresh(ctx, time.Time{}); err != nil {
		return nil, err
	}
	return r, nil
}

func (o *Options) complete(signing string) error {
	if signing == "" {
		return errors.New("no signing key, want an alias, a key ID or a key ARN")
	}
	if isAlias(signing) {
		o.Next = cmp.Or(o.Next, signing+"-next")
		o.Previous = cmp.Or(o.Previous, signing+"-prev")
	}
	if o.Method == nil {
		o.Method = jwtkms.MethodFor
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o.Timing.complete()
}

// isAlias reports whether id is an alias name or an alias ARN.
func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}

// current is the first key of the order that KMS has not refused. It is nil if
// every key is revoked.
func (s *state) current() *member {
	if len(s.order) == 0 {
		return nil
	}
	for _, c := range s.order {
		if !c.refused.Load() {
			return c.member
		}
	}
	return s.order[0].member
}

// Current returns the key that signs, or the zero Key if every key is revoked.
// It makes no call.
func (r *Ring) Current() Key {
	if r.isZero() {
		return Key{}
	}
	return r.state.Load().current().key()
}

// Keys returns all keys that are published, ordered by KID. It makes no call.
func (r *Ring) Keys() []Key {
	if r.isZero() {
		return nil
	}
	var keys []Key
	for _, m := range r.state.Load().published {
		keys = append(keys, m.key())
	}
	return keys
}

// Keyfunc is a [jwt.Keyfunc] for the tokens of this Ring and of all others with
// the same aliases. It returns the public key that has the token's kid, if the
// algorithm of that key is the token's. A token with an unknown kid, another
// algorithm, or a header with crit (RFC 7515 section 4.1.11) or b64 (RFC 7797)
// is rejected with [jwt.ErrTokenUnverifiable], because the Ring understands no
// extension. Keyfunc never calls KMS.
//
//	jwt.Parse(compact, ring.Keyfunc)
func (r *Ring) Keyfunc(token *jwt.Token) (any, error) {
	switch {
	case r.isZero():
		return nil, errNoRing
	case token == nil || token.Method == nil:
		return nil, errors.New("keyring: the token is nil or has no method")
	}
	kid, ok := token.Header["kid"].(string)
	if !ok {
		return nil, errors.New("keyring: the token has no kid")
	}
	m, ok := r.state.Load().byKid[kid]
	if !ok {
		return nil, fmt.Errorf("keyring: no key has the kid %.100q", kid)
	}
	if alg := token.Method.Alg(); alg != m.method.Alg() {
		return nil, fmt.Errorf("keyring: the token's alg is %s, the key's %s", alg, m.method.Alg())
	}
	if err := jws.CheckHeader(token.Header); err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return m.signer.Public(), nil
}

// isNil reports whether client is nil or a nil pointer.
func isNil(client any) bool {
	v := reflect.ValueOf(client)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

var errNoRing = errors.New("keyring: the Ring is nil or zero, want one made by New")

// isZero reports whether r was not made by New.
func (r *Ring) isZero() bool { return r == nil || r.state.Load() == nil }

// announce logs a change of the signing key and tells OnChange.
func (r *Ring) announce(ctx context.Context, to *member, level slog.Level, text string, attrs ...slog.Attr) {
	from := r.announced.Load()
	if from == to || !r.announced.CompareAndSwap(from, to) || from == nil {
		return
	}
	attrs = append([]slog.Attr{slog.String("from", from.signer.KeyARN()), slog.String("to", to.key().KeyARN)}, attrs...)
	r.opts.Logger.LogAttrs(ctx, level, "keyring: "+text, attrs...)
	if r.opts.OnChange != nil {
		r.opts.OnChange(from.key(), to.key())
	}
}

// tell logs, unless the last text about the subject was of the same kind.
func (r *Ring) tell(ctx context.Context, level slog.Level, subject, kind, text string, attrs ...slog.Attr) {
	if r.told[subject] != kind {
		r.told[subject] = kind
		r.opts.Logger.LogAttrs(ctx, level, "keyring: "+text, attrs...)
	}
}

// names are the keys and aliases that are published, in the order in which a
// refresh reads them.
func (r *Ring) names() []string {
	var names []string
	for _, name := range append([]string{r.opts.Next, r.signing, r.opts.Previous}, r.opts.Others...) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
