package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// in is a NumericDate that far away.
func in(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(d)) }

func newRing(t *testing.T, client keyring.Client, optFns ...func(*keyring.Options)) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(t.Context(), client, "alias/jwt", optFns...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func updateAlias(t *testing.T, fake *kmstest.KMS, alias, keyID string) {
	t.Helper()
	if _, err := fake.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: &alias, TargetKeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
}

func disable(t *testing.T, fake *kmstest.KMS, keyID string) {
	t.Helper()
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
}

func kids(t *testing.T, ring *keyring.Ring) []string {
	t.Helper()
	w := httptest.NewRecorder()
	ring.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var set jwtkms.JWKSet
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, key := range set.Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}

func TestSignAndKeyfunc(t *testing.T) {
	fake := kmstest.New()
	for spec, alg := range map[types.KeySpec]string{
		types.KeySpecEccNistP256:         "ES256",
		types.KeySpecRsa2048:             "RS256",
		types.KeySpecEccNistEdwards25519: "EdDSA",
	} {
		alias := "alias/" + alg
		createAlias(t, fake, alias, fake.AddKey(spec))
		ring, err := keyring.New(t.Context(), fake, alias)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := ring.Sign(t.Context(), jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Parse(compact, ring.Keyfunc)
		if err != nil {
			t.Fatal(err)
		}
		current := ring.Current()
		kid, _ := jwtkms.Thumbprint(current.Public)
		if token.Header["kid"] != kid || current.KID != kid || current.Alg != alg || !strings.Contains(current.KeyARN, ":key/") {
			t.Errorf("%s: header %v, Current() %+v", alg, token.Header, current)
		}
	}
}

func TestKeyfuncRefuses(t *testing.T) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecRsa2048)
	createAlias(t, fake, "alias/jwt", key)
	ring := newRing(t, fake)
	signer, err := kmssigner.New(t.Context(), fake, key)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, kid any, key any) string {
		token := jwt.New(method)
		if kid != nil {
			token.Header["kid"] = kid
		}
		compact, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	kid := ring.Current().KID
	extended := func(member string, value any) string {
		token := jwt.New(jwtkms.RS256)
		token.Header["kid"], token.Header[member] = kid, value
		compact, err := token.SignedString(signer)
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	for reason, tt := range map[string]struct{ compact, want string }{
		"no kid":                                 {sign(jwtkms.RS256, nil, signer), "the token has no kid"},
		"a kid that is no string":                {sign(jwtkms.RS256, 7, signer), "the token has no kid"},
		"an unknown kid":                         {sign(jwtkms.RS256, "other", signer), `no key has the kid "other"`},
		"the right key, another alg of its kind": {sign(jwtkms.PS256, kid, signer), "the token's alg is PS256, the key's RS256"},
		"the public key as an HMAC secret":       {sign(jwt.SigningMethodHS256, kid, []byte("public key")), "the token's alg is HS256"},
		"an extension that must be understood":   {extended("crit", []string{"exp"}), "crit"},
		"a payload that is not in base64url":     {extended("b64", false), "b64"},
		"alg none":                               {sign(jwt.SigningMethodNone, kid, jwt.UnsafeAllowNoneSignatureType), "the token's alg is none"},
	} {
		_, err := jwt.Parse(tt.compact, ring.Keyfunc)
		if !errors.Is(err, jwt.ErrTokenUnverifiable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want ErrTokenUnverifiable and %q", reason, err, tt.want)
		}
	}
}

// TestLargeAnswer has KMS's endpoint answer with more than KMS ever does.
func TestLargeAnswer(t *testing.T) {
	for operation, size := range map[string]int{"GetPublicKey": 64 << 10, "ListAliases": 1 << 20} {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		fake.Inject(kmstest.Match{Operation: operation}, kmstest.Respond(200, strings.Repeat(" ", size+1)))
		if _, err := keyring.New(t.Context(), fake, "alias/jwt"); !errors.Is(err, kmssigner.ErrAnswerTooLarge) {
			t.Errorf("%s: %v, want ErrAnswerTooLarge", operation, err)
		}
	}
}

// TestLifetimeErrors has exp as a date in the error, not as the float64 that
// JSON makes of it.
func TestLifetimeErrors(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := newRing(t, fake)
	for exp, want := range map[any]string{
		float64(1700000000): "exp is 2023-11-14T22:13:20Z, want it after now, ",
		4102444800:          "exp is 2100-01-01T00:00:00Z, want at most 1h0m0s from now, ",
		1e300:               "exp is 1e+300 seconds since 1970, want at most",
	} {
		if _, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": exp}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("exp %v: %v, want %q", exp, err, want)
		}
	}
}

