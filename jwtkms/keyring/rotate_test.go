package keyring_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// aliases is where the three aliases point: "A" is the first key that the test
// has seen, "B" the second and so on, "-" no alias.
type observer struct {
	fake *kmstest.KMS
	seen []string
}

func (o *observer) aliases(t *testing.T) string {
	t.Helper()
	var at []string
	for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
		out, err := o.fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(name)})
		var notFound *types.NotFoundException
		if errors.As(err, &notFound) {
			at = append(at, "-")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, o.letter(*out.KeyMetadata.KeyId))
	}
	return strings.Join(at, " ")
}

func (o *observer) letter(keyID string) string {
	for i, id := range o.seen {
		if id == keyID {
			return string(rune('A' + i))
		}
	}
	o.seen = append(o.seen, keyID)
	return string(rune('A' + len(o.seen) - 1))
}

func (o *observer) keys(t *testing.T) int {
	t.Helper()
	out, err := o.fake.ListKeys(t.Context(), &kms.ListKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Keys)
}

// The times of a zero RotateOptions.
const (
	delay  = 11 * time.Minute               // PropagationDelay: 5 + 5 + 1
	hold   = (6 + 60) * time.Minute         // PropagationDelay - MaxAge + MaxLifetime
	window = time.Minute + 30*time.Second   // Slack, and what a step may take
	moment = time.Second + time.Millisecond // the resolution of KMS's clock
)

// rotator drives Rotate on a fake KMS and looks at where the aliases point.
type rotator struct {
	*observer
	t *testing.T
}

func newRotator(t *testing.T) *rotator {
	r := &rotator{&observer{fake: kmstest.New()}, t}
	first := r.fake.AddKey(types.KeySpecEccNistP384)
	createAlias(t, r.fake, "alias/jwt", first)
	r.letter(first)
	return r
}

// takes takes a step, which must make so many changes.
func (r *rotator) takes(step keyring.Step, changes int, optFns ...func(*keyring.RotateOptions)) {
	r.t.Helper()
	done, err := keyring.Rotate(r.t.Context(), r.fake, "alias/jwt", step, optFns...)
	if err != nil || len(done) != changes {
		r.t.Errorf("%s: %q, %v; want %d changes", step, done, err, changes)
	}
}

// refuses takes a step, which must fail with an error that contains want, and
// change nothing.
func (r *rotator) refuses(step keyring.Step, want string, optFns ...func(*keyring.RotateOptions)) error {
	r.t.Helper()
	before := r.aliases(r.t)
	done, err := keyring.Rotate(r.t.Context(), r.fake, "alias/jwt", step, optFns...)
	if len(done) != 0 || err == nil || !strings.Contains(err.Error(), want) {
		r.t.Errorf("%s: %q, %v; want an error with %q", step, done, err, want)
	}
	r.at(before)
	return err
}

func (r *rotator) tooEarly(step keyring.Step, want string) {
	r.t.Helper()
	if err := r.refuses(step, want); !errors.Is(err, keyring.ErrTooEarly) {
		r.t.Errorf("%s: %v, want ErrTooEarly", step, err)
	}
}

func (r *rotator) at(want string) {
	r.t.Helper()
	if got := r.aliases(r.t); got != want {
		r.t.Errorf("the aliases name %q, want %q", got, want)
	}
}

func (r *rotator) state(letter int) types.KeyState {
	r.t.Helper()
	out, err := r.fake.DescribeKey(r.t.Context(), &kms.DescribeKeyInput{KeyId: &r.seen[letter]})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.KeyMetadata.KeyState
}

func dryRun(o *keyring.RotateOptions) { o.DryRun = true }
func force(o *keyring.RotateOptions)  { o.Force = true }

// inBubble runs a test on a fake clock.
func inBubble(t *testing.T, f func(t *testing.T, r *rotator)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRotator(t)) })
}

