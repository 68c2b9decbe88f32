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
	ctx, cancel := context.WithCancel(caller) // ends the attempt that lost
	defer cancel()
	var (
		left    = c.order()
		answers = make(chan answer[Out], len(left)) // has room for all, so no attempt blocks
		made    []*attempt
		running []*attempt // in the order in which they started
		failed  []ending
		refused bool // the second Region has, while the first has not answered
	)
	defer func() { c.endProbes(made) }()
	start := func(a *attempt) {
		c.start(ctx, a, len(left))
		made = append(made, a)
		running = append(running, a)
		go func() { answers <- req.ask(ctx, a) }()
	}
	startNext := func() {
		var a *attempt
		a, left = c.next(left)
		start(a)
	}
	if ctx.Err() == nil {
		startNext()
	}
	for len(running) > 0 {
		var hedge <-chan time.Time
		if len(running) == 1 && len(left) > 0 && !refused {
			hedge = time.After(c.opts.HedgeAfter)
		}
		var got answer[Out]
		select {
		case got = <-answers:
		case <-hedge:
			var a *attempt
			if a, left = c.nextHedge(left); a != nil {
				start(a)
			}
			continue
		}
		got = req.judge(got)
		c.record(got.ending)
		isFirst := got.attempt == running[0]
		running = slices.DeleteFunc(running, func(a *attempt) bool { return a == got.attempt })
		if got.outcome == answered {
			c.recordWrong(failed)
			c.recordOvertaken(running, got.attempt)
			return got.out, nil
		}
		failed = append(failed, got.ending)
		switch {
		case got.outcome.final() && isFirst:
			return nil, failure(caller, req.name, failed)
		case got.outcome.final():
			refused = true
		case len(running) == 0 && len(left) > 0 && !refused && caller.Err() == nil:
			startNext()
		}
	}
	return nil, failure(caller, req.name, failed)
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
