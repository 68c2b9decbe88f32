package keyring_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
)

// Mistakes of somebody who was woken up.

// TestRevokeAnotherKey has the ID of a key that is not of the ring.
func TestRevokeAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotator(t)
		time.Sleep(24 * time.Hour)
		key := func(id string, force bool) func(*keyring.RotateOptions) {
			return func(o *keyring.RotateOptions) { o.Key, o.Force = id, force }
		}
		other := r.fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, r.fake, "alias/other-team", other)
		r.refuses(keyring.Revoke, "not a key of alias/jwt", key(other, false))
		mac := r.fake.AddKey(types.KeySpecHmac256)
		createAlias(t, r.fake, "alias/jwt-mac", mac)
		r.refuses(keyring.Revoke, "GENERATE_VERIFY_MAC", key(mac, true))
		for _, id := range []string{other, mac} {
			out, err := r.fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
			if err != nil || out.KeyMetadata.KeyState != types.KeyStateEnabled {
				t.Errorf("%s: %v, %v, want it enabled", id, out, err)
			}
		}
		r.takes(keyring.Revoke, 2, key(other, true))

		// A key that has left the aliases is still one of the ring: its lock
		// says so.
		first := r.seen[0]
		r.takes(keyring.Prepare, 4)
		time.Sleep(delay + moment)
		r.takes(keyring.Promote, 1)
		time.Sleep(hold + moment)
		r.takes(keyring.Retire, 2)
		r.takes(keyring.Revoke, 1, key(first, false)) // it is disabled already
	})
}

// TestPrepareAnotherSpec has another key prepared than the one that is wanted.
func TestPrepareAnotherSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotator(t)
		time.Sleep(24 * time.Hour)
		spec := func(spec types.KeySpec) func(*keyring.RotateOptions) {
			return func(o *keyring.RotateOptions) {
				o.NewKey = &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify}
			}
		}
		r.takes(keyring.Prepare, 4)
		r.takes(keyring.Prepare, 0, spec(types.KeySpecEccNistP384))
		r.refuses(keyring.Prepare, "names a key of spec ECC_NIST_P384, not RSA_2048", spec(types.KeySpecRsa2048))
		// As the error says:
		_, err := r.fake.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String("alias/jwt-next"), TargetKeyId: &r.seen[0]})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(window + moment)
		r.takes(keyring.Prepare, 3, spec(types.KeySpecRsa2048))
	})
}

// TestInspectRevoked has a revocation that was interrupted after its mark.
func TestInspectRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotator(t)
		time.Sleep(24 * time.Hour)
		r.takes(keyring.Prepare, 4)
		time.Sleep(delay + moment)
		createAlias(t, r.fake, "alias/jwt-revoked-"+r.seen[0], r.seen[0])
		status, err := keyring.Inspect(t.Context(), r.fake, "alias/jwt")
		if err != nil || status.Step != keyring.Advance || status.Wait != 0 || !strings.Contains(strings.Join(status.Odd, " "), "revoked key") {
			t.Errorf("%+v, %v, want the step advance now", status, err)
		}
		r.takes(keyring.Advance, 3)
		if status, err = keyring.Inspect(t.Context(), r.fake, "alias/jwt"); err != nil || status.Signing.Revoked {
			t.Errorf("at the end: %+v, %v", status, err)
		}
	})
}
