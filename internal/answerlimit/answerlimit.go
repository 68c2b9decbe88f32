// Package answerlimit bounds the size of the answers that the SDK's KMS client
// reads. The client itself reads an answer to its end before it decodes it, so
// an endpoint that is broken, or is not KMS, could use up a caller's memory.
package answerlimit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Sizes in bytes, after decompression. The largest answer to an operation on
// one key is some 6 KiB, of GetPublicKey for an ML-DSA-87 key. A page of
// ListAliases has up to 100 aliases of some 1 KiB.
const (
	maxAnswer  = 64 << 10
	maxListing = 1 << 20
)

// ErrTooLarge is in the chain of the error of a call whose answer exceeds the
// limit.
var ErrTooLarge = errors.New("answer too large to be from KMS")

// Option limits the answers of a call to 64 KiB. It is an option of the SDK's
// client.
func Option(o *kms.Options) { o.APIOptions = append(o.APIOptions, addLimit) }

// ListingOption limits the answers of a call to ListAliases to 1 MiB. It is an
// option of the SDK's client.
func ListingOption(o *kms.Options) { o.APIOptions = append(o.APIOptions, addListingLimit) }

func addLimit(stack *middleware.Stack) error { return limiter(maxAnswer).add(stack) }

func addListingLimit(stack *middleware.Stack) error { return limiter(maxListing).add(stack) }

// A limiter is the middleware that limits answers to so many bytes. It comes
// after the SDK's own, so they see the limited body.
type limiter int64

func (limiter) ID() string { return "AnswerLimit" }

// add adds l to the stack of a call, unless the call has a limit already.
func (l limiter) add(stack *middleware.Stack) error {
	if _, ok := stack.Deserialize.Get(l.ID()); ok {
		return nil
	}
	return stack.Deserialize.Add(l, middleware.After)
}

func (l limiter) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && resp != nil && resp.Response != nil && resp.Body != nil {
		body := &limitedBody{body: resp.Body, limit: int64(l), left: int64(l)}
		if resp.ContentLength > body.limit {
			body.left = 0 // Don't read what will be refused.
			body.tooLarge = true
		}
		resp.Body = body
	}
	return out, metadata, err
}

// A limitedBody returns ErrTooLarge in place of the byte after its limit, and
// from then on.
type limitedBody struct {
	body        io.ReadCloser
	limit, left int64
	tooLarge    bool
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.tooLarge {
		return 0, fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, b.limit)
	}
	// Read one byte more than allowed to tell an answer that just fits from one
	// that does not.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if int64(n) > b.left {
		n, b.tooLarge = int(b.left), true
		err = fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, b.limit)
	}
	b.left -= int64(n)
	return n, err
}

func (b *limitedBody) Close() error { return b.body.Close() }
