package service_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
	"github.com/kmssign/kmssign/internal/pipenet"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

const issuer = "https://issuer.example"

// buffer is a bytes.Buffer for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fixture is a Service on a fake KMS, in which alias/jwt names a key.
type fixture struct {
	*service.Service
	fake *kmstest.KMS
	ring *keyring.Ring
	logs *buffer
}

func newFixture(t *testing.T, spec types.KeySpec, optFns ...func(*service.Options)) *fixture {
	t.Helper()
	fake := kmstest.New()
	return newFixtureOn(t, fake, fake, spec, optFns...)
}

// newFixtureOn reaches the fake by a client of the test's own.
func newFixtureOn(t *testing.T, fake *kmstest.KMS, client keyring.Client, spec types.KeySpec, optFns ...func(*service.Options)) *fixture {
	t.Helper()
	f := &fixture{fake: fake, logs: new(buffer)}
	_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: aws.String(fake.AddKey(spec))})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.ring, err = keyring.New(t.Context(), client, "alias/jwt", func(o *keyring.Options) {
		o.Logger = logger
		o.OnRefresh = func(err error) { f.Refreshed(err) }
		o.OnChange = func(from, to keyring.Key) { f.Changed(from, to) }
	})
	if err != nil {
		t.Fatal(err)
	}
	// httptest requests have the Host example.com.
	first := func(o *service.Options) { o.Issuer, o.Logger, o.Hosts = issuer, logger, []string{"example.com"} }
	f.Service, err = service.New(f.ring, client, append([]func(*service.Options){first}, optFns...)...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// do serves one request without a network.
func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func post(ctx context.Context, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "POST", "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

const alice = `{"sub":"alice","scope":"read"}`

// token asks for one, and must get it.
func (f *fixture) token(t *testing.T, body string) string {
	t.Helper()
	w := f.do(post(t.Context(), body))
	if w.Code != http.StatusOK {
		t.Fatalf("POST /token: %d %s", w.Code, w.Body)
	}
	return accessToken(t, w.Body.Bytes())
}

func accessToken(t *testing.T, body []byte) string {
	t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.TokenType != "Bearer" || answer.ExpiresIn != 900 {
		t.Fatalf("POST /token: %s, %v", body, err)
	}
	return answer.AccessToken
}

// metric is the value of one line of /metrics.
func (f *fixture) metric(t *testing.T, name string) string {
	t.Helper()
	w := f.do(httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(line, "tokenservice_"+name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Errorf("there is no metric %s in\n%s", name, w.Body)
	return ""
}

func (f *fixture) wantMetric(t *testing.T, name, want string) {
	t.Helper()
	if got := f.metric(t, name); got != want {
		t.Errorf("the metric %s is %s, want %s", name, got, want)
	}
}

// refuses checks an answer that is an error.
func (f *fixture) refuses(t *testing.T, w *httptest.ResponseRecorder, status int, code, text string) {
	t.Helper()
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	err := json.Unmarshal(w.Body.Bytes(), &answer)
	if w.Code != status || err != nil || answer.Error != code || !strings.Contains(answer.Description, text) {
		t.Errorf("%d %s (%v), want %d, %s and %q", w.Code, w.Body, err, status, code, text)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the Content-Type is %q", got)
	}
	if got := w.Header().Get("Retry-After"); (got == "1") != (status == http.StatusServiceUnavailable) {
		t.Errorf("%d with Retry-After %q", status, got)
	}
}

// What the service answers over HTTP, two JOSE libraries verify with nothing
// but the issuer's URL.
func TestToken(t *testing.T) {
	for spec, alg := range map[types.KeySpec]string{
		types.KeySpecEccNistP256:         "ES256",
		types.KeySpecRsa2048:             "RS256",
		types.KeySpecEccNistEdwards25519: "EdDSA",
	} {
		t.Run(alg, func(t *testing.T) {
			server := httptest.NewUnstartedServer(nil)
			url := "http://" + server.Listener.Addr().String()
			f := newFixture(t, spec, func(o *service.Options) { o.Issuer = url })
			server.Config.Handler = f
			server.Start()
			defer server.Close()

			response, err := http.Post(url+"/token", "application/json; charset=utf-8", strings.NewReader(`{"sub":"alice","aud":["a","b"],"scope":"read write"}`))
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != 200 || response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %v", response.Status, response.Header)
			}
			compact := accessToken(t, read(t, response))

			var about struct {
				Issuer   string   `json:"issuer"`
				JWKSURI  string   `json:"jwks_uri"`
				Endpoint string   `json:"token_endpoint"`
				Algs     []string `json:"id_token_signing_alg_values_supported"`
			}
			get(t, url+"/.well-known/openid-configuration", &about)
			if about.Issuer != url || about.Endpoint != url+"/token" || !slices.Equal(about.Algs, []string{alg}) {
				t.Errorf("the configuration is %+v", about)
			}
			var set jose.JSONWebKeySet
			get(t, about.JWKSURI, &set)

			var claims jwt.MapClaims
			token, err := jwt.ParseWithClaims(compact, &claims, func(token *jwt.Token) (any, error) {
				return set.Key(token.Header["kid"].(string))[0].Key, nil
			}, jwt.WithIssuer(url), jwt.WithAllAudiences("a", "b"), jwt.WithSubject("alice"), jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithValidMethods(about.Algs))
			if err != nil || !token.Valid {
				t.Errorf("golang-jwt: %v", err)
			}
			if claims["scope"] != "read write" || claims["exp"].(float64)-claims["iat"].(float64) != 900 || len(claims["jti"].(string)) < 22 || len(claims) != 7 {
				t.Errorf("the claims are %v", claims)
			}

			parsed, err := josejwt.ParseSigned(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			if err != nil {
				t.Fatal(err)
			}
			var standard josejwt.Claims
			if err := parsed.Claims(&set, &standard); err != nil {
				t.Errorf("go-jose: %v", err)
			}
			if err := standard.Validate(josejwt.Expected{Issuer: url, Subject: "alice", AnyAudience: josejwt.Audience{"a"}, Time: time.Now()}); err != nil {
				t.Errorf("go-jose: %v", err)
			}
			f.wantMetric(t, "tokens_issued_total", "1")
			f.wantMetric(t, "in_flight", "0")
			f.wantMetric(t, fmt.Sprintf(`signing_key{kid="%s",alg="%s"}`, token.Header["kid"], alg), "1")
		})
	}
}

func read(t *testing.T, response *http.Response) []byte {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func get(t *testing.T, url string, v any) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read(t, response), v); err != nil || response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Cache-Control"), "public, max-age=300") {
		t.Fatalf("GET %s: %s, %v", url, response.Status, err)
	}
}

func payload(t *testing.T, compact string) string {
	t.Helper()
	data, err := jwt.NewParser().DecodeSegment(strings.Split(compact, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Claims come out as they went in.
func TestClaims(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.Claims = []string{"big", "exact", "deep", "nbf"} })
	got := payload(t, f.token(t, `{"big":9007199254740993,"exact":1.10,"deep":{"a":[null,true,"ü"]},"nbf":1.5e9,"sub":"bob"}`))
	for _, want := range []string{`"big":9007199254740993,`, `"exact":1.10,`, `"deep":{"a":[null,true,"ü"]},`, `"nbf":1.5e9,`, `"sub":"bob"}`, `"iss":"` + issuer + `",`} {
		if !strings.Contains(got, want) {
			t.Errorf("the payload lacks %s: %s", want, got)
		}
	}
	a, b := payload(t, f.token(t, `{"sub":"bob"}`)), payload(t, f.token(t, `{"sub":"bob"}`))
	if a == b {
		t.Errorf("two tokens are the same: %s", a)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) {
		o.Claims = []string{"aud", "scope", "nbf"}
		o.MaxBody = 1000
	})
	jsonType := "application/json"
	for _, tt := range []struct {
		method, path, contentType, body string
		status                          int
		code, text, kind                string
	}{
		{"POST", "/token", "", alice, 415, "invalid_request", "the Content-Type is not application/json", "media_type"},
		{"POST", "/token", "text/plain", alice, 415, "invalid_request", "the Content-Type", "media_type"},
		{"POST", "/token", "application/json; =", alice, 415, "invalid_request", "the Content-Type", "media_type"},
		{"POST", "/token", jsonType, `{"sub":"` + strings.Repeat("a", 1000) + `"}`, 413, "invalid_request", "more than 1000 bytes", "too_long"},
		{"POST", "/token", jsonType, "", 400, "invalid_request", "the body is not JSON: unexpected end", "bad_request"},
		{"POST", "/token", jsonType, "{", 400, "invalid_request", "the body is not JSON: unexpected end", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice",}`, 400, "invalid_request", "the body is not JSON: invalid character '}'", "bad_request"},
		{"POST", "/token", jsonType, alice + alice, 400, "invalid_request", "after top-level value", "bad_request"},
		{"POST", "/token", jsonType, `["sub"]`, 400, "invalid_request", "the body is not a JSON object", "bad_request"},
		{"POST", "/token", jsonType, "null", 400, "invalid_request", "the body is not a JSON object", "bad_request"},
		{"POST", "/token", jsonType, `"sub"`, 400, "invalid_request", "the body is not a JSON object", "bad_request"},
		{"POST", "/token", jsonType, "{\"sub\":\"\xff\"}", 400, "invalid_request", "the body is not UTF-8", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"a","sub":"b"}`, 400, "invalid_request", `the claim "sub" is there twice`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"\ud800"}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"\udc00"}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"\ud800\n"}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"\uD800\uD800"}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"\ud83d\u0041"}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"a","scope":{"\uDBFF":1}}`, 400, "invalid_request", "half of a surrogate pair", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"a","scope":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + "}", 400, "invalid_request", "a claim is nested deeper than 32", "bad_request"},
		{"POST", "/token", jsonType, `{"scope":` + strings.Repeat(`[{"a":`, 17) + "1" + strings.Repeat("}]", 17) + `,"sub":"a"}`, 400, "invalid_request", "a claim is nested deeper than 32", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"a","s\u0075b":"b"}`, 400, "invalid_request", `the claim "sub" is there twice`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","admin":true}`, 400, "invalid_request", `the claim "admin" is not allowed`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","Scope":"read"}`, 400, "invalid_request", `the claim "Scope" is not allowed`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","":1}`, 400, "invalid_request", `the claim "" is not allowed`, "bad_request"},
		{"POST", "/token", jsonType, `{"` + strings.Repeat("ü", 100) + `":1}`, 400, "invalid_request", `üü..." is not allowed`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","iss":"https://other.example"}`, 400, "invalid_request", `the claim "iss" is set by the service`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","iat":1}`, 400, "invalid_request", `the claim "iat" is set by the service`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","exp":9999999999}`, 400, "invalid_request", `the claim "exp" is set by the service`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","jti":"1"}`, 400, "invalid_request", `the claim "jti" is set by the service`, "bad_request"},
		{"POST", "/token", jsonType, `{}`, 400, "invalid_request", `the claim "sub" is required`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":""}`, 400, "invalid_request", `the claim "sub" is required`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":7}`, 400, "invalid_request", `the claim "sub" is required`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":null}`, 400, "invalid_request", `the claim "sub" is required`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","aud":7}`, 400, "invalid_request", `the claim "aud" is not a string or an array`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","aud":[]}`, 400, "invalid_request", `the claim "aud"`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","aud":["a",null]}`, 400, "invalid_request", `the claim "aud"`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","aud":null}`, 400, "invalid_request", `the claim "aud"`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","nbf":"now"}`, 400, "invalid_request", `the claim "nbf" is not a number`, "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","nbf":1e999}`, 400, "invalid_request", "a number that is out of range", "bad_request"},
		{"POST", "/token", jsonType, `{"sub":"alice","scope":[{"a":-1e999}]}`, 400, "invalid_request", "a number that is out of range", "bad_request"},
		{"POST", "/token", jsonType, "7", 400, "invalid_request", "the body is not a JSON object", "bad_request"},

		{"GET", "/token", "", "", 405, "invalid_request", "want POST", ""},
		{"OPTIONS", "/token", "", "", 405, "invalid_request", "want POST", ""},
		{"POST", "/healthz", jsonType, "{}", 405, "invalid_request", "want GET, HEAD", ""},
		{"PUT", "/metrics", jsonType, "{}", 405, "invalid_request", "want GET, HEAD", ""},
		{"DELETE", "/.well-known/openid-configuration", "", "", 405, "invalid_request", "want GET, HEAD", ""},
		{"GET", "/", "", "", 404, "not_found", "no such path", ""},
		{"POST", "/token/", jsonType, alice, 404, "not_found", "no such path", ""},
		{"GET", "/.well-known/", "", "", 404, "not_found", "no such path", ""},
	} {
		before := ""
		if tt.kind != "" {
			before = f.metric(t, `failures_total{kind="`+tt.kind+`"}`)
		}
		r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
		if tt.contentType != "" {
			r.Header.Set("Content-Type", tt.contentType)
		}
		w := f.do(r)
		f.refuses(t, w, tt.status, tt.code, tt.text)
		if allow := w.Header().Get("Allow"); tt.status == 405 && !strings.HasSuffix(tt.text, allow) {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, allow)
		}
		if tt.kind != "" && f.metric(t, `failures_total{kind="`+tt.kind+`"}`) == before {
			t.Errorf("%s %s was not counted as %s", tt.method, tt.body, tt.kind)
		}
	}
	r := post(t.Context(), alice)
	r.Header.Set("Content-Encoding", "gzip")
	f.refuses(t, f.do(r), 415, "invalid_request", "Content-Encoding")
	if w := f.do(httptest.NewRequest("POST", "/.well-known/jwks.json", nil)); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST to the keys: %d %v", w.Code, w.Header())
	}
	// None of these made a call.
	if n := f.fake.Calls("Sign"); n != 0 {
		t.Errorf("%d Sign calls were made", n)
	}
}

