package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

func (t *rotation) prepare(ctx context.Context) error {
	if t.state() == Prepared && t.next.usable() {
		return t.sameSpec() // prepared already
	}
	if err := t.preparable(); err != nil {
		return err
	}
	if err := t.makePrevious(ctx); err != nil {
		return err
	}
	keyARN, err := t.makeKey(ctx)
	if err != nil {
		return err
	}
	return t.point(ctx, t.next, keyARN)
}

// sameSpec refuses to take a key that is prepared for one of another spec,
// which the caller would then promote.
func (t *rotation) sameSpec() error {
	if t.opts.NewKey == nil || t.opts.NewKey.KeySpec == "" || t.opts.NewKey.KeySpec == t.next.key.KeySpec {
		return nil
	}
	return fmt.Errorf("%s names a key of spec %s, not %s: point that alias to the key of %s, and prepare again after %v",
		t.next.name, t.next.key.KeySpec, t.opts.NewKey.KeySpec, t.signing.name, t.opts.window())
}

// preparable refuses to prepare another key while the one before is in use.
func (t *rotation) preparable() error {
	switch t.state() {
	case Prepared:
		// A key that could have signed may have tokens.
		if !t.opts.Force && !t.next.revoked && t.next.age >= t.opts.PropagationDelay {
			return fmt.Errorf("%s names a key that is %s: enable it, or force the step", t.next.name, t.next.key.KeyState)
		}
	case Promoted, RolledBack, Mixed:
		if err := t.held(); err != nil {
			return err
		}
		return fmt.Errorf("the ring is %s: %s first", t.state(), Retire)
	case Unclear:
		return t.unclear()
	}
	if !t.untouched() {
		for _, a := range []alias{t.signing, t.next, t.previous} {
			if err := t.apart(a); err != nil {
				return err
			}
		}
	}
	return t.known()
}

// makePrevious makes the previous alias, so that Promote need not make it,
// which issuers may see later than the signing alias that it moves.
func (t *rotation) makePrevious(ctx context.Context) error {
	if t.previous.key != nil {
		return nil
	}
	return t.point(ctx, t.previous, t.signing.arn())
}

// makeKey makes a key, if no other Rotate does.
func (t *rotation) makeKey(ctx context.Context) (keyARN string, err error) {
	lock, age := t.lock()
	if age > 0 {
		if err := t.wait("another Rotate is making a key, or was interrupted", t.opts.window()-age); err != nil {
			return "", err
		}
	}
	err = t.do(fmt.Sprintf("create %s, so that nobody else makes a key", lock), func() error {
		_, err := t.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &lock, TargetKeyId: t.signing.key.Arn}, answerlimit.Option)
		if _, exists := errors.AsType[*types.AlreadyExistsException](err); exists {
			return &tooEarly{"another Rotate is making a key", t.opts.window()}
		}
		return err
	})
	if err != nil {
		return "", err
	}
	in := t.newKey()
	err = t.do(fmt.Sprintf("create a key of spec %s", in.KeySpec), func() error {
		out, err := t.client.CreateKey(ctx, &in, answerlimit.Option)
		if err == nil {
			keyARN = aws.ToString(out.KeyMetadata.Arn)
		}
		return err
	})
	if t.opts.DryRun {
		keyARN = "the new key"
	}
	return keyARN, err
}

// known refuses a new key of a type that known verifiers do not know, who then
// refuse the whole JWKS instead of skipping the key: go-jose v4 and jwx v3 do.
func (t *rotation) known() error {
	spec, now := t.newKey().KeySpec, t.signing.key.KeySpec
	if t.opts.Force || spec == now || spec != types.KeySpecEccSecgP256k1 && !strings.HasPrefix(string(spec), "ML_DSA_") {
		return nil
	}
	return fmt.Errorf("a key of spec %s makes some verifiers refuse the whole JWKS, and with it the tokens of the %s key that signs: try all of them, then force the step", spec, now)
}

