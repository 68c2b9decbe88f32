package kmssigner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/smithy-go"
)

// defaultTimeout is used for a zero Options.Timeout.
const defaultTimeout = 10 * time.Second

// withTimeout returns a context for one call: ctx itself if it has a deadline,
// and otherwise a copy that ends after Options.Timeout. A nil ctx is
// context.Background.
func (t *target) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	if _, ok := ctx.Deadline(); ok || t.Timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.Timeout, t.timedOut)
}

// callError returns err, the error of a call to KMS, with what the caller needs
// to understand it.
//
// If ctx ended the call, callError adds why ctx ended. Otherwise a connection
// that net/http closed for this reason looks like any other broken connection,
// a caller who set no deadline does not learn where it came from, and a cause
// set with [context.WithCancelCause] is lost. An error that KMS answered with
// is complete, even if ctx has ended since.
func (t *target) callError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return t.addRegion(err)
	}
	ended := ctx.Err()
	if ended == nil {
		return err
	}
	if !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	if cause := context.Cause(ctx); cause != ended {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}