// reader is a body that fails.
type reader struct{ error }

func (r reader) Read([]byte) (int, error) { return 0, r.error }

func TestBodyFails(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for err, status := range map[error]int{
		os.ErrDeadlineExceeded: 408, // ReadTimeout
		io.ErrUnexpectedEOF:    400,
	} {
		r := post(t.Context(), "")
		r.Body = io.NopCloser(reader{err})
		f.refuses(t, f.do(r), status, "invalid_request", "the body ")
	}
}

// Ed25519 keys in KMS take 4096 bytes.
func TestTooLongForTheKey(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistEdwards25519)
	f.refuses(t, f.do(post(t.Context(), `{"sub":"`+strings.Repeat("a", 4000)+`"}`)), 413, "invalid_request", "longer than the 4096 bytes that the signing key can sign; shorten the claims")
	if logs := f.logs.String(); !strings.Contains(logs, `"advice":"shorten the message, or use an ECDSA`) || strings.Contains(logs, "aaa") {
		t.Errorf("the logs do not say what to do, or have the claims:\n%s", logs)
	}
}

func TestAuthorize(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) {
		o.Authorize = func(r *http.Request, claims map[string]any) error {
			caller := r.Header.Get("X-Caller")
			if caller == "" {
				return errors.New("who are you?")
			}
			if claims["scope"] == "none" {
				delete(claims, "sub")
				return nil
			}
			claims["sub"], claims["iss"] = caller, "https://other.example"
			return nil
		}
	})
	f.refuses(t, f.do(post(t.Context(), alice)), 403, "access_denied", "who are you?")
	f.wantMetric(t, `failures_total{kind="denied"}`, "1")
	r := post(t.Context(), `{"scope":"read"}`)
	r.Header.Set("X-Caller", "bob")
	w := f.do(r)
	if got := payload(t, accessToken(t, w.Body.Bytes())); !strings.Contains(got, `"sub":"bob"`) || !strings.Contains(got, `"iss":"`+issuer) {
		t.Errorf("the claims are %s", got)
	}
	r = post(t.Context(), `{"sub":"alice","scope":"none"}`)
	r.Header.Set("X-Caller", "bob")
	f.refuses(t, f.do(r), 400, "invalid_request", `"sub" is required`)
}

