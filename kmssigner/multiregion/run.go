package multiregion

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A region is a Region and what is known of it, guarded by the Client's mu.
type region struct {
	Region
	downUntil time.Time // when it may be probed; zero if it is not down
	probing   bool      // by one call at present
	late      int       // how many calls in a row it was late for
	said      time.Time // when the latest call began whose end was taken into account
}

// An attempt is one call to one Region.
type attempt struct {
	*region
	probe   bool // the Region is down, and this call finds out whether it still is
	down    bool // the Region is down, and is the last resort
	began   time.Time
	timeout time.Duration // 0 if it has all of ctx
}

// plan says in which order a call asks the Regions. It must be followed by done.
func (c *Client) plan() []*attempt {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 0
	if c.opts.Spread {
		first = c.turn
		c.turn = (c.turn + 1) % len(c.regions)
	}
	var probe, up, down []*attempt
	for i := range c.regions {
		r := c.regions[(first+i)%len(c.regions)]
		switch a := (&attempt{region: r}); {
		case r.downUntil.IsZero():
			up = append(up, a)
		case probe == nil && !r.probing && !now.Before(r.downUntil):
			a.probe, probe = true, []*attempt{a}
		default:
			a.down = true
			down = append(down, a)
		}
	}
	if len(up) == 0 {
		// Nothing to save callers from: all Regions are tried in their order.
		for _, a := range probe {
			a.probe, a.down = false, true
		}
		return append(probe, down...)
	}
	for _, a := range probe {
		a.probing = true
	}
	return slices.Concat(probe, up, down)
}

// mayHedge reports whether a may be the second of two attempts at the same time. The
// plan is old by then: a Region that was down may be back, or due for a probe.
func (c *Client) mayHedge(a *attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !a.downUntil.IsZero() {
		if a.probing || time.Now().Before(a.downUntil) {
			return false
		}
		a.probing, a.probe = true, true
	}
	a.down = false
	return true
}

// done lets other calls probe.
func (c *Client) done(plan []*attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range plan {
		if a.probe {
			a.probing = false
		}
	}
}

// settle takes into account how an attempt ended.
func (c *Client) settle(a *attempt, v verdict) {
	if v == none || v == local {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	// A call that began earlier knows less: one that hung from before an outage
	// ended must not bring the outage back.
	if a.began.Before(a.said) {
		return
	}
	a.said = a.began
	switch {
	case v == answered || v == refused:
		a.downUntil, a.region.late = time.Time{}, 0
		return
	case v == late && !a.probe && !a.down:
		if a.region.late++; a.region.late < maxLate {
			return
		}
	}
	interval := c.opts.ProbeInterval
	if v == throttled {
		interval = min(interval, throttleInterval)
	}
	a.downUntil = now.Add(interval)
}

// begin starts the clock of an attempt, after which as many Regions as others are left.
func (c *Client) begin(ctx context.Context, a *attempt, others int) {
	a.began = time.Now()
	a.timeout = max(c.opts.AttemptTimeout, 0)
	limit := func(d time.Duration) {
		if a.timeout == 0 || d < a.timeout {
			a.timeout = max(d, 1)
		}
	}
	if a.probe {
		limit(probeTimeout)
	}
	deadline, ok := ctx.Deadline()
	switch {
	case ok && others > 0:
		limit(time.Until(deadline) / time.Duration(others+1))
	case ok && !a.down && !a.probe:
		a.timeout = 0
	}
}

// call makes the attempt, and says how it ended. ctx is that of the caller, or
// ends when the answer is no longer wanted.
func call[Out any](ctx context.Context, c *Client, a *attempt, do func(context.Context, *region) (*Out, error)) answer[Out] {
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if a.timeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, a.timeout)
	}
	defer cancel()
	out, err := do(bounded, a.region)
	v := answered
	switch {
	case err == nil:
	case bounded.Err() != nil && endedByContext(err):
		if ctx.Err() != nil {
			v = none // the caller's doing
			break
		}
		err = fmt.Errorf("no answer within %v: %w", a.timeout, err)
		v = late
		if a.timeout >= fairTimeout || a.timeout == c.opts.AttemptTimeout {
			v = unavailable
		}
	default:
		v = classify(err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", a.Name, err)
	}
	return answer[Out]{a, out, err, v}
}

// An answer is the end of an attempt.
type answer[Out any] struct {
	*attempt
	out *Out
	err error
	v   verdict
}