// newKey is what the next key is created with.
func (t *rotation) newKey() kms.CreateKeyInput {
	in := kms.CreateKeyInput{
		KeySpec:     t.signing.key.KeySpec,
		KeyUsage:    t.signing.key.KeyUsage,
		MultiRegion: t.signing.key.MultiRegion,
	}
	if t.opts.NewKey != nil {
		in = *t.opts.NewKey
	}
	if in.Description == nil {
		in.Description = aws.String("next key of " + t.signing.name)
	}
	in.Tags = append(slices.Clone(in.Tags), types.Tag{TagKey: aws.String(tagKey), TagValue: &t.signing.name})
	return in
}

func (t *rotation) promote(ctx context.Context) error {
	switch t.state() {
	case Rest:
		if t.next.key == nil {
			return fmt.Errorf("there is no %s: %s first", t.next.name, Prepare)
		}
		return nil // promoted already
	case Promoted:
		return nil
	case RolledBack:
		return fmt.Errorf("it was rolled back: %s the key behind %s, or point that alias to it again", Retire, t.next.name)
	case Mixed:
		if err := t.held(); err != nil {
			return err
		}
		if !t.opts.Force {
			return fmt.Errorf("%s names a third key: %s it first", t.previous.name, Retire)
		}
	case Unclear:
		return t.unclear()
	}
	if err := t.signs(ctx, t.next); err != nil {
		return err
	}
	if err := t.wait("the verifiers do not all have the next key yet", max(t.opts.PropagationDelay, t.opts.window())-t.next.age); err != nil {
		return err
	}
	if !t.previous.is(t.signing) {
		if err := t.point(ctx, t.previous, t.signing.arn()); err != nil {
			return err
		}
		if err := t.wait("issuers may not see yet what "+t.previous.name+" names", t.opts.window()); err != nil {
			return err
		}
	} else if err := t.apart(t.previous); err != nil {
		return err
	}
	return t.point(ctx, t.signing, t.next.arn())
}

func (t *rotation) rollback(ctx context.Context) error {
	switch t.state() {
	case Promoted:
	case RolledBack:
		return nil
	case Unclear:
		return t.unclear()
	default:
		return fmt.Errorf("the ring is %s: there is no previous key to go back to", t.state())
	}
	if err := t.signs(ctx, t.previous); err != nil {
		return err
	}
	if t.next.key == nil {
		// It keeps the key published whose tokens live.
		if err := t.point(ctx, t.next, t.signing.arn()); err != nil {
			return err
		}
		if err := t.wait("issuers may not see yet what "+t.next.name+" names", t.opts.window()); err != nil {
			return err
		}
	}
	for _, a := range []alias{t.signing, t.next} {
		if err := t.apart(a); err != nil {
			return err
		}
	}
	if !t.undoable() && !t.opts.Force && !t.finishing {
		return fmt.Errorf("it is too late: the key behind %s may be retired at any moment; force the step if nobody takes %s or %s meanwhile, or take %s and prepare a new key",
			t.previous.name, Retire, Advance, Retire)
	}
	return t.point(ctx, t.signing, t.previous.arn())
}

// undoable reports whether the key that was replaced last is far from being
// retired. KMS's clock, the Date of its answers, shows whole seconds.
func (t *rotation) undoable() bool {
	return t.heldFor()+time.Second <= t.opts.hold()-t.opts.window()
}

func (t *rotation) retire(ctx context.Context) error {
	switch t.state() {
	case Rest, Prepared:
		return nil // retired already
	case Unclear:
		return t.unclear()
	}
	if !t.replaced().revoked {
		if err := t.held(); err != nil {
			return err
		}
	}
	if err := t.signs(ctx, t.signing); err != nil {
		return err // issuers may sign with the other one
	}
	return t.retireReplaced(ctx)
}

// replaced is the alias of the key that was replaced last.
func (t *rotation) replaced() *alias {
	if t.state() == RolledBack {
		return &t.next
	}
	return &t.previous
}

