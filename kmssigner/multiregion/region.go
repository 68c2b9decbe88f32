package multiregion

import (
	"slices"
	"time"
)

const (
	// throttleInterval is how long a throttled Region is passed over.
	throttleInterval = time.Second

	// A Region is passed over for being slow after maxSlow slow calls in a row.
	// Only calls that begin at least slowSpacing apart count, because all calls
	// of one moment share one cause.
	maxSlow     = 10
	slowSpacing = 100 * time.Millisecond
)

// A region is a [Region] and what the Client knows about it.
type region struct {
	Region
	health health
}

// health is what the calls to a Region told about it. Client.mu guards it.
type health struct {
	retryAt  time.Time // when a call may try the Region again; zero if it is not passed over
	slowOnly bool      // it is passed over because it is slow, and for no other reason
	probing  bool      // a call is trying it at the moment

	slow     int       // slow calls in a row that counted
	slowCall time.Time // start of the latest of them

	recorded time.Time // start of the latest call whose outcome was recorded
}

// down reports whether the Region is passed over.
func (h *health) down() bool { return !h.retryAt.IsZero() }

// isDue reports whether the Region is passed over and may be tried again.
func (h *health) isDue(now time.Time) bool {
	return h.down() && !h.probing && !now.Before(h.retryAt)
}

// An attempt is a call to one Region.
type attempt struct {
	*region
	purpose purpose
	started time.Time
	timeout time.Duration // zero means all the time that the caller's context has
	fair    bool          // timeout is so long that a Region without an answer is not available
}

type purpose int

const (
	regular    purpose = iota
	probe              // the Region is passed over; the attempt finds out whether it is back
	lastResort         // the Region is passed over; all others have failed
)

// order returns the Regions in the order of preference of a new call.
func (c *Client) order() []*region {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 0
	if c.opts.Spread {
		first = c.turn
		c.turn = (c.turn + 1) % len(c.regions)
	}
	return slices.Concat(c.regions[first:], c.regions[:first])
}

// next chooses the next Region to ask from those that a call has not asked yet.
// It returns an attempt and the Regions left. The caller must end its probes
// with endProbes.
func (c *Client) next(left []*region) (*attempt, []*region) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	up := slices.IndexFunc(left, func(r *region) bool { return !r.health.down() })
	due := longestDue(left, now)
	i, purpose := 0, lastResort
	switch {
	case up >= 0 && due >= 0 && len(left) == len(c.regions):
		i, purpose = due, probe
		left[i].health.probing = true
	case up >= 0:
		i, purpose = up, regular
	case due >= 0:
		i = due // it may be back; a probe's short timeout would spare nobody
	}
	return take(left, i, purpose)
}

// nextHedge chooses a Region to ask while another has not answered yet, as next
// does. It returns nil if there is none.
func (c *Client) nextHedge(left []*region) (*attempt, []*region) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	usable := func(r *region) bool { return !r.health.down() || r.health.slowOnly }
	if i := slices.IndexFunc(left, usable); i >= 0 {
		return take(left, i, regular)
	}
	if i := longestDue(left, now); i >= 0 {
		left[i].health.probing = true
		return take(left, i, probe)
	}
	return nil, left
}

// longestDue returns the index of the Region that has been due for a probe for
// the longest time, or -1. The first one would not do: a throttled Region is
// due every second, and could keep all others from being probed.
func longestDue(left []*region, now time.Time) int {
	due := -1
	for i, r := range left {
		if r.health.isDue(now) && (due < 0 || r.health.retryAt.Before(left[due].health.retryAt)) {
			due = i
		}
	}
	return due
}

func take(left []*region, i int, p purpose) (*attempt, []*region) {
	a := &attempt{region: left[i], purpose: p}
	return a, slices.Delete(left, i, i+1)
}

// endProbes lets other calls probe the Regions that a call has probed.
func (c *Client) endProbes(attempts []*attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range attempts {
		if a.purpose == probe {
			a.health.probing = false
		}
	}
}

// record updates the health of a Region after an attempt. It ignores outcomes
// that say nothing about the Region. A wrong answer is for recordWrong, unless
// the Region is passed over already.
func (c *Client) record(e ending) {
	if e.outcome == inconclusive || e.outcome == wrong && e.purpose == regular {
		return
	}
	c.update(e)
}

// recordWrong passes over the Regions that gave wrong answers, after another
// Region gave the right one.
func (c *Client) recordWrong(failed []ending) {
	for _, e := range failed {
		if e.outcome == wrong {
			c.update(e)
		}
	}
}

func (c *Client) update(e ending) {
	c.mu.Lock()
	before := e.health.down()
	e.health.update(e, time.Now(), c.opts.ProbeInterval)
	after := e.health.down()
	c.mu.Unlock()
	if before != after && c.opts.OnChange != nil {
		c.opts.OnChange(e.Name, e.reason())
	}
}

func (h *health) update(e ending, now time.Time, interval time.Duration) {
	// A call that began before the latest recorded one has older news. If it
	// hung since before an outage ended, it must not bring the outage back.
	if e.started.Before(h.recorded) {
		return
	}
	h.recorded = e.started
	switch e.outcome {
	case answered, refused:
		h.retryAt, h.slowOnly, h.slow = time.Time{}, false, 0
		return
	case slow:
		if h.down() {
			break
		}
		if h.slow > 0 && e.started.Sub(h.slowCall) < slowSpacing {
			return
		}
		h.slow++
		h.slowCall = e.started
		if h.slow < maxSlow {
			return
		}
		h.slowOnly = true
	case throttled:
		interval = min(interval, throttleInterval)
		h.slowOnly = false
	default:
		h.slowOnly = false
	}
	h.retryAt = now.Add(interval)
}