func TestSignRefusesLifetimes(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := newRing(t, fake, func(o *keyring.Options) { o.MaxLifetime = time.Minute })
	for reason, claims := range map[string]jwt.Claims{
		"no exp":            jwt.MapClaims{},
		"exp too far":       jwt.MapClaims{"exp": time.Now().Add(2 * time.Minute).Unix()},
		"exp too far, type": jwt.RegisteredClaims{ExpiresAt: in(2 * time.Minute)},
		"exp a word":        jwt.MapClaims{"exp": "tomorrow"},
		"exp null":          jwt.MapClaims{"exp": nil},
		"EXP is not exp":    jwt.MapClaims{"EXP": time.Now().Add(time.Minute).Unix()},
		"exp beyond int64":  jwt.MapClaims{"exp": 1e19},
		"exp beyond reason": jwt.MapClaims{"exp": 1e300},
		"exp far below 0":   jwt.MapClaims{"exp": -1e300},
		"exp 0, which golang-jwt reads as absent": jwt.MapClaims{"exp": 0},
		"expired":     jwt.RegisteredClaims{ExpiresAt: in(-time.Minute)},
		"expires now": jwt.MapClaims{"exp": time.Now().Unix()},
	} {
		if compact, err := ring.Sign(t.Context(), claims); compact != "" || !errors.Is(err, keyring.ErrLifetime) {
			t.Errorf("%s: %q, %v, want ErrLifetime", reason, compact, err)
		}
	}
	for reason, claims := range map[string]jwt.Claims{
		"int64": jwt.MapClaims{"exp": time.Now().Add(time.Minute).Unix()},
		"float": jwt.MapClaims{"exp": float64(time.Now().Add(time.Minute).Unix())},
		"typed": jwt.RegisteredClaims{ExpiresAt: in(time.Minute)},
	} {
		if _, err := ring.Sign(t.Context(), claims); err != nil {
			t.Errorf("exp %s: %v", reason, err)
		}
	}
}

func TestServeHTTP(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	createAlias(t, fake, "alias/jwt-next", fake.AddKey(types.KeySpecMlDsa44))
	ring := newRing(t, fake, func(o *keyring.Options) { o.MaxAge = 90 * time.Second })
	serve := func(method, ifNoneMatch string) *http.Response {
		req := httptest.NewRequest(method, "/.well-known/jwks.json", nil)
		if ifNoneMatch != "" {
			req.Header.Set("If-None-Match", ifNoneMatch)
		}
		w := httptest.NewRecorder()
		ring.ServeHTTP(w, req)
		return w.Result()
	}
	get := serve(http.MethodGet, "")
	etag := get.Header.Get("ETag")
	if get.StatusCode != http.StatusOK || get.Header.Get("Content-Type") != "application/jwk-set+json" ||
		get.Header.Get("Cache-Control") != "public, max-age=90" || get.Header.Get("Access-Control-Allow-Origin") != "*" || etag == "" {
		t.Errorf("GET: %d %v", get.StatusCode, get.Header)
	}
	if got := kids(t, ring); len(got) != 2 {
		t.Errorf("the set has the kids %q, want two", got)
	}
	head := serve(http.MethodHead, "")
	if head.StatusCode != http.StatusOK || head.Header.Get("ETag") != etag || head.ContentLength > 0 && head.Body == nil {
		t.Errorf("HEAD: %d %v", head.StatusCode, head.Header)
	}
	if again := serve(http.MethodGet, etag); again.StatusCode != http.StatusNotModified || again.Header.Get("Cache-Control") == "" || again.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("GET with the ETag: %d %v, want 304, its Cache-Control and its Access-Control-Allow-Origin", again.StatusCode, again.Header)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if got := serve(method, ""); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %v", method, got.StatusCode, got.Header)
		}
	}
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if same := serve(http.MethodGet, ""); same.Header.Get("ETag") != etag {
		t.Error("a refresh that changes nothing changes the ETag")
	}
	createAlias(t, fake, "alias/jwt-prev", fake.AddKey(types.KeySpecEccNistP256))
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if changed := serve(http.MethodGet, etag); changed.StatusCode != http.StatusOK || changed.Header.Get("ETag") == etag {
		t.Error("another key does not change the ETag")
	}
}

