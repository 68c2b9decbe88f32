package service_test

import (
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
)

// Only known names address the service, so that no web page can by DNS
// rebinding.
func TestHosts(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.Hosts = []string{"Tokens.internal", "other.internal:8080"} })
	for host, good := range map[string]bool{
		"issuer.example":              true,
		"ISSUER.example.:443":         true,
		"tokens.internal":             true,
		"tokens.internal:8080":        true,
		"other.internal":              true,
		"localhost":                   true,
		"localhost:8080":              true,
		"127.0.0.1:8080":              true,
		"10.1.2.3":                    true,
		"[::1]:8080":                  true,
		"[::1]":                       true,
		"evil.example":                false,
		"evil.example:8080":           false,
		"issuer.example.evil.example": false,
		"127.0.0.1.evil.example":      false,
		"localhost.evil.example":      false,
		"":                            false,
	} {
		for _, path := range []string{"/token", "/metrics"} {
			r := post(t.Context(), alice)
			if path == "/metrics" {
				r = httptest.NewRequest("GET", path, nil)
			}
			r.Host = host
			w := f.do(r)
			if good && w.Code != 200 {
				t.Errorf("Host %q, %s: %d %s", host, path, w.Code, w.Body)
			} else if !good {
				f.refuses(t, w, 421, "invalid_request", "is not known here")
			}
		}
	}
}

// A browser does not get a token for a web page of another origin.
func TestCrossOrigin(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for _, tt := range []struct {
		name, value string
		good        bool
	}{
		{"Sec-Fetch-Site", "cross-site", false},
		{"Sec-Fetch-Site", "same-site", false},
		{"Sec-Fetch-Site", "same-origin", true},
		{"Sec-Fetch-Site", "none", true},
		{"Origin", "https://evil.example", false},
		{"Origin", "null", false},
		{"Origin", "https://example.com", true}, // the request's own Host
	} {
		r := post(t.Context(), alice)
		r.Header.Set(tt.name, tt.value)
		w := f.do(r)
		if tt.good && w.Code != 200 {
			t.Errorf("%s: %s: %d %s", tt.name, tt.value, w.Code, w.Body)
		} else if !tt.good {
			f.refuses(t, w, 403, "access_denied", "a web page of another origin")
		}
	}
	if f.metric(t, `failures_total{kind="foreign"}`) != "4" {
		t.Error("the refusals were not counted as foreign")
	}
	if n := f.fake.Calls("Sign"); n != 3 {
		t.Errorf("%d Sign calls, want 3", n)
	}
}

// Web pages may read what is public, and nothing else.
func TestCORS(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for path, public := range map[string]bool{
		"/.well-known/jwks.json":                  true,
		"/.well-known/openid-configuration":       true,
		"/.well-known/oauth-authorization-server": true,
		"/healthz": false,
		"/metrics": false,
		"/other":   false,
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Origin", "https://page.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		got := f.do(r).Header().Get("Access-Control-Allow-Origin")
		if public && got != "*" || !public && got != "" {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", path, got)
		}
	}
	if got := f.do(post(t.Context(), alice)).Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("/token: Access-Control-Allow-Origin is %q", got)
	}
}