// retireReplaced disables the key that was replaced last and points its alias
// to the signing key, in this order: an alias that was moved would hide a key
// that is not disabled.
func (t *rotation) retireReplaced(ctx context.Context) error {
	side := t.replaced()
	if err := t.disable(ctx, side.key); err != nil {
		return err
	}
	err := t.point(ctx, *side, t.signing.arn())
	side.key = t.signing.key
	return err
}

func (t *rotation) advance(ctx context.Context) error {
	step, key := t.due()
	if step == "" {
		return nil
	}
	t.opts.Key = key
	err := t.take(ctx, step)
	if errors.Is(err, ErrTooEarly) {
		return nil
	}
	return err
}

// due is the step that Advance takes, or empty, and the key to revoke.
func (t *rotation) due() (step Step, key string) {
	for _, a := range []alias{t.signing, t.next, t.previous} {
		if a.revoked {
			return Revoke, a.arn()
		}
	}
	old := t.opts.MaxKeyAge > 0 && t.signing.age >= t.opts.MaxKeyAge
	switch t.state() {
	case Promoted, Mixed:
		return Retire, ""
	case Prepared:
		if !t.opts.Standby || old {
			return Promote, ""
		}
	case Rest:
		if old || t.opts.Standby && t.opts.MaxKeyAge > 0 {
			return Prepare, ""
		}
	}
	return "", ""
}

// wait refuses a step that must wait.
func (t *rotation) wait(why string, left time.Duration) error {
	if left <= 0 || t.opts.Force {
		return nil
	}
	// Rounded up: KMS's clock, the Date of its answers, shows whole seconds.
	return &tooEarly{why, left.Truncate(time.Second) + time.Second}
}

// apart refuses a step while another may not see yet what an alias names.
func (t *rotation) apart(a alias) error {
	if a.key == nil {
		return nil
	}
	return t.wait(a.name+" was moved a moment ago", t.opts.window()-a.age)
}

// held refuses a step while the tokens of the key that was replaced last may
// live.
func (t *rotation) held() error {
	return t.wait("the tokens of the previous key have not expired yet", t.opts.hold()-t.heldFor())
}

// signs refuses a step that needs a key which cannot sign.
func (t *rotation) signs(ctx context.Context, a alias) error {
	switch {
	case a.revoked:
		return fmt.Errorf("%s is revoked", a.arn())
	case a.key.KeyState != types.KeyStateEnabled:
		return fmt.Errorf("%s is %s, want it %s: issuers could not sign with it", a.arn(), a.key.KeyState, types.KeyStateEnabled)
	case t.opts.Force:
		return nil
	}
	if err := dryRun(ctx, t.client, a.key); err != nil {
		return fmt.Errorf("a dry run of signing with %s: %w", a.arn(), err)
	}
	return nil
}

// point makes an alias name a key.
func (t *rotation) point(ctx context.Context, a alias, keyARN string) error {
	return t.do(fmt.Sprintf("point %s to %s", a.name, keyARN), func() error {
		create := func() error {
			_, err := t.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &a.name, TargetKeyId: &keyARN}, answerlimit.Option)
			return err
		}
		update := func() error {
			_, err := t.client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &a.name, TargetKeyId: &keyARN}, answerlimit.Option)
			return err
		}
		if a.key != nil {
			return update()
		}
		err := create()
		if _, exists := errors.AsType[*types.AlreadyExistsException](err); exists {
			return update() // it was made a moment ago
		}
		return err
	})
}

// disable disables a key, unless it is already.
func (t *rotation) disable(ctx context.Context, key *types.KeyMetadata) error {
	if key.KeyState != types.KeyStateEnabled {
		return nil
	}
	return t.do("disable "+aws.ToString(key.Arn), func() error {
		_, err := t.client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: key.Arn}, answerlimit.Option)
		return err
	})
}

// do makes one change, unless this is a dry run, and notes it.
func (t *rotation) do(what string, change func() error) error {
	if !t.opts.DryRun {
		if err := change(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	t.done = append(t.done, t.where+what)
	return nil
}
