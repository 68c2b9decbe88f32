package keyring

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
)

// Run refreshes every [Timing.RefreshInterval] until ctx ends, and returns the
// cause of that, as context.Cause does. The first refresh is made one interval
// after the call. The interval is shortened by a random part of up to a tenth,
// so that issuers that start together do not ask KMS together for ever. After
// each of the first eight failures in a row, Run tries again after an eighth of
// the interval. After further failures, it waits the whole interval. Failures
// are logged.
func (r *Ring) Run(ctx context.Context) error {
	if r.isZero() {
		return errNoRing
	}
	jittered := func(d time.Duration) time.Duration { return d - r.jitter(d/10) }
	wait, failed := jittered(r.opts.RefreshInterval), 0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		began := time.Now()
		err := r.Refresh(ctx)
		if err == nil || ctx.Err() != nil {
			// From beginning to beginning: what a refresh takes must not add
			// up.
			wait, failed = max(r.opts.RefreshInterval/8, jittered(r.opts.RefreshInterval)-time.Since(began)), 0
			continue
		}
		r.opts.Logger.LogAttrs(ctx, slog.LevelError, "keyring: refresh failed, the last good keys stay", slog.Any("error", err))
		wait = jittered(r.opts.RefreshInterval)
		if failed++; failed <= 8 {
			wait /= 8
		}
	}
}

// Refresh looks at the aliases once and changes the keys accordingly. It makes
// one GetPublicKey call for each alias, one ListAliases call for each key, and,
// before another key becomes the signing key, a dry run of Sign. If Refresh
// cannot learn something, it keeps what it knew before and returns an error. A
// refresh fails if it takes longer than half of [Timing.Slack]. Only one
// refresh is made at a time, and a second one waits for the first. Keyfunc
// never waits for a refresh. Sign waits only if every key is revoked, or if KMS
// has just refused to sign with every key that has propagated.
func (r *Ring) Refresh(ctx context.Context) error {
	if r.isZero() {
		return errNoRing
	}
	return r.refresh(ctx, time.Time{})
}

// betweenForced is the minimum time between a refresh and one that is made
// because KMS refused every key.
const betweenForced = 10 * time.Second

// refresh refreshes. If since is set, it does nothing when a refresh has begun
// after since or within the last betweenForced.
func (r *Ring) refresh(ctx context.Context, since time.Time) error {
	select {
	case r.refreshing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("keyring: refresh: %w", context.Cause(ctx))
	}
	if !since.IsZero() && (r.refreshed.After(since) || time.Since(r.refreshed) < betweenForced) {
		<-r.refreshing
		return nil
	}
	starting := r.state.Load() == nil
	err := r.refreshOnce(ctx)
	<-r.refreshing // before the hooks, which may sign and refresh
	if s := r.state.Load(); s != nil {
		r.announce(ctx, s.current(), slog.LevelInfo, "the signing key has changed")
	}
	if !starting && r.opts.OnRefresh != nil {
		r.opts.OnRefresh(err)
	}
	return err
}

// refreshOnce refreshes, for whoever holds the token of refreshing.
func (r *Ring) refreshOnce(ctx context.Context) error {
	r.refreshed = time.Now()
	limit := r.opts.refreshLimit()
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("a refresh may take half of the option Slack, %v", limit))
	defer cancel()
	err := r.learn(limited)
	if err == nil || r.state.Load() != nil {
		err = errors.Join(err, r.decide(limited))
	}
	if err == nil {
		return nil
	}
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w (%w)", err, context.Cause(limited))
	}
	return fmt.Errorf("keyring: refresh: %w", err)
}

// learn asks KMS which keys the aliases name, since when, and which are
// revoked.
func (r *Ring) learn(ctx context.Context) error {
	var failures, refusals []error
	var warnings []func()
	for _, name := range r.names() {
		m, err := r.read(ctx, name)
		why, definite := unusable(err)
		switch {
		case err == nil:
			if r.unreadable[name] && !m.named {
				// Others could not read it either, and did not publish it.
				m.readable = r.refreshed
			}
			r.behind[name] = m
			delete(r.unreadable, name)
			delete(r.told, name)
		case definite:
			refusals = append(refusals, err)
			delete(r.behind, name)
			r.unreadable[name] = why != absent
			if why != absent || name == r.signing {
				warnings = append(warnings, func() {
					r.tell(ctx, slog.LevelWarn, name, why, "the alias names a key that cannot be published", slog.String("alias", name), slog.Any("error", err))
				})
			}
		default:
			failures = append(failures, err)
		}
	}
	if len(r.targets()) == 0 {
		failures, warnings = append(failures, refusals...), nil // the error says it
	}
	for _, warn := range warnings {
		warn()
	}
	for _, m := range r.members {
		m.named = false
	}
	for _, m := range r.behind {
		m.named = true
	}
	for _, m := range r.members {
		if err := r.date(ctx, m); err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) > 0 {
		return errors.Join(failures...)
	}
	if r.refreshed.Sub(r.completed) > r.opts.settle() {
		// Nobody knows what others did meanwhile.
		for _, m := range r.members {
			m.idle = time.Time{}
		}
	}
	r.completed = r.refreshed
	return nil
}

