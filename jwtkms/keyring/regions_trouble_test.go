package keyring_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A duo is a ring in us-east-1 and eu-west-1, a day after its key was made.
type duo struct {
	*testing.T
	regions [2]*kmstest.KMS
	key     string
}

func inDuo(t *testing.T, f func(d *duo)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		first := kmstest.New()
		d := &duo{T: t, regions: [2]*kmstest.KMS{first, first.Region("eu-west-1")}}
		out, err := first.CreateKey(t.Context(), &kms.CreateKeyInput{
			KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify, MultiRegion: aws.Bool(true),
		})
		if err != nil {
			t.Fatal(err)
		}
		d.key = *out.KeyMetadata.KeyId
		if _, err := first.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &d.key, ReplicaRegion: aws.String("eu-west-1")}); err != nil {
			t.Fatal(err)
		}
		for _, region := range d.regions {
			createAlias(t, region, "alias/jwt", d.key)
		}
		time.Sleep(24 * time.Hour)
		f(d)
	})
}

func (d *duo) rotate(ctx context.Context, step keyring.Step) ([]string, error) {
	return keyring.Rotate(ctx, d.regions[0], "alias/jwt", step, func(o *keyring.RotateOptions) {
		o.Regions = []keyring.AdminClient{d.regions[1]}
		if step == keyring.Revoke {
			o.Key = d.key
		}
	})
}

func (d *duo) takes(step keyring.Step) {
	d.Helper()
	if done, err := d.rotate(d.Context(), step); err != nil || len(done) == 0 {
		d.Errorf("%s: %q, %v", step, done, err)
	}
}

// interrupts takes a step that can move no alias in the second Region.
func (d *duo) interrupts(step keyring.Step) {
	d.Helper()
	defer d.regions[1].Inject(kmstest.Match{Operation: "UpdateAlias"}, kmstest.Throttle())()
	if done, err := d.rotate(d.Context(), step); err == nil || len(done) == 0 {
		d.Errorf("%s: %q, %v; want it done in one Region", step, done, err)
	}
}

func (d *duo) status() keyring.Status {
	d.Helper()
	s, err := keyring.Inspect(d.Context(), d.regions[0], "alias/jwt", func(o *keyring.RotateOptions) {
		o.Regions = []keyring.AdminClient{d.regions[1]}
	})
	if err != nil {
		d.Fatal(err)
	}
	return s
}

// A Region that hangs, from the beginning or at a change, does not keep Revoke
// from the other.
func TestRevokeWhileARegionHangs(t *testing.T) {
	for i, other := range []string{"eu-west-1: ", "us-east-1: "} {
		for _, operation := range []string{"", "CreateAlias", "DisableKey"} {
			inDuo(t, func(d *duo) {
				d.takes(keyring.Prepare)
				time.Sleep(time.Hour)
				heal := d.regions[i].Inject(kmstest.Match{Operation: operation}, kmstest.Hang())
				done, err := d.rotate(d.Context(), keyring.Revoke)
				if err == nil || !slices.ContainsFunc(done, func(s string) bool { return strings.HasPrefix(s, other+"disable ") }) {
					d.Errorf("a Region hangs at %q: %q, %v", operation, done, err)
				}
				heal()
				d.takes(keyring.Revoke)
				if s := d.status(); s.State != keyring.Rest || len(s.Odd) > 0 {
					d.Errorf("afterwards: %+v", s)
				}
			})
		}
	}
}

// A Rollback that was interrupted between the Regions can be finished however
// late it is, because no Retire is taken meanwhile.
func TestRollbackInterruptedBetweenRegions(t *testing.T) {
	for _, again := range []keyring.Step{keyring.Rollback, keyring.Advance} {
		inDuo(t, func(d *duo) {
			d.takes(keyring.Prepare)
			time.Sleep(delay + moment)
			d.takes(keyring.Promote)
			time.Sleep(window + moment)
			d.interrupts(keyring.Rollback)
			if s := d.status(); s.Step != keyring.Rollback || s.Wait != 0 {
				d.Errorf("the next step is %s, in %v; want rollback now: %q", s.Step, s.Wait, s.Odd)
			}
			time.Sleep(3 * time.Hour)
			if done, err := d.rotate(d.Context(), keyring.Retire); err == nil || len(done) > 0 {
				d.Errorf("retire while the Regions differ: %q, %v", done, err)
			}
			d.takes(again)
			if s := d.status(); s.State != keyring.RolledBack || s.Step != keyring.Retire {
				d.Errorf("afterwards: %+v", s)
			}
		})
	}
}