// What KMS does wrong, and what the client is told.
func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		effect kmstest.Effect
		status int
		kind   string
	}{
		{"throttled", kmstest.Throttle(), 503, "throttled"},
		{"KMS's own error", kmstest.Fail(&types.KMSInternalException{}), 503, "kms_unavailable"},
		{"KMS's timeout", kmstest.Fail(&types.DependencyTimeoutException{}), 503, "kms_unavailable"},
		{"key unavailable", kmstest.Fail(&types.KeyUnavailableException{}), 503, "kms_unavailable"},
		{"a proxy", kmstest.Respond(502, "<html>Bad Gateway"), 503, "kms_unavailable"},
		{"a front end", kmstest.Respond(503, ""), 503, "kms_unavailable"},
		{"connection reset", kmstest.Reset(), 503, "kms_unavailable"},
		{"half an answer", kmstest.Truncate(), 503, "kms_unavailable"},
		{"disabled", kmstest.Fail(&types.DisabledException{}), 500, "kms_refused"},
		{"pending deletion", kmstest.Fail(&types.KMSInvalidStateException{}), 500, "kms_refused"},
		{"no permission", kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}), 500, "kms_refused"},
		{"expired credentials", kmstest.Fail(&smithy.GenericAPIError{Code: "ExpiredTokenException", Message: "no"}), 500, "kms_refused"},
		{"an empty success", kmstest.Respond(200, "{}"), 503, "bad_signature"},
		{"another signature", kmstest.Corrupt(), 503, "bad_signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, types.KeySpecEccNistP256)
			remove := f.fake.Inject(kmstest.Match{Operation: "Sign"}, tt.effect)
			code := map[int]string{500: "server_error", 503: "temporarily_unavailable"}[tt.status]
			w := f.do(post(t.Context(), alice))
			f.refuses(t, w, tt.status, code, "")
			if strings.Contains(w.Body.String(), "arn:") {
				t.Errorf("the client is told which key it is: %s", w.Body)
			}
			f.wantMetric(t, `failures_total{kind="`+tt.kind+`"}`, "1")
			f.wantMetric(t, "kms_throttles_total", map[bool]string{true: "1", false: "0"}[tt.kind == "throttled"])
			if logs := f.logs.String(); !strings.Contains(logs, `"failure":"`+tt.kind+`","error":"keyring: `) {
				t.Errorf("the logs do not say why:\n%s", logs)
			}
			remove()
			f.token(t, alice)
			f.wantMetric(t, "in_flight", "0")
		})
	}
}