func TestNewRefuses(t *testing.T) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt", key)
	hmacKey := fake.AddKey(types.KeySpecHmac256)
	for reason, tt := range map[string]struct {
		signing string
		opt     func(*keyring.Options)
		want    string
	}{
		"no name":                    {"", nil, "no signing key"},
		"no such alias":              {"alias/none", nil, "NotFoundException"},
		"a key that cannot sign":     {hmacKey, nil, "unsupported key"},
		"a method that does not fit": {key, func(o *keyring.Options) { o.Method = always(jwtkms.RS256) }, "RS256 wants an RSA key"},
		"a negative interval":        {key, func(o *keyring.Options) { o.RefreshInterval = -1 }, "the option RefreshInterval is -1ns"},
	} {
		_, err := keyring.New(t.Context(), fake, tt.signing, func(o *keyring.Options) {
			if tt.opt != nil {
				tt.opt(o)
			}
		})
		if err == nil || !strings.HasPrefix(err.Error(), "keyring: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", reason, err, tt.want)
		}
	}
}

// A key that two aliases name is one key, and a Ring may have a key ID for
// signing.
func TestNewWithKeyID(t *testing.T) {
	fake := kmstest.New()
	key := fake.AddKey(types.KeySpecEccNistP256)
	ring, err := keyring.New(t.Context(), fake, key, func(o *keyring.Options) {
		o.Others = []string{key, "alias/absent"}
		o.Method = always(jwtkms.ES256)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := kids(t, ring); len(got) != 1 {
		t.Errorf("the set has the kids %q, want one", got)
	}
}

// A Ring that signs with a key ID knows that its key has propagated, and lets
// other keys go like any other.
func TestKeyIDLetsOthersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/other", fake.AddKey(types.KeySpecEccNistP256))
		ring, err := keyring.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP256), func(o *keyring.Options) {
			o.Others = []string{"alias/other"}
		})
		if err != nil {
			t.Fatal(err)
		}
		updateAlias(t, fake, "alias/other", fake.AddKey(types.KeySpecEccNistP256))
		for _, want := range []int{3, 2} { // after an hour, after two
			refreshFor(t, ring, time.Hour)
			if got := kids(t, ring); len(got) != want {
				t.Errorf("%d keys, want %d", len(got), want)
			}
		}
	})
}

// flaky is a KMS whose GetPublicKey fails when told.
type flaky struct {
	*kmstest.KMS
	fail error
}

func (f *flaky) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	return f.KMS.GetPublicKey(ctx, in, optFns...)
}

// A refresh that fails drops no key, however long it fails.
func TestFailedRefreshKeepsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &flaky{KMS: kmstest.New()}
		createAlias(t, fake.KMS, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		createAlias(t, fake.KMS, "alias/jwt-prev", fake.AddKey(types.KeySpecEccNistP256))
		var log bytes.Buffer
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		before := kids(t, ring)
		fake.fail = errors.New("no network")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- ring.Run(ctx) }()
		time.Sleep(24 * time.Hour)
		if got := kids(t, ring); len(got) != 2 || strings.Join(got, " ") != strings.Join(before, " ") {
			t.Errorf("after a day without KMS the set has the kids %q, want %q", got, before)
		}
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil {
			t.Error(err)
		}
		if err := ring.Refresh(t.Context()); !errors.Is(err, fake.fail) {
			t.Errorf("Refresh: %v, want the cause", err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v, want context.Canceled", err)
		}
		if !strings.Contains(log.String(), "refresh failed, the last good keys stay") || !strings.Contains(log.String(), "no network") {
			t.Errorf("the log does not tell:\n%.300s", log.String())
		}
	})
}

