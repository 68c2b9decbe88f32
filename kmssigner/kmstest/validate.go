package kmstest

import (
	"fmt"
	"slices"
	"strings"
)

// violations collects the constraints that the form of a request violates. KMS
// reports all of them in one ValidationException, before it looks up the key.
type violations []string

// add records that the value of a member violates a constraint. An empty value
// is omitted from the text, as KMS omits blobs.
func (v *violations) add(value, member, format string, args ...any) {
	if value != "" {
		value += " "
	}
	*v = append(*v, fmt.Sprintf("Value %sat '%s' failed to satisfy constraint: ", value, member)+fmt.Sprintf(format, args...))
}

// err returns the ValidationException, or nil if nothing was recorded.
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

// text checks that s is a string of min to max bytes.
func (v *violations) text(member string, s *string, min, max int) {
	if s == nil {
		v.add("null", member, "Member must not be null")
		return
	}
	v.length("'"+*s+"'", member, len(*s), min, max)
}

// blob checks that b has min to max bytes. The text does not include them.
func (v *violations) blob(member string, b []byte, min, max int) {
	if b == nil {
		v.add("null", member, "Member must not be null")
		return
	}
	v.length("", member, len(b), min, max)
}

// message checks that b is a message. KMS treats it as a secret, so the text
// does not even include null.
func (v *violations) message(b []byte) {
	if b == nil {
		v.add("", "message", "Member must not be null")
		return
	}
	v.length("", "message", len(b), 1, maxMessage)
}

// length checks that n, the length of a value, is min to max.
func (v *violations) length(value, member string, n, min, max int) {
	switch {
	case n < min:
		v.add(value, member, "Member must have length greater than or equal to %d", min)
	case n > max:
		v.add(value, member, "Member must have length less than or equal to %d", max)
	}
}

// number checks that n is nil or min to max.
func (v *violations) number(member string, n *int32, min, max int32) {
	switch {
	case n == nil:
	case *n < min:
		v.add(fmt.Sprintf("'%d'", *n), member, "Member must have value greater than or equal to %d", min)
	case *n > max:
		v.add(fmt.Sprintf("'%d'", *n), member, "Member must have value less than or equal to %d", max)
	}
}

// oneOf checks that e is empty or one of the values of its enum in the SDK.
func oneOf[E interface {
	~string
	Values() []E
}](v *violations, member string, e E) {
	if e != "" && !slices.Contains(e.Values(), e) {
		outsideEnum(v, member, e)
	}
}

// outsideEnum records that e is not one of the values of its enum.
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

// enumOrder has the enums that KMS lists in another order than the SDK, in the
// order of recordings. Values that are newer than the recordings come last.
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

// keyID checks that id is 1 to 2048 ASCII characters.
func (v *violations) keyID(member string, id *string) {
	v.text(member, id, 1, 2048)
	if id != nil && (*id == "" || strings.ContainsFunc(*id, func(r rune) bool { return r > 0x7f })) {
		v.add("'"+*id+"'", member, `Member must satisfy regular expression pattern: ^\p{ASCII}+$`)
	}
}

// description checks that s is nil or a description of a key.
func (v *violations) description(s *string) {
	if s != nil {
		v.text("description", s, 0, 8192)
	}
}

// policy checks that s is nil or has the length of a key policy.
func (v *violations) policy(s *string) {
	if s != nil {
		v.text("policy", s, 1, 131072)
	}
}

// grantTokens checks that there are at most ten tokens of valid length.
func (v *violations) grantTokens(tokens []string) {
	if len(tokens) > 10 {
		v.add("", "grantTokens", "Member must have length less than or equal to 10")
	}
	for i := range tokens {
		v.text(fmt.Sprintf("grantTokens.%d.member", i+1), &tokens[i], 1, 8192)
	}
}
