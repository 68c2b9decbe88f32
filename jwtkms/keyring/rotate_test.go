package keyring_test

import (
	"context"
	"errors"
	"fmt"
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

// aliases is where the three aliases point: "A" is the first key that the test has
// seen, "B" the second and so on, "-" no alias.
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

const (
	delay = 11 * time.Minute                         // of a zero RotateOptions
	hold  = 2*5*time.Minute + delay + 60*time.Minute // of a zero RotateOptions
)

func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		o := &observer{fake: fake}
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP384))
		check := func(want string) {
			t.Helper()
			if got := o.aliases(t); got != want {
				t.Errorf("the aliases name %q, want %q", got, want)
			}
		}
		rotate := func(step keyring.Step, changes int, optFns ...func(*keyring.RotateOptions)) {
			t.Helper()
			done, err := keyring.Rotate(t.Context(), fake, "alias/jwt", step, optFns...)
			if err != nil || len(done) != changes {
				t.Errorf("%s: %q, %v; want %d changes", step, done, err, changes)
			}
		}
		tooEarly := func(step keyring.Step, want string) {
			t.Helper()
			before := o.aliases(t)
			done, err := keyring.Rotate(t.Context(), fake, "alias/jwt", step)
			if len(done) != 0 || !errors.Is(err, keyring.ErrTooEarly) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, %v; want ErrTooEarly and %q", step, done, err, want)
			}
			check(before)
		}
		dryRun := func(o *keyring.RotateOptions) { o.DryRun = true }

		check("A - -")
		rotate(keyring.Retire, 0) // there is nothing to retire
		rotate(keyring.Prepare, 2, dryRun)
		check("A - -")
		rotate(keyring.Prepare, 2)
		check("A B -")
		rotate(keyring.Prepare, 0) // again
		check("A B -")
		tooEarly(keyring.Promote, "wait 11m")
		time.Sleep(delay + time.Second)
		rotate(keyring.Promote, 2, dryRun)
		check("A B -")
		rotate(keyring.Promote, 2)
		check("B B A")
		rotate(keyring.Promote, 0) // again
		tooEarly(keyring.Retire, "wait 1h21m")
		time.Sleep(hold - time.Minute)
		tooEarly(keyring.Retire, "wait 1m")
		time.Sleep(time.Minute + time.Second)
		rotate(keyring.Retire, 2, dryRun)
		check("B B A")
		rotate(keyring.Retire, 2)
		check("B B -")
		rotate(keyring.Retire, 0) // again

		// The next rotation, without the last step: the previous key's alias is
		// needed for another, which must wait for its tokens.
		rotate(keyring.Prepare, 2)
		check("B C -")
		time.Sleep(delay + time.Second)
		rotate(keyring.Promote, 2)
		check("C C B")
		rotate(keyring.Prepare, 2)
		check("C D B")
		time.Sleep(delay + time.Second)
		tooEarly(keyring.Promote, "the tokens of the previous key have not expired yet, wait 1h10m")
		time.Sleep(hold - delay)
		rotate(keyring.Promote, 3) // the third says that B is left enabled
		check("D D C")

		out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &o.seen[0]})
		if err != nil || out.KeyMetadata.KeyState != types.KeyStateDisabled {
			t.Errorf("the retired key is %s, %v; want it disabled", out.KeyMetadata.KeyState, err)
		}
		next, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &o.seen[3]})
		if err != nil || next.KeyMetadata.KeySpec != types.KeySpecEccNistP384 || *next.KeyMetadata.Description != "next key of alias/jwt" {
			t.Errorf("the new key is %+v, %v; want the old one's spec and a description", next.KeyMetadata, err)
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
	if got := o.aliases(t); got != "B B -" {
		t.Errorf("the aliases name %q", got)
	}
	out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
	if err != nil || out.KeyMetadata.KeySpec != types.KeySpecRsa2048 {
		t.Errorf("the new key is a %s, %v; want an RSA_2048", out.KeyMetadata.KeySpec, err)
	}
}

