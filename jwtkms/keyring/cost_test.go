package keyring_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A refresh makes one GetPublicKey call for each alias and one ListAliases call
// for each key, and no more, and a token one Sign call.
func TestRefreshCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		a, b := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", a)
		createAlias(t, fake, "alias/jwt-prev", a)
		createAlias(t, fake, "alias/jwt-next", b)
		time.Sleep(time.Hour)
		ring := mustNew(t, fake)
		made := func(what string, public, lists, signs int, f func()) {
			t.Helper()
			p, l, s, all := fake.Calls("GetPublicKey"), fake.Calls("ListAliases"), fake.Calls("Sign"), fake.Calls("")
			f()
			p, l, s, all = fake.Calls("GetPublicKey")-p, fake.Calls("ListAliases")-l, fake.Calls("Sign")-s, fake.Calls("")-all
			if p != public || l != lists || s != signs || all != p+l+s {
				t.Errorf("%s: %d GetPublicKey, %d ListAliases and %d Sign calls of %d, want %d, %d and %d", what, p, l, s, all, public, lists, signs)
			}
		}
		refresh := func() { mustRefresh(t, ring) }
		made("a refresh", 3, 2, 0, refresh)
		made("a token", 0, 0, 1, func() { mustSign(t, ring, time.Minute) })
		updateAlias(t, fake, "alias/jwt", b)
		made("the refresh that changes over", 3, 2, 1, refresh)
		made("the next one", 3, 2, 0, refresh)
		// A key that is refused costs one more call once.
		disable(t, fake, b)
		made("the first token after a refusal", 0, 0, 2, func() { mustSign(t, ring, time.Minute) })
		made("the second", 0, 0, 1, func() { mustSign(t, ring, time.Minute) })
	})
}
