package multiregion

import (
	"context"
	"slices"
)

// everywhere asks all Regions that are not passed over, at the same time. If
// none of them is available, it asks the others. It returns at least one
// answer, in the order of preference, or an error. Every refusal is an error.
func everywhere[Out any](caller context.Context, c *Client, req *request[Out]) ([]answer[Out], error) {
	var first, last []*attempt
	for left := c.order(); len(left) > 0; {
		var a *attempt
		a, left = c.next(left)
		if a.purpose == lastResort {
			last = append(last, a)
		} else {
			first = append(first, a)
		}
	}
	defer c.endProbes(first)
	ctx, cancel := context.WithCancel(caller) // ends the attempts whose answers are not waited for
	defer cancel()
	var failed []ending
	for _, batch := range [][]*attempt{first, last} {
		if caller.Err() != nil {
			break
		}
		answers, others := atOnce(ctx, c, batch, req)
		failed = append(failed, others...)
		if slices.ContainsFunc(others, func(e ending) bool { return e.outcome.final() }) {
			break
		}
		if len(answers) > 0 {
			c.recordWrong(failed)
			return answers, nil
		}
	}
	return nil, failure(caller, req.name, failed)
}

// atOnce makes all attempts at the same time. It returns the answers and the
// other endings, each in the order of the attempts. It waits for all, unless
// one of them is final.
func atOnce[Out any](ctx context.Context, c *Client, attempts []*attempt, req *request[Out]) ([]answer[Out], []ending) {
	ended := make(chan answer[Out], len(attempts))
	for _, a := range attempts {
		// Each gets half of the time, as if there were another to ask.
		// Otherwise an answer that is there would wait for one that does not
		// come until it is too late for both.
		c.start(ctx, a, min(len(c.regions)-1, 1))
		go func() { ended <- req.ask(ctx, a) }()
	}
	var answers []answer[Out]
	var others []ending
	for range attempts {
		got := <-ended
		c.record(got.ending)
		if got.outcome == answered {
			answers = append(answers, got)
			continue
		}
		others = append(others, got.ending)
		if got.outcome.final() {
			break
		}
	}
	slices.SortFunc(answers, func(x, y answer[Out]) int {
		return slices.Index(attempts, x.attempt) - slices.Index(attempts, y.attempt)
	})
	slices.SortFunc(others, func(x, y ending) int {
		return slices.Index(attempts, x.attempt) - slices.Index(attempts, y.attempt)
	})
	return answers, others
}