// Retries of the real client change nothing.
func TestThrottledClient(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
	f := newFixtureOn(t, fake, client, types.KeySpecEccNistP256)
	remove := fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Throttle())
	f.refuses(t, f.do(post(t.Context(), alice)), 503, "temporarily_unavailable", "busy, try again later")
	remove()
	f.token(t, alice)
}

// In a bubble time passes only while all wait, and nothing may be left running.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.RequestTimeout = 3 * time.Second })
		remove := f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
		start := time.Now()
		f.refuses(t, f.do(post(t.Context(), alice)), 503, "temporarily_unavailable", "signing took too long")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
		f.wantMetric(t, `failures_total{kind="timeout"}`, "1")

		// The client has less patience.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.do(post(ctx, alice))
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it took %v", took)
		}
		f.wantMetric(t, `failures_total{kind="canceled"}`, "1")
		remove()
		f.token(t, alice)
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.MaxInFlight = 2 })
		remove := f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(time.Second))
		codes := make(chan int)
		for range 2 {
			go func() { codes <- f.do(post(t.Context(), alice)).Code }()
		}
		synctest.Wait()
		f.wantMetric(t, "in_flight", "2")
		f.wantMetric(t, "in_flight_limit", "2")
		start := time.Now()
		f.refuses(t, f.do(post(t.Context(), alice)), 503, "temporarily_unavailable", "too many requests are being served")
		f.refuses(t, f.do(post(t.Context(), "{}")), 400, "invalid_request", "sub") // needs no place
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		for range 2 {
			if code := <-codes; code != 200 {
				t.Errorf("one that had a place: %d", code)
			}
		}
		remove()
		f.token(t, alice)
		f.wantMetric(t, `failures_total{kind="full"}`, "1")
		f.wantMetric(t, "tokens_issued_total", "3")
		f.wantMetric(t, "in_flight", "0")
	})
}

func TestHealth(t *testing.T) {
	for _, spec := range []types.KeySpec{types.KeySpecEccNistP384, types.KeySpecRsa2048, types.KeySpecEccNistEdwards25519, types.KeySpecMlDsa44, types.KeySpecEccSecgP256k1} {
		f := newFixture(t, spec)
		w := f.do(httptest.NewRequest("GET", "/healthz", nil))
		if want := `{"status":"ok","kid":"` + f.ring.Current().KID + `"}` + "\n"; w.Code != 200 || w.Body.String() != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %s; %v", spec, w.Code, w.Body, want, w.Header())
		}
		requests := f.fake.Requests()
		last := requests[len(requests)-1]
		if in, ok := last.Input.(*kms.SignInput); !ok || !aws.ToBool(in.DryRun) || last.Code != "DryRunOperationException" {
			t.Errorf("%s: the last call was %+v", spec, last)
		}
	}
}

// However often it is asked, KMS is asked once in ten seconds.
func TestHealthLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		ask := func() *httptest.ResponseRecorder { return f.do(httptest.NewRequest("GET", "/healthz", nil)) }
		calls := func(want int) {
			t.Helper()
			if got := f.fake.Calls("Sign"); got != want {
				t.Errorf("there were %d calls, want %d", got, want)
			}
		}
		remove := f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Delay(time.Second))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if w := ask(); w.Code != 200 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		all.Wait()
		remove()
		calls(1)
		time.Sleep(10*time.Second - 1)
		ask()
		calls(1)
		time.Sleep(time.Nanosecond)
		ask()
		calls(2)

		// The same for what fails.
		key := aws.String(f.ring.Current().KeyARN)
		if _, err := f.fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		for range 3 {
			w := ask()
			if w.Code != 503 || !strings.Contains(w.Body.String(), "DisabledException") || strings.Contains(w.Body.String(), "arn:") {
				t.Errorf("%d %s, want 503 and the reason, but not which key it is", w.Code, w.Body)
			}
		}
		calls(3)
		f.wantMetric(t, `health_checks_total{result="failed"}`, "1")
		if logs := f.logs.String(); strings.Count(logs, "health check failed") != 1 || !strings.Contains(logs, *key) || !strings.Contains(logs, `"advice":"enable the key with aws kms enable-key`) {
			t.Errorf("the logs do not say why, once:\n%s", logs)
		}
		if _, err := f.fake.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)

		// A KMS that throttles is there.
		remove = f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Throttle())
		if w := ask(); w.Code != 200 {
			t.Errorf("throttled: %d %s", w.Code, w.Body)
		}
		remove()
		time.Sleep(10 * time.Second)

		// One that hangs is not. Who asked first may have gone: it is checked
		// to the end.
		f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go f.do(httptest.NewRequestWithContext(ctx, "GET", "/healthz", nil))
		synctest.Wait()
		start := time.Now()
		if w := f.do(httptest.NewRequestWithContext(ctx, "GET", "/healthz", nil)); w.Code != 503 || time.Since(start) != time.Second {
			t.Errorf("one that waits in vain: %d %s after %v", w.Code, w.Body, time.Since(start))
		}
		if w := ask(); w.Code != 503 || !strings.Contains(w.Body.String(), "does not answer") || time.Since(start) != 5*time.Second {
			t.Errorf("hung: %d %s after %v", w.Code, w.Body, time.Since(start))
		}
	})
}

// A rotation to another kind of key, by the clock, while tokens are issued and
// verified by one who keeps the keys for as long as allowed.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		ctx, cancel := context.WithCancel(t.Context())
		var background sync.WaitGroup
		background.Go(func() {
			if err := f.Run(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v", err)
			}
		})

		var set jose.JSONWebKeySet
		var fetched time.Time
		algs := map[string]int{}
		verify := func(compact string) {
			t.Helper()
			if fetched.IsZero() || time.Since(fetched) >= 5*time.Minute {
				w := f.do(httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
				set = jose.JSONWebKeySet{}
				if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
					t.Fatal(err)
				}
				fetched = time.Now()
			}
			parsed, err := josejwt.ParseSigned(compact, []jose.SignatureAlgorithm{jose.ES256, jose.ES384})
			if err != nil {
				t.Fatal(err)
			}
			var claims josejwt.Claims
			if err := parsed.Claims(&set, &claims); err != nil {
				t.Errorf("at %v, signed by %s: %v", time.Now(), parsed.Headers[0].KeyID, err)
			}
			algs[parsed.Headers[0].Algorithm]++
		}
		var old []string
		pass := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
				compact := f.token(t, alice)
				verify(compact)
				// And again shortly before it expires.
				if old = append(old, compact); len(old) > 14 {
					verify(old[0])
					old = old[1:]
				}
			}
		}
		step := func(step keyring.Step) {
			t.Helper()
			_, err := keyring.Rotate(t.Context(), f.fake, "alias/jwt", step, func(o *keyring.RotateOptions) {
				o.NewKey = &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP384, KeyUsage: types.KeyUsageTypeSignVerify}
			})
			if err != nil {
				t.Error(err)
			}
		}
		configured := func(want string) {
			t.Helper()
			if w := f.do(httptest.NewRequest("GET", "/.well-known/openid-configuration", nil)); !strings.Contains(w.Body.String(), `_supported":`+want) {
				t.Errorf("the configuration is %s, want %s", w.Body, want)
			}
		}
		pass(10 * time.Minute)
		configured(`["ES256"]`)
		step(keyring.Prepare)
		pass(11 * time.Minute)
		configured(`["ES256","ES384"]`) // before the first token
		if algs["ES384"] != 0 {
			t.Errorf("the next key signs already: %v", algs)
		}
		step(keyring.Promote)
		pass(2 * time.Hour)
		step(keyring.Retire)
		pass(2 * time.Hour)
		configured(`["ES384"]`)
		if algs["ES256"] == 0 || algs["ES384"] == 0 {
			t.Errorf("tokens by algorithm: %v", algs)
		}
		if f.metric(t, `refreshes_total{result="ok"}`) == "0" {
			t.Error("no refresh was counted")
		}
		f.wantMetric(t, `refreshes_total{result="failed"}`, "0")
		cancel()
		background.Wait()
	})
}

func TestRefreshFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		ctx, cancel := context.WithCancel(t.Context())
		var background sync.WaitGroup
		background.Go(func() { f.Run(ctx) })
		remove := f.fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Throttle())
		time.Sleep(5*time.Minute + time.Second)
		remove()
		f.wantMetric(t, `refreshes_total{result="failed"}`, "1")
		f.wantMetric(t, "kms_throttles_total", "1")
		f.token(t, alice)
		if !strings.Contains(f.logs.String(), "refresh failed, the last good keys stay") {
			t.Errorf("the logs do not say so:\n%s", f.logs)
		}
		time.Sleep(time.Minute) // the next attempt comes sooner
		f.wantMetric(t, `refreshes_total{result="ok"}`, "1")

		// The end of ctx breaks off a refresh, which is no failure.
		f.fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Hang())
		for before := f.fake.Calls("GetPublicKey"); f.fake.Calls("GetPublicKey") == before; {
			time.Sleep(time.Second)
		}
		cancel()
		background.Wait()
		f.wantMetric(t, `refreshes_total{result="failed"}`, "1")
	})
}

