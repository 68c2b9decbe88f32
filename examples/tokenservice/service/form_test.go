package service_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
)

// postForm returns a request for a token as OAuth 2.0 clients send it.
func postForm(form string) *http.Request {
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestForm(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for form, want := range map[string][]string{
		"grant_type=client_credentials&client_id=alice":                                    {`"sub":"alice"`},
		"grant_type=client_credentials&client_id=a%C3%BC&scope=read+write&unknown=x":       {`"sub":"aü"`, `"scope":"read write"`},
		"grant_type=client_credentials&client_id=a&scope=&resource=https%3A%2F%2Fa":        {`"aud":"https://a"`},
		"grant_type=client_credentials&client_id=a&resource=https://a&resource=https://b":  {`"aud":["https://a","https://b"]`},
		"grant_type=client_credentials&client_id=a&client_secret=not+looked+at+by+default": {`"sub":"a"`},
	} {
		w := f.do(postForm(form))
		if w.Code != 200 {
			t.Errorf("%s: %d %s", form, w.Code, w.Body)
			continue
		}
		got := payload(t, accessToken(t, w.Body.Bytes()))
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the payload lacks %s: %s", form, want, got)
			}
		}
		if strings.Contains(got, "unknown") || strings.Contains(got, `"scope":""`) || strings.Contains(got, "secret") {
			t.Errorf("%s: the payload is %s", form, got)
		}
	}
}

func TestFormRefusals(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for _, tt := range []struct{ form, code, text string }{
		{"", "invalid_request", "the parameter grant_type is missing"},
		{"client_id=alice", "invalid_request", "the parameter grant_type is missing"},
		{"grant_type=password&client_id=alice", "unsupported_grant_type", "the grant_type is not client_credentials"},
		{"grant_type=client_credentials", "invalid_request", `the claim "sub" is required`},
		{"grant_type=client_credentials&client_id=", "invalid_request", `the claim "sub" is required`},
		{"grant_type=client_credentials&client_id=a&client_id=b", "invalid_request", `the parameter "client_id" is there twice`},
		{"grant_type=client_credentials&client_id=%FF", "invalid_request", "the body is not UTF-8"},
		{"grant_type=client_credentials&client_id=%", "invalid_request", "the body is not a form"},
		{"grant_type=client_credentials&client_id=a;b", "invalid_request", "the body is not a form"},
		{"grant_type=client_credentials&client_id=a&resource=read", "invalid_target", `the resource "read" is not accepted`},
		{"grant_type=client_credentials&client_id=a&resource=https://a%23b", "invalid_target", "is not accepted"},
	} {
		f.refuses(t, f.do(postForm(tt.form)), 400, tt.code, tt.text)
	}
	r := postForm("grant_type=client_credentials&client_id=alice")
	r.SetBasicAuth("bob", "")
	f.refuses(t, f.do(r), 400, "invalid_request", "name different clients")
	r = postForm("grant_type=client_credentials")
	r.SetBasicAuth("%", "")
	f.refuses(t, f.do(r), 400, "invalid_request", "the header Authorization cannot be read")

	f = newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.Claims = []string{"role"} })
	f.refuses(t, f.do(postForm("grant_type=client_credentials&client_id=a&scope=read")), 400, "invalid_scope", "does not issue tokens with a scope")
	f.refuses(t, f.do(postForm("grant_type=client_credentials&client_id=a&resource=https://a")), 400, "invalid_target", "is not accepted")
	if n := f.fake.Calls("Sign"); n != 0 {
		t.Errorf("%d Sign calls, want none", n)
	}
}

// TestOAuth2Client has an OAuth 2.0 client that is not ours fetch tokens, with
// its credentials in both places, from the token endpoint that the metadata
// names.
func TestOAuth2Client(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) {
		o.Authorize = func(r *http.Request, claims map[string]any) error {
			user, secret, ok := r.BasicAuth()
			if !ok {
				user, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
			}
			if user != "a+client" && url.QueryEscape("a client") != user && user != "a client" || secret != "open" {
				return errors.New("unknown client")
			}
			return nil
		}
	})
	server := httptest.NewServer(f)
	defer server.Close()
	response, err := http.Get(server.URL + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var metadata struct {
		Endpoint string   `json:"token_endpoint"`
		Grants   []string `json:"grant_types_supported"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	if len(metadata.Grants) != 1 || metadata.Grants[0] != "client_credentials" || len(metadata.Methods) != 2 {
		t.Errorf("%+v", metadata)
	}
	path, ok := strings.CutPrefix(metadata.Endpoint, issuer)
	if !ok {
		t.Fatalf("the token endpoint is %s", metadata.Endpoint)
	}
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		config := clientcredentials.Config{ClientID: "a client", ClientSecret: "open", TokenURL: server.URL + path, Scopes: []string{"read", "write"}, AuthStyle: style}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := payload(t, token.AccessToken); !strings.Contains(got, `"sub":"a client"`) || !strings.Contains(got, `"scope":"read write"`) || token.TokenType != "Bearer" {
			t.Errorf("style %d: %s", style, got)
		}
		config.ClientSecret = "wrong"
		_, err = config.Token(t.Context())
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); !ok || refused.ErrorCode != "access_denied" {
			t.Errorf("style %d, wrong secret: %v", style, err)
		}
	}
}

// The metadata is where RFC 8414 section 3.1 wants it, for an issuer with a
// path too.
func TestMetadata(t *testing.T) {
	for issuer, path := range map[string]string{
		"https://issuer.example":         "/.well-known/oauth-authorization-server",
		"https://issuer.example/":        "/.well-known/oauth-authorization-server",
		"https://issuer.example/ten/ant": "/.well-known/oauth-authorization-server/ten/ant",
	} {
		f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.Issuer = issuer })
		w := f.do(httptest.NewRequest("GET", path, nil))
		base := strings.TrimSuffix(issuer, "/")
		want := `{"issuer":"` + issuer + `","jwks_uri":"` + base + `/.well-known/jwks.json","token_endpoint":"` + base + `/token",` +
			`"response_types_supported":[],"grant_types_supported":["client_credentials"],"token_endpoint_auth_methods_supported":["none"]}` + "\n"
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}
