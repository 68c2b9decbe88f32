package multiregion

import (
	"context"
	"slices"
	"time"
)

// hedged is inTurn with at most two attempts at the same time: it asks another
// Region when one has not answered for Options.HedgeAfter, and takes the first
// answer.
func hedged[Out any](caller context.Context, c *Client, req *request[Out]) (*Out, error) {
	attempts := c.order()
	defer c.endProbes(attempts)
	ctx, cancel := context.WithCancel(caller) // ends the attempt that lost
	defer cancel()
	var (
		answers = make(chan answer[Out], len(attempts)) // has room for all, so no attempt blocks
		waiting = attempts
		running []*attempt // in the order in which they started
		failed  []ending
		refusal *ending // of the second Region, while the first has not answered
	)
	start := func(i int) {
		a := waiting[i]
		waiting = slices.Concat(waiting[:i], waiting[i+1:])
		c.start(ctx, a, len(waiting))
		running = append(running, a)
		go func() { answers <- req.ask(ctx, a) }()
	}
	if ctx.Err() == nil {
		start(0)
	}
	for len(running) > 0 {
		var hedge <-chan time.Time
		if len(running) == 1 && len(waiting) > 0 && refusal == nil {
			hedge = time.After(c.opts.HedgeAfter)
		}
		var got answer[Out]
		select {
		case got = <-answers:
		case <-hedge:
			if i := c.hedge(waiting); i >= 0 {
				start(i)
			}
			continue
		}
		got = req.judge(got)
		c.record(got.ending)
		isFirst := got.attempt == running[0]
		running = slices.DeleteFunc(running, func(a *attempt) bool { return a == got.attempt })
		switch {
		case got.outcome == answered:
			c.recordWrong(failed)
			c.recordOvertaken(running, got.attempt)
			return got.out, nil
		case got.outcome.final() && isFirst:
			return nil, failure(caller, req.name, append(failed, got.ending))
		case got.outcome.final():
			refusal = &got.ending
		default:
			failed = append(failed, got.ending)
			if len(running) == 0 && len(waiting) > 0 && refusal == nil && caller.Err() == nil {
				start(0)
			}
		}
	}
	if refusal != nil {
		failed = append(failed, *refusal)
	}
	return nil, failure(caller, req.name, failed)
}

// hedge returns the index of the attempt that can be made as a second one now, or
// -1. The attempts were put in order some time ago. Since then a Region that was
// passed over may have come back or be due for a probe.
func (c *Client) hedge(waiting []*attempt) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range waiting {
		switch {
		case !a.health.down() || a.health.slowOnly:
			a.purpose = regular
			return i
		case !a.health.probing && !time.Now().Before(a.health.retryAt):
			a.purpose = probe
			a.health.probing = true
			return i
		}
	}
	return -1
}

// recordOvertaken records that attempts were slow, because one that started
// later was answered first.
func (c *Client) recordOvertaken(running []*attempt, winner *attempt) {
	for _, a := range running {
		if a.started.Before(winner.started) {
			c.record(ending{attempt: a, outcome: slow})
		}
	}
}