// The signing key is disabled while the next one still waits to propagate: the
// ring changes over at once and says so.
func TestUnusableKeyIsAbandoned(t *testing.T) {
	fake := kmstest.New()
	old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt", old)
	var log bytes.Buffer
	ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	updateAlias(t, fake, "alias/jwt", next)
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	claims := jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}
	if _, err := ring.Sign(t.Context(), claims); err != nil || !strings.Contains(ring.Current().KeyARN, old) {
		t.Fatalf("signs with %s, %v, want the old key %s", ring.Current().KeyARN, err, old)
	}
	disable(t, fake, old)
	compact, err := ring.Sign(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(ring.Current().KeyARN, next) || !strings.Contains(log.String(), "the signing key is unusable") {
		t.Errorf("signs with %s, want the new key %s, and a word of it in the log:\n%s", ring.Current().KeyARN, next, log.String())
	}
	if _, err := jwt.Parse(compact, ring.Keyfunc); err != nil {
		t.Error(err)
	}
	if err := ring.Refresh(t.Context()); err != nil || !strings.Contains(ring.Current().KeyARN, next) {
		t.Errorf("after a refresh it signs with %s, %v", ring.Current().KeyARN, err)
	}
	// With nothing to change over to, the error comes through.
	disable(t, fake, next)
	var disabled *types.DisabledException
	if _, err := ring.Sign(t.Context(), claims); !errors.As(err, &disabled) {
		t.Errorf("both keys disabled: %v, want a *types.DisabledException", err)
	}
}

// An old key is published until the last token has expired, and no longer.
func TestOldKeyLeavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", old)
		ring := newRing(t, fake, func(o *keyring.Options) {
			o.RefreshInterval, o.MaxAge, o.MaxLifetime = time.Minute, time.Minute, 10*time.Minute
			o.Logger = slog.New(slog.DiscardHandler)
		})
		ctx, cancel := context.WithCancel(t.Context())
		go ring.Run(ctx)
		updateAlias(t, fake, "alias/jwt", next)
		time.Sleep(time.Minute + time.Second)
		if got := kids(t, ring); len(got) != 2 || !strings.Contains(ring.Current().KeyARN, old) {
			t.Errorf("after a refresh: %d keys, signs with %s; want two, and the old key %s", len(got), ring.Current().KeyARN, old)
		}
		time.Sleep(3 * time.Minute)
		if !strings.Contains(ring.Current().KeyARN, next) {
			t.Errorf("after the propagation delay it signs with %s, want %s", ring.Current().KeyARN, next)
		}
		time.Sleep(10 * time.Minute)
		if got := kids(t, ring); len(got) != 2 {
			t.Errorf("within the longest lifetime: %d keys, want two", len(got))
		}
		time.Sleep(10 * time.Minute)
		if got := kids(t, ring); len(got) != 1 {
			t.Errorf("when all is over: %d keys, want one", len(got))
		}
		cancel()
		synctest.Wait()
	})
}

// A Ring that was just started knows from KMS since when its key has an alias.
func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", old)
		signsWith := func(when, key string) {
			t.Helper()
			ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
			if got := ring.Current().KeyARN; !strings.Contains(got, key) {
				t.Errorf("%s: signs with %s, want %s", when, got, key)
			}
		}
		signsWith("alone, and new", old)
		time.Sleep(time.Hour)
		createAlias(t, fake, "alias/jwt-prev", old)
		updateAlias(t, fake, "alias/jwt", next)
		signsWith("after an early promotion", old)
		time.Sleep(11*time.Minute + time.Second)
		signsWith("when it has propagated", next)

		updateAlias(t, fake, "alias/jwt", old)
		createAlias(t, fake, "alias/jwt-next", next)
		time.Sleep(time.Hour)
		updateAlias(t, fake, "alias/jwt", next)
		signsWith("after a promotion in time: the next alias has named it long enough", next)
	})
}

// Where nobody refreshes for long, the old key goes on signing, and its tokens
// must not lose it at the refresh that finds the new one.
func TestLateRefreshKeepsTheOldKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", old)
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		updateAlias(t, fake, "alias/jwt", next)
		time.Sleep(24 * time.Hour)
		compact, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		refreshFor(t, ring, 59*time.Minute)
		if _, err := jwt.Parse(compact, ring.Keyfunc); err != nil {
			t.Error(err)
		}
		refreshFor(t, ring, 15*time.Minute)
		if got := kids(t, ring); len(got) != 1 {
			t.Errorf("after its last token has expired the old key is still there: %q", got)
		}
	})
}

