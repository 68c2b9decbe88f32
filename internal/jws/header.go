// Package jws checks the headers of JSON Web Signatures (RFC 7515).
package jws

import "fmt"

// CheckHeader returns an error if the decoded header of a token has a member
// that changes how the token must be verified.
//
// The members of crit name extensions that a verifier must understand, or else
// reject the token (RFC 7515 section 4.1.11). This module understands none. b64
// says whether the payload is in base64url, and must not be false in a JWT (RFC
// 7797 section 7). Both are rejected whatever their value.
func CheckHeader(header map[string]any) error {
	for _, name := range []string{"crit", "b64"} {
		if value, ok := header[name]; ok {
			return fmt.Errorf("the token's header has %s %.100q, which is not supported", name, fmt.Sprint(value))
		}
	}
	return nil
}
