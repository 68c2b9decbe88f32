package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// Run refreshes every [Options.RefreshInterval], for the first time one interval after it
// is called, until ctx ends. After a refresh that failed it tries again sooner, at first
// after an eighth of the interval. It returns why ctx ended. Failures are logged. After
// each refresh it calls refreshed, for metrics or tests, with nil or the error.
func (r *Ring) Run(ctx context.Context, refreshed ...func(error)) error {
	retry := r.opts.RefreshInterval / 8
	wait := r.opts.RefreshInterval
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		began := time.Now()
		err := r.Refresh(ctx)
		for _, fn := range refreshed {
			fn(err)
		}
		if err == nil || ctx.Err() != nil {
			// From beginning to beginning: what a refresh takes must not add up.
			retry = r.opts.RefreshInterval / 8
			wait = max(retry, r.opts.RefreshInterval-time.Since(began))
			continue
		}
		r.opts.Logger.LogAttrs(ctx, slog.LevelError, "keyring: refresh failed, the last good keys stay", slog.Any("error", err))
		wait = retry
		retry = min(2*retry, r.opts.RefreshInterval)
	}
}

// Refresh looks at the aliases once and changes the keys accordingly. What it
// cannot learn stays as it was, and is in the error. One refresh is made at a time;
// a second waits for the first. Sign and Keyfunc never wait for either, unless KMS has
// just refused to sign with the key.
func (r *Ring) Refresh(ctx context.Context) error {
	return r.refresh(ctx, time.Time{})
}

// betweenForced is how long the Ring leaves KMS alone after a refresh, when what it
// would refresh for is a key that was refused.
const betweenForced = 10 * time.Second