func TestRotate(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		r.at("A - -")
		r.takes(keyring.Retire, 0) // there is nothing to retire
		r.takes(keyring.Prepare, 4, dryRun)
		r.at("A - -")
		r.takes(keyring.Prepare, 4) // the previous alias, the lock, the key, the next alias
		r.at("A B A")
		r.takes(keyring.Prepare, 0) // again
		r.at("A B A")
		r.tooEarly(keyring.Promote, "wait 11m")
		time.Sleep(delay + moment)
		r.takes(keyring.Promote, 1, dryRun)
		r.at("A B A")
		r.takes(keyring.Promote, 1)
		r.at("B B A")
		r.takes(keyring.Promote, 0) // again
		r.tooEarly(keyring.Retire, "wait 1h6m")
		r.tooEarly(keyring.Prepare, "wait 1h6m")
		time.Sleep(hold - time.Minute)
		r.tooEarly(keyring.Retire, "wait 1m")
		time.Sleep(time.Minute + moment)
		r.refuses(keyring.Prepare, "retire first")
		r.takes(keyring.Retire, 2, dryRun)
		r.at("B B A")
		r.takes(keyring.Retire, 2)
		r.at("B B B")
		r.takes(keyring.Retire, 0) // again
		if got := r.state(0); got != types.KeyStateDisabled {
			t.Errorf("the retired key is %s, want it disabled", got)
		}

		// The next rotation has all its aliases already.
		r.tooEarly(keyring.Prepare, "alias/jwt-prev was moved a moment ago, wait 1m3")
		time.Sleep(window + moment)
		r.takes(keyring.Prepare, 3)
		r.at("B C B")
		next, err := r.fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &r.seen[2]})
		if err != nil || next.KeyMetadata.KeySpec != types.KeySpecEccNistP384 || *next.KeyMetadata.Description != "next key of alias/jwt" {
			t.Errorf("the new key is %+v, %v; want the old one's spec and a description", next.KeyMetadata, err)
		}
		tags, err := r.fake.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: &r.seen[2]})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].TagKey != "kmssign:keyring" || *tags.Tags[0].TagValue != "alias/jwt" {
			t.Errorf("the new key has the tags %v, %v", tags.Tags, err)
		}
	})
}

func TestRollback(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		r.refuses(keyring.Rollback, "there is no previous key")
		r.takes(keyring.Prepare, 4)
		r.refuses(keyring.Rollback, "there is no previous key")
		time.Sleep(delay + moment)
		r.takes(keyring.Promote, 1)
		r.tooEarly(keyring.Rollback, "alias/jwt was moved a moment ago, wait 1m3")
		time.Sleep(window + moment)
		r.takes(keyring.Rollback, 1)
		r.at("A B A")
		r.takes(keyring.Rollback, 0) // again
		// Nobody promotes the bad key again by mistake.
		time.Sleep(delay + moment)
		r.refuses(keyring.Promote, "it was rolled back")
		r.takes(keyring.Advance, 0, func(o *keyring.RotateOptions) { o.MaxKeyAge = time.Hour })
		r.tooEarly(keyring.Retire, "the tokens of the previous key have not expired yet")
		time.Sleep(hold)
		r.takes(keyring.Retire, 2)
		r.at("A A A")
		if r.state(0) != types.KeyStateEnabled || r.state(1) != types.KeyStateDisabled {
			t.Errorf("the keys are %s and %s", r.state(0), r.state(1))
		}
		// The lock of the first Prepare is old.
		time.Sleep(window + moment)
		r.takes(keyring.Prepare, 3)
		r.at("A C A")
		time.Sleep(delay + moment)
		r.takes(keyring.Promote, 1)
		time.Sleep(hold - window)
		r.refuses(keyring.Rollback, "it is too late")
		r.takes(keyring.Rollback, 1, force)
	})
}

