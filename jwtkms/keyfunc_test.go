package jwtkms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A Keyfunc accepts only tokens of its own algorithm.
func TestKeyfuncRefusesOtherAlgs(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecRsa2048))
	token, err := jwt.New(jwtkms.RS256).SignedString(signer)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jwt.Parse(token, jwtkms.PS256.Keyfunc(signer))
	if !errors.Is(err, jwt.ErrTokenUnverifiable) || !strings.Contains(err.Error(), "the token's alg is \"RS256\", want PS256") {
		t.Errorf("error %v, want ErrTokenUnverifiable and both algs", err)
	}
	none, err := jwt.New(jwt.SigningMethodNone).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Parse(none, jwtkms.PS256.Keyfunc(signer)); !errors.Is(err, jwt.ErrTokenUnverifiable) {
		t.Errorf("alg none: %v, want ErrTokenUnverifiable", err)
	}
}

// Keyfunc finds the right key in any position. An error of a key that could not
// be asked takes precedence over the refusal of another.
func TestKeyfuncOfSeveralKeys(t *testing.T) {
	fake := kmstest.New()
	current, previous := newHMAC(t, fake, fake.AddKey(types.KeySpecHmac256)), newHMAC(t, fake, fake.AddKey(types.KeySpecHmac256))
	other := newHMAC(t, fake, fake.AddKey(types.KeySpecHmac256))
	compact, err := jwt.New(jwtkms.HS256).SignedString(previous)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	down := current.WithContext(ctx)
	for _, tt := range []struct {
		reason string
		keys   []any
		is     error
	}{
		{"the second fits", []any{current, previous}, nil},
		{"the first fits", []any{previous, current}, nil},
		{"one is down, the second fits", []any{down, previous}, nil},
		{"neither fits", []any{current, other}, jwt.ErrSignatureInvalid},
		{"one is down, the second refuses", []any{down, other}, jwtkms.ErrNotChecked},
		{"the first refuses, the second is down", []any{other, down}, jwtkms.ErrNotChecked},
		{"no key", nil, jwt.ErrInvalidKey},
	} {
		keyfunc := jwtkms.HS256.Keyfunc(tt.keys...)
		clear(tt.keys) // the Keyfunc has its own
		if _, err := jwt.Parse(compact, keyfunc); !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %v", tt.reason, err, tt.is)
		}
	}
}

// A token whose header demands an extension is rejected, even if its signature
// is valid (RFC 7515 section 4.1.11).
func TestKeyfuncRefusesExtensions(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), nil)
	if err != nil {
		t.Fatal(err)
	}
	mac := localMAC{crypto.SHA256, bytes.Repeat([]byte{'k'}, 32)}
	for _, tt := range []struct {
		reason string
		header map[string]any
		want   string
	}{
		{"no extension", nil, ""},
		{"other members", map[string]any{"kid": "1", "typ": "at+jwt", "x5t": "AA"}, ""},
		{"an unknown extension", map[string]any{"crit": []string{"http://example.com/x"}, "http://example.com/x": 1}, "crit"},
		{"a registered name, which crit must not list", map[string]any{"crit": []string{"exp"}, "exp": 1}, "crit"},
		{"b64 as RFC 7797 writes it", map[string]any{"crit": []string{"b64"}, "b64": false}, "crit"},
		{"b64 alone", map[string]any{"b64": false}, "b64"},
		{"an empty list", map[string]any{"crit": []string{}}, "crit"},
		{"null", map[string]any{"crit": nil}, "crit"},
	} {
		for method, key := range map[*jwtkms.SigningMethod]any{jwtkms.ES256: key, jwtkms.HS256: mac} {
			token := jwt.New(method)
			maps.Copy(token.Header, tt.header)
			compact, err := token.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			_, err = jwt.Parse(compact, method.Keyfunc(key))
			if tt.want == "" {
				if err != nil {
					t.Errorf("%s: %s: %v", method.Alg(), tt.reason, err)
				}
			} else if !errors.Is(err, jwt.ErrTokenUnverifiable) || !strings.Contains(err.Error(), "jwtkms: the token's header has "+tt.want+" ") {
				t.Errorf("%s: %s: %v, want ErrTokenUnverifiable and %s", method.Alg(), tt.reason, err, tt.want)
			}
		}
	}
}

// A countingMAC counts the calls that a KMS key would cost.
type countingMAC struct {
	localMAC
	verified *int
}

func (m countingMAC) Verify(msg, mac []byte) (bool, error) {
	*m.verified++
	return m.localMAC.Verify(msg, mac)
}

