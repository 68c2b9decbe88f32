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
	// ErrUnsupportedKey is returned by [New] for a key that cannot sign, or
	// whose key spec or algorithms this package does not know.
	ErrUnsupportedKey = errors.New("unsupported key")

	// ErrKeyChanged is returned by Sign and SignMessage when KMS signed with
	// another key than the one whose public key the Signer holds, as happens
	// when an alias kept in the request ([Options.KeepAlias]) was re-pointed,
	// and by [New] when KMS answers for another key than the one asked for.
	// To sign with the alias's new key, make a new Signer.
	ErrKeyChanged = errors.New("key changed")

	// ErrBadSignature is returned by Sign and SignMessage when KMS answered
	// without an error and yet without a signature that verifies: an empty,
	// truncated or malformed one, by another algorithm, or over other bytes.
	// The signature is withheld. Trying again is reasonable, and worth an
	// alert.
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