// A compromised key is replaced by one that every verifier knows, if there is
// one.
func TestRevoke(t *testing.T) {
	key := func(r *rotator, letter int) func(*keyring.RotateOptions) {
		return func(o *keyring.RotateOptions) { o.Key = r.seen[letter] }
	}
	signsAndServes := func(t *testing.T, ring *keyring.Ring, r *rotator, letter, keys int) {
		t.Helper()
		mustSign(t, ring, time.Minute)
		if got := ring.Current().KeyARN; !strings.HasSuffix(got, r.seen[letter]) || len(ring.Keys()) != keys {
			t.Errorf("signs with %s and serves %d keys, want %s and %d", got, len(ring.Keys()), r.seen[letter], keys)
		}
	}
	t.Run("with a standby", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rotator) {
			time.Sleep(time.Hour)
			ring := mustNew(t, r.fake)
			r.takes(keyring.Prepare, 4)
			r.at("A B A")
			time.Sleep(delay + moment)
			r.takes(keyring.Revoke, 4, key(r, 0)) // mark, promote, disable, previous alias
			r.at("B B B")
			mustRefresh(t, ring)
			signsAndServes(t, ring, r, 1, 1)
			r.takes(keyring.Revoke, 0, key(r, 0)) // again
			signsAndServes(t, mustNew(t, r.fake), r, 1, 1)
		})
	})
	t.Run("without one", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rotator) {
			time.Sleep(time.Hour)
			ring := mustNew(t, r.fake)
			r.takes(keyring.Revoke, 6, key(r, 0)) // lock, key, next alias, mark, promote, disable
			r.at("B B -")
			mustRefresh(t, ring)
			signsAndServes(t, ring, r, 1, 1)
		})
	})
	t.Run("the new key", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rotator) {
			time.Sleep(time.Hour)
			r.takes(keyring.Prepare, 4)
			time.Sleep(delay + moment)
			r.at("A B A")
			r.takes(keyring.Promote, 1)
			time.Sleep(10 * time.Minute)
			ring := mustNew(t, r.fake)
			signsAndServes(t, ring, r, 1, 2)
			r.takes(keyring.Revoke, 4, key(r, 1)) // mark, back to the previous key, disable, next alias
			r.at("A A A")
			mustRefresh(t, ring)
			signsAndServes(t, ring, r, 0, 1)
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		for at := 1; at <= 4; at++ {
			inBubble(t, func(t *testing.T, r *rotator) {
				time.Sleep(time.Hour)
				r.takes(keyring.Prepare, 4)
				time.Sleep(delay + moment)
				r.at("A B A")
				if _, err := keyring.Rotate(t.Context(), &breaking{KMS: r.fake, at: at, after: true}, "alias/jwt", keyring.Revoke, key(r, 0)); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				time.Sleep(window + moment)
				r.takes(keyring.Advance, 4-at)
				r.at("B B B")
				if r.state(0) != types.KeyStateDisabled {
					t.Error("the revoked key is enabled")
				}
			})
		}
	})
	inBubble(t, func(t *testing.T, r *rotator) {
		r.refuses(keyring.Revoke, "which key?")
		r.refuses(keyring.Revoke, "an alias would name another key next time", func(o *keyring.RotateOptions) { o.Key = "alias/jwt" })
		r.refuses(keyring.Revoke, "NotFoundException", func(o *keyring.RotateOptions) { o.Key = "1234abcd-12ab-34cd-56ef-1234567890ab" })
	})
}

// Advance takes a ring through a year, one rotation a month, driven by a cron
// on three replicas.
func TestAdvance(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		const month = 30 * 24 * time.Hour
		monthly := func(o *keyring.RotateOptions) { o.MaxKeyAge = month }
		every := time.Duration(sized(24, 1)) * time.Hour
		r.takes(keyring.Advance, 0) // it starts nothing unless it is told
		months := sized(12, 12)
		for end := time.Now().Add(time.Duration(months) * month); time.Now().Before(end); time.Sleep(every) {
			var replicas sync.WaitGroup
			for range 3 {
				replicas.Go(func() {
					if _, err := keyring.Rotate(t.Context(), r.fake, "alias/jwt", keyring.Advance, monthly); err != nil {
						t.Error(err)
					}
				})
			}
			replicas.Wait()
		}
		if got := r.keys(t); got != months {
			t.Errorf("%d keys after %d months, want the first one and one for each rotation", got, months)
		}
	})
}

// With Standby the next key is prepared right after the last one is retired.
func TestAdvanceKeepsAStandby(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		opts := func(o *keyring.RotateOptions) { o.MaxKeyAge, o.Standby = 24*time.Hour, true }
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{
			{0, "A B A"}, {23 * time.Hour, "A B A"}, {2 * time.Hour, "B B A"}, {2 * time.Hour, "B B B"}, {time.Hour, "B C B"}, {30 * time.Hour, "C C B"},
		} {
			time.Sleep(tt.after)
			if _, err := keyring.Rotate(t.Context(), r.fake, "alias/jwt", keyring.Advance, opts); err != nil {
				t.Error(err)
			}
			r.at(tt.want)
		}
	})
}

func TestRotateForce(t *testing.T) {
	fake := kmstest.New()
	o := &observer{fake: fake}
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	force := func(o *keyring.RotateOptions) {
		o.Force = true
		o.NewKey = &kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeSignVerify}
	}
	o.aliases(t)
	for _, step := range []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire} {
		if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", step, force); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	if got := o.aliases(t); got != "B B B" {
		t.Errorf("the aliases name %q", got)
	}
	out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
	if err != nil || out.KeyMetadata.KeySpec != types.KeySpecRsa2048 {
		t.Errorf("the new key is a %s, %v; want an RSA_2048", out.KeyMetadata.KeySpec, err)
	}
}