// A token that cannot be valid costs no call. One that may be valid costs a
// call for each key, until a key verifies it.
func TestCallsOfForgeries(t *testing.T) {
	calls := 0
	var keys []any
	for _, b := range []byte("abc") {
		keys = append(keys, countingMAC{localMAC{crypto.SHA256, bytes.Repeat([]byte{b}, 32)}, &calls})
	}
	const header = `{"alg":"HS256"}`
	for _, tt := range []struct {
		reason, header string
		size           int // of the MAC
		want           int // calls
	}{
		{"plausible", header, 32, 3},
		{"another alg", `{"alg":"HS512"}`, 32, 0},
		{"alg none", `{"alg":"none"}`, 32, 0},
		{"an unknown alg", `{"alg":"HS1"}`, 32, 0},
		{"no alg", `{}`, 32, 0},
		{"alg in another case", `{"alg":"hs256"}`, 32, 0},
		{"alg that is not a string", `{"alg":256}`, 32, 0},
		{"crit", `{"alg":"HS256","crit":["b64"]}`, 32, 0},
		{"b64", `{"alg":"HS256","b64":false}`, 32, 0},
		{"no MAC", header, 0, 0},
		{"a MAC of HMAC_224", header, 28, 0},
		{"a MAC short by one", header, 31, 0},
		{"a MAC long by one", header, 33, 0},
		{"a MAC of HS512", header, 64, 0},
		{"a huge MAC", header, 1 << 20, 0},
	} {
		b64 := base64.RawURLEncoding.EncodeToString
		compact := b64([]byte(tt.header)) + "." + b64([]byte(`{"sub":"admin"}`)) + "." + b64(make([]byte, tt.size))
		calls = 0
		if _, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(keys...)); err == nil {
			t.Errorf("%s: the forgery is accepted", tt.reason)
		}
		if calls != tt.want {
			t.Errorf("%s: %d calls, want %d", tt.reason, calls, tt.want)
		}
	}
	for i, key := range keys {
		compact, err := jwt.New(jwtkms.HS256).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		calls = 0
		if _, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(keys...)); err != nil || calls != i+1 {
			t.Errorf("signed with key %d: %d calls, %v; want %d calls", i, calls, err, i+1)
		}
	}
}

// strictClaims have a method Validate, which golang-jwt calls.
type strictClaims struct {
	jwt.RegisteredClaims
	Role string `json:"role"`
}

func (c *strictClaims) Validate() error {
	if c.Role != "user" {
		return fmt.Errorf("role is %q, want user", c.Role)
	}
	return nil
}

// ValidateFirst rejects claims before their signature is verified, with an
// error that does not look as if it had been.
func TestValidateFirst(t *testing.T) {
	now := time.Unix(1800000000, 0)
	options := []jwt.ParserOption{
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithExpirationRequired(), jwt.WithAudience("api"), jwt.WithLeeway(time.Minute),
	}
	calls := 0
	key := countingMAC{localMAC{crypto.SHA256, bytes.Repeat([]byte{'k'}, 32)}, &calls}
	stranger := localMAC{crypto.SHA256, bytes.Repeat([]byte{'s'}, 32)}
	validator := jwt.NewValidator(options...)
	keyfunc := jwtkms.ValidateFirst(validator, jwtkms.HS256.Keyfunc(key))
	claims := func(exp time.Duration, audience, role string) *strictClaims {
		return &strictClaims{jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(now.Add(exp)), Audience: jwt.ClaimStrings{audience}}, role}
	}
	for _, tt := range []struct {
		reason string
		claims jwt.Claims
		key    jwtkms.MAC
		want   string // in the error
		calls  int
	}{
		{"valid", claims(time.Hour, "api", "user"), key, "", 1},
		{"within the leeway", claims(-30*time.Second, "api", "user"), key, "", 1},
		{"forged", claims(time.Hour, "api", "user"), stranger, "signature is invalid", 1},
		{"expired", claims(-time.Hour, "api", "user"), key, "token is expired", 0},
		{"expired and forged", claims(-time.Hour, "api", "user"), stranger, "token is expired", 0},
		{"without exp", jwt.MapClaims{"aud": "api", "role": "user"}, key, "exp claim is required", 0},
		{"for another audience", claims(time.Hour, "other", "user"), key, "token has invalid audience", 0},
		{"refused by its own Validate", claims(time.Hour, "api", "admin"), key, `role is "admin", want user`, 0},
	} {
		compact, err := jwt.NewWithClaims(jwtkms.HS256, tt.claims).SignedString(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		calls = 0
		_, err = jwt.ParseWithClaims(compact, &strictClaims{}, keyfunc, options...)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.reason, err, tt.want)
		}
		if calls != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.reason, calls, tt.calls)
		}
		if tt.calls > 0 {
			continue
		}
		if !errors.Is(err, jwt.ErrTokenUnverifiable) {
			t.Errorf("%s: %v, want ErrTokenUnverifiable", tt.reason, err)
		}
		for _, target := range []error{jwt.ErrTokenInvalidClaims, jwt.ErrTokenExpired, jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenInvalidAudience, jwt.ErrTokenSignatureInvalid} {
			if errors.Is(err, target) {
				t.Errorf("%s: the error wraps %q, which only a verified token can have", tt.reason, target)
			}
		}
	}

	token := &jwt.Token{Header: map[string]any{"alg": "HS256"}, Claims: claims(time.Hour, "api", "user")}
	for reason, keyfunc := range map[string]func() (any, error){
		"no validator": func() (any, error) { return jwtkms.ValidateFirst(nil, jwtkms.HS256.Keyfunc(key))(token) },
		"no keyfunc":   func() (any, error) { return jwtkms.ValidateFirst(validator, nil)(token) },
		"no token":     func() (any, error) { return keyfunc(nil) },
		"no claims":    func() (any, error) { return keyfunc(&jwt.Token{}) },
	} {
		if keys, err := keyfunc(); keys != nil || err == nil || !strings.HasPrefix(err.Error(), "jwtkms: ") {
			t.Errorf("%s: %v, %v", reason, keys, err)
		}
	}
	if _, err := jwtkms.ValidateFirst(&jwt.Validator{}, jwtkms.HS256.Keyfunc(key))(token); err != nil {
		t.Errorf("a zero Validator: %v", err)
	}
}
