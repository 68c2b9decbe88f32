package service

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// keyMetrics records when the service saw the Ring's keys. It has only keys
// that the Ring publishes.
type keyMetrics struct {
	mu        sync.Mutex
	seen      map[string]sighting // by kid, of the published keys
	since     time.Time           // when the signing key began to sign
	refreshed time.Time           // the last successful refresh
	changes   [reaches]int64      // of the signing key
}

// sighting is when the service first saw a published key.
type sighting struct {
	at      time.Time
	atStart bool // it was there at the start, and may be older
}

// reach says whether verifiers had a key when it became the signing key.
type reach int

const (
	reached      reach = iota // it was published here for a max-age
	notReached                // it was not
	unknownReach              // it was there at the start, less than a max-age ago
	reaches
)

func (r reach) String() string { return [reaches]string{"true", "false", "unknown"}[r] }

// startKeys records the keys of a Ring that has just been made.
func (s *Service) startKeys() {
	now := time.Now()
	k := &s.keys
	k.seen, k.since, k.refreshed = map[string]sighting{}, now, now
	k.update(s.ring.Keys(), now, true)
}

// update adds new keys and removes unpublished ones. The caller holds mu,
// unless no other goroutine can use k.
func (k *keyMetrics) update(published []keyring.Key, now time.Time, atStart bool) {
	seen := make(map[string]sighting, len(published))
	for _, key := range published {
		at, ok := k.seen[key.KID]
		if !ok {
			at = sighting{now, atStart}
		}
		seen[key.KID] = at
	}
	k.seen = seen
}

// Changed counts a change of the signing key. It is for
// [keyring.Options.OnChange].
func (s *Service) Changed(_, to keyring.Key) {
	k := &s.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.update(s.ring.Keys(), now, false)
	r := notReached
	if at, ok := k.seen[to.KID]; ok && now.Sub(at.at) >= s.opts.MaxAge {
		r = reached
	} else if ok && at.atStart {
		r = unknownReach
	}
	k.changes[r]++
	k.since = now
}

// writeTo writes the metrics of the keys.
func (k *keyMetrics) writeTo(b *strings.Builder, family func(name, kind, help string), ring *keyring.Ring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	published, signing := ring.Keys(), ring.Current()
	k.update(published, time.Now(), false)

	family("last_refresh_timestamp_seconds", "gauge", "Time of the last successful refresh of the keys, in seconds since 1970.")
	fmt.Fprintf(b, "tokenservice_last_refresh_timestamp_seconds %s\n", unixSeconds(k.refreshed))
	family("published_keys", "gauge", "Keys in the JWKS.")
	fmt.Fprintf(b, "tokenservice_published_keys %d\n", len(published))
	family("key_first_seen_timestamp_seconds", "gauge", "Time when this instance first saw each published key, in seconds since 1970. The state is signing or published.")
	for _, key := range published {
		state := "published"
		if key.KID == signing.KID {
			state = "signing"
		}
		fmt.Fprintf(b, "tokenservice_key_first_seen_timestamp_seconds{kid=\"%s\",alg=\"%s\",state=\"%s\"} %s\n", key.KID, key.Alg, state, unixSeconds(k.seen[key.KID].at))
	}
	family("signing_key", "gauge", "Always 1. The labels name the key that signs. If every key is revoked, there is none.")
	if signing.KID != "" {
		fmt.Fprintf(b, "tokenservice_signing_key{kid=\"%s\",alg=\"%s\"} 1\n", signing.KID, signing.Alg)
	}
	family("signing_key_start_timestamp_seconds", "gauge", "Time when this instance began to sign with the signing key, in seconds since 1970.")
	fmt.Fprintf(b, "tokenservice_signing_key_start_timestamp_seconds %s\n", unixSeconds(k.since))
	family("signing_key_changes_total", "counter", "Changes of the signing key. propagated is true if this instance had published the new key for a max-age, and unknown if it started less than a max-age before.")
	for r := range reaches {
		fmt.Fprintf(b, "tokenservice_signing_key_changes_total{propagated=\"%s\"} %d\n", r, k.changes[r])
	}
}

// unixSeconds formats a time as Prometheus's timestamps are, to milliseconds.
func unixSeconds(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }
