package keyring_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// set is a header function that sets members.
func set(members map[string]any) func(map[string]any) {
	return func(h map[string]any) { maps.Copy(h, members) }
}

// headerOf is the header of a token that the ring's keys verify.
func headerOf(t *testing.T, ring *keyring.Ring, compact string) map[string]any {
	t.Helper()
	token, err := jwt.Parse(compact, ring.Keyfunc)
	if err != nil {
		t.Fatal(err)
	}
	return token.Header
}

func TestHeader(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := mustNew(t, fake)
	kid := ring.Current().KID
	thumbprints := map[any]string{kid: "of the certificate for the key"}
	for _, tt := range []struct {
		reason string
		fns    []func(map[string]any)
		want   map[string]any // beside alg and kid
	}{
		{"as golang-jwt has it", nil, map[string]any{"typ": "JWT"}},
		{"an access token of RFC 9068", []func(map[string]any){set(map[string]any{"typ": "at+jwt"})}, map[string]any{"typ": "at+jwt"}},
		{"no typ", []func(map[string]any){func(h map[string]any) { delete(h, "typ") }}, map[string]any{}},
		{"alg and kid are set after them", []func(map[string]any){set(map[string]any{"alg": "none", "kid": 7})}, map[string]any{"typ": "JWT"}},
		{"nor can they be deleted", []func(map[string]any){func(h map[string]any) { clear(h) }}, map[string]any{}},
		{"by the key", []func(map[string]any){func(h map[string]any) { h["x5t#S256"] = thumbprints[h["kid"]] + " " + h["alg"].(string) }},
			map[string]any{"typ": "JWT", "x5t#S256": "of the certificate for the key ES256"}},
		{"in order", []func(map[string]any){set(map[string]any{"cty": "a"}), func(h map[string]any) { h["cty"] = h["cty"].(string) + "b" }}, map[string]any{"typ": "JWT", "cty": "ab"}},
	} {
		compact, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": in(time.Minute)}, tt.fns...)
		if err != nil {
			t.Errorf("%s: %v", tt.reason, err)
			continue
		}
		tt.want["alg"], tt.want["kid"] = "ES256", kid
		if got := headerOf(t, ring, compact); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.reason, got, tt.want)
		}
	}
}

// A header that cannot be is an error before KMS is asked.
func TestHeaderErrors(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := mustNew(t, fake)
	calls := fake.Calls("")
	for reason, tt := range map[string]struct {
		fn   func(map[string]any)
		want string
	}{
		"a nil function":              {nil, "keyring: header function 2 is nil"},
		"crit":                        {set(map[string]any{"crit": []string{"exp"}}), "keyring: the token's header has crit"},
		"crit, empty":                 {set(map[string]any{"crit": nil}), "keyring: the token's header has crit"},
		"b64":                         {set(map[string]any{"b64": false}), "keyring: the token's header has b64"},
		"a channel":                   {set(map[string]any{"x": make(chan int)}), "keyring: the token's header: json: unsupported type: chan int"},
		"a number that JSON does not": {set(map[string]any{"x": math.Inf(1)}), "keyring: the token's header: json: unsupported value: +Inf"},
	} {
		for _, sign := range []func(...func(map[string]any)) (string, error){
			func(fns ...func(map[string]any)) (string, error) {
				return ring.Sign(t.Context(), jwt.MapClaims{"exp": in(time.Minute)}, fns...)
			},
			func(fns ...func(map[string]any)) (string, error) {
				return ring.SignPayload(t.Context(), fmt.Appendf(nil, `{"exp":%d}`, in(time.Minute).Unix()), fns...)
			},
		} {
			compact, err := sign(func(map[string]any) {}, tt.fn)
			if compact != "" || err == nil || !strings.HasPrefix(err.Error(), tt.want) || errors.Is(err, keyring.ErrLifetime) {
				t.Errorf("%s: %q, %v, want %q", reason, compact, err, tt.want)
			}
		}
	}
	if n := fake.Calls("") - calls; n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Each attempt has a header of its own, with the key that it asks.
func TestHeaderOfEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		a, b := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecRsa2048)
		createAlias(t, fake, "alias/jwt", a)
		createAlias(t, fake, "alias/jwt-next", b)
		time.Sleep(time.Hour)
		ring := mustNew(t, fake, quiet)
		disable(t, fake, a)
		var seen []string
		compact, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": in(time.Minute)}, func(h map[string]any) {
			seen = append(seen, fmt.Sprint(h["alg"], h["typ"], h["mark"]))
			h["mark"] = h["kid"]
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"ES256JWT<nil>", "RS256JWT<nil>"}; !slices.Equal(seen, want) {
			t.Errorf("the functions saw %q, want %q", seen, want)
		}
		if h := headerOf(t, ring, compact); h["mark"] != h["kid"] || h["alg"] != "RS256" {
			t.Errorf("the header is %v", h)
		}
		// A function that fails for the second key ends it.
		createAlias(t, fake, "alias/jwt-prev", a)
		mustRefresh(t, ring)
		disable(t, fake, b)
		calls := fake.Calls("Sign")
		_, err = ring.Sign(t.Context(), jwt.MapClaims{"exp": in(time.Minute)}, func(h map[string]any) {
			if h["alg"] == "ES256" {
				h["crit"] = "x"
			}
		})
		if err == nil || !strings.Contains(err.Error(), "crit") || fake.Calls("Sign")-calls != 1 {
			t.Errorf("%v, %d calls, want one about crit and one call", err, fake.Calls("Sign")-calls)
		}
	})
}