// A key that was unusable once and signs again is abandoned as late as any
// other.
func TestKeyBecomesUsableAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		first, second, third := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", first)
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		refresh := func(want string) {
			t.Helper()
			if err := ring.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ring.Current().KeyARN; !strings.Contains(got, want) {
				t.Errorf("signs with %s, want %s", got, want)
			}
		}
		updateAlias(t, fake, "alias/jwt", second)
		refresh(first)
		disable(t, fake, first)
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		refresh(second)
		if _, err := fake.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &first}); err != nil {
			t.Fatal(err)
		}
		updateAlias(t, fake, "alias/jwt", first)
		time.Sleep(time.Hour)
		refresh(first)
		updateAlias(t, fake, "alias/jwt", third)
		refresh(first) // not at once
		time.Sleep(time.Hour)
		refresh(third)
	})
}

// So does a key whose alias is deleted.
func TestKeyOfADeletedAliasLeavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		createAlias(t, fake, "alias/jwt-prev", fake.AddKey(types.KeySpecEccNistP256))
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		previous := "alias/jwt-prev"
		if _, err := fake.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &previous}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{2, 1} { // after an hour, after two
			refreshFor(t, ring, time.Hour)
			if got := kids(t, ring); len(got) != want {
				t.Errorf("%d keys, want %d", len(got), want)
			}
		}
	})
}

// refreshFor refreshes every five minutes, as Run does.
func refreshFor(t *testing.T, ring *keyring.Ring, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(5*time.Minute, time.Until(end)))
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The key that signs is published, whatever its alias and its age.
func TestSigningKeyIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", old)
		fake.Inject(kmstest.Match{Operation: "ListAliases"}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		updateAlias(t, fake, "alias/jwt", next)
		time.Sleep(24 * time.Hour) // nobody refreshes
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		compact, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)})
		if err != nil || !strings.Contains(ring.Current().KeyARN, old) {
			t.Fatalf("signs with %s, %v, want the old key %s", ring.Current().KeyARN, err, old)
		}
		if _, err := jwt.Parse(compact, ring.Keyfunc); err != nil {
			t.Error(err)
		}
	})
}

// Refresh waits for another, but not longer than its context.
func TestRefreshHonoursItsContext(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := newRing(t, fake)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ring.Refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Refresh: %v, want context.Canceled", err)
	}
	if _, err := ring.Sign(ctx, jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); !errors.Is(err, context.Canceled) {
		t.Errorf("Sign: %v, want context.Canceled", err)
	}
}

// Run leaves no goroutine behind: synctest fails a bubble in which one stays.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		ring := newRing(t, fake)
		why := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- ring.Run(ctx) }()
		time.Sleep(time.Hour)
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("Run: %v, want %v", err, why)
		}
	})
}

func always(m *jwtkms.SigningMethod) func(crypto.PublicKey) (*jwtkms.SigningMethod, error) {
	return func(crypto.PublicKey) (*jwtkms.SigningMethod, error) { return m, nil }
}

// The operator moves the alias and disables the old key, all between two
// refreshes. The first token that KMS refuses makes the ring look, and is
// signed with the new key.
func TestKeyDisabledBetweenRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", old)
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		time.Sleep(time.Minute)
		updateAlias(t, fake, "alias/jwt", next)
		disable(t, fake, old)
		for range 3 {
			compact, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.Parse(compact, ring.Keyfunc); err != nil {
				t.Error(err)
			}
		}
		if !strings.Contains(ring.Current().KeyARN, next) {
			t.Errorf("signs with %s, want %s", ring.Current().KeyARN, next)
		}
		// With nothing to change over to, a ring does not ask KMS again and
		// again.
		time.Sleep(time.Minute)
		disable(t, fake, next)
		before := fake.Calls("GetPublicKey")
		for range 10 {
			if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err == nil {
				t.Error("signs with a disabled key")
			}
		}
		if got := fake.Calls("GetPublicKey") - before; got != 3 {
			t.Errorf("ten refused tokens made %d GetPublicKey calls, want those of one refresh", got)
		}
	})
}

