package multiregion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// A verdict is what the end of an attempt says of the Region.
type verdict int

const (
	none        verdict = iota // nothing: the caller's context ended
	local                      // nothing: it is not KMS that failed
	answered                   // it is well
	refused                    // it is well, and said no
	throttled                  // its quota is used up
	unavailable                // it is down
	late                       // it may be down
)

// classify is the verdict on an error, ends of contexts apart.
func classify(err error) verdict {
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		var response interface{ HTTPStatusCode() int }
		status := 0
		if errors.As(err, &response) {
			status = response.HTTPStatusCode()
		}
		_, throttle := retry.DefaultThrottleErrorCodes[said.ErrorCode()]
		switch {
		case throttle || status == http.StatusTooManyRequests:
			return throttled
		case slices.Contains(unavailableCodes, said.ErrorCode()) || status >= 500:
			return unavailable
		}
		return refused
	}
	// The SDK has a type for a connection that failed, and net has an interface for others' clients.
	// Neither covers a connection that ended within an answer, or an
	// answer, of a proxy for one, that is not KMS's.
	var connection interface{ ConnectionError() bool }
	if errors.As(err, &connection) && connection.ConnectionError() {
		return unavailable
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return unavailable
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return unavailable
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unavailable
	}
	return local
}

// unavailableCodes are those that come with HTTP status 500 or 503, or should: of some it
// is not known. The first three are KMS's, the others common to AWS services.
var unavailableCodes = []string{
	"KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException",
	"InternalFailure", "ServiceUnavailable", "ServiceUnavailableException",
	"RequestTimeout", "RequestTimeoutException",
}

// endedByContext reports whether an error is for the end of the attempt's context,
// which has ended. What KMS said is not, nor what was found wrong with it.
func endedByContext(err error) bool {
	if _, said := errors.AsType[smithy.APIError](err); said {
		return false
	}
	// A connection closed because of the context looks like any that broke.
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || classify(err) == unavailable
}

// report is the error for the caller, of all that the Regions said.
func report(ctx context.Context, operation string, errs []error) error {
	all := joined(errs)
	if ended := ctx.Err(); ended != nil && !errors.Is(all, ended) {
		all = append(all, ended)
	}
	return fmt.Errorf("multiregion: %s: %w", operation, all)
}

// joined is errors.Join in one line.
type joined []error

func (j joined) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (j joined) Unwrap() []error { return j }
