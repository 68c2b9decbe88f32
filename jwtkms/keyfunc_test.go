package jwtkms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"maps"
	"strings"
	"testing"

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
	if !errors.Is(err, jwt.ErrTokenUnverifiable) || !strings.Contains(err.Error(), "the token's alg is RS256, want PS256") {
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
		if _, err := jwt.Parse(compact, jwtkms.HS256.Keyfunc(tt.keys...)); !errors.Is(err, tt.is) {
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