// A Promote that was interrupted between the Regions can be rolled back. The
// Region that was not promoted counts as rolled back too.
func TestRollbackOfHalfAPromote(t *testing.T) {
	inDuo(t, func(d *duo) {
		d.takes(keyring.Prepare)
		time.Sleep(delay + moment)
		d.interrupts(keyring.Promote)
		time.Sleep(window + moment)
		d.takes(keyring.Rollback)
		s := d.status()
		if s.State != keyring.RolledBack || s.Step != keyring.Retire || s.Signing.KeyARN[len(s.Signing.KeyARN)-len(d.key):] != d.key {
			d.Errorf("afterwards: %+v, want it rolled back", s)
		}
		for _, step := range []keyring.Step{keyring.Promote, keyring.Advance} {
			if done, _ := d.rotate(d.Context(), step); len(done) > 0 {
				d.Errorf("%s: %q, want nothing done", step, done)
			}
		}
		time.Sleep(2 * time.Hour)
		d.takes(keyring.Retire)
		if s := d.status(); s.State != keyring.Rest {
			d.Errorf("at the end: %+v, want it at rest", s)
		}
	})
}

// The waits count from the Region whose alias was moved last.
func TestLatestDateOfAnyRegion(t *testing.T) {
	for i := range 2 {
		inDuo(t, func(d *duo) {
			d.takes(keyring.Prepare)
			time.Sleep(10 * time.Minute)
			next := aws.String("alias/jwt-next")
			out, err := d.regions[i].DescribeKey(d.Context(), &kms.DescribeKeyInput{KeyId: next})
			if err != nil {
				d.Fatal(err)
			}
			if _, err := d.regions[i].UpdateAlias(d.Context(), &kms.UpdateAliasInput{AliasName: next, TargetKeyId: out.KeyMetadata.KeyId}); err != nil {
				d.Fatal(err)
			}
			time.Sleep(delay - moment)
			if done, err := d.rotate(d.Context(), keyring.Promote); !errors.Is(err, keyring.ErrTooEarly) || len(done) > 0 {
				d.Errorf("promote too early for Region %d: %q, %v", i, done, err)
			}
			time.Sleep(2 * moment)
			d.takes(keyring.Promote)
		})
	}
}

// A Region that refuses a step keeps it from the others, and nothing is
// reported as done.
func TestRegionThatRefuses(t *testing.T) {
	inDuo(t, func(d *duo) {
		d.takes(keyring.Prepare)
		time.Sleep(delay + moment)
		next := d.status().Next.KeyARN
		next = next[strings.LastIndex(next, "/")+1:]
		if _, err := d.regions[1].DisableKey(d.Context(), &kms.DisableKeyInput{KeyId: &next}); err != nil {
			d.Fatal(err)
		}
		if done, err := d.rotate(d.Context(), keyring.Promote); err == nil || len(done) > 0 {
			d.Errorf("promote: %q, %v; want nothing done", done, err)
		}
		for i, region := range d.regions {
			if key, err := region.DescribeKey(d.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")}); err != nil || *key.KeyMetadata.KeyId != d.key {
				d.Errorf("Region %d signs with another key, %v", i, err)
			}
		}
	})
}

// A Revoke that has reached one of three Regions goes on without the Region of
// the primary key, which nothing is asked of.
func TestRevokeWithoutThePrimaryRegion(t *testing.T) {
	inDuo(t, func(d *duo) {
		third := d.regions[0].Region("eu-central-1")
		if _, err := d.regions[0].ReplicateKey(d.Context(), &kms.ReplicateKeyInput{KeyId: &d.key, ReplicaRegion: aws.String("eu-central-1")}); err != nil {
			d.Fatal(err)
		}
		createAlias(d.T, third, "alias/jwt", d.key)
		all := func(o *keyring.RotateOptions) {
			o.Regions, o.Key = []keyring.AdminClient{d.regions[1], third}, d.key
		}
		if _, err := keyring.Rotate(d.Context(), d.regions[0], "alias/jwt", keyring.Prepare, all); err != nil {
			d.Fatal(err)
		}
		time.Sleep(time.Hour)
		next, err := third.DescribeKey(d.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt-next")})
		if err != nil {
			d.Fatal(err)
		}
		standby := next.KeyMetadata.KeyId
		if _, err := d.regions[1].UpdateAlias(d.Context(), &kms.UpdateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: standby}); err != nil {
			d.Fatal(err)
		}

		d.regions[0].Inject(kmstest.Match{}, kmstest.Reset())
		done, err := keyring.Rotate(d.Context(), d.regions[0], "alias/jwt", keyring.Revoke, all)
		if err == nil || !strings.Contains(err.Error(), "not revoked in all Regions") {
			d.Errorf("%q, %v, want an error about the first Region alone", done, err)
		}
		for _, region := range []*kmstest.KMS{d.regions[1], third} {
			signing, err := region.DescribeKey(d.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
			if err != nil || *signing.KeyMetadata.KeyId != *standby {
				d.Errorf("signs with %v, %v, want the standby key", signing, err)
			}
			old, err := region.DescribeKey(d.Context(), &kms.DescribeKeyInput{KeyId: &d.key})
			if err != nil || old.KeyMetadata.KeyState != types.KeyStateDisabled {
				d.Errorf("the revoked key is %v, %v, want it disabled", old, err)
			}
		}
	})
}