// A key of a type that makes verifiers refuse the whole JWKS wants Force,
// unless the verifiers know that type already.
func TestRotateUnknownKeyType(t *testing.T) {
	spec := func(spec types.KeySpec) func(*keyring.RotateOptions) {
		return func(o *keyring.RotateOptions) {
			o.NewKey = &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify}
		}
	}
	for _, s := range []types.KeySpec{types.KeySpecEccSecgP256k1, types.KeySpecMlDsa44, types.KeySpecMlDsa87} {
		inBubble(t, func(t *testing.T, r *rotator) {
			calls := r.fake.Calls("CreateAlias")
			r.refuses(keyring.Prepare, "a key of spec "+string(s)+" makes some verifiers refuse the whole JWKS", spec(s))
			r.refuses(keyring.Prepare, "force the step", spec(s), dryRun)
			if n := r.fake.Calls("CreateAlias") - calls; n != 0 || r.keys(t) != 1 {
				t.Errorf("%s: %d calls and %d keys, want no change", s, n, r.keys(t))
			}
			r.refuses(keyring.Revoke, "force the step", spec(s), func(o *keyring.RotateOptions) { o.Key = r.seen[0] })
			r.takes(keyring.Prepare, 4, spec(s), force)
			time.Sleep(delay + moment)
			r.takes(keyring.Promote, 1)
			time.Sleep(hold + moment)
			r.takes(keyring.Retire, 2)
			time.Sleep(window + moment)
			r.takes(keyring.Prepare, 3) // of the same type
		})
	}
	for _, s := range []types.KeySpec{types.KeySpecRsa2048, types.KeySpecEccNistP521, types.KeySpecEccNistEdwards25519} {
		inBubble(t, func(t *testing.T, r *rotator) { r.takes(keyring.Prepare, 4, spec(s)) })
	}
}

func TestRotateRefuses(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	for reason, tt := range map[string]struct {
		signing string
		step    keyring.Step
		opt     func(*keyring.RotateOptions)
		want    string
	}{
		"no such alias":        {"alias/none", keyring.Prepare, nil, "there is no alias/none"},
		"a key ID":             {fake.AddKey(types.KeySpecEccNistP256), keyring.Prepare, nil, "is not an alias name"},
		"promote comes second": {"alias/jwt", keyring.Promote, nil, "there is no alias/jwt-next: prepare first"},
		"an unknown step":      {"alias/jwt", "demote", nil, `unknown step "demote", want "prepare", "promote"`},
		"no name":              {"", keyring.Prepare, nil, "no signing key"},
		"an alias ARN":         {"arn:aws:kms:us-east-1:111122223333:alias/jwt", keyring.Prepare, nil, "is not an alias name"},
		"too short a delay": {"alias/jwt", keyring.Prepare, func(o *keyring.RotateOptions) { o.PropagationDelay = 9 * time.Minute },
			"PropagationDelay is 9m0s, want at least RefreshInterval + MaxAge + Slack, 11m0s"},
		"a negative slack": {"alias/jwt", keyring.Prepare, func(o *keyring.RotateOptions) { o.Slack = -1 }, "the option Slack is -1ns"},
	} {
		done, err := keyring.Rotate(t.Context(), fake, tt.signing, tt.step, func(o *keyring.RotateOptions) {
			if tt.opt != nil {
				tt.opt(o)
			}
		})
		if len(done) != 0 || err == nil || !strings.HasPrefix(err.Error(), "keyring: rotate ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v; want %q", reason, done, err, tt.want)
		}
	}
	if got := (&observer{fake: fake}).keys(t); got != 2 {
		t.Errorf("a refused step has made a key: there are %d, want 2", got)
	}
}

// A key that cannot sign is neither promoted nor left alone with the signing.
func TestRotateWithAKeyThatCannotSign(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		r.takes(keyring.Prepare, 4)
		time.Sleep(delay + moment)
		r.at("A B A")
		denied := r.fake.Inject(kmstest.Match{Operation: "Sign", Key: r.seen[1]}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
		r.refuses(keyring.Promote, "a dry run of signing with arn:")
		denied()
		disable(t, r.fake, r.seen[1])
		r.refuses(keyring.Promote, "is Disabled, want it Enabled")
		r.refuses(keyring.Promote, "is Disabled, want it Enabled", force)
		r.refuses(keyring.Prepare, "names a key that is Disabled: enable it, or force the step")
		r.takes(keyring.Prepare, 3, force)
		r.at("A C A")
		time.Sleep(delay + moment)
		r.takes(keyring.Promote, 1)
		time.Sleep(hold + moment)
		disable(t, r.fake, r.seen[2])
		r.refuses(keyring.Retire, "is Disabled, want it Enabled")
		if r.state(0) != types.KeyStateEnabled {
			t.Error("the last key that can sign was disabled")
		}
	})
}