// A refusal that hits every key for a moment, or an error that is none, changes
// nothing.
func TestPassingErrorsChangeNoKey(t *testing.T) {
	fake := kmstest.New()
	old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt", old)
	ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	updateAlias(t, fake, "alias/jwt", next)
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for reason, effect := range map[string]kmstest.Effect{
		"no permission for any key": kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}),
		"throttling":                kmstest.Throttle(),
		"an outage":                 kmstest.Respond(http.StatusServiceUnavailable, ""),
	} {
		remove := fake.Inject(kmstest.Match{Operation: "Sign"}, effect)
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err == nil {
			t.Errorf("%s: Sign succeeds", reason)
		}
		remove()
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil || !strings.Contains(ring.Current().KeyARN, old) {
			t.Errorf("after %s: signs with %s, %v, want the old key %s", reason, ring.Current().KeyARN, err, old)
		}
	}
	// Throttled for one key is no reason to take another.
	remove := fake.Inject(kmstest.Match{Operation: "Sign", Key: old}, kmstest.Throttle())
	if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err == nil || !strings.Contains(ring.Current().KeyARN, old) {
		t.Errorf("throttled: %v, signs with %s, want the old key %s", err, ring.Current().KeyARN, old)
	}
	remove()
	for reason, effect := range map[string]kmstest.Effect{
		"pending deletion": kmstest.Fail(&types.KMSInvalidStateException{}),
		"gone":             kmstest.Fail(&types.NotFoundException{}),
		"not ours":         kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}),
	} {
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		createOnce(t, fake, "alias/jwt-prev", old)
		if err := ring.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		ring = newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		remove := fake.Inject(kmstest.Match{Operation: "Sign", Key: old}, effect)
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil || !strings.Contains(ring.Current().KeyARN, next) {
			t.Errorf("%s: signs with %s, %v, want the new key %s", reason, ring.Current().KeyARN, err, next)
		}
		remove()
	}
}

func createOnce(t *testing.T, fake *kmstest.KMS, alias, keyID string) {
	t.Helper()
	_, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &keyID})
	if _, exists := errors.AsType[*types.AlreadyExistsException](err); err != nil && !exists {
		t.Fatal(err)
	}
}

// A key that lost its alias and got it back was not published by others
// meanwhile.
func TestKeyThatComesBackPropagatesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		first, second := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", first)
		ring := newRing(t, fake, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
		refresh := func(want string) {
			t.Helper()
			if err := ring.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ring.Current().KeyARN; !strings.Contains(got, want) {
				t.Errorf("signs with %s, want %s", got, want)
			}
		}
		updateAlias(t, fake, "alias/jwt", second)
		refresh(first)
		time.Sleep(12 * time.Minute)
		refresh(second)
		time.Sleep(time.Minute)
		updateAlias(t, fake, "alias/jwt", first) // rolled back, while the ring still holds it
		refresh(second)
		time.Sleep(12 * time.Minute)
		refresh(first)
	})
}