func TestRotateRefuses(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	for reason, tt := range map[string]struct {
		signing string
		step    keyring.Step
		want    string
	}{
		"no such alias":        {"alias/none", keyring.Prepare, "there is no alias/none"},
		"a key ID":             {fake.AddKey(types.KeySpecEccNistP256), keyring.Prepare, "is no alias name"},
		"promote comes second": {"alias/jwt", keyring.Promote, "there is no alias/jwt-next: prepare first"},
		"an unknown step":      {"alias/jwt", "demote", `unknown step "demote", want "prepare", "promote" or "retire"`},
		"no name":              {"", keyring.Prepare, "no signing key"},
		"an alias ARN":         {"arn:aws:kms:us-east-1:111122223333:alias/jwt", keyring.Prepare, "is no alias name"},
	} {
		done, err := keyring.Rotate(t.Context(), fake, tt.signing, tt.step)
		if len(done) != 0 || err == nil || !strings.HasPrefix(err.Error(), "keyring: rotate ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v; want %q", reason, done, err, tt.want)
		}
	}
	if got := (&observer{fake: fake}).keys(t); got != 2 {
		t.Errorf("a refused step has made a key: there are %d, want 2", got)
	}
	// The next key cannot sign.
	if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Prepare); err != nil {
		t.Fatal(err)
	}
	next, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt-next")})
	if err != nil {
		t.Fatal(err)
	}
	disable(t, fake, *next.KeyMetadata.KeyId)
	done, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Promote, func(o *keyring.RotateOptions) { o.Force = true })
	if len(done) != 0 || err == nil || !strings.Contains(err.Error(), "is Disabled, want it Enabled") {
		t.Errorf("promote a disabled key: %q, %v", done, err)
	}
	// Prepare makes another.
	if done, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Prepare); len(done) != 2 || err != nil {
		t.Errorf("prepare in place of a disabled key: %q, %v", done, err)
	}
	// Somebody pointed the previous alias to the signing key.
	out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
	if err != nil {
		t.Fatal(err)
	}
	createAlias(t, fake, "alias/jwt-prev", *out.KeyMetadata.KeyId)
	if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Retire); err == nil || !strings.Contains(err.Error(), "is still the signing key") {
		t.Errorf("retire the signing key: %v", err)
	}
}

// breaking is a KMS of which one change fails, before or after it took effect, as in
// a crash of the program.
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

func (b *breaking) DeleteAlias(ctx context.Context, in *kms.DeleteAliasInput, optFns ...func(*kms.Options)) (out *kms.DeleteAliasOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.DeleteAlias(ctx, in, optFns...); return err })
	return out, err
}

func (b *breaking) DisableKey(ctx context.Context, in *kms.DisableKeyInput, optFns ...func(*kms.Options)) (out *kms.DisableKeyOutput, err error) {
	err = b.change(func() (err error) { out, err = b.KMS.DisableKey(ctx, in, optFns...); return err })
	return out, err
}

// Whichever change a rotation is interrupted at, taking the step again finishes it.
func TestRotateResumes(t *testing.T) {
	for at := 1; at <= 6; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("change %d, after=%v", at, after), func(t *testing.T) {
				fake := kmstest.New()
				o := &observer{fake: fake}
				first := fake.AddKey(types.KeySpecEccNistP256)
				createAlias(t, fake, "alias/jwt", first)
				o.letter(first)
				client := &breaking{KMS: fake, at: at, after: after}
				crashed := false
				for _, step := range []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire} {
					for {
						_, err := keyring.Rotate(t.Context(), client, "alias/jwt", step, func(o *keyring.RotateOptions) { o.Force = true })
						if err == nil {
							break
						}
						if !errors.Is(err, errCrash) {
							t.Fatalf("%s: %v", step, err)
						}
						crashed = true
					}
				}
				if !crashed {
					t.Fatal("nothing was interrupted")
				}
				if got := o.aliases(t); got != "B B -" {
					t.Errorf("the aliases name %q, want %q", got, "B B -")
				}
				out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &first})
				if err != nil || out.KeyMetadata.KeyState != types.KeyStateDisabled {
					t.Errorf("the retired key is %s, %v; want it disabled", out.KeyMetadata.KeyState, err)
				}
				want := 2
				if at == 1 && after || at == 2 && !after {
					want = 3 // documented: a key that was made and not yet named is left behind
				}
				if got := o.keys(t); got != want {
					t.Errorf("there are %d keys, want %d", got, want)
				}
			})
		}
	}
}

// An interrupted promotion is finished without force, and each wait is for the alias
// that it is about.
func TestRotateWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		o := &observer{fake: fake}
		first, second := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		o.letter(first)
		o.letter(second)
		createAlias(t, fake, "alias/jwt", first)
		time.Sleep(20 * time.Minute) // the signing alias is older than the delay, the next one new
		createAlias(t, fake, "alias/jwt-next", second)
		promote := func() error {
			_, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Promote)
			return err
		}
		if err := promote(); !errors.Is(err, keyring.ErrTooEarly) {
			t.Errorf("promote a key that is just being published: %v, want ErrTooEarly", err)
		}
		time.Sleep(delay + time.Second)
		createAlias(t, fake, "alias/jwt-prev", first) // as far as an interrupted step came
		if err := promote(); err != nil {
			t.Errorf("finish an interrupted promotion: %v", err)
		}
		if got := o.aliases(t); got != "B B A" {
			t.Errorf("the aliases name %q", got)
		}
		// Somebody points the previous alias anew: the tokens are as old as before.
		time.Sleep(hold + time.Second)
		updateAlias(t, fake, "alias/jwt-prev", first)
		if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Retire); err != nil {
			t.Errorf("retire: %v", err)
		}
	})
}

// A key may have more aliases than one page of ListAliases holds.
func TestRotateWithManyAliases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		first, second := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", first)
		createAlias(t, fake, "alias/jwt-next", second)
		for i := range 60 { // these come first in the list
			createAlias(t, fake, fmt.Sprintf("alias/a%d", i), second)
		}
		time.Sleep(delay + time.Second)
		if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", keyring.Promote); err != nil {
			t.Error(err)
		}
	})
}
