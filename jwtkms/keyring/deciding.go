package keyring

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// decide makes a new state of what was learnt: which key signs, and which keys
// are published.
func (r *Ring) decide(ctx context.Context) error {
	var before *member // the signing key until now
	starting := r.state.Load() == nil
	if !starting {
		before = r.state.Load().current()
	}
	s := &state{}
	var failure error
	s.order, failure = r.choose(ctx, before)
	signing := s.current()
	if starting && signing == nil {
		return errRevoked
	}
	if err := s.serve(r.keep(signing)); err != nil {
		return err
	}
	if r.opts.PropagationDelay > 0 {
		s.until = r.completed.Add(r.opts.freshFor())
	}
	r.state.Store(s)
	if target := r.behind[r.signing]; target != nil && target != signing && !r.propagated(target, 0) {
		r.tell(ctx, slog.LevelInfo, "", target.signer.KeyARN(), "the new signing key has not propagated yet, signing with the old one",
			slog.String("old", signing.key().KeyARN), slog.String("new", target.signer.KeyARN()),
			slog.Time("until", target.since.Add(r.opts.PropagationDelay)))
	}
	return failure
}

// choose puts the keys to sign with in order: the first is the best, and has
// been asked for before it takes the place of before.
func (r *Ring) choose(ctx context.Context, before *member) ([]candidate, error) {
	var order []candidate
	var young []*member
	for _, m := range r.targets() {
		switch {
		case m.revoked:
		case r.propagated(m, 0):
			order = append(order, candidate{m, true})
		default:
			young = append(young, m)
		}
	}
	best := -1
	var failures []error
	for i, c := range order {
		if before == nil || c.member == before && !before.refused.Load() {
			best = i // there is nothing to change over from
			break
		}
		err := r.dryRun(ctx, c.member)
		if err == nil {
			best = i
			break
		}
		if !refused(err) {
			failures = append(failures, err)
		}
	}
	// The key that was named longest is the one that most verifiers have; of
	// two that are as old it is the previous one.
	if i := slices.Index(young, r.behind[r.opts.Previous]); i > 0 {
		young = toFront(young, i)
	}
	slices.SortStableFunc(young, func(a, b *member) int { return a.moved.Compare(b.moved) })
	for _, m := range young {
		order = append(order, candidate{m, false})
	}
	if stays := before != nil && !before.revoked; stays && (best < 0 || len(failures) > 0 && !before.refused.Load()) {
		best = slices.IndexFunc(order, func(c candidate) bool { return c.member == before })
		if best < 0 {
			best = len(order)
			order = append(order, candidate{before, false})
		}
	}
	if best > 0 {
		order = toFront(order, best)
	}
	return order, errors.Join(failures...)
}

// toFront moves an element of s to its front.
func toFront[T any](s []T, i int) []T {
	first := s[i]
	return slices.Insert(slices.Delete(s, i, i+1), 0, first)
}

// keep returns the keys to publish: those that an alias names, the signing key,
// and those that other issuers may have signed tokens with that live.
func (r *Ring) keep(signing *member) []*member {
	// A key that nobody has a reason to sign with any more: every issuer has
	// completed a refresh since another one has propagated.
	others := slices.ContainsFunc(r.targets(), func(m *member) bool {
		return !m.revoked && !m.refused.Load() && r.propagated(m, r.opts.settle())
	})
	complete := r.completed.Equal(r.refreshed)
	var published []*member
	for keyARN, m := range r.members {
		switch {
		case m.named || m == signing || !others:
			m.idle = time.Time{}
		case m.idle.IsZero() && complete:
			m.idle = r.refreshed
		case complete && r.refreshed.Sub(m.idle) > r.opts.hold() && time.Now().Unix() > m.lastExp.Load():
			delete(r.members, keyARN)
			continue
		}
		if !m.revoked {
			published = append(published, m)
		}
	}
	return published
}
