package kmsclient

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"
)

// Limit is an option for kms.NewFromConfig that lets a client have at most n requests
// under way, of all operations together; the others wait for their turn, until their
// context ends. If n is less than one there is no limit.
//
//	client := kms.NewFromConfig(cfg, kmsclient.Limit(64))
//
// One result is one limit: clients that are given the same share it. It can be given
// to single calls as well, as in kmssigner.Options.ClientOptions.
//
// A request counts from before it is signed until its answer has been read. A call that
// waits before a retry does not: while KMS throttles, others get their turn. A context
// that ends while its call waits costs no request, and the error wraps the context's.
//
// # A limit, or the SDK's adaptive mode
//
// A limit bounds how many requests there are at a time, and so keeps the connections few
// and a burst from reaching KMS all at once. It keeps within a quota only if it is chosen
// for it, as the quota times the usual time of a request, times the share of this
// process: 4 or 5 for 1,000 a second and 5 ms. The SDK's adaptive mode
// (retry.NewAdaptiveMode) finds out the rate by itself, from the throttles, and takes its
// time over it. 128 signers that never pause, where 1,000 requests a second are granted
// and each takes 5 ms, came to this in one run of
// "go test -run '^$' -bench Quota -benchtime 10000x ./kmssigner/kmsclient":
//
//	retries            tokens/s   failed   requests a token   p50      p99
//	standard           762        16.5 %   1.28               6 ms     2.9 s
//	standard, Limit(4) 729        0        1.00               175 ms   0.2 s
//	standard, Limit(8) 782        4.3 %    1.12               29 ms    2.0 s
//	adaptive           270        0.2 %    1.01               92 ms    7.4 s
//
// So: a limit where the quota is known, a little lower than the formula says; adaptive
// mode where others use up the same quota in an unknown way and a slow token is better
// than none. Adaptive mode with Limit(8) came to 301 tokens/s, little more than without.
func Limit(n int) func(*kms.Options) {
	if n < 1 {
		return func(*kms.Options) {}
	}
	l := &limit{make(chan struct{}, n)}
	return func(o *kms.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			// After the retries, and so for each attempt, and before the date is in the
			// signature, which a long wait would make stale.
			return stack.Finalize.Insert(l, "Signing", middleware.Before)
		})
	}
}

// limit has one element in the channel for each request under way.
type limit struct{ underWay chan struct{} }

func (*limit) ID() string { return "kmsclient.Limit" }

func (l *limit) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	if err := ctx.Err(); err != nil { // select would choose at random
		return out, metadata, l.ended(err)
	}
	select {
	case l.underWay <- struct{}{}:
		defer func() { <-l.underWay }()
	case <-ctx.Done():
		return out, metadata, l.ended(ctx.Err())
	}
	return next.HandleFinalize(ctx, in)
}

// ended is of the type that the SDK itself has for a context that ends while a call
// waits, and that it does not retry.
func (l *limit) ended(err error) error {
	return &aws.RequestCanceledError{Err: fmt.Errorf("kmsclient: while waiting for one of %d requests to end: %w", cap(l.underWay), err)}
}
