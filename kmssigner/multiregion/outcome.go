package multiregion

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
)

// An outcome is what the end of an attempt says about the Region.
type outcome int

const (
	inconclusive outcome = iota // nothing, and another Region could do no better
	answered                    // it is well
	refused                     // it is well, and KMS refused the request
	throttled                   // its request quota is used up
	unavailable                 // it is not available
	slow                        // it has not answered yet, which alone means little
	wrong                       // its answer is not the one that was asked for
)

// final reports whether the call ends with this outcome.
func (o outcome) final() bool {
	return o == inconclusive || o == answered || o == refused
}

// classify returns the outcome of an attempt that failed while its context had
// not ended.
func (req *request[Out]) classify(err error) outcome {
	switch {
	case errors.Is(err, kmssigner.ErrKeyChanged):
		return req.fault(err)
	case isMalformed(err):
		return unavailable
	case fromOtherService(err):
		return inconclusive
	}
	var status int
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	apiErr, isAPIError := errors.AsType[smithy.APIError](err)
	if isAPIError && isOwnCode(apiErr.ErrorCode()) {
		_, throttle := retry.DefaultThrottleErrorCodes[apiErr.ErrorCode()]
		switch {
		case throttle || status == http.StatusTooManyRequests:
			return throttled
		case status >= 500 || slices.Contains(unavailableCodes, apiErr.ErrorCode()):
			return unavailable
		}
		return refused
	}
	switch {
	case status == http.StatusTooManyRequests:
		return throttled
	case status != 0 || isAPIError || isBroken(err):
		return unavailable
	}
	return inconclusive
}

// fault returns the outcome of an attempt whose answer is not the one that was
// asked for. An alias may have been moved to another key, and of a MAC nothing
// but the key can be checked.
func (req *request[Out]) fault(err error) outcome {
	if errors.Is(err, kmssigner.ErrKeyChanged) && (req.key.id == "" || req.forMACs) {
		return inconclusive
	}
	return wrong
}

// isOwnCode reports whether an error code came with the answer. The SDK makes
// up "UnknownError" for answers without one. Proxies send numbers.
func isOwnCode(code string) bool {
	return code != "" && code != "UnknownError" && !strings.ContainsRune("0123456789", rune(code[0]))
}

// unavailableCodes come with HTTP status 500 or 503, or should: for some of
// them AWS does not say. The first three are KMS's, the others are common to
// AWS services.
var unavailableCodes = []string{
	"KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException",
	"InternalFailure", "ServiceUnavailable", "ServiceUnavailableException",
	"RequestTimeout", "RequestTimeoutException",
}

// isBroken reports whether err is about the connection or about an answer that
// does not parse.
func isBroken(err error) bool {
	// The SDK has this method for connections that failed. The clients of
	// others may return errors of package net.
	var connection interface{ ConnectionError() bool }
	if errors.As(err, &connection) && connection.ConnectionError() {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// fromOtherService reports whether err is about a request to another service
// than KMS, which the SDK made to get credentials.
func fromOtherService(err error) bool {
	outer, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return false
	}
	inner, ok := errors.AsType[*smithy.OperationError](outer.Err)
	return ok && inner.Service() != outer.Service()
}

// endedByContext reports whether an error is about the end of the attempt's
// context, which has ended. An answer of KMS is not.
func endedByContext(err error) bool {
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return false
	}
	// A connection that was closed at the end of the context looks like any
	// other broken one.
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || isBroken(err)
}