func TestInspect(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		inspect := func(state keyring.State, step keyring.Step, wait time.Duration, odd ...string) keyring.Status {
			t.Helper()
			s, err := keyring.Inspect(t.Context(), r.fake, "alias/jwt", func(o *keyring.RotateOptions) { o.Leftovers = true })
			if err != nil {
				t.Fatal(err)
			}
			if s.State != state || s.Step != step || s.Wait < wait || s.Wait > wait+2*time.Second || len(s.Odd) != len(odd) {
				t.Errorf("%+v, want the state %q, the step %q after %v, and %d oddities", s, state, step, wait, len(odd))
			}
			for i := range min(len(odd), len(s.Odd)) {
				if !strings.Contains(s.Odd[i], odd[i]) {
					t.Errorf("odd is %q, want %q", s.Odd[i], odd[i])
				}
			}
			return s
		}
		s := inspect(keyring.Rest, keyring.Prepare, 0)
		if s.Signing.Name != "alias/jwt" || s.Next.Name != "alias/jwt-next" || s.Next.KeyARN != "" || s.Signing.KeySpec != types.KeySpecEccNistP384 {
			t.Errorf("%+v", s)
		}
		r.takes(keyring.Prepare, 4)
		r.at("A B A")
		inspect(keyring.Prepared, keyring.Promote, delay)
		time.Sleep(delay + moment)
		inspect(keyring.Prepared, keyring.Promote, 0)
		disable(t, r.fake, r.seen[1])
		inspect(keyring.Prepared, keyring.Promote, 0, "alias/jwt-next names a key that is Disabled", "promote: ")
		if _, err := r.fake.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &r.seen[1]}); err != nil {
			t.Fatal(err)
		}
		denied := r.fake.Inject(kmstest.Match{Operation: "Sign", Key: r.seen[1]}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
		inspect(keyring.Prepared, keyring.Promote, 0, "a dry run of signing with the key of alias/jwt-next", "promote: ")
		denied()
		r.takes(keyring.Promote, 1)
		inspect(keyring.Promoted, keyring.Retire, hold)
		time.Sleep(window + moment)
		r.takes(keyring.Rollback, 1)
		inspect(keyring.RolledBack, keyring.Retire, hold, "the key of alias/jwt-next was rolled back")
		time.Sleep(hold + moment)
		r.takes(keyring.Retire, 2)
		time.Sleep(window + moment)
		if _, err := keyring.Rotate(t.Context(), &breaking{KMS: r.fake, at: 2, after: true}, "alias/jwt", keyring.Prepare); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		if s := inspect(keyring.Rest, keyring.Prepare, window); len(s.Leftovers) != 1 {
			t.Errorf("the leftovers are %q, want the key of the Prepare that was interrupted", s.Leftovers)
		}
		updateAlias(t, r.fake, "alias/jwt-next", r.seen[1])
		updateAlias(t, r.fake, "alias/jwt-prev", r.seen[1])
		inspect(keyring.Unclear, "", 0, "names a key that is Disabled", "both name")
	})
}

// breaking is a KMS of which one change fails, before or after it took effect,
// as in a crash of the program.
type breaking struct {
	*kmstest.KMS
	at    int // which change fails
	after bool
	n     int
}

var errCrash = errors.New("crash")

func (b *breaking) change(apply func() error) error {
	b.n++
	if b.n == b.at && !b.after {
		return errCrash
	}
	if err := apply(); err != nil {
		return err
	}
	if b.n == b.at {
		return errCrash
	}
	return nil
}

func (b *breaking) CreateKey(ctx context.Context, in *kms.CreateKeyInput, optFns ...func(*kms.Options)) (out *kms.CreateKeyOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.CreateKey(ctx, in, optFns...); return err })
	return out, err
}

func (b *breaking) CreateAlias(ctx context.Context, in *kms.CreateAliasInput, optFns ...func(*kms.Options)) (out *kms.CreateAliasOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.CreateAlias(ctx, in, optFns...); return err })
	return out, err
}