// gate is a KMS whose Sign waits until the test lets it.
type gate struct {
	*kmstest.KMS
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	g.entered <- struct{}{}
	select {
	case <-g.open:
		return g.KMS.Sign(ctx, in, optFns...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serving runs Serve on a network in the test's bubble, with a request under
// way.
func serving(t *testing.T, optFns ...func(*service.Options)) (g *gate, network *pipenet.Listener, answer chan string, stop func(), served chan error) {
	t.Helper()
	fake := kmstest.New()
	g = &gate{fake, make(chan struct{}), make(chan struct{})}
	f := newFixtureOn(t, fake, g, types.KeySpecEccNistP256, optFns...)
	network = pipenet.Listen()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	served = make(chan error, 1)
	go func() { served <- f.Serve(ctx, network) }()
	answer = make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DialContext: network.DialContext, DisableKeepAlives: true}}
		response, err := client.Post("http://issuer.example/token", "application/json", strings.NewReader(alice))
		if err != nil {
			answer <- err.Error()
			return
		}
		response.Body.Close()
		answer <- response.Status
	}()
	<-g.entered
	return g, network, answer, stop, served
}

// When the service is told to end, it accepts no more connections and finishes
// the request under way. synctest sees that nothing keeps running.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, network, answer, stop, served := serving(t)
		stop()
		synctest.Wait()
		if _, err := network.DialContext(t.Context(), "tcp", "issuer.example:80"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a new connection: %v, want net.ErrClosed", err)
		}
		select {
		case err := <-served:
			t.Fatalf("Serve returned while a request was under way: %v", err)
		case got := <-answer:
			t.Fatalf("the request was answered too early: %s", got)
		default:
		}
		close(g.open)
		if got := <-answer; got != "200 OK" {
			t.Errorf("the request under way: %s", got)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A request that does not end is broken off after ShutdownTimeout.
func TestShutdownTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, answer, stop, served := serving(t, func(o *service.Options) {
			o.ShutdownTimeout, o.RequestTimeout = 3*time.Second, time.Minute
		})
		start := time.Now()
		stop()
		if err := <-served; err == nil || !strings.Contains(err.Error(), "did not end within 3s") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Serve: %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("Serve took %v to end, want 3s", took)
		}
		if got := <-answer; !strings.Contains(got, "EOF") {
			t.Errorf("the request that was broken off: %s", got)
		}
	})
}

func TestServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, types.KeySpecEccNistP256)
		network := pipenet.Listen()
		network.Close()
		if err := f.Serve(t.Context(), network); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve on a listener that is closed: %v", err)
		}
	})
}

// The logs are JSON and say what happened, but nothing of what is in a token.
func TestLogs(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	compact := f.token(t, `{"sub":"alice-secret","scope":"scope-secret"}`)
	f.do(post(t.Context(), `{"sub":"alice-secret","name-secret":"value-secret"}`))
	f.do(httptest.NewRequest("GET", "/path-secret?query-secret", nil))
	f.fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Fail(&types.DisabledException{}))
	f.do(post(t.Context(), `{"sub":"alice-secret"}`))
	f.do(httptest.NewRequest("GET", "/healthz", nil))
	logs := f.logs.String()
	for line := range strings.Lines(logs) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	for _, want := range []string{`"route":"POST /token","status":200`, `"status":400`, `"status":404`, `"failure":"bad_request"`, "DisabledException", `"advice":"enable the key with aws kms enable-key, or use another key"`, `"route":"GET /healthz"`} {
		if !strings.Contains(logs, want) {
			t.Errorf("the logs lack %s:\n%s", want, logs)
		}
	}
	for _, secret := range append(strings.Split(compact, "."), "secret") {
		if strings.Contains(logs, secret) {
			t.Errorf("the logs have %s:\n%s", secret, logs)
		}
	}
}

// Serve closes a connection that becomes idle above MaxIdle.
func TestMaxIdle(t *testing.T) { synctest.Test(t, testMaxIdle) }