// refresh asks KMS for every key of the Ring, one refresh at a time. If since is set, it
// does nothing when a refresh has begun after since or within the last betweenForced.
func (r *Ring) refresh(ctx context.Context, since time.Time) error {
	select {
	case r.refreshing <- struct{}{}:
		defer func() { <-r.refreshing }()
	case <-ctx.Done():
		return fmt.Errorf("keyring: refresh: %w", context.Cause(ctx))
	}
	if !since.IsZero() && (r.refreshed.After(since) || time.Since(r.refreshed) < betweenForced) {
		return nil
	}
	r.refreshed = time.Now()

	var errs []error
	for _, name := range r.names() {
		m, err := r.resolve(ctx, name)
		if err == nil {
			r.behind[name] = m
			delete(r.warned, name)
			continue
		}
		if name != r.signing && r.absent(ctx, name, err) {
			delete(r.behind, name)
			continue
		}
		errs = append(errs, fmt.Errorf("keyring: refresh: %w", err))
	}
	if r.behind[r.signing] != nil {
		if err := r.update(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// absent reports whether an alias beside the signing one has no key to publish: there
// is no such alias, or its key has no public key for us, which is somebody's doing and
// no outage.
func (r *Ring) absent(ctx context.Context, name string, err error) bool {
	if _, ok := errors.AsType[*types.NotFoundException](err); ok {
		delete(r.warned, name)
		return true
	}
	_, disabled := errors.AsType[*types.DisabledException](err)
	_, state := errors.AsType[*types.KMSInvalidStateException](err)
	if !disabled && !state && !errors.Is(err, kmssigner.ErrUnsupportedKey) {
		return false
	}
	if why := fmt.Sprint(disabled, state); r.warned[name] != why {
		r.warned[name] = why
		r.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "keyring: the alias names a key that cannot be published", slog.String("alias", name), slog.Any("error", err))
	}
	return true
}

// names are the keys and aliases that are published, the signing one first.
func (r *Ring) names() []string {
	names := []string{r.signing}
	for _, name := range append([]string{r.opts.Next, r.opts.Previous}, r.opts.Others...) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// resolve finds the key behind an alias.
func (r *Ring) resolve(ctx context.Context, name string) (*member, error) {
	follow := func(o *kmssigner.Options) { o.KeepAlias, o.PublicKey = false, nil }
	signer, err := kmssigner.New(ctx, r.client, name, append(slices.Clip(r.opts.SignerOptions), follow)...)
	if err != nil {
		return nil, err
	}
	keyARN := signer.KeyARN()
	m, known := r.members[keyARN]
	if known && m.named {
		return m, nil
	}
	if !known {
		m = &member{signer: signer}
		if m.method, err = r.opts.Method(signer.Public()); err != nil {
			return nil, err
		}
		if m.jwk, err = m.method.JWK(signer.Public()); err != nil {
			return nil, err
		}
	}
	// Of a key that had no alias for a while other issuers know no more than what KMS
	// tells now.
	age, err := r.age(ctx, keyARN)
	switch {
	case err == nil:
		m.published = time.Now().Add(-age)
	case !denied(err):
		return nil, fmt.Errorf("since when %s has an alias: %w", keyARN, err)
	case r.state.Load() == nil:
		m.published = time.Time{} // there is nothing to tell it from an old one by
	default:
		m.published = time.Now()
	}
	if err != nil {
		r.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "keyring: cannot see since when the key has an alias",
			slog.String("key", keyARN), slog.Any("error", err))
	}
	m.named = true // two aliases may name it
	r.members[keyARN] = m
	return m, nil
}

// denied reports whether ListAliases will not answer for the key: no permission, or
// another account's key.
func denied(err error) bool {
	apiErr, ok := errors.AsType[smithy.APIError](err)
	return ok && (apiErr.ErrorCode() == "AccessDeniedException" || apiErr.ErrorCode() == (&types.NotFoundException{}).ErrorCode())
}

// age is how long one of the Ring's aliases has named the key. Every issuer has
// published it for that long, less the time to its next refresh.
func (r *Ring) age(ctx context.Context, keyARN string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return aliasAge(ctx, r.client, keyARN, r.names())
}

// update makes a new state of what the aliases name now.
func (r *Ring) update(ctx context.Context) error {
	now := time.Now()
	for _, m := range r.members {
		m.named = false
	}
	for _, m := range r.behind {
		m.seen, m.named = now, true
	}
	target := r.behind[r.signing]
	current := r.choose(ctx, target, now)

	next := &state{current: current, target: target, byKid: map[string]*member{}}
	var set jwtkms.JWKSet
	for arn, m := range r.members {
		if m != current && m != target && now.Sub(m.seen) > r.opts.hold() && now.Unix() > m.lastExp.Load() {
			delete(r.members, arn)
			continue
		}
		next.byKid[m.jwk.Kid] = m
		set.Keys = append(set.Keys, m.jwk)
	}
	// The same keys make the same bytes, for the ETag, whatever the map's order.
	slices.SortFunc(set.Keys, func(a, b jwtkms.JWK) int { return strings.Compare(a.Kid, b.Kid) })
	data, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("keyring: %w", err)
	}
	sum := sha256.Sum256(data)
	next.jwks = data
	next.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	r.state.Store(next)
	return nil
}

// choose decides which key signs until the next refresh.
func (r *Ring) choose(ctx context.Context, target *member, now time.Time) *member {
	var current *member
	if s := r.state.Load(); s != nil {
		current = s.current
	} else {
		// Just started: verifiers know the previous key, if there is one.
		current = r.behind[r.opts.Previous]
	}
	propagated := target.published.Add(r.opts.PropagationDelay)
	key := func(name string, m *member) slog.Attr { return slog.String(name, m.signer.KeyARN()) }
	switch {
	case current == nil || current == target:
		return target
	case !now.Before(propagated):
		if r.state.Load() != nil {
			r.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "keyring: the signing key has changed", key("from", current), key("to", target))
		}
		return target
	}
	r.opts.Logger.LogAttrs(ctx, slog.LevelInfo, "keyring: the new signing key has not propagated yet, signing with the old one",
		key("old", current), key("new", target), slog.Time("until", propagated))
	return current
}
