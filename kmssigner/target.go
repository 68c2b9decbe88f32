package kmssigner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/smithy-go"
)

// A target is the key that requests are for, and how they are sent.
type target struct {
	opts    Options
	asked   string // the key ID that the caller gave
	arn     string // of the pinned key
	request string // the KeyId sent: arn, unless Options.KeepAlias
	tooSlow error  // why a call ended that Options.Timeout ended
}

var errNoKeyID = errors.New("key ID is empty, want a key ID, key ARN, alias name or alias ARN")

func newTarget(keyID string, optFns []func(*Options)) target {
	t := target{asked: keyID}
	for _, fn := range optFns {
		fn(&t.opts)
	}
	// Not the caller's slices: who appends to them later must not change us.
	// Nor may a Client that appends to its options write where others read.
	t.opts.GrantTokens = slices.Clip(slices.Clone(t.opts.GrantTokens))
	t.opts.ClientOptions = slices.Clip(slices.Clone(t.opts.ClientOptions))
	if t.opts.Timeout == 0 {
		t.opts.Timeout = defaultTimeout
	}
	t.tooSlow = fmt.Errorf("no answer within Options.Timeout, %v", t.opts.Timeout)
	return t
}

// pin keeps the key that KMS answered with.
func (t *target) pin(answered string) error {
	switch {
	case answered == "" || isAlias(answered):
		return fmt.Errorf("KMS answered for the key %q, want a key ARN", answered)
	case !isAlias(t.asked) && !sameKey(t.asked, answered):
		return fmt.Errorf("%w: KMS answered for %q", ErrKeyChanged, answered)
	}
	t.arn = answered
	if arn.IsARN(t.asked) && !isAlias(t.asked) {
		t.arn = t.asked // the same key; an emulator's answer may be the bare ID
	}
	t.request = t.arn
	if t.opts.KeepAlias {
		t.request = t.asked
	}
	return nil
}

// bound gives ctx the default deadline if it has none.
func (t *target) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx == nil {
		ctx = context.Background()
	}
	if _, ok := ctx.Deadline(); ok || t.opts.Timeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, t.opts.Timeout, t.tooSlow)
}

// defaultTimeout is what a zero Options.Timeout means.
const defaultTimeout = 10 * time.Second

// explain makes an error of a call that the end of ctx ended say so, and why. A
// connection that net/http closed on that account looks like any other broken one,
// the caller never set the default deadline, and a cause set by the caller
// ([context.WithCancelCause]) says more than "canceled". An answer of KMS is an
// answer, even if ctx has ended since.
func explain(ctx context.Context, err error) error {
	ended := ctx.Err()
	if _, answered := errors.AsType[smithy.APIError](err); ended == nil || answered {
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

// sameKey reports whether a KeyId in an answer names the key that was asked
// for by its ID or ARN. KMS answers with the key ARN; of emulators that answer
// with the bare key ID only that part can be compared.
func sameKey(asked, answered string) bool {
	if arn.IsARN(asked) && arn.IsARN(answered) {
		return asked == answered
	}
	return bareKeyID(asked) == bareKeyID(answered)
}

// bareKeyID is the key ID within a key ARN, or id itself.
func bareKeyID(id string) string {
	if _, after, ok := strings.Cut(id, ":key/"); ok {
		return after
	}
	return id
}

// isAlias reports whether id is an alias name or an alias ARN.
func isAlias(id string) bool {
	return strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
}
