package multiregion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An ending is how an attempt ended.
type ending struct {
	*attempt
	outcome outcome
	err     error // nil if it was answered
}

// reason is why a Region is passed over after this ending, if it is.
func (e ending) reason() error {
	if e.outcome == slow && e.err == nil {
		return &regionError{e.Name, errors.New("overtaken by hedges")}
	}
	if e.outcome == answered || e.outcome == refused {
		return nil
	}
	return e.err
}

// An answer is an ending and, if err is nil, what KMS said.
type answer[Out any] struct {
	ending
	out *Out
}

// do makes the request in the Regions that it takes.
func do[Out any](ctx context.Context, c *Client, req *request[Out]) (*Out, error) {
	if c.opts.HedgeAfter > 0 && len(c.regions) > 1 {
		return hedged(ctx, c, req)
	}
	return inTurn(ctx, c, req)
}

// inTurn asks one Region after the other until one answers.
func inTurn[Out any](ctx context.Context, c *Client, req *request[Out]) (*Out, error) {
	var made []*attempt
	defer func() { c.endProbes(made) }()
	var failed []ending
	for left := c.order(); len(left) > 0 && ctx.Err() == nil; {
		var a *attempt
		a, left = c.next(left)
		made = append(made, a)
		c.start(ctx, a, len(left))
		got := req.judge(req.ask(ctx, a))
		c.record(got.ending)
		if got.outcome == answered {
			c.recordWrong(failed)
			return got.out, nil
		}
		failed = append(failed, got.ending)
		if got.outcome.final() {
			break
		}
	}
	return nil, failure(ctx, req.name, failed)
}

// start begins an attempt and sets its timeout; others is how many Regions can
// be asked after it.
func (c *Client) start(ctx context.Context, a *attempt, others int) {
	a.started = time.Now()
	a.timeout = max(c.opts.AttemptTimeout, 0)
	limit := func(d time.Duration) {
		if a.timeout == 0 || d < a.timeout {
			a.timeout = max(d, 1)
		}
	}
	if a.purpose == probe {
		limit(probeTimeout)
	}
	deadline, ok := ctx.Deadline()
	switch {
	case ok && others > 0:
		limit(time.Until(deadline) / time.Duration(others+1))
	case ok && a.purpose == regular:
		a.timeout = 0
	}
	a.fair = a.timeout >= fairTimeout || a.timeout == c.opts.AttemptTimeout
}

const (
	// probeTimeout leaves room for a TLS handshake with any place on earth.
	probeTimeout = time.Second

	// fairTimeout is the time after which a Region that has not answered is not
	// available. A Region that had less time is slow.
	fairTimeout = 500 * time.Millisecond
)

// ask makes the attempt. ctx is the caller's, or ends when the answer is no
// longer wanted.
func (req *request[Out]) ask(ctx context.Context, a *attempt) answer[Out] {
	bounded := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	out, err := req.send(bounded, a.region, req.key.in(a.region))
	if err == nil {
		out, err = req.read(a.region, out)
	}
	if err == nil {
		return answer[Out]{ending{a, answered, nil}, out}
	}
	o := req.classify(err)
	if bounded.Err() != nil && endedByContext(err) {
		switch {
		case ctx.Err() != nil:
			o = inconclusive
		case a.fair:
			o = unavailable
		default:
			o = slow
		}
		if o != inconclusive {
			err = fmt.Errorf("no answer within %v: %w", a.timeout, err)
		}
	}
	return answer[Out]{ending{a, o, &regionError{a.Name, err}}, nil}
}

// judge checks an answer. It is not part of ask, because with hedging ask may
// still be running when the caller's call has returned, and the check reads
// what the caller may change.
func (req *request[Out]) judge(got answer[Out]) answer[Out] {
	if got.outcome != answered || req.check == nil {
		return got
	}
	if err := req.check(got.out); err != nil {
		got.out, got.outcome, got.err = nil, req.fault(err), &regionError{got.Name, err}
	}
	return got
}

// failure is the error for the caller. It has the errors of all Regions asked.
// A refusal comes first, so that errors.As finds its code before that of a
// proxy.
func failure(ctx context.Context, operation string, failed []ending) error {
	var all, rest joined
	for _, e := range failed {
		if e.outcome.final() {
			all = append(all, e.err)
		} else {
			rest = append(rest, e.err)
		}
	}
	all = append(all, rest...)
	if ended := ctx.Err(); ended != nil && !errors.Is(all, ended) {
		all = append(all, ended)
	}
	return fmt.Errorf("multiregion: %s: %w", operation, all)
}

// A regionError is an error in one Region. It does not build its text before it
// is asked for, because most of these errors are followed by an answer.
type regionError struct {
	region string
	err    error
}

func (e *regionError) Error() string { return e.region + ": " + e.err.Error() }
func (e *regionError) Unwrap() error { return e.err }

// joined is errors.Join on one line.
type joined []error

func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (j joined) Unwrap() []error { return j }
