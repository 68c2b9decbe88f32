package keyring_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestZeroValues calls every method of nil and zero Rings, and every function
// with nil clients. They return errors and do not panic.
func TestZeroValues(t *testing.T) {
	wantError := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), "keyring: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", what, err, want)
		}
	}
	for name, ring := range map[string]*keyring.Ring{"nil": nil, "zero": {}} {
		const want = "the Ring is nil or zero"
		if key := ring.Current(); key.KID != "" || ring.Keys() != nil {
			t.Errorf("%s: %v, %v", name, key, ring.Keys())
		}
		_, err := ring.Sign(t.Context(), jwt.MapClaims{})
		wantError(name+", Sign", err, want)
		_, err = ring.SignPayload(t.Context(), []byte("{}"))
		wantError(name+", SignPayload", err, want)
		_, err = ring.Keyfunc(jwt.New(jwt.SigningMethodES256))
		wantError(name+", Keyfunc", err, want)
		wantError(name+", Refresh", ring.Refresh(t.Context()), want)
		wantError(name+", Run", ring.Run(t.Context()), want)
		w := httptest.NewRecorder()
		ring.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 500 {
			t.Errorf("%s, ServeHTTP: status %d, want 500", name, w.Code)
		}
	}
	for name, client := range map[string]interface {
		keyring.Client
		keyring.AdminClient
		keyring.InspectClient
	}{"nil *kms.Client": (*kms.Client)(nil), "nil *kmstest.KMS": (*kmstest.KMS)(nil)} {
		_, err := keyring.New(t.Context(), client, "alias/jwt")
		wantError("New with a "+name, err, "client is nil")
		_, err = keyring.Rotate(t.Context(), client, "alias/jwt", keyring.Advance)
		wantError("Rotate with a "+name, err, "client is nil")
		_, err = keyring.Inspect(t.Context(), client, "alias/jwt")
		wantError("Inspect with a "+name, err, "client is nil")
	}
	_, err := keyring.New(t.Context(), nil, "alias/jwt")
	wantError("New without a client", err, "client is nil")
	_, err = keyring.Rotate(t.Context(), nil, "alias/jwt", keyring.Advance)
	wantError("Rotate without a client", err, "client is nil")
	_, err = keyring.Inspect(t.Context(), nil, "alias/jwt")
	wantError("Inspect without a client", err, "client is nil")

	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey("ECC_NIST_P256"))
	ring := newRing(t, fake)
	_, err = ring.Keyfunc(nil)
	wantError("Keyfunc of a nil token", err, "the token is nil")
	_, err = ring.Keyfunc(&jwt.Token{})
	wantError("Keyfunc of a zero token", err, "no method")
}
