package service_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
)

// ask posts a JSON object, or a form if the body does not begin with a brace.
func (f *fixture) ask(path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	return f.do(r)
}

const (
	clientForm = "grant_type=client_credentials&client_id=app&resource=https://api.example&scope=read"
	clientJSON = `{"sub":"alice","client_id":"app","aud":"https://api.example","scope":"read"}`
)

// An access token has what RFC 9068 section 4 makes a resource server check.
// Two JOSE libraries verify it.
func TestAccessToken(t *testing.T) {
	for _, spec := range []types.KeySpec{types.KeySpecRsa2048, types.KeySpecEccNistP256} {
		f := newFixture(t, spec)
		var set jose.JSONWebKeySet
		w := f.do(httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
		if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ path, body, sub string }{
			{"/token?typ=at%2Bjwt", clientForm, "app"},
			{"/token?typ=at+jwt", clientForm, "app"},
			{"/token?typ=at%2Bjwt", clientJSON, "alice"},
		} {
			w := f.ask(tt.path, tt.body)
			if w.Code != 200 {
				t.Fatalf("%s %s: %d %s", tt.path, tt.body, w.Code, w.Body)
			}
			compact := accessToken(t, w.Body.Bytes())
			claims := jwt.MapClaims{}
			token, err := jwt.ParseWithClaims(compact, claims, f.ring.Keyfunc,
				jwt.WithIssuer(issuer), jwt.WithAudience("https://api.example"), jwt.WithSubject(tt.sub), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			if err != nil || token.Header["typ"] != "at+jwt" {
				t.Errorf("golang-jwt: %v, header %v", err, token.Header)
			}
			for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"} {
				if claims[name] == nil || claims[name] == "" {
					t.Errorf("the claim %s is missing in %v", name, claims)
				}
			}
			if claims["client_id"] != "app" || claims["scope"] != "read" || len(claims) != 8 {
				t.Errorf("the claims are %v", claims)
			}
			parsed, err := josejwt.ParseSigned(compact, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			if err := parsed.Claims(&set, new(josejwt.Claims)); err != nil || parsed.Headers[0].ExtraHeaders[jose.HeaderType] != "at+jwt" {
				t.Errorf("go-jose: %v, headers %v", err, parsed.Headers[0])
			}
		}
	}
}

// Options.Type is the default, which the request overrides.
func TestType(t *testing.T) {
	for _, tt := range []struct{ option, path, want string }{
		{"", "/token", "JWT"},
		{"JWT", "/token?typ=JWT", "JWT"},
		{"at+jwt", "/token", "at+jwt"},
		{"at+jwt", "/token?typ=JWT", "JWT"},
	} {
		f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.Type = tt.option })
		w := f.ask(tt.path, clientForm)
		token, _, err := jwt.NewParser().ParseUnverified(accessToken(t, w.Body.Bytes()), jwt.MapClaims{})
		if err != nil || token.Header["typ"] != tt.want {
			t.Errorf("%q, %s: typ %v, %v; want %s", tt.option, tt.path, token.Header["typ"], err, tt.want)
		}
		if _, has := token.Claims.(jwt.MapClaims)["client_id"]; has != (tt.want == "at+jwt") {
			t.Errorf("%q, %s: the claims are %v", tt.option, tt.path, token.Claims)
		}
	}
}

func TestTypeRefused(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	access := "/token?typ=at%2Bjwt"
	for _, tt := range []struct{ path, body, text string }{
		{"/token?typ=", clientForm, `the typ is "", want JWT or at+jwt`},
		{"/token?typ=secevent%2Bjwt", clientForm, `the typ is "secevent+jwt", want JWT or at+jwt`},
		{access + "&typ=JWT", clientForm, "typ twice"},
		{access, "grant_type=client_credentials&client_id=app", `wants the claim "aud"`},
		{access, `{"sub":"alice","client_id":"app"}`, `wants the claim "aud"`},
		{access, `{"sub":"alice","aud":"a"}`, `wants "client_id"`},
		{access, `{"sub":"alice","aud":"a","client_id":""}`, `wants "client_id"`},
		{access, `{"sub":"alice","aud":"a","client_id":7}`, `wants "client_id"`},
		{access, `{"sub":"alice","aud":"a","client_id":"app","scope":["read"]}`, `wants the claim "scope" to be a string`},
		{"/token", clientJSON, `the claim "client_id" is not allowed`},
	} {
		f.refuses(t, f.ask(tt.path, tt.body), 400, "invalid_request", tt.text)
	}
	if n := f.fake.Calls("Sign"); n != 0 {
		t.Errorf("%d Sign calls were made", n)
	}
	for _, o := range []service.Options{
		{Issuer: issuer, Type: "at+JWT"},
		{Issuer: issuer, Type: "at+jwt", Claims: []string{"scope"}},
	} {
		if err := o.Check(); err == nil || !slices.ContainsFunc([]string{"want JWT or at+jwt", "need aud"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("%q, %q: %v", o.Type, o.Claims, err)
		}
	}
}
