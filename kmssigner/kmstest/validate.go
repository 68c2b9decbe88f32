package kmstest

import (
	"fmt"
	"slices"
	"strings"
)

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
