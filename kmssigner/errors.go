package kmssigner

import (
	"errors"
	"fmt"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// Errors that a caller may want to distinguish with [errors.Is]. Errors of KMS
// and of the SDK are wrapped unchanged, so [errors.As] finds the SDK's types, such
// as *types.DisabledException and smithy.APIError, and [errors.Is] finds
// [context.Canceled] and [context.DeadlineExceeded].
var (
	// ErrUnsupportedKey is returned by [New] and [NewHMAC] for a key that cannot
	// sign or make MACs, and for a key whose key spec or algorithms this package
	// does not know.
	ErrUnsupportedKey = errors.New("unsupported key")

	// ErrKeyChanged is returned when KMS answers for another key than the pinned
	// one. That happens with [Options.KeepAlias] after the alias was pointed to
	// another key. To use the alias's new key, make a new Signer or HMAC. [New]
	// and [NewHMAC] return ErrKeyChanged when KMS answers for another key than
	// the one that was asked for.
	ErrKeyChanged = errors.New("key changed")

	// ErrMessageLength is returned for a message that is empty or longer than
	// 4096 bytes if KMS must be sent the whole message. This applies to Ed25519
	// and MACs. KMS is not called.
	ErrMessageLength = errors.New("message length")

	// ErrBadSignature is returned when KMS answered without an error, but not
	// with a good signature: it is missing, truncated or malformed, is by another
	// algorithm, or does not verify. The signature is withheld. It is reasonable
	// to try again and to raise an alert. A MAC cannot be verified locally, so
	// only its form is checked.
	ErrBadSignature = errors.New("bad signature from KMS")
)

// answerError returns an error about an answer that came without an error. It
// names the request ID, by which AWS can find the call.
func answerError(kind error, metadata middleware.Metadata, format string, args ...any) error {
	err := fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
	if id, ok := awsmiddleware.GetRequestIDMetadata(metadata); ok {
		err = fmt.Errorf("%w (KMS request ID %s)", err, id)
	}
	return err
}
