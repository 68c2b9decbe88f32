package kmssigner

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// Errors that a caller may want to distinguish with [errors.Is]. Errors of KMS
// and of the SDK are wrapped unchanged, so [errors.As] finds the SDK's types,
// such as *types.DisabledException and smithy.APIError, and [errors.Is] finds
// [context.Canceled] and [context.DeadlineExceeded].
var (
	// ErrUnsupportedKey is returned for a key that cannot sign or make MACs,
	// and for a key whose type, size or algorithms this package does not
	// support. [New], [NewHMAC], [ParsePKIXPublicKey] and
	// [MarshalPKIXPublicKey] return it.
	ErrUnsupportedKey = errors.New("unsupported key")

	// ErrKeyChanged is returned when KMS answers for another key than the
	// pinned one. That happens with [Options.KeepAlias] after the alias was
	// pointed to another key. To use the alias's new key, make a new Signer or
	// HMAC. [New] and [NewHMAC] return ErrKeyChanged when KMS answers for
	// another key than the one that was asked for.
	ErrKeyChanged = errors.New("key changed")

	// ErrMessageLength is returned for a message that is empty or longer than
	// 4096 bytes if KMS must be sent the whole message. This applies to Ed25519
	// and MACs. KMS is not called.
	ErrMessageLength = errors.New("message length")

	// ErrBadSignature is returned when KMS answered without an error, but not
	// with a good signature: it is missing, truncated or malformed, is by
	// another algorithm, or does not verify. The signature is withheld. It is
	// reasonable to try again and to raise an alert. A MAC cannot be verified
	// locally, so only its form is checked.
	ErrBadSignature = errors.New("bad signature from KMS")

	// ErrAnswerTooLarge is returned when the endpoint answers with more than 64
	// KiB, counted after decompression. The limit for ListAliases and ListKeys,
	// which package keyring calls, is 1 MiB. KMS's answers are smaller, so the
	// answer is from something else. The rest of it is not read.
	ErrAnswerTooLarge = answerlimit.ErrTooLarge
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

// maxErrorText is the length in bytes to which the text of an error is cut.
const maxErrorText = 2048

// forLog returns err with a text that fits a line of a log. The text of an
// error can come from the endpoint, which may not be KMS. It is cut if it is
// long, and control characters and invalid UTF-8 are replaced. The chain stays
// the same.
func forLog(err error) error {
	full := err.Error()
	text := full
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if len(full) > maxErrorText {
		text = fmt.Sprintf("%s... (cut from %d bytes)", text, len(full))
	}
	if text == full {
		return err
	}
	return &logError{text, err}
}

// A logError is an error with another text.
type logError struct {
	text string
	err  error
}

func (e *logError) Error() string { return e.text }
func (e *logError) Unwrap() error { return e.err }
