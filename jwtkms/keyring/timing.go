package keyring

import (
	"fmt"
	"time"
)

// Timing has the durations that the issuers of a ring and whoever rotates its
// key must agree on. All of them must be given the same values. A single issuer
// with a longer RefreshInterval can make tokens of all issuers fail. The zero
// value works.
type Timing struct {
	// RefreshInterval is the time between two refreshes, in which an issuer
	// reads the aliases. Zero means five minutes.
	RefreshInterval time.Duration

	// MaxAge is how long verifiers may cache the public keys. It is announced
	// in Cache-Control. Zero means five minutes.
	MaxAge time.Duration

	// MaxLifetime is the longest time from now to exp that [Ring.Sign] allows.
	// Zero means one hour.
	MaxLifetime time.Duration

	// PropagationDelay is how long an alias must have named a key before the
	// key signs. It must be at least RefreshInterval + MaxAge + Slack. If it is
	// longer, refreshes may fail for the difference without a token that fails,
	// so choose it longer than the outages that must go unnoticed. Zero means
	// RefreshInterval + MaxAge + Slack. A negative value is for tests. A key
	// then signs at once, and no step waits except Retire, which waits for
	// RefreshInterval + Slack + MaxLifetime.
	PropagationDelay time.Duration

	// Slack is a margin for delays and for differences of clocks. A refresh
	// fails if it takes longer than half of Slack. The other half is for clocks
	// that differ, and for the time that KMS takes to show a moved alias
	// everywhere. That time is usually seconds, but AWS says that it can be
	// several minutes. To be safe even then, choose ten minutes. A longer Slack
	// delays each step of a rotation by as much. Zero means one minute, or
	// PropagationDelay - RefreshInterval - MaxAge if PropagationDelay is set
	// and that is less.
	Slack time.Duration
}

// stepLimit is how long a step of a rotation may take. A step stops itself
// after that, so that the next one can rely on it.
const stepLimit = 30 * time.Second

// complete replaces zeros by defaults.
func (t *Timing) complete() error {
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"RefreshInterval", &t.RefreshInterval, 5 * time.Minute},
		{"MaxAge", &t.MaxAge, 5 * time.Minute},
		{"MaxLifetime", &t.MaxLifetime, time.Hour},
		{"Slack", &t.Slack, time.Minute},
	} {
		if *d.value < 0 {
			return fmt.Errorf("the option %s is %v, want 0 or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
			if left := t.PropagationDelay - t.RefreshInterval - t.MaxAge; d.name == "Slack" && t.PropagationDelay > 0 && left >= 0 {
				*d.value = min(d.zero, left)
			}
		}
	}
	least := t.RefreshInterval + t.MaxAge + t.Slack
	switch {
	case t.PropagationDelay == 0:
		t.PropagationDelay = least
	case t.PropagationDelay < 0:
		t.PropagationDelay = 0
	case t.PropagationDelay < least:
		return fmt.Errorf("the option PropagationDelay is %v, want at least RefreshInterval + MaxAge + Slack, %v", t.PropagationDelay, least)
	}
	return nil
}

// settle is the time in which every issuer acts on what KMS shows: it has
// completed a refresh that saw it.
func (t *Timing) settle() time.Duration {
	return max(t.PropagationDelay-t.MaxAge, t.RefreshInterval+t.Slack)
}

// hold is how long the tokens of a key can be out after another has taken its
// place: the last issuer changes over after settle, and its last token lives
// on.
func (t *Timing) hold() time.Duration { return t.settle() + t.MaxLifetime }

// window keeps steps apart that must not meet: after it, everybody sees what a
// step has written, and a step that was under way has ended.
func (t *Timing) window() time.Duration {
	if t.PropagationDelay == 0 {
		return 0
	}
	return t.Slack + stepLimit
}

// refreshLimit is how long a refresh may take.
func (t *Timing) refreshLimit() time.Duration { return max(t.Slack/2, time.Second) }

// freshFor is how long after the beginning of a refresh verifiers may still use
// the keys that it found: a key that it did not find signs no sooner.
func (t *Timing) freshFor() time.Duration { return t.PropagationDelay - t.Slack }