func (b *breaking) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, optFns ...func(*kms.Options)) (out *kms.UpdateAliasOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.UpdateAlias(ctx, in, optFns...); return err })
	return out, err
}

func (b *breaking) DisableKey(ctx context.Context, in *kms.DisableKeyInput, optFns ...func(*kms.Options)) (out *kms.DisableKeyOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.DisableKey(ctx, in, optFns...); return err })
	return out, err
}

// Whichever change a rotation is interrupted at, taking the step again finishes
// it.
func TestRotateResumes(t *testing.T) {
	for at := 1; at <= 7; at++ {
		for _, after := range []bool{false, true} {
			inBubble(t, func(t *testing.T, r *rotator) {
				client := &breaking{KMS: r.fake, at: at, after: after}
				crashed := false
				for _, step := range []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire} {
					for {
						_, err := keyring.Rotate(t.Context(), client, "alias/jwt", step)
						if err == nil {
							break
						}
						if !errors.Is(err, errCrash) && !errors.Is(err, keyring.ErrTooEarly) {
							t.Fatalf("%s: %v", step, err)
						}
						crashed = crashed || errors.Is(err, errCrash)
						time.Sleep(time.Minute)
					}
				}
				if !crashed {
					t.Fatal("nothing was interrupted")
				}
				if got, want := r.aliases(t), "B B B"; got != want {
					t.Errorf("change %d, after=%v: the aliases name %q, want %q", at, after, got, want)
				}
				if got := r.state(0); got != types.KeyStateDisabled {
					t.Errorf("change %d, after=%v: the retired key is %s, want it disabled", at, after, got)
				}
				want := 2
				if at == 3 && after || at == 4 && !after {
					want = 3 // documented: a key that was made and not yet named is left behind
				}
				if got := r.keys(t); got != want {
					t.Errorf("change %d, after=%v: there are %d keys, want %d", at, after, got, want)
				}
			})
		}
	}
}

// A ring that an earlier version has left, at rest or in the middle of a
// rotation, goes on.
func TestRotateGoesOnFromEarlierVersions(t *testing.T) {
	for _, tt := range []struct {
		name, next, prev string
		steps            []keyring.Step
		want             []string
	}{
		{"at rest", "A", "", []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire}, []string{"A B A", "B B A", "B B B"}},
		{"prepared", "B", "", []keyring.Step{keyring.Promote, keyring.Retire}, []string{"B B A", "B B B"}},
		{"promoted", "A", "B", []keyring.Step{keyring.Retire, keyring.Prepare}, []string{"A A A", "A C A"}},
		{"prepared and not retired", "C", "B", []keyring.Step{keyring.Retire, keyring.Promote}, []string{"A C A", "C C A"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rotator) {
				for _, name := range []string{"B", "C"} {
					if tt.next == name || tt.prev == name {
						r.letter(r.fake.AddKey(types.KeySpecEccNistP384))
					}
				}
				time.Sleep(24 * time.Hour)
				for alias, name := range map[string]string{"alias/jwt-next": tt.next, "alias/jwt-prev": tt.prev} {
					if name != "" {
						createAlias(t, r.fake, alias, r.seen[name[0]-'A'])
					}
				}
				for i, step := range tt.steps {
					for {
						_, err := keyring.Rotate(t.Context(), r.fake, "alias/jwt", step)
						if err == nil {
							break
						}
						if !errors.Is(err, keyring.ErrTooEarly) {
							t.Fatalf("%s: %v", step, err)
						}
						time.Sleep(30 * time.Second)
					}
					r.at(tt.want[i])
				}
			})
		})
	}
}

// A key may have more aliases than one page of ListAliases holds.
func TestRotateWithManyAliases(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rotator) {
		second := r.fake.AddKey(types.KeySpecEccNistP384)
		createAlias(t, r.fake, "alias/jwt-prev", r.seen[0])
		createAlias(t, r.fake, "alias/jwt-next", second)
		paged := &paging{r.fake}
		time.Sleep(delay + moment)
		if _, err := keyring.Rotate(t.Context(), paged, "alias/jwt", keyring.Promote); err != nil {
			t.Error(err)
		}
	})
}

// paging is a KMS whose ListAliases answers one alias at a time.
type paging struct{ *kmstest.KMS }

func (p *paging) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	one := *in
	one.Limit = aws.Int32(1)
	return p.KMS.ListAliases(ctx, &one, optFns...)
}
