package kmsclient

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"
)

// Limit returns an option for kms.NewFromConfig that lets the client have at
// most n requests in progress, of all operations together. Other requests wait
// until one ends or their context ends. If n is less than 1 there is no limit.
//
//	client := kms.NewFromConfig(cfg, kmsclient.Limit(64))
//
// Clients that are given the same option share one limit. The option can also
// be given to single calls, as in kmssigner.Options.ClientOptions. It is safe
// for concurrent use.
//
// A request is in progress from before the SDK adds its SigV4 signature until
// its answer has been read. The pause before a retry does not count. If the
// context of a waiting request ends, the request is not sent, and the error
// wraps that of the context.
//
// # Limit and the SDK's adaptive mode
//
// A limit keeps the number of connections low, and it keeps a burst from
// reaching KMS all at once. It keeps the rate below a quota only if n is chosen
// for that quota: the requests per second that this process may make, times the
// usual duration of a request. For 1,000 requests per second of 5 ms each, that
// is 5.
//
// The SDK's adaptive mode (retry.NewAdaptiveMode) needs no number. It learns
// the rate from the requests that KMS throttles, which takes time.
//
// Prefer a limit, slightly below the product above, if the quota is known.
// Prefer adaptive mode if other processes use an unknown part of the quota and
// a slow signature is better than none. Using both is hardly faster than
// adaptive mode alone. docs/benchmarks.md compares them.
func Limit(n int) func(*kms.Options) {
	if n < 1 {
		return func(*kms.Options) {}
	}
	l := &limit{inProgress: make(chan struct{}, n)}
	return func(o *kms.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			// After the retry middleware, so that each attempt waits anew.
			// Before the signature, whose date would be stale after a long
			// wait.
			return stack.Finalize.Insert(l, "Signing", middleware.Before)
		})
	}
}

// limit has one element in the channel for each request in progress.
type limit struct{ inProgress chan struct{} }

func (*limit) ID() string { return "kmsclient.Limit" }

func (l *limit) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	if err := ctx.Err(); err != nil { // because select chooses at random
		return out, metadata, l.canceled(err)
	}
	select {
	case l.inProgress <- struct{}{}:
		defer func() { <-l.inProgress }()
	case <-ctx.Done():
		return out, metadata, l.canceled(ctx.Err())
	}
	return next.HandleFinalize(ctx, in)
}

// canceled returns an error of the type that the SDK uses when a context ends
// while a call waits. The SDK does not retry it.
func (l *limit) canceled(err error) error {
	return &aws.RequestCanceledError{
		Err: fmt.Errorf("kmsclient: waiting while %d requests, the limit, are in progress: %w", cap(l.inProgress), err),
	}
}
