package kmstest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// violations collects the constraints that the form of a request violates. KMS
// reports all of them in one ValidationException, before it looks up the key.
type violations []string

// validate checks the form of an input of the SDK: the members that are
// required, and the constraints of the service model. empty has the names of
// the enum members that are present but empty, which cannot be told from absent
// ones in the input.
func validate(in any, required, empty []string) error {
	var v violations
	v.members("", reflect.ValueOf(in).Elem(), required, empty)
	return v.err()
}

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

// members checks the members of a struct of the SDK in alphabetical order.
// Their names in the texts begin with prefix.
func (v *violations) members(prefix string, s reflect.Value, required, empty []string) {
	var names []string
	for i := range s.NumField() {
		if f := s.Type().Field(i); f.IsExported() {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		m := member{
			name:     name,
			path:     prefix + strings.ToLower(name[:1]) + name[1:],
			required: slices.Contains(required, name),
			empty:    slices.Contains(empty, name),
		}
		m.check(v, s.FieldByName(name))
	}
}

// member is a member of an input, or an element of one.
type member struct {
	name     string // in the service model
	path     string // in the texts
	required bool
	empty    bool // whether an enum value is present and empty
}

// check checks the value of the member.
func (m member) check(v *violations, value reflect.Value) {
	limits := constraints[m.name]
	switch x := value.Interface().(type) {
	case *string:
		if x == nil {
			m.absent(v)
			return
		}
		m.length(v, "'"+*x+"'", utf8.RuneCountInString(*x))
		if limits.pattern != nil && !limits.pattern.matches(*x) {
			v.add("'"+*x+"'", m.path, "Member must satisfy regular expression pattern: %s", limits.pattern)
		}
		return
	case []byte:
		if x == nil {
			m.absent(v)
			return
		}
		m.length(v, "", len(x))
		return
	case *int32:
		switch {
		case x == nil:
			m.absent(v)
		case int(*x) < limits.min:
			v.add(fmt.Sprintf("'%d'", *x), m.path, "Member must have value greater than or equal to %d", limits.min)
		case int(*x) > limits.max:
			v.add(fmt.Sprintf("'%d'", *x), m.path, "Member must have value less than or equal to %d", limits.max)
		}
		return
	}
	switch value.Kind() {
	case reflect.String:
		m.enum(v, value)
	case reflect.Slice:
		if value.IsNil() {
			m.absent(v)
			return
		}
		m.list(v, value)
	case reflect.Pointer:
		if s := value.Type().Elem(); s.Kind() == reflect.Struct && s.PkgPath() != "time" && !value.IsNil() {
			v.members(m.path+".", value.Elem(), nil, nil)
		}
	}
}

// absent records that the member is absent, if it is required.
func (m member) absent(v *violations) {
	switch {
	case !m.required:
	case m.name == "Message": // KMS treats it as a secret and omits even null
		v.add("", m.path, "Member must not be null")
	default:
		v.add("null", m.path, "Member must not be null")
	}
}

// length checks the length of a value.
func (m member) length(v *violations, value string, n int) {
	limits, ok := constraints[m.name]
	switch {
	case !ok:
	case n < limits.min:
		v.add(value, m.path, "Member must have length greater than or equal to %d", limits.min)
	case n > limits.max:
		v.add(value, m.path, "Member must have length less than or equal to %d", limits.max)
	}
}

// enum checks a value of an enum of the SDK.
func (m member) enum(v *violations, value reflect.Value) {
	switch {
	case value.Len() > 0 || m.empty:
		if names := enumNames(m.path, value); !slices.Contains(names, value.String()) && !m.tolerated(value.String()) {
			v.add("'"+value.String()+"'", m.path, "Member must satisfy enum value set: [%s]", strings.Join(names, ", "))
		}
	default:
		m.absent(v)
	}
}

// tolerated reports whether KMS accepts the form of a value that is not in the
// enum.
func (m member) tolerated(value string) bool {
	return m.name == "SigningAlgorithm" && value == "SYMMETRIC_DEFAULT"
}

// list checks the length and the elements of a list.
func (m member) list(v *violations, list reflect.Value) {
	m.length(v, "", list.Len())
	for i := range list.Len() {
		element, path := list.Index(i), fmt.Sprintf("%s.%d.member", m.path, i+1)
		switch element.Kind() {
		case reflect.Struct: // types.Tag
			v.members(path+".", element, tagMembers, nil)
		case reflect.String:
			if element.Type() == reflect.TypeFor[string]() {
				// GrantTokens has elements of the type GrantToken.
				member{name: strings.TrimSuffix(m.name, "s"), path: path}.check(v, element.Addr())
				continue
			}
			// The form of the text is that of other AWS services with the same
			// framework. It is not recorded from KMS.
			if names := enumNames(m.path, element); !slices.Contains(names, element.String()) {
				v.add("'["+joined(list)+"]'", m.path, "Member must satisfy constraint: [Member must satisfy enum value set: [%s]]", strings.Join(names, ", "))
				return
			}
		}
	}
}

// tagMembers are the required members of a tag.
var tagMembers = []string{"TagKey", "TagValue"}

// joined returns the elements of a list of strings, separated by commas.
func joined(list reflect.Value) string {
	var all []string
	for i := range list.Len() {
		all = append(all, list.Index(i).String())
	}
	return strings.Join(all, ", ")
}

// enumNames returns the values of the enum that value belongs to, in the order
// in which KMS lists them.
func enumNames(path string, value reflect.Value) []string {
	if names, ok := enumOrder[path]; ok {
		return names
	}
	var names []string
	values := value.MethodByName("Values").Call(nil)[0]
	for i := range values.Len() {
		names = append(names, values.Index(i).String())
	}
	return names
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
