package readme

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func quiet(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) }

// TestRotationChart takes a rotation with the default times, each step as soon
// as possible, and compares what the issuers do with the chart of README.md and
// with docs/rotation.md. The issuers refresh at different times.
func TestRotationChart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fake := kmstest.New()
		first := fake.AddKey(types.KeySpecEccNistP256)
		for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
			if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &first}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Hour)
		type issuer struct {
			ring                                     *keyring.Ring
			a                                        string // the KID of A
			publishesB, signsWithB, stopsPublishingA time.Duration
		}
		var issuers []*issuer
		for range 8 {
			ring, err := keyring.New(ctx, fake, "alias/jwt", quiet)
			if err != nil {
				t.Fatal(err)
			}
			go ring.Run(ctx)
			issuers = append(issuers, &issuer{ring: ring, a: ring.Current().KID})
			time.Sleep(41 * time.Second)
		}
		time.Sleep(time.Hour)

		steps := []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire}
		var taken []time.Duration
		for start := time.Now(); time.Since(start) < 3*time.Hour; time.Sleep(5 * time.Second) {
			since := time.Since(start)
			if len(taken) < len(steps) {
				done, err := keyring.Rotate(ctx, fake, "alias/jwt", steps[len(taken)])
				if err != nil && !errors.Is(err, keyring.ErrTooEarly) {
					t.Fatal(err)
				}
				if err == nil && len(done) > 0 {
					taken = append(taken, since)
				}
			}
			for _, i := range issuers {
				keys := i.ring.Keys()
				publishesA := slices.ContainsFunc(keys, func(k keyring.Key) bool { return k.KID == i.a })
				publishesB := slices.ContainsFunc(keys, func(k keyring.Key) bool { return k.KID != i.a })
				if publishesB && i.publishesB == 0 {
					i.publishesB = since
				}
				if i.ring.Current().KID != i.a && i.signsWithB == 0 {
					i.signsWithB = since
				}
				if !publishesA && i.stopsPublishingA == 0 {
					i.stopsPublishingA = since
				}
			}
		}
		// within allows for the time between two looks, and for steps that wait
		// for whole seconds.
		within := func(what string, got, from, to time.Duration) {
			if got < from-10*time.Second || got > to+10*time.Second {
				t.Errorf("%s after %v, want %v to %v", what, got, from, to)
			}
		}
		if len(taken) != len(steps) {
			t.Fatalf("steps taken: %v", taken)
		}
		within("promoted", taken[1], 11*time.Minute, 11*time.Minute)
		within("retired", taken[2], 77*time.Minute, 77*time.Minute)
		var last []time.Duration
		for _, i := range issuers {
			within("B is published", i.publishesB, 0, 5*time.Minute)
			within("B signs", i.signsWithB, 11*time.Minute, 17*time.Minute)
			within("A leaves", i.stopsPublishingA, 143*time.Minute, 153*time.Minute)
			last = append(last, i.stopsPublishingA)
		}
		t.Logf("A leaves after %v to %v", slices.Min(last), slices.Max(last))
	})
}

// TestRingCost counts the calls of an issuer at rest in three days, a tenth of
// the time for which docs/operations.md gives them.
func TestRingCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		fake := kmstest.New()
		alias, key := "alias/jwt", fake.AddKey(types.KeySpecEccNistP256)
		if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &key}); err != nil {
			t.Fatal(err)
		}
		ring, err := keyring.New(ctx, fake, alias, quiet)
		if err != nil {
			t.Fatal(err)
		}
		before := fake.Calls("")
		refreshes, public := -fake.Calls("ListAliases"), -fake.Calls("GetPublicKey")
		go ring.Run(ctx)
		time.Sleep(3 * 24 * time.Hour)
		refreshes += fake.Calls("ListAliases")
		public += fake.Calls("GetPublicKey")
		if all := fake.Calls("") - before; refreshes < 895 || refreshes > 925 || public != 3*refreshes || all != 4*refreshes {
			t.Errorf("%d ListAliases and %d GetPublicKey calls of %d, want about 910 refreshes of 4 calls", refreshes, public, all)
		}
	})
}
