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

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
)

// Run refreshes every [Options.RefreshInterval], and a few times in between after a
// refresh that failed, until ctx ends. It returns why ctx ended. Failures are
// logged.
func (r *Ring) Run(ctx context.Context) error {
	wait := r.opts.RefreshInterval
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = r.opts.RefreshInterval
		if err := r.Refresh(ctx); err != nil && ctx.Err() == nil {
			r.opts.Logger.LogAttrs(ctx, slog.LevelError, "keyring: refresh failed, the last good keys stay", slog.Any("error", err))
			wait /= 8
		}
	}
}

// Refresh looks at the aliases once and changes the keys accordingly. What it
// cannot learn stays as it was, and is in the error. One refresh is made at a time;
// a second waits for the first. Sign and Keyfunc never wait for either.
func (r *Ring) Refresh(ctx context.Context) error {
	select {
	case r.refreshing <- struct{}{}:
		defer func() { <-r.refreshing }()
	case <-ctx.Done():
		return fmt.Errorf("keyring: refresh: %w", context.Cause(ctx))
	}

	var errs []error
	for _, name := range r.names() {
		m, err := r.resolve(ctx, name)
		if err == nil {
			r.behind[name] = m
			continue
		}
		if _, absent := errors.AsType[*types.NotFoundException](err); absent && name != r.signing {
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
	signer, err := kmssigner.New(ctx, r.client, name, r.opts.SignerOptions...)
	if err != nil {
		return nil, err
	}
	if m, ok := r.members[signer.KeyARN()]; ok {
		return m, nil
	}
	method, err := r.opts.Method(signer.Public())
	if err != nil {
		return nil, err
	}
	jwk, err := method.JWK(signer.Public())
	if err != nil {
		return nil, err
	}
	m := &member{signer: signer, method: method, jwk: jwk, published: time.Now()}
	if age, err := r.age(ctx, signer.KeyARN()); err != nil {
		r.opts.Logger.LogAttrs(ctx, slog.LevelWarn, "keyring: cannot see since when the key has an alias, counting from now",
			slog.String("key", signer.KeyARN()), slog.Any("error", err))
	} else {
		m.published = m.published.Add(-age)
	}
	r.members[signer.KeyARN()] = m
	return m, nil
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
	for _, m := range r.behind {
		m.seen = now
	}
	target := r.behind[r.signing]
	target.unusable.Store(false)
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
	case current.unusable.Load():
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
