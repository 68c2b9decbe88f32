package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

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
// (it lists 404 and 409): recordings show 400 only.
func (r *refusal) status() int {
	switch r.code {
	case "KMSInternalException", "KeyUnavailableException", "DependencyTimeoutException":
		return http.StatusInternalServerError
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

// violations collects what is wrong with the form of a request. KMS reports all
// of it in one ValidationException, before it looks at any key.
type violations []string

// add records that the value of a member breaks a constraint. An empty value is
// left out of the text, as KMS does for messages and other sensitive members.
func (v *violations) add(value, member, format string, args ...any) {
	if value != "" {
		value += " "
	}
	*v = append(*v, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: ", value, member)+fmt.Sprintf(format, args...))
}

// err is a nil error if nothing was recorded.
func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	errs := "errors"
	if len(v) == 1 {
		errs = "error"
	}
	return refuse("ValidationException", "%d validation %s detected: %s", len(v), errs, strings.Join(v, "; "))
}

// text demands a string of min to max characters.
func (v *violations) text(member string, s *string, min, max int) {
	if s == nil {
		v.add("null", member, "Member must not be null")
		return
	}
	v.length("'"+*s+"'", member, len(*s), min, max)
}

// blob demands min to max bytes; a message is never echoed.
func (v *violations) blob(member string, b []byte, min, max int) {
	if b == nil {
		v.add("null", member, "Member must not be null")
		return
	}
	v.length("", member, len(b), min, max)
}

func (v *violations) length(value, member string, n, min, max int) {
	switch {
	case n < min:
		v.add(value, member, "Member must have length greater than or equal to %d", min)
	case n > max:
		v.add(value, member, "Member must have length less than or equal to %d", max)
	}
}

// number demands min to max, if n is there at all.
func (v *violations) number(member string, n *int32, min, max int32) {
	switch {
	case n == nil:
	case *n < min:
		v.add(fmt.Sprintf("'%d'", *n), member, "Member must have value greater than or equal to %d", min)
	case *n > max:
		v.add(fmt.Sprintf("'%d'", *n), member, "Member must have value less than or equal to %d", max)
	}
}

// oneOf demands one of the SDK's values of an enum, or nothing.
func oneOf[E interface {
	~string
	Values() []E
}](v *violations, member string, e E) {
	if e == "" {
		return
	}
	var names []string
	for _, x := range e.Values() {
		if x == e {
			return
		}
		names = append(names, string(x))
	}
	v.add("'"+string(e)+"'", member, "Member must satisfy enum value set: [%s]", strings.Join(names, ", "))
}

// keyID demands a key identifier of any form.
func (v *violations) keyID(member string, id *string) { v.text(member, id, 1, 2048) }

// grantTokens demands at most ten tokens of sensible length. What they say is
// not imitated.
func (v *violations) grantTokens(tokens []string) {
	if len(tokens) > 10 {
		v.add("", "grantTokens", "Member must have length less than or equal to 10")
	}
	for i := range tokens {
		v.text(fmt.Sprintf("grantTokens.%d.member", i+1), &tokens[i], 1, 8192)
	}
}

// The refusals that more than one operation makes.

func notFound(format string, args ...any) *refusal {
	return refuse("NotFoundException", format, args...)
}

// badState is what a key in a state other than Enabled answers.
func badState(arn string, state types.KeyState) *refusal {
	switch state {
	case types.KeyStateDisabled:
		return refuse("DisabledException", "%s is disabled.", arn)
	case types.KeyStatePendingDeletion:
		return refuse("KMSInvalidStateException", "%s is pending deletion.", arn)
	}
	return refuse("KMSInvalidStateException", "%s is in state %s.", arn, state)
}

// incompatible is what an algorithm that is not the key's answers.
func incompatible(alg string, name types.KeySpec) *refusal {
	return refuse("InvalidKeyUsageException", "Algorithm %s is incompatible with key spec %s.", alg, name)
}

// These two have no text in KMS either.
var (
	invalidSignature = &refusal{code: "KMSInvalidSignatureException"}
	invalidMac       = &refusal{code: "KMSInvalidMacException"}
)

var dryRun = refuse("DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