func testMaxIdle(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256, func(o *service.Options) { o.MaxIdle = 1 })
	network := pipenet.Listen()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, network) }()
	ask := func(conn net.Conn) (status int, closed bool) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return 0, true
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the server has seen that the connection is idle
		return response.StatusCode, false
	}
	var conns []net.Conn
	for range 2 {
		conn, err := network.DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if status, closed := ask(conn); status != 200 || closed {
			t.Fatalf("status %d, closed %v", status, closed)
		}
		conns = append(conns, conn)
	}
	before := time.Now()
	if _, err := conns[1].Read(make([]byte, 1)); err == nil || !time.Now().Equal(before) {
		t.Errorf("the second connection was kept for %v, %v", time.Since(before), err)
	}
	if status, closed := ask(conns[0]); status != 200 || closed {
		t.Errorf("the first connection: status %d, closed %v", status, closed)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	fake := kmstest.New()
	ring, err := keyring.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*service.Options){
		`the issuer is ""`:                  func(o *service.Options) { o.Issuer = "" },
		`the issuer is "issuer.example"`:    func(o *service.Options) { o.Issuer = "issuer.example" },
		`the issuer is "ftp://i"`:           func(o *service.Options) { o.Issuer = "ftp://i" },
		`the issuer is "https:///a"`:        func(o *service.Options) { o.Issuer = "https:///a" },
		`the issuer is "https://i?a"`:       func(o *service.Options) { o.Issuer = "https://i?a" },
		`the issuer is "https://i#a"`:       func(o *service.Options) { o.Issuer = "https://i#a" },
		`the issuer is "https://u:p@i"`:     func(o *service.Options) { o.Issuer = "https://u:p@i" },
		`Claims has "exp"`:                  func(o *service.Options) { o.Claims = []string{"aud", "exp"} },
		`Claims has ""`:                     func(o *service.Options) { o.Claims = []string{""} },
		"Lifetime is 1ms, want 0 or at":     func(o *service.Options) { o.Lifetime = time.Millisecond },
		"RequestTimeout is -1s, want 0 or":  func(o *service.Options) { o.RequestTimeout = -time.Second },
		"RetryAfter is 1ms, want 0 or":      func(o *service.Options) { o.RetryAfter = time.Millisecond },
		"HealthInterval is -1s, want 0 or":  func(o *service.Options) { o.HealthInterval = -time.Second },
		"ShutdownTimeout is -1s, want 0 or": func(o *service.Options) { o.ShutdownTimeout = -time.Second },
		"MaxIdle are -1, 64 and 1024, want": func(o *service.Options) { o.MaxBody = -1 },
		"are 65536, -1 and 1024, want 0 or": func(o *service.Options) { o.MaxInFlight = -1 },
	} {
		_, err := service.New(ring, fake, func(o *service.Options) { o.Issuer = issuer }, change)
		if err == nil || !strings.HasPrefix(err.Error(), "service: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := service.New(ring, fake, func(o *service.Options) { o.Issuer, o.MaxIdle = issuer, -1 }); err == nil {
		t.Error("New took a negative MaxIdle")
	}
	if _, err := service.New(nil, fake, func(o *service.Options) { o.Issuer = issuer }); err == nil {
		t.Error("New took a nil Ring")
	}
	if _, err := service.New(ring, nil, func(o *service.Options) { o.Issuer = issuer }); err == nil {
		t.Error("New took a nil client")
	}
}

// No input makes the service fail, and no claim comes through that is not
// allowed.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{alice, "", "{}", "null", `{"sub":"a","aud":["b"]}`, `{"sub":"a","scope":{"a":[1e999,{}]}}`, `{"sub":"\ud800"}`, strings.Repeat("[", 20000), `{"sub":"a","scope":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}"} {
		f.Add("application/json", []byte(seed))
	}
	f.Add("application/json;;", []byte(alice))
	fake := kmstest.New()
	ring, err := keyring.New(f.Context(), fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		f.Fatal(err)
	}
	svc, err := service.New(ring, fake, func(o *service.Options) { o.Issuer, o.Logger = issuer, slog.New(slog.DiscardHandler) })
	if err != nil {
		f.Fatal(err)
	}
	allowed := []string{"iss", "sub", "aud", "scope", "iat", "exp", "jti"}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		r := httptest.NewRequest("POST", "/token", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		svc.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) || w.Code >= 500 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		token, err := jwt.Parse(accessToken(t, w.Body.Bytes()), ring.Keyfunc)
		if err != nil {
			t.Fatal(err)
		}
		claims := token.Claims.(jwt.MapClaims)
		for name := range claims {
			if !slices.Contains(allowed, name) {
				t.Errorf("the token has the claim %q", name)
			}
		}
		if claims["iss"] != issuer || claims["sub"] == "" {
			t.Errorf("the claims are %v", claims)
		}
	})
}
