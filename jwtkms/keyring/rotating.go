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
	// Prepare makes a key like the signing key and points the next alias to it.
	// Issuers publish the key from their next refresh on. If the signing key is
	// a multi-Region key, so is the new one. [RotateOptions.Regions] makes its
	// replicas and their aliases in the other Regions.
	Prepare Step = "prepare"

	// Promote points the signing alias to the next key. It fails with
	// [ErrTooEarly] until every verifier must have fetched that key. Issuers
	// sign with it from their next refresh on.
	Promote Step = "promote"

	// Retire disables the key that was replaced and points its alias to the
	// signing key. That is the previous alias, or the next alias after a
	// [Rollback]. Retire fails with [ErrTooEarly] until the last token of the
	// key must have expired. A disabled key can be enabled again. The operator
	// must delete the key, if that is wanted.
	Retire Step = "retire"

	// Rollback undoes Promote: it points the signing alias to the previous key.
	// It can be taken until Slack + 30 seconds before [Retire] can. Issuers
	// publish the key that Promote had put in place until Retire.
	Rollback Step = "rollback"

	// Revoke marks the key [RotateOptions.Key] as revoked and disables it.
	// Issuers unpublish it at their next refresh, and its tokens fail. If it is
	// the signing key, the next or the previous key takes its place. If neither
	// can, Revoke makes a new key, and new tokens fail at verifiers that have
	// not fetched it yet. Revoke fails with [ErrTooEarly] if another step may
	// be making a key or moving an alias, or if the previous key can no longer
	// take over but cannot be retired yet. [RotateOptions.Force] takes it
	// nevertheless.
	Revoke Step = "revoke"

	// Advance takes the step that is due. It finishes an interrupted [Revoke],
	// or else takes [Retire] or [Promote], or takes [Prepare] if the signing
	// alias was last moved at least [RotateOptions.MaxKeyAge] ago. If no step
	// is due, or the step is too early, Advance does nothing and returns a nil
	// error. After a [Rollback] it does nothing until somebody has taken
	// Retire.
	Advance Step = "advance"
)

// ErrTooEarly is returned by [Rotate] for a step that would make tokens fail if
// it were taken now, and for a step that could collide with one that another
// Rotate is taking. The text of the error says how long to wait.
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

// RotateOptions configures [Rotate] and [Inspect]. The zero value is right for
// a Ring whose [Options] are the zero value.
type RotateOptions struct {
	// Timing must be that of the issuers.
	Timing

	// Next and Previous are those of the issuers' [Options].
	Next, Previous string

	// NewKey is the input of CreateKey for a new key. Nil means a key with the
	// spec and the usage of the signing key, which is a multi-Region key if the
	// signing key is one. Its key policy is the default of KMS, which leaves
	// the permissions to IAM. Every new key gets the tag kmssign:keyring in
	// addition, whose value is the name of the signing alias. A spec that some
	// verifiers do not know (ECC_SECG_P256K1, ML_DSA_44 and so on) wants Force,
	// unless the signing key has it too: such a verifier refuses the whole
	// JWKS.
	NewKey *kms.CreateKeyInput

	// Key is the ID or ARN of the key that Revoke revokes. An alias is refused,
	// because a Revoke that is taken again would then revoke the replacement. A
	// key that no alias of the ring names is refused without Force. A key that
	// is not for SIGN_VERIFY is always refused.
	Key string

	// Regions are clients for the other Regions of a ring of multi-Region keys,
	// whose issuers use package multiregion. Rotate then takes each step in all
	// Regions, and Inspect looks at all of them: see "Several Regions" in the
	// package comment. Every Rotate of the ring must be given the same Regions
	// in the same order, the one for the argument client first. The clients
	// must also have the method ReplicateKey of *kms.Client. Empty means that
	// the ring is in one Region.
	Regions []AdminClient

	// MaxKeyAge is the age of the signing alias at which [Advance] starts the
	// next rotation. The age is the time since the alias was last moved. Zero
	// means that Advance starts no rotation.
	MaxKeyAge time.Duration

	// Standby makes [Advance] prepare the next key as soon as the previous one
	// is retired, and promote it at MaxKeyAge. A [Revoke] can then use a key
	// that every verifier has. If MaxKeyAge is zero, Advance neither prepares
	// nor promotes a key with Standby.
	Standby bool

	// Force takes a step even if it is too early or too late, even if a dry run
	// says that the key cannot sign, and even if some verifiers do not know the
	// type of the new key. Tokens may then fail.
	Force bool

	// DryRun makes Rotate return the changes that it would make, without making
	// them.
	DryRun bool

	// Leftovers makes Inspect look for keys that were made for the ring and
	// have no alias. It lists all keys of the account in the Region.
	Leftovers bool
}

