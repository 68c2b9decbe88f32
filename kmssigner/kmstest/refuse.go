package kmstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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

// violations collects what is wrong with the form of a request. KMS reports all
// of it in one ValidationException, before it looks at any key.
type violations []string

// add records that the value of a member breaks a constraint. An empty value is
// left out of the text, as KMS does for blobs.
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

// blob demands min to max bytes, which are never echoed.
func (v *violations) blob(member string, b []byte, min, max int) {
	if b == nil {
		v.add("null", member, "Member must not be null")
		return
	}
	v.length("", member, len(b), min, max)
}

// message demands a message. KMS treats it as a secret, down to not saying that
// it is null where it is null.
func (v *violations) message(b []byte) {
	if b == nil {
		v.add("", "message", "Member must not be null")
		return
	}
	v.length("", "message", len(b), 1, maxMessage)
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
	if e != "" && !slices.Contains(e.Values(), e) {
		outsideEnum(v, member, e)
	}
}

func outsideEnum[E interface {
	~string
	Values() []E
}](v *violations, member string, e E) {
	names, ok := enumOrder[member]
	if !ok {
		for _, x := range e.Values() {
			names = append(names, string(x))
		}
	}
	v.add("'"+string(e)+"'", member, "Member must satisfy enum value set: [%s]", strings.Join(names, ", "))
}

// enumOrder has the enums that KMS lists in another order than the SDK does, as
// recordings have them. Values that are newer than the recordings come last.
var enumOrder = map[string][]string{
	"signingAlgorithm": {
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
		"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
		"ECDSA_SHA_256", "ECDSA_SHA_384", "ECDSA_SHA_512",
		"ED25519_SHA_512", "ED25519_PH_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256",
	},
	"macAlgorithm": {"HMAC_SHA_384", "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SHA_512"},
	"keySpec": {
		"RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521",
		"ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "SYMMETRIC_DEFAULT",
		"HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512", "SM2", "ML_DSA_44", "ML_DSA_65", "ML_DSA_87",
		"ML_KEM_512", "ML_KEM_768", "ML_KEM_1024",
	},
	"keyUsage": {"ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"},
}

// keyID demands a key identifier of any form: 1 to 2048 characters of ASCII.
func (v *violations) keyID(member string, id *string) {
	v.text(member, id, 1, 2048)
	if id != nil && (*id == "" || strings.ContainsFunc(*id, func(r rune) bool { return r > 0x7f })) {
		v.add("'"+*id+"'", member, `Member must satisfy regular expression pattern: ^\p{ASCII}+$`)
	}
}

// description demands a description of a key, or nothing.
func (v *violations) description(s *string) {
	if s != nil {
		v.text("description", s, 0, 8192)
	}
}

// policy demands a key policy, or nothing.
func (v *violations) policy(s *string) {
	if s != nil {
		v.text("policy", s, 1, 131072)
	}
}

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