// payloadOf is the payload of a compact JWT.
func payloadOf(t *testing.T, compact string) string {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

func TestSignPayload(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := mustNew(t, fake)
	exp := in(time.Minute).Unix()
	for reason, payload := range map[string]string{
		"as encoding/json writes it": `{"exp":%d,"sub":"alice"}`,
		"what it would escape":       `{"exp":%d,"sub":"<a&b>"}`,
		"spaces, and another order":  " {\"sub\" : \"alice\",\n\"exp\":\t%d } \n",
		"digits that a float loses":  `{"exp":%d,"n":12345678901234567890.10}`,
		"a fraction":                 `{"exp":%d.75}`,
		"an exponent":                `{"exp":%de0}`,
		"an escaped name":            `{"\u0065xp":%d}`,
		"exp inside another member":  `{"exp":%d,"x":{"exp":"soon","EXP":[1]}}`,
		"a lone surrogate":           `{"exp":%d,"sub":"\ud800"}`,
	} {
		payload := fmt.Sprintf(payload, exp)
		compact, err := ring.SignPayload(t.Context(), []byte(payload), set(map[string]any{"typ": "at+jwt"}))
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		if got := payloadOf(t, compact); got != payload {
			t.Errorf("%s: %q, want %q", reason, got, payload)
		}
		if h := headerOf(t, ring, compact); h["typ"] != "at+jwt" || h["kid"] != ring.Current().KID {
			t.Errorf("%s: header %v", reason, h)
		}
	}
	plain, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": exp, "sub": "<a>"})
	if err != nil || payloadOf(t, plain) != fmt.Sprintf(`{"exp":%d,"sub":"\u003ca\u003e"}`, exp) {
		t.Errorf("Sign: %q, %v, want the claims as golang-jwt writes them", plain, err)
	}
}

func TestSignPayloadErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		ring := mustNew(t, fake)
		time.Sleep(900 * time.Millisecond) // not at a whole second
		calls := fake.Calls("")
		words := strings.NewReplacer(
			"NOW", fmt.Sprint(time.Now().Unix()),
			"SOON", fmt.Sprint(in(time.Minute).Unix()),
			"FAR", fmt.Sprint(in(time.Hour+2*time.Second).Unix()))
		for payload, want := range map[string]string{
			``:                                    "the claims are not JSON: unexpected end",
			`{`:                                   "the claims are not JSON: unexpected end",
			`{"exp":1}{}`:                         "the claims are not JSON: invalid character '{' after top-level value",
			"\ufeff{}":                            "the claims are not JSON",
			`null`:                                "no exp",
			`[]`:                                  "the claims are a JSON array, want an object",
			`"exp"`:                               "the claims are a JSON string, want an object",
			`7`:                                   "the claims are a JSON number, want an object",
			`{}`:                                  "no exp",
			`{"exp":null}`:                        "no exp",
			`{"x":{"exp":SOON}}`:                  "no exp",
			`{"exp":"soon"}`:                      "cannot unmarshal string",
			`{"exp":"SOON"}`:                      "cannot unmarshal string",
			`{"exp":[SOON]}`:                      "cannot unmarshal array",
			`{"exp":true}`:                        "cannot unmarshal bool",
			`{"exp":1e400}`:                       "cannot unmarshal number 1e400",
			`{"exp":1e300}`:                       "want at most 1h0m0s from now",
			`{"exp":-1}`:                          "want it after now",
			`{"exp":0}`:                           "want it after now",
			`{"exp":NOW}`:                         "want it after now",
			`{"exp":NOW.99}`:                      "want it after now", // verifiers drop the fraction
			`{"exp":FAR}`:                         "want at most 1h0m0s from now",
			`{"EXP":SOON}`:                        "in other case",
			`{"exp":SOON,"Exp":1}`:                "in other case",
			`{"EXP":9999999999,"exp":SOON}`:       "in other case",
			`{"exp":SOON,"e\u0058p":9999999999}`:  "in other case",
			`{"exp":SOON,"exp":SOON}`:             "exp 2 times",
			`{"exp":SOON,"exp":9999999999}`:       "exp 2 times",
			`{"exp":9999999999,"exp":SOON}`:       "exp 2 times",
			`{"exp":SOON,"exp":null}`:             "exp 2 times",
			`{"exp":SOON,"\u0065\u0078\u0070":1}`: "exp 2 times",
			`{"exp":SOON,"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`: "exceeded max depth",
		} {
			payload := words.Replace(payload)
			compact, err := ring.SignPayload(t.Context(), []byte(payload))
			if compact != "" || !errors.Is(err, keyring.ErrLifetime) || !strings.Contains(err.Error(), want) {
				t.Errorf("%.80s: %q, %v, want ErrLifetime and %q", payload, compact, err, want)
			}
		}
		if compact, err := ring.SignPayload(t.Context(), []byte(words.Replace("{\"exp\":SOON,\"sub\":\"\xff\"}"))); compact != "" || err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("bytes that are not UTF-8: %q, %v", compact, err)
		}
		if n := fake.Calls("") - calls; n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