// An alias whose key cannot be published is no reason not to start, and is told
// once.
func TestAliasesOfOtherKeys(t *testing.T) {
	fake := kmstest.New(func(o *kmstest.Options) { o.DisabledHidesPublicKey = true })
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	mac, dying, off := fake.AddKey(types.KeySpecHmac256), fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt-next", mac)
	createAlias(t, fake, "alias/jwt-prev", dying)
	createAlias(t, fake, "alias/off", off)
	if _, err := fake.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &dying}); err != nil {
		t.Fatal(err)
	}
	disable(t, fake, off)
	var log bytes.Buffer
	ring := newRing(t, fake, func(o *keyring.Options) {
		o.Others = []string{"alias/off"}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 3 {
		if err := ring.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Count(log.String(), "names a key that cannot be published"); got != 3 || len(kids(t, ring)) != 1 {
		t.Errorf("%d warnings and %d keys, want one for each alias, and the signing key:\n%s", got, len(kids(t, ring)), log.String())
	}
}

// What KMS answers about an alias beside the signing one keeps no issuer from
// starting. While KMS does not answer, none starts: it could miss a key.
func TestStartWithASideAlias(t *testing.T) {
	outage := map[string]kmstest.Effect{
		"an outage":         kmstest.Respond(http.StatusServiceUnavailable, ""),
		"throttling":        kmstest.Throttle(),
		"an internal error": kmstest.Fail(&types.KMSInternalException{}),
	}
	answers := map[string]kmstest.Effect{
		"missing":          kmstest.Fail(&types.NotFoundException{}),
		"denied":           kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}),
		"disabled":         kmstest.Fail(&types.DisabledException{}),
		"pending deletion": kmstest.Fail(&types.KMSInvalidStateException{}),
		"of another type":  kmstest.Fail(&types.UnsupportedOperationException{}),
	}
	for _, name := range []string{"alias/jwt-next", "alias/jwt-prev", "alias/other", "alias/jwt"} {
		for reason, effect := range answers {
			fake := kmstest.New()
			for _, alias := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev", "alias/other"} {
				createAlias(t, fake, alias, fake.AddKey(types.KeySpecEccNistP256))
			}
			fake.Inject(kmstest.Match{Operation: "GetPublicKey", Key: name}, effect)
			ring, err := keyring.New(t.Context(), fake, "alias/jwt", func(o *keyring.Options) {
				o.Others, o.Logger = []string{"alias/other"}, slog.New(slog.DiscardHandler)
			})
			if err != nil {
				t.Errorf("%s is %s: %v", name, reason, err)
				continue
			}
			if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil || len(ring.Keys()) != 3 {
				t.Errorf("%s is %s: %v, %d keys, want 3", name, reason, err, len(ring.Keys()))
			}
		}
		for reason, effect := range outage {
			fake := kmstest.New()
			createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
			fake.Inject(kmstest.Match{Operation: "GetPublicKey", Key: name}, effect)
			if _, err := keyring.New(t.Context(), fake, "alias/jwt", func(o *keyring.Options) { o.Others = []string{"alias/other"} }); err == nil {
				t.Errorf("New starts without an answer about %s: %s", name, reason)
			}
		}
	}
}

// OnChange and OnRefresh are told what happens, and may use the Ring.
func TestHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		var ring *keyring.Ring
		var told []string
		sign := func() {
			if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil {
				told = append(told, "refused")
			}
		}
		letter := map[string]string{a: "A", b: "B"}
		name := func(k keyring.Key) string { return letter[k.KeyARN[strings.LastIndex(k.KeyARN, "/")+1:]] }
		ring = mustNew(t, fake, func(o *keyring.Options) {
			o.OnRefresh = func(err error) { told = append(told, "refreshed "+strconv.FormatBool(err == nil)); sign() }
			o.OnChange = func(from, to keyring.Key) { told = append(told, name(from)+" to "+name(to)); sign() }
		})
		says := func(want ...string) {
			t.Helper()
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			told = nil
		}
		says()
		updateAlias(t, fake, "alias/jwt-next", b)
		mustRefresh(t, ring)
		says("refreshed true")
		time.Sleep(time.Hour)
		updateAlias(t, fake, "alias/jwt", b)
		mustRefresh(t, ring)
		says("A to B", "refreshed true")
		disable(t, fake, b)
		sign()
		says("B to A")
		mustRefresh(t, ring)
		says("refreshed true")
		disable(t, fake, a)
		time.Sleep(time.Minute)
		sign()
		says("refreshed true", "refused", "refused")
		down := fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Throttle())
		if err := ring.Refresh(t.Context()); err == nil {
			t.Error("a refresh without KMS succeeds")
		}
		says("refreshed false", "refused")
		down()
		if keys := ring.Keys(); len(keys) != 2 || keys[0].KID >= keys[1].KID {
			t.Errorf("Keys() = %+v, want both keys in the order of their kids", keys)
		}
	})
}

// While every key is revoked a Ring does not sign, and it looks at the aliases
// for a new one.
func TestEveryKeyRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		ring := mustNew(t, fake)
		createAlias(t, fake, "alias/jwt-revoked-"+a, a)
		mustRefresh(t, ring)
		if got := kids(t, ring); len(got) != 0 || ring.Current() != (keyring.Key{}) {
			t.Errorf("serves %q, signs with %v, want nothing", got, ring.Current())
		}
		claims := jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}
		if _, err := ring.Sign(t.Context(), claims); err == nil || !strings.Contains(err.Error(), "every key of the ring is revoked") {
			t.Errorf("Sign: %v", err)
		}
		if _, err := keyring.New(t.Context(), fake, "alias/jwt", quiet); err == nil {
			t.Error("New starts with a revoked key")
		}
		updateAlias(t, fake, "alias/jwt", b)
		time.Sleep(11 * time.Second)
		mustVerify(t, "a token of the new key", mustSign(t, ring, time.Minute), ring)
		// A mark that was a mistake is deleted by hand. The key propagates
		// anew.
		if _, err := fake.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/jwt-revoked-" + a)}); err != nil {
			t.Fatal(err)
		}
		updateAlias(t, fake, "alias/jwt", a)
		mustRefresh(t, ring)
		if len(ring.Keys()) != 2 || !strings.HasSuffix(ring.Current().KeyARN, b) {
			t.Errorf("serves %d keys, signs with %s, want both and %s", len(ring.Keys()), ring.Current().KeyARN, b)
		}
		time.Sleep(11*time.Minute + time.Second)
		mustRefresh(t, ring)
		if !strings.HasSuffix(ring.Current().KeyARN, a) {
			t.Errorf("signs with %s, want %s", ring.Current().KeyARN, a)
		}
	})
}

