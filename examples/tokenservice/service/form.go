package service

import (
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// parseForm reads the request of an OAuth 2.0 client for the client credentials
// grant (RFC 6749 section 4.4). It sets r.PostForm, for Options.Authorize.
// Unknown parameters are ignored, as RFC 6749 section 3.2 demands.
func (s *Service) parseForm(r *http.Request, body []byte, typ string) (jwt.MapClaims, *refusal) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuseRequest("the body is not a form")
	}
	r.PostForm = form
	for name, values := range form {
		for _, text := range append(values, name) {
			if !utf8.ValidString(text) {
				return nil, refuseRequest("the body is not UTF-8")
			}
		}
		if len(values) > 1 && name != "resource" {
			return nil, refuseRequest("the parameter %s is there twice", quote(name))
		}
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return nil, refuseRequest("the parameter grant_type is missing")
	default:
		refused := refuseRequest("the grant_type is not client_credentials")
		refused.oauth = "unsupported_grant_type"
		return nil, refused
	}

	claims := jwt.MapClaims{}
	client, refused := clientID(r, form)
	if refused != nil {
		return nil, refused
	}
	if client != "" {
		claims["sub"] = client
		if typ == typeAccess {
			claims["client_id"] = client
		}
	}
	if scope := form.Get("scope"); scope != "" {
		if !s.allowed["scope"] {
			refused := refuseRequest("this service does not issue tokens with a scope")
			refused.oauth = "invalid_scope"
			return nil, refused
		}
		claims["scope"] = scope
	}
	var aud []any
	for _, resource := range form["resource"] {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || u.Fragment != "" || !s.allowed["aud"] {
			refused := refuseRequest("the resource %s is not accepted, want an absolute URI without a fragment, where aud is allowed", quote(resource))
			refused.oauth = "invalid_target" // RFC 8707 section 2
			return nil, refused
		}
		aud = append(aud, resource)
	}
	switch len(aud) {
	case 0:
	case 1:
		claims["aud"] = aud[0]
	default:
		claims["aud"] = aud
	}
	return claims, nil
}

// clientID returns the client that the request names, by HTTP Basic
// authentication or by client_id (RFC 6749 section 2.3.1). It does not
// authenticate the client.
func clientID(r *http.Request, form url.Values) (string, *refusal) {
	id := form.Get("client_id")
	user, _, ok := r.BasicAuth()
	if !ok {
		return id, nil
	}
	user, err := url.QueryUnescape(user) // RFC 6749 encodes it as in a form
	if err != nil || !utf8.ValidString(user) {
		return "", refuseRequest("the client in the header Authorization cannot be read")
	}
	if id != "" && id != user {
		return "", refuseRequest("client_id and the header Authorization name different clients")
	}
	return user, nil
}
