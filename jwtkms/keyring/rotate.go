package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Step is one step of a rotation.
type Step string

const (
	// Prepare makes a key like the signing key and points the next alias to it, if
	// that does not name a key that could sign already. From then on issuers publish
	// it. A multi-Region key gets a multi-Region successor, of which replicas and
	// their aliases in other Regions are the operator's to make.
	Prepare Step = "prepare"
	// Promote points the previous alias to the signing key, and the signing alias
	// to the next one. Issuers sign with the new key from then on. The next alias
	// stays where it is: its date tells issuers since when the key is published.
	Promote Step = "promote"
	// Retire disables the previous key and deletes the previous alias. Disabling
	// can be undone; deleting the key is left to the operator.
	Retire Step = "retire"
)

// ErrTooEarly is returned by [Rotate] for a step that would make tokens fail if it
// were taken now.
var ErrTooEarly = errors.New("too early")

// AdminClient is the part of the KMS API that [Rotate] calls. *kms.Client and
// *kmstest.KMS satisfy it.
type AdminClient interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	CreateKey(context.Context, *kms.CreateKeyInput, ...func(*kms.Options)) (*kms.CreateKeyOutput, error)
	CreateAlias(context.Context, *kms.CreateAliasInput, ...func(*kms.Options)) (*kms.CreateAliasOutput, error)
	UpdateAlias(context.Context, *kms.UpdateAliasInput, ...func(*kms.Options)) (*kms.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *kms.DeleteAliasInput, ...func(*kms.Options)) (*kms.DeleteAliasOutput, error)
	DisableKey(context.Context, *kms.DisableKeyInput, ...func(*kms.Options)) (*kms.DisableKeyOutput, error)
}

// RotateOptions change what [Rotate] does. The zero value works, and goes with a
// Ring of zero [Options].
type RotateOptions struct {
	// Next, Previous, RefreshInterval, MaxLifetime and PropagationDelay are those
	// of the issuers' [Options], with the same defaults, and so is MaxAge.
	Next, Previous                                         string
	RefreshInterval, MaxAge, MaxLifetime, PropagationDelay time.Duration

	// NewKey is what Prepare creates a key with. Nil means a key of the signing
	// key's spec, in this Region only if that one is. Its policy is KMS's default,
	// which leaves it to IAM.
	NewKey *kms.CreateKeyInput

	// Force takes a step even if it is too early.
	Force bool

	// DryRun makes no changes.
	DryRun bool
}

// Rotate takes one step of the rotation of the key behind an alias and returns what
// it did, one sentence for each change, or, in a dry run, would do. Nothing to do is
// no error: a step taken again does nothing, and a step that was interrupted is
// finished. (Interrupted between making a key and naming it, Prepare leaves a key
// without an alias behind, and the next one makes another. The description of both
// names the alias.)
//
// It fails with [ErrTooEarly] if the step would make tokens fail, and says when it
// will not. Each step reads the aliases from KMS first; two Rotates at a time are the
// operator's to avoid. Needed are kms:DescribeKey, kms:ListAliases, and for the steps
// kms:CreateKey, kms:CreateAlias, kms:UpdateAlias, kms:DeleteAlias and kms:DisableKey.
func Rotate(ctx context.Context, client AdminClient, signing string, step Step, optFns ...func(*RotateOptions)) ([]string, error) {
	t := rotation{client: client}
	for _, fn := range optFns {
		fn(&t.opts)
	}
	times := Options{
		Next: t.opts.Next, Previous: t.opts.Previous, RefreshInterval: t.opts.RefreshInterval,
		MaxAge: t.opts.MaxAge, MaxLifetime: t.opts.MaxLifetime, PropagationDelay: t.opts.PropagationDelay,
	}
	err := times.complete(signing)
	for _, name := range []string{signing, times.Next, times.Previous} {
		// KMS changes aliases by name, in the account and the Region of the client.
		if err == nil && !strings.HasPrefix(name, "alias/") {
			err = fmt.Errorf("%q is no alias name, want one that begins with alias/", name)
		}
	}
	if err == nil {
		t.delay, t.hold = times.PropagationDelay, times.hold()
		err = t.read(ctx, signing, times.Next, times.Previous)
	}
	if err == nil {
		switch step {
		case Prepare:
			err = t.prepare(ctx)
		case Promote:
			err = t.promote(ctx)
		case Retire:
			err = t.retire(ctx)
		default:
			err = fmt.Errorf("unknown step %q, want %q, %q or %q", step, Prepare, Promote, Retire)
		}
	}
	if err != nil {
		err = fmt.Errorf("keyring: rotate %s: %s: %w", signing, step, err)
	}
	return t.done, err
}

// rotation is one step under way.
type rotation struct {
	client                  AdminClient
	opts                    RotateOptions
	delay, hold             time.Duration
	signing, next, previous alias
	done                    []string
}

// alias is where an alias points, in KMS.
type alias struct {
	name string
	key  *types.KeyMetadata // nil: there is no such alias
	age  time.Duration      // since it has pointed there, on KMS's clock
}

// is reports whether both aliases name the same key.
func (a alias) is(b alias) bool {
	return a.key != nil && b.key != nil && aws.ToString(a.key.Arn) == aws.ToString(b.key.Arn)
}