// What ListAliases cannot tell is not guessed where a guess could lose tokens.
func TestListAliasesFails(t *testing.T) {
	fake := kmstest.New()
	old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt", next)
	createAlias(t, fake, "alias/jwt-prev", old)
	options := func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) }
	remove := fake.Inject(kmstest.Match{Operation: "ListAliases"}, kmstest.Fail(&types.KMSInternalException{}))
	if _, err := keyring.New(t.Context(), fake, "alias/jwt", options); err == nil {
		t.Error("New starts without knowing how old the keys are")
	}
	remove()
	fake.Inject(kmstest.Match{Operation: "ListAliases"}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
	ring := newRing(t, fake, options)
	if !strings.Contains(ring.Current().KeyARN, next) {
		t.Errorf("without permission signs with %s, want the key behind the signing alias %s", ring.Current().KeyARN, next)
	}
	third := fake.AddKey(types.KeySpecEccNistP256)
	updateAlias(t, fake, "alias/jwt", third)
	// The key that it signed with has lost its alias. The previous one has not.
	if err := ring.Refresh(t.Context()); err != nil || !strings.Contains(ring.Current().KeyARN, old) {
		t.Errorf("a key that it sees for the first time: %v, signs with %s, want %s", err, ring.Current().KeyARN, old)
	}
}

// Options of a single Signer that would stop a ring have no effect on it.
func TestSignerOptionsFollowTheAliases(t *testing.T) {
	fake := kmstest.New()
	old, next := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	createAlias(t, fake, "alias/jwt", old)
	ring := newRing(t, fake, func(o *keyring.Options) {
		o.PropagationDelay = -1
		o.Logger = slog.New(slog.DiscardHandler)
		o.SignerOptions = append(o.SignerOptions, func(o *kmssigner.Options) { o.KeepAlias = true })
	})
	for _, key := range []string{old, next} {
		updateAlias(t, fake, "alias/jwt", key)
		if _, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(time.Minute)}); err != nil {
			t.Error(err)
		}
		if err := ring.Refresh(t.Context()); err != nil || !strings.Contains(ring.Current().KeyARN, key) {
			t.Errorf("signs with %s, %v, want %s", ring.Current().KeyARN, err, key)
		}
	}
}

// Refreshes begin nine tenths of an interval to one interval apart, however
// long they take, and after failures sooner, and then as often.
func TestRunKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Delay(time.Second))
		ring := newRing(t, fake, func(o *keyring.Options) {
			o.RefreshInterval, o.Logger = time.Minute, slog.New(slog.DiscardHandler)
		})
		ctx, cancel := context.WithCancel(t.Context())
		go ring.Run(ctx)
		before := fake.Calls("GetPublicKey")
		time.Sleep(time.Hour + 30*time.Second)
		if got := (fake.Calls("GetPublicKey") - before) / 3; got < 60 || got > 67 {
			t.Errorf("%d refreshes in an hour, want 60 to 67", got)
		}
		fake.Inject(kmstest.Match{Operation: "GetPublicKey"}, kmstest.Fail(&types.KMSInternalException{}))
		before = fake.Calls("GetPublicKey")
		time.Sleep(time.Hour)
		if got := (fake.Calls("GetPublicKey") - before) / 3; got < 65 || got > 75 {
			t.Errorf("%d refreshes in an hour without KMS, want 7 more", got)
		}
		cancel()
		synctest.Wait()
	})
}
