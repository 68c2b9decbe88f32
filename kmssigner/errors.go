package kmssigner

import (
	"errors"
	"fmt"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Errors that a caller may want to tell apart with [errors.Is]. Whatever KMS
// or the SDK reports is wrapped unchanged, so [errors.As] finds the SDK's own
// types (*types.DisabledException, smithy.APIError) and [errors.Is] finds
// [context.Canceled] and [context.DeadlineExceeded].
var (
	// ErrUnsupportedKey is returned by [New] and [NewHMAC] for a key that cannot
	// do what they are for, or whose key spec or algorithms this package does
	// not know.
	ErrUnsupportedKey = errors.New("unsupported key")

	// ErrKeyChanged is returned when KMS answers for another key than the one that
	// [New] or [NewHMAC] pinned, as happens when an alias kept in the request
	// ([Options.KeepAlias]) was re-pointed, and by New and NewHMAC themselves
	// when the answer is for another key than the one asked for. To use the
	// alias's new key, make a new Signer or HMAC.
	ErrKeyChanged = errors.New("key changed")

	// ErrMessageLength is returned for a message that KMS cannot take: one that
	// is empty or over 4096 bytes, where the algorithm leaves no way but to send
	// it whole. So it is with Ed25519 and with MACs. No call was made.
	ErrMessageLength = errors.New("message length")

	// ErrBadSignature is returned when KMS answered without an error and yet
	// without a signature that verifies: an empty, truncated or malformed one,
	// by another algorithm, or over other bytes. The signature is withheld.
	// Trying again is reasonable, and worth an alert. Of a MAC only the form can
	// be checked.
	ErrBadSignature = errors.New("bad signature from KMS")
)

// answerError says what is wrong with an answer that came without an error,
// and by which request id AWS can find it.
func answerError(kind error, answer middleware.Metadata, format string, args ...any) error {
	err := fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
	if id, ok := awsmiddleware.GetRequestIDMetadata(answer); ok {
		err = fmt.Errorf("%w (KMS request ID %s)", err, id)
	}
	return err
}