// targets are the keys behind the signing, the previous and the next alias:
// those to sign with, in this order.
func (r *Ring) targets() []*member {
	var targets []*member
	for _, name := range []string{r.signing, r.opts.Previous, r.opts.Next} {
		if m := r.behind[name]; m != nil && !slices.Contains(targets, m) {
			targets = append(targets, m)
		}
	}
	return targets
}

// read finds the key that an alias names.
func (r *Ring) read(ctx context.Context, name string) (*member, error) {
	follow := func(o *kmssigner.Options) { o.KeepAlias, o.PublicKey = false, nil }
	signer, err := kmssigner.New(ctx, r.client, name, append(slices.Clip(r.opts.SignerOptions), follow)...)
	if err != nil {
		return nil, err
	}
	if m, known := r.members[signer.KeyARN()]; known {
		return m, nil
	}
	m := &member{signer: signer}
	if r.state.Load() != nil {
		m.since = r.refreshed // unless KMS remembers more
	}
	if m.method, err = r.opts.Method(signer.Public()); err == nil {
		m.jwk, err = m.method.JWK(signer.Public())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", kmssigner.ErrUnsupportedKey, signer.KeyARN(), err)
	}
	r.members[signer.KeyARN()] = m
	return m, nil
}

// absent is why a read fails if there is no such alias.
const absent = "absent"

// unusable reports whether err is an answer of KMS that there is no key for us
// behind an alias, and why. Any other error is an outage.
func unusable(err error) (why string, definite bool) {
	if errors.Is(err, kmssigner.ErrUnsupportedKey) {
		return "unsupported", true
	}
	apiErr, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return "", false
	}
	switch why = apiErr.ErrorCode(); why {
	case (&types.NotFoundException{}).ErrorCode():
		return absent, true
	case (&types.DisabledException{}).ErrorCode(), (&types.KMSInvalidStateException{}).ErrorCode(), "AccessDeniedException":
		return why, true
	}
	return why, false
}

// date learns since when the aliases of the ring have named a key, and whether
// it is revoked.
func (r *Ring) date(ctx context.Context, m *member) error {
	keyARN := m.signer.KeyARN()
	list, err := listAliases(ctx, r.client, keyARN)
	if _, definite := unusable(err); err != nil && definite {
		// There is no permission, or it is the key of another account. Without
		// dates a Ring that starts must trust that its keys have propagated.
		r.tell(ctx, slog.LevelWarn, keyARN, "date", "cannot see since when the key has an alias, nor whether it is revoked",
			slog.String("key", keyARN), slog.Any("error", err))
		if !m.named {
			m.since = r.refreshed
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the aliases of %s: %w", keyARN, err)
	}
	delete(r.told, keyARN)
	var oldest time.Duration
	m.moved = time.Time{}
	for _, name := range r.names() {
		if age, ok := list.ages[name]; ok && age >= oldest {
			oldest, m.moved = age, list.dates[name]
		}
	}
	if m.revoked && !list.revoked {
		m.readable = r.refreshed // it was not published meanwhile
	}
	m.revoked = list.revoked
	m.since = time.Now().Add(-oldest)
	if m.since.Before(m.readable) {
		m.since = m.readable
	}
	if r.fixed(m) {
		m.since = time.Time{}
	}
	return nil
}

// fixed reports whether the Ring was given the key itself and not an alias:
// issuers have always published it.
func (r *Ring) fixed(m *member) bool {
	for name, named := range r.behind {
		if named == m && !isAlias(name) {
			return true
		}
	}
	return false
}

// propagated reports whether every verifier must have had the key for d.
func (r *Ring) propagated(m *member, d time.Duration) bool {
	return r.opts.PropagationDelay == 0 || !r.refreshed.Before(m.since.Add(r.opts.PropagationDelay+d))
}
