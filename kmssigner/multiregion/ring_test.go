package multiregion_test

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

var _ keyring.Client = (*multiregion.Client)(nil)

// TestRing runs a Ring over two Regions, and starts and refreshes it while
// either of them is away.
func TestRing(t *testing.T) {
	w := ecWorld(t)
	token := func(ring *keyring.Ring) {
		t.Helper()
		signed, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(signed, ring.Keyfunc, jwt.WithValidMethods([]string{"ES256"})); err != nil {
			t.Fatal(err)
		}
	}
	for _, away := range []*kmstest.KMS{nil, w.a, w.b} {
		c := w.client(t)
		running, err := keyring.New(t.Context(), c, alias)
		if err != nil {
			t.Fatal(err)
		}
		token(running)
		heal := func() {}
		if away != nil {
			heal = away.Inject(kmstest.Match{}, kmstest.Respond(403, `{"message":"Forbidden"}`))
		}
		token(running)
		if err := running.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		token(running)
		started, err := keyring.New(t.Context(), c, alias)
		if err != nil {
			t.Fatal(err)
		}
		token(started)
		heal()
	}
	// The Ring's Signers have a wrong signature made in the other Region.
	ring, err := keyring.New(t.Context(), w.client(t), alias)
	if err != nil {
		t.Fatal(err)
	}
	w.a.Inject(signFault, kmstest.Corrupt())
	token(ring)
	if w.a.Calls("ListAliases") == 0 || w.b.Calls("ListAliases") == 0 {
		t.Error("the Ring did not ask both Regions for aliases")
	}
}