// run asks one Region after the other until one answers, or, with HedgeAfter, a second
// while the first has not. do must not use what the caller may change.
func run[Out any](parent context.Context, c *Client, operation string, keyID *string,
	do func(context.Context, *region, keyName) (*Out, error)) (*Out, error) {
	key, err := c.parse(operation, keyID)
	if err != nil {
		return nil, err
	}
	plan := c.plan()
	defer c.done(plan)
	ctx, cancel := context.WithCancel(parent) // ends the call that lost
	defer cancel()

	hedging := c.opts.HedgeAfter > 0 && len(plan) > 1
	var (
		answers = make(chan answer[Out], len(plan)) // room for all: nobody waits for a loser
		running []*attempt                          // in the order of the plan
		waiting = plan
		errs    []error
		refusal error // of the second Region while the first has not answered
	)
	next := func() {
		a := waiting[0]
		waiting = waiting[1:]
		c.begin(ctx, a, len(waiting))
		running = append(running, a)
		try := func() {
			answers <- call(ctx, c, a, func(ctx context.Context, r *region) (*Out, error) { return do(ctx, r, key) })
		}
		if hedging {
			go try()
		} else {
			try()
		}
	}
	next()
	for len(running) > 0 {
		var hedge <-chan time.Time
		if hedging && len(running) == 1 && len(waiting) > 0 && refusal == nil {
			hedge = time.After(c.opts.HedgeAfter)
		}
		var got answer[Out]
		select {
		case got = <-answers:
		case <-hedge:
			if c.mayHedge(waiting[0]) {
				next()
			}
			continue
		}
		isFirst := got.attempt == running[0]
		running = slices.DeleteFunc(running, func(a *attempt) bool { return a == got.attempt })
		c.settle(got.attempt, got.v)
		if got.v == answered {
			for _, a := range running {
				if a.began.Before(got.began) {
					c.settle(a, late)
				}
			}
			return got.out, nil
		}
		switch got.v {
		case refused, local:
			if isFirst {
				return nil, report(parent, operation, append(errs, got.err))
			}
			refusal = got.err
		default:
			errs = append(errs, got.err)
			if parent.Err() == nil && refusal == nil && len(running) == 0 && len(waiting) > 0 {
				next()
			}
		}
	}
	if refusal != nil {
		errs = append(errs, refusal)
	}
	return nil, report(parent, operation, errs)
}

// askAll asks all Regions that are not down, at the same time, and all others if none of those
// is available. It returns at least one answer, in the order of preference, or
// an error: any refusal is one.
func askAll[Out any](parent context.Context, c *Client, operation string,
	do func(context.Context, *region) (*Out, error)) ([]answer[Out], error) {
	plan := c.plan()
	defer c.done(plan)
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var errs []error
	for _, down := range []bool{false, true} {
		var batch []*attempt
		for _, a := range plan {
			if a.down == down {
				batch = append(batch, a)
			}
		}
		good, failed, err := askBatch(ctx, c, batch, do)
		errs = append(errs, failed...)
		switch {
		case err != nil:
			return nil, report(parent, operation, append(errs, err))
		case len(good) > 0:
			return good, nil
		case parent.Err() != nil:
			return nil, report(parent, operation, errs)
		}
	}
	return nil, report(parent, operation, errs)
}

func askBatch[Out any](ctx context.Context, c *Client, batch []*attempt,
	do func(context.Context, *region) (*Out, error)) (good []answer[Out], failed []error, refusal error) {
	answers := make(chan answer[Out], len(batch))
	for _, a := range batch {
		// Half of the time, as if another were to follow: the answer that is
		// there must not come too late because of one that is not.
		c.begin(ctx, a, min(len(c.regions)-1, 1))
		go func() { answers <- call(ctx, c, a, do) }()
	}
	all := make([]answer[Out], 0, len(batch))
	for range batch {
		got := <-answers
		c.settle(got.attempt, got.v)
		if got.v == refused || got.v == local {
			return nil, nil, got.err
		}
		all = append(all, got)
	}
	for _, a := range batch { // in the order of preference, not of arrival
		got := all[slices.IndexFunc(all, func(got answer[Out]) bool { return got.attempt == a })]
		if got.v == answered {
			good = append(good, got)
		} else {
			failed = append(failed, got.err)
		}
	}
	return good, failed, nil
}
