// Package advice says what an operator can do about errors of KMS.
package advice

import (
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
)

// For returns what an operator can do about err, or the empty string if the
// error itself says it or nothing is known.
func For(err error) string {
	if _, ok := errors.AsType[*types.DisabledException](err); ok {
		return "enable the key with aws kms enable-key, or use another key"
	}
	state, ok := errors.AsType[*types.KMSInvalidStateException](err)
	if ok && strings.Contains(state.ErrorMessage(), "pending deletion") {
		return "cancel the deletion with aws kms cancel-key-deletion and enable the key with aws kms enable-key, or use another key"
	}
	if errors.Is(err, kmssigner.ErrMessageLength) {
		return "shorten the message, or use an ECDSA, RSA or ML-DSA key, which signs messages of any length"
	}
	return ""
}