// FuzzSignPayload signs foreign bytes. They must not make it panic. A token
// that it makes has the payload byte for byte, and is not accepted once
// MaxLifetime is over, by none of the ways in which golang-jwt reads claims.
// Bytes that are refused cost no call.
func FuzzSignPayload(f *testing.F) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecEccNistEdwards25519)
	ring, err := keyring.New(f.Context(), fake, key)
	if err != nil {
		f.Fatal(err)
	}
	// The fuzzer keeps its seeds, so that they must not grow old.
	const soon = "1234567890"
	for _, seed := range []string{
		`{"exp":1234567890,"sub":"alice","aud":["a","b"]}`,
		`{"exp":1e300}`, `{"exp":-1}`, `{"exp":"soon"}`, `{"exp":null}`, `{"exp":1234567890.5}`,
		`{"exp":1234567890,"exp":99999999999}`, `{"exp":99999999999,"EXP":1234567890}`, `{"\u0065xp":1234567890,"ex\u0050":0}`,
		`{"exp":1234567890,"sub":"\ud800"}`, `{"exp":1234567890,"e\ud800xp":1}`, "{\"exp\":1234567890,\"sub\":\"\xff\"}",
		`{"exp":1234567890,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := time.Now()
		payload = []byte(strings.ReplaceAll(string(payload), soon, fmt.Sprint(before.Add(time.Hour).Unix())))
		calls := fake.Calls("")
		compact, err := ring.SignPayload(t.Context(), payload)
		if err != nil {
			if compact != "" || fake.Calls("") != calls {
				t.Errorf("%q, %v, %d calls", compact, err, fake.Calls("")-calls)
			}
			return
		}
		if got := payloadOf(t, compact); got != string(payload) {
			t.Errorf("the payload is %q, want %q", got, payload)
		}
		after := jwt.WithTimeFunc(func() time.Time { return before.Add(time.Hour + 2*time.Second) })
		for _, claims := range []jwt.Claims{jwt.MapClaims{}, &jwt.RegisteredClaims{}} {
			for _, opts := range [][]jwt.ParserOption{{after}, {after, jwt.WithJSONNumber()}} {
				if token, err := jwt.ParseWithClaims(compact, claims, ring.Keyfunc, opts...); err == nil {
					t.Errorf("%T takes %q after its time: %v", claims, payload, token.Claims)
				}
			}
		}
		// Others take the first of two members, or only the exact name.
		var exact map[string]json.RawMessage
		if err := json.Unmarshal(payload, &exact); err != nil || exact["exp"] == nil {
			t.Errorf("%q has no exp: %v", payload, err)
		}
	})
}