func (t *rotation) read(ctx context.Context, signing, next, previous string) (err error) {
	for _, a := range []struct {
		to   *alias
		name string
	}{{&t.signing, signing}, {&t.next, next}, {&t.previous, previous}} {
		if *a.to, err = t.lookUp(ctx, a.name); err != nil {
			return err
		}
	}
	if t.signing.key == nil {
		return fmt.Errorf("there is no %s: create a key and the alias first", signing)
	}
	return nil
}

func (t *rotation) lookUp(ctx context.Context, name string) (alias, error) {
	out, err := t.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
	if _, absent := errors.AsType[*types.NotFoundException](err); absent {
		return alias{name: name}, nil
	}
	if err != nil {
		return alias{}, err
	}
	a := alias{name: name, key: out.KeyMetadata}
	a.age, err = aliasAge(ctx, t.client, aws.ToString(out.KeyMetadata.Arn), []string{name})
	return a, err
}

func (t *rotation) prepare(ctx context.Context) error {
	if t.next.key != nil && !t.next.is(t.signing) && t.next.key.KeyState == types.KeyStateEnabled {
		return nil // prepared already
	}
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
	var keyARN string
	err := t.do(fmt.Sprintf("create a key of spec %s", in.KeySpec), func() error {
		out, err := t.client.CreateKey(ctx, &in)
		if err == nil {
			keyARN = aws.ToString(out.KeyMetadata.Arn)
		}
		return err
	})
	if err != nil {
		return err
	}
	if t.opts.DryRun {
		keyARN = "the new key"
	}
	return t.point(ctx, t.next, keyARN)
}

func (t *rotation) promote(ctx context.Context) error {
	if t.next.key == nil {
		return fmt.Errorf("there is no %s: %s first", t.next.name, Prepare)
	}
	if t.next.is(t.signing) {
		return nil // promoted already
	}
	if t.next.key.KeyState != types.KeyStateEnabled {
		return fmt.Errorf("%s is %s, want it %s: issuers could not sign with it",
			aws.ToString(t.next.key.Arn), t.next.key.KeyState, types.KeyStateEnabled)
	}
	if err := t.wait("the verifiers do not all have the next key yet", t.delay-t.next.age); err != nil {
		return err
	}
	if !t.previous.is(t.signing) {
		if t.previous.key != nil {
			// Its tokens may still be out, and it loses its alias.
			if err := t.wait("the tokens of the previous key have not expired yet", t.hold-t.signing.age); err != nil {
				return err
			}
		}
		if err := t.point(ctx, t.previous, aws.ToString(t.signing.key.Arn)); err != nil {
			return err
		}
		if t.previous.key != nil && t.previous.key.KeyState == types.KeyStateEnabled {
			t.done = append(t.done, fmt.Sprintf("leave %s, which %s named, enabled and without that alias: it was never retired",
				aws.ToString(t.previous.key.Arn), t.previous.name))
		}
	}
	return t.point(ctx, t.signing, aws.ToString(t.next.key.Arn))
}

func (t *rotation) retire(ctx context.Context) error {
	if t.previous.key == nil {
		return nil // retired already
	}
	if t.previous.is(t.signing) {
		return fmt.Errorf("%s is still the signing key: %s first", aws.ToString(t.signing.key.Arn), Promote)
	}
	if err := t.wait("the tokens of the previous key have not expired yet", t.hold-t.signing.age); err != nil {
		return err
	}
	// In this order: an alias that is gone would hide a key that is not disabled.
	if t.previous.key.KeyState == types.KeyStateEnabled {
		err := t.do("disable "+aws.ToString(t.previous.key.Arn), func() error {
			_, err := t.client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: t.previous.key.Arn})
			return err
		})
		if err != nil {
			return err
		}
	}
	return t.do("delete "+t.previous.name, func() error {
		_, err := t.client.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &t.previous.name})
		return err
	})
}

// wait refuses a step that must wait.
func (t *rotation) wait(why string, left time.Duration) error {
	if left <= 0 || t.opts.Force {
		return nil
	}
	// Rounded up: KMS's clock, the Date of its answers, shows whole seconds.
	return fmt.Errorf("%w: %s, wait %v", ErrTooEarly, why, left.Truncate(time.Second)+time.Second)
}

// point makes an alias name a key.
func (t *rotation) point(ctx context.Context, a alias, keyARN string) error {
	return t.do(fmt.Sprintf("point %s to %s", a.name, keyARN), func() (err error) {
		if a.key == nil {
			_, err = t.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &a.name, TargetKeyId: &keyARN})
		} else {
			_, err = t.client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &a.name, TargetKeyId: &keyARN})
		}
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
	t.done = append(t.done, what)
	return nil
}

// aliasAge is how long the longest-standing of the named aliases has named the key,
// on KMS's clock, because this machine's may be wrong. It is zero if none of them does.
func aliasAge(ctx context.Context, client interface {
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
}, keyARN string, names []string) (time.Duration, error) {
	var age time.Duration
	in := &kms.ListAliasesInput{KeyId: &keyARN}
	for {
		out, err := client.ListAliases(ctx, in)
		if err != nil {
			return 0, err
		}
		now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
		if !ok {
			now = time.Now()
		}
		for _, a := range out.Aliases {
			if a.LastUpdatedDate == nil ||
				!slices.Contains(names, aws.ToString(a.AliasName)) && !slices.Contains(names, aws.ToString(a.AliasArn)) {
				continue
			}
			age = max(age, now.Sub(*a.LastUpdatedDate))
		}
		if !out.Truncated {
			return age, nil
		}
		in.Marker = out.NextMarker
	}
}
