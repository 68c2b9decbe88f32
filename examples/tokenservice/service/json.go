package service

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// parseJSON reads the claims of a request with a JSON body.
func (s *Service) parseJSON(body []byte, typ string) (jwt.MapClaims, *refusal) {
	claims, err := s.parseClaims(body, typ)
	if err != nil {
		return nil, refuseRequest("%v", err)
	}
	return claims, nil
}

// parseClaims reads the claims of a token of the type. Its errors are for the
// caller to read.
func (s *Service) parseClaims(body []byte, typ string) (jwt.MapClaims, error) {
	// encoding/json would replace invalid UTF-8.
	if !utf8.Valid(body) {
		return nil, errors.New("the body is not UTF-8")
	}
	if err := json.Unmarshal(body, new(map[string]any)); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("the body is not JSON: %w", syntax)
		}
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && strings.HasPrefix(mismatch.Value, "number ") {
			return nil, errors.New("the body has a number that is out of range") // for most verifiers
		}
		return nil, errors.New("the body is not a JSON object")
	}
	if err := checkText(body); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // an integer over 2^53 would lose digits as a float64
	if brace, err := dec.Token(); err != nil || brace != json.Delim('{') {
		return nil, errors.New("the body is not a JSON object")
	}
	claims := jwt.MapClaims{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("the body is not a JSON object")
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("the claim %s cannot be read", quote(name))
		}
		_, twice := claims[name]
		switch {
		case own[name]:
			return nil, fmt.Errorf("the claim %s is set by the service", quote(name))
		case !s.mayHave(typ, name):
			return nil, fmt.Errorf("the claim %s is not allowed", quote(name))
		case twice:
			return nil, fmt.Errorf("the claim %s is there twice", quote(name))
		}
		claims[name] = value
	}
	return claims, checkTypes(claims)
}

// maxDepth is the limit for the nesting of arrays and objects in a claim.
// Verifiers have limits of their own.
const maxDepth = 32

// checkText returns an error if body, which is JSON, is nested too deep or has
// half of a surrogate pair, which encoding/json would replace.
func checkText(body []byte) error {
	depth := -1 // becomes 0 in the object that has the claims
	inString := false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			inString = !inString
		case c == '\\': // in a string only
			i++
			if body[i] != 'u' {
				break
			}
			r := escaped(body[i+1:])
			i += 4
			if !utf16.IsSurrogate(r) {
				break
			}
			rest := body[i+1:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' || utf16.DecodeRune(r, escaped(rest[2:])) == unicode.ReplacementChar {
				return errors.New("the body has half of a surrogate pair, which is not a character")
			}
			i += 6
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("a claim is nested deeper than %d", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// escaped returns the number that the four hexadecimal digits of an escape in
// valid JSON stand for.
func escaped(digits []byte) rune {
	var b [2]byte
	hex.Decode(b[:], digits[:4])
	return rune(b[0])<<8 | rune(b[1])
}

// checkTypes checks the claims to which RFC 7519 section 4.1 gives a type,
// because verifiers reject tokens with another.
func checkTypes(claims jwt.MapClaims) error {
	if aud, ok := claims["aud"]; ok && !isAudience(aud) {
		return errors.New(`the claim "aud" is not a string or an array of strings`)
	}
	if nbf, ok := claims["nbf"]; ok {
		if _, ok := nbf.(json.Number); !ok {
			return errors.New(`the claim "nbf" is not a number`)
		}
	}
	return nil
}

func isAudience(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, v := range list {
		if s, ok := v.(string); !ok || s == "" {
			return false
		}
	}
	return len(list) > 0
}

// quote quotes the first 40 bytes of a text from the client.
func quote(name string) string {
	if len(name) > 40 {
		name = strings.ToValidUTF8(name[:40], "") + "..."
	}
	return strconv.Quote(name)
}
