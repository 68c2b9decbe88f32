package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// Step is one step of a rotation.
type Step string

const (
	// Prepare makes a key like the signing key and points the next alias to
	// it. From then on issuers publish it. A multi-Region key gets a
	// multi-Region successor; its replicas, and their aliases in other Regions,
	// are left to the operator.
	Prepare Step = "prepare"

	// Promote points the signing alias to the next key, once every verifier
	// must have that. Issuers sign with it from then on.
	Promote Step = "promote"

	// Retire disables the key that has been replaced, once its last token must
	// have expired, and points its alias to the signing key. Disabling can be
	// undone; deleting the key is left to the operator.
	Retire Step = "retire"

	// Rollback undoes Promote: it points the signing alias to the previous key.
	// It can be taken until shortly before Retire can. The key that was rolled
	// back from stays published until Retire.
	Rollback Step = "rollback"

	// Revoke marks the key [RotateOptions.Key] as revoked and disables it.
	// Issuers unpublish it at their next refresh, and its tokens fail. If it is
	// the signing key, the next or the previous key takes its place, or, if
	// neither can, a new one, which some verifiers do not have yet.
	Revoke Step = "revoke"

	// Advance takes the step that is due, if any: it finishes a Revoke that was
	// interrupted, or takes Retire, Promote, or, when the signing key is older
	// than [RotateOptions.MaxKeyAge], Prepare. After a Rollback it waits for
	// somebody to take Retire.
	Advance Step = "advance"
)

// ErrTooEarly is returned by [Rotate] for a step that would make tokens fail if
// it were taken now, and for one that another Rotate may be in the middle of.
// The error says how long to wait.
var ErrTooEarly = errors.New("too early")

// tooEarly is an ErrTooEarly that says how early.
type tooEarly struct {
	why  string
	left time.Duration
}

func (e *tooEarly) Error() string { return fmt.Sprintf("%v: %s, wait %v", ErrTooEarly, e.why, e.left) }
func (e *tooEarly) Unwrap() error { return ErrTooEarly }

// AdminClient is the part of the KMS API that [Rotate] calls. *kms.Client and
// *kmstest.KMS satisfy it.
type AdminClient interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	CreateKey(context.Context, *kms.CreateKeyInput, ...func(*kms.Options)) (*kms.CreateKeyOutput, error)
	CreateAlias(context.Context, *kms.CreateAliasInput, ...func(*kms.Options)) (*kms.CreateAliasOutput, error)
	UpdateAlias(context.Context, *kms.UpdateAliasInput, ...func(*kms.Options)) (*kms.UpdateAliasOutput, error)
	DisableKey(context.Context, *kms.DisableKeyInput, ...func(*kms.Options)) (*kms.DisableKeyOutput, error)
}

// RotateOptions configures [Rotate] and [Inspect]. The zero value goes with a
// Ring of zero [Options].
type RotateOptions struct {
	// Timing must be that of the issuers.
	Timing

	// Next and Previous are those of the issuers' [Options].
	Next, Previous string

	// NewKey is what a key is created with. Nil means a key of the signing
	// key's spec, in this Region only if that one is. Its policy is KMS's
	// default, which leaves it to IAM. Every key gets the tag kmssign:keyring,
	// whose value is the signing alias. A spec that some verifiers do not know
	// (ECC_SECG_P256K1, ML_DSA_44 and so on) wants Force, unless the signing key
	// has it too: such a verifier refuses the whole JWKS.
	NewKey *kms.CreateKeyInput

	// Key is the ID or ARN of the key that Revoke revokes. An alias is refused:
	// taken again, the step would revoke the replacement.
	Key string

	// MaxKeyAge is how long after the signing alias was last moved Advance
	// starts the next rotation. Zero means that it starts none.
	MaxKeyAge time.Duration

	// Standby makes Advance prepare the next key as soon as the previous one is
	// retired, and promote it at MaxKeyAge. A Revoke then has a key that every
	// verifier knows.
	Standby bool

	// Force takes a step even if it is too early or too late, even if a dry run
	// says that the key cannot sign, and even if some verifiers do not know the
	// type of the new key.
	Force bool

	// DryRun makes no changes.
	DryRun bool

	// Leftovers makes Inspect look for keys that were made for the ring and
	// have no alias. It lists all keys of the account in the Region.
	Leftovers bool
}

// Rotate takes one step of the rotation of the key behind an alias and returns
// what it did, one sentence for each change, or, in a dry run, would do. If
// there is nothing to do, it returns nothing and no error: a step taken again
// does nothing, and a step that was interrupted is finished. Prepare and Revoke
// may leave a key without an alias behind if they are interrupted right after
// making it; its tag tells it, see [RotateOptions.Leftovers].
//
// It fails with [ErrTooEarly] if the step would make tokens fail now. Any
// number of Rotates may run at a time: what they write is kept apart by the
// dates of the aliases. A Rotate ends after 30 seconds for this reason, or with
// ctx.
//
// The permissions are kms:DescribeKey, kms:ListAliases and kms:Sign, which is
// asked for a dry run, and for the steps kms:CreateKey and kms:TagResource,
// kms:CreateAlias, also for aliases whose name continues with -next-* and
// -revoked-*, kms:UpdateAlias and kms:DisableKey.
func Rotate(ctx context.Context, client AdminClient, signing string, step Step, optFns ...func(*RotateOptions)) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, fmt.Errorf("a step may take %v", stepLimit))
	defer cancel()
	t := rotation{client: client}
	for _, fn := range optFns {
		fn(&t.opts)
	}
	var err error
	if t.view, err = look(ctx, client, signing, &t.opts); err == nil {
		err = t.take(ctx, step)
	}
	if err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		err = fmt.Errorf("keyring: rotate %s: %s: %w", signing, step, err)
	}
	return t.done, err
}

// rotation is one step under way.
type rotation struct {
	client AdminClient
	opts   RotateOptions
	*view
	done []string
}

func (t *rotation) take(ctx context.Context, step Step) error {
	if t.denied != nil && step != Revoke {
		return t.denied
	}
	if t.moving != "" {
		// What was read does not belong together.
		if err := t.wait(t.moving+" was moved a moment ago", t.opts.window()); err != nil {
			if step == Advance {
				return nil
			}
			return err
		}
	}
	switch step {
	case Prepare:
		return t.prepare(ctx)
	case Promote:
		return t.promote(ctx)
	case Retire:
		return t.retire(ctx)
	case Rollback:
		return t.rollback(ctx)
	case Revoke:
		return t.revoke(ctx, t.opts.Key)
	case Advance:
		return t.advance(ctx)
	}
	return fmt.Errorf("unknown step %q, want %q, %q, %q, %q, %q or %q", step, Prepare, Promote, Retire, Rollback, Revoke, Advance)
}
