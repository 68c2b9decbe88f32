package service

import (
	"net/http"

	"github.com/golang-jwt/jwt/v5"
)

// The types of tokens, which are values of the header typ.
const (
	typeJWT    = "JWT"    // RFC 7519 section 5.1
	typeAccess = "at+jwt" // RFC 9068 section 2.1
)

// tokenType returns the type that the request asks for in its query, or
// Options.Type.
func (s *Service) tokenType(r *http.Request) (string, *refusal) {
	values, given := r.URL.Query()["typ"]
	switch {
	case !given:
		return s.opts.Type, nil
	case len(values) > 1:
		return "", refuseRequest("the query has typ twice")
	}
	switch values[0] {
	case typeJWT:
		return typeJWT, nil
	case typeAccess, "at jwt": // an unescaped plus sign is a space in a query
		return typeAccess, nil
	}
	return "", refuseRequest("the typ is %s, want JWT or at+jwt", quote(values[0]))
}

// mayHave reports whether a request for a token of the type may have the claim.
func (s *Service) mayHave(typ, name string) bool {
	return s.allowed[name] || typ == typeAccess && name == "client_id"
}

// checkAccess returns the refusal of claims that lack what RFC 9068 section 2.2
// requires, besides what the service sets. Section 2.2.3 gives scope its type.
func checkAccess(claims jwt.MapClaims) *refusal {
	if _, ok := claims["aud"]; !ok {
		return refuseRequest(`a token of typ at+jwt wants the claim "aud", or the parameter resource in a form`)
	}
	if id, ok := claims["client_id"].(string); !ok || id == "" {
		return refuseRequest(`a token of typ at+jwt wants "client_id", a string that is not empty`)
	}
	if scope, ok := claims["scope"]; ok {
		if _, ok := scope.(string); !ok {
			return refuseRequest(`a token of typ at+jwt wants the claim "scope" to be a string`)
		}
	}
	return nil
}

// setType sets the header typ of a token.
func setType(typ string) func(map[string]any) {
	return func(header map[string]any) { header["typ"] = typ }
}
