package kmstest

import (
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// refusal is an error that KMS answers with.
type refusal struct {
	code    string // such as "NotFoundException"
	message string // empty if the error has no text
}

// refuse returns an error whose code and text public recordings show. A text
// that begins with "kmstest:" is one of the fake's own.
func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// unrecorded returns an error whose code or text no recording shows. The
// documentation says that KMS refuses the request.
func unrecorded(code, format string, args ...any) *refusal {
	return refuse(code, format, args...)
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

// status returns the HTTP status. It is 400 for every fault of the caller, as
// in recordings, although the service model has 404, 409 and, for a dry run,
// 412. There are no recordings of KeyUnavailableException and
// DependencyTimeoutException, which have the status of the model.
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

// body returns the JSON of the error. As in recordings, the member of the text
// is message, or Message for AccessDeniedException.
func (r *refusal) body() []byte {
	m := map[string]string{"__type": r.code}
	switch {
	case r.message == "":
	case r.code == "AccessDeniedException":
		m["Message"] = r.message
	default:
		m["message"] = r.message
	}
	b, _ := marshal(m) // strings always marshal
	return b
}

func notFound(format string, args ...any) *refusal {
	return refuse("NotFoundException", format, args...)
}

// badState returns the error for a key in a state other than Enabled.
func badState(arn string, state types.KeyState) *refusal {
	switch state {
	case types.KeyStateDisabled:
		return refuse("DisabledException", "%s is disabled.", arn)
	case types.KeyStatePendingImport:
		return refuse("KMSInvalidStateException", "%s is pending import.", arn)
	case types.KeyStatePendingReplicaDeletion:
		return unrecorded("KMSInvalidStateException", "%s is pending replica deletion.", arn)
	}
	return refuse("KMSInvalidStateException", "%s is pending deletion.", arn)
}

// incompatible returns the error for an algorithm that a key does not have.
func incompatible(alg string, name types.KeySpec) *refusal {
	return refuse("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", alg, name)
}

// These errors have no text in KMS.
var (
	invalidSignature = &refusal{code: "KMSInvalidSignatureException"}
	invalidMac       = &refusal{code: "KMSInvalidMacException"}
	noPublicKey      = &refusal{code: "UnsupportedOperationException"}
)

var dryRun = refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