// Rotate takes one step of the rotation of the key behind signing, which is an
// alias name such as "alias/jwt". It returns a description of each change that
// it made, also if it fails after some of them. With [RotateOptions.DryRun] it
// returns those that it would make. If there is nothing to do, it returns no
// descriptions and a nil error. A step that is taken again does nothing, unless
// it was interrupted. Then it is finished. If Prepare or Revoke is interrupted
// right after making a key, no alias names that key. [RotateOptions.Leftovers]
// finds it by its tag.
//
// With [RotateOptions.Regions], Rotate takes the step in every Region, and each
// description begins with the name of its Region.
//
// Rotate fails with [ErrTooEarly] if the step would make tokens fail now. It
// may be called concurrently, also by several processes, because it compares
// the dates of the aliases to keep steps apart. For the same reason it ends
// after at most 30 seconds. It also ends when ctx does.
//
// Every step needs kms:DescribeKey, kms:ListAliases, and kms:Sign for dry runs.
// Changes need kms:CreateKey, kms:TagResource, kms:CreateAlias, kms:UpdateAlias
// and kms:DisableKey, and kms:ReplicateKey in several Regions. Rotate also
// creates two kinds of aliases that it never moves. One is named like the
// signing alias with -next- and a key ID appended, and keeps two steps from
// making a key at once. The other has -revoked- and a key ID appended, and
// marks that key as revoked. Do not delete it. The permission kms:CreateAlias
// must include both.
func Rotate(ctx context.Context, client AdminClient, signing string, step Step, optFns ...func(*RotateOptions)) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepLimit, fmt.Errorf("a step may take %v", stepLimit))
	defer cancel()
	var opts RotateOptions
	for _, fn := range optFns {
		fn(&opts)
	}
	var done []string
	var err error
	if len(opts.Regions) == 0 {
		done, err = rotate(ctx, client, signing, step, opts)
	} else {
		done, err = rotateRegions(ctx, client, signing, step, opts)
	}
	if err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w (%w)", err, cause)
		}
		err = fmt.Errorf("keyring: rotate %s: %s: %w", signing, step, err)
	}
	return done, err
}

// rotate takes a step in one Region.
func rotate(ctx context.Context, client AdminClient, signing string, step Step, opts RotateOptions) ([]string, error) {
	v, err := look(ctx, client, signing, &opts)
	if err != nil {
		return nil, err
	}
	t := rotation{client: client, opts: opts, view: v}
	err = t.take(ctx, step)
	return t.done, err
}

// rotation is one step under way, in one Region.
type rotation struct {
	client AdminClient
	opts   RotateOptions
	*view
	where string // what descriptions begin with, if there are several Regions
	done  []string

	// finishing is set if another Region has taken the step. Then no step is
	// taken but this one, and a Rollback is never too late.
	finishing bool
}

// begin refuses a step if the aliases cannot be read.
func (t *rotation) begin(step Step) error {
	if t.denied != nil && step != Revoke {
		return t.denied
	}
	if t.moving != "" {
		// What was read does not belong together.
		return t.wait(t.moving+" was moved a moment ago", t.opts.window())
	}
	return nil
}

func (t *rotation) take(ctx context.Context, step Step) error {
	if err := t.begin(step); err != nil {
		if step == Advance && errors.Is(err, ErrTooEarly) {
			return nil
		}
		return err
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
