package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// refusal is an error of the service: a code that the SDK turns into one of its
// types, and a text.
type refusal struct {
	code    string
	message string // empty: the error has no text
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

// status is 400 for every fault of the caller, whatever the service model says
// (it lists 404, 409 and, for a dry run, 412): recordings show 400 only. The
// statuses of DryRunOperationException, KeyUnavailableException and
// DependencyTimeoutException are unconfirmed; the latter two have the model's.
func (r *refusal) status() int { return statusOf(r.code) }

func statusOf(code string) int {
	switch code {
	case "KMSInternalException", "KeyUnavailableException", "InternalFailure":
		return http.StatusInternalServerError
	case "DependencyTimeoutException", "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// body spells the text's member as KMS does, with a capital for two of the codes.
func (r *refusal) body() []byte {
	m := map[string]string{"__type": r.code}
	switch {
	case r.message == "":
	case r.code == "AccessDeniedException", r.code == "UnsupportedOperationException":
		m["Message"] = r.message
	default:
		m["message"] = r.message
	}
	b, _ := json.Marshal(m) // strings always marshal
	return b
}

// The refusals that more than one operation makes.

func notFound(format string, args ...any) *refusal {
	return refuse("NotFoundException", format, args...)
}

// badState is what a key in a state other than Enabled answers. The text for
// PendingReplicaDeletion is unconfirmed.
func badState(arn string, state types.KeyState) *refusal {
	switch state {
	case types.KeyStateDisabled:
		return refuse("DisabledException", "%s is disabled.", arn)
	case types.KeyStatePendingImport:
		return refuse("KMSInvalidStateException", "%s is pending import.", arn)
	case types.KeyStatePendingReplicaDeletion:
		return refuse("KMSInvalidStateException", "%s is pending replica deletion.", arn)
	}
	return refuse("KMSInvalidStateException", "%s is pending deletion.", arn)
}

// incompatible is what an algorithm that is not the key's answers.
func incompatible(alg string, name types.KeySpec) *refusal {
	return refuse("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", alg, name)
}

// These have no text in KMS either.
var (
	invalidSignature = &refusal{code: "KMSInvalidSignatureException"}
	invalidMac       = &refusal{code: "KMSInvalidMacException"}
	noPublicKey      = &refusal{code: "UnsupportedOperationException"}
)

var dryRun = refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
