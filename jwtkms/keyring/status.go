package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// State is how far a rotation is. It follows from the keys that the three
// aliases name, and from whether the signing or the next alias was moved last.
type State string

const (
	// Rest: all aliases name the signing key, or do not exist.
	Rest State = "at rest"
	// Prepared: the next alias names another key, and was moved after the
	// signing alias.
	Prepared State = "prepared"
	// Promoted: the previous alias names another key.
	Promoted State = "promoted"
	// RolledBack: the next alias names another key, and was moved before the
	// signing alias.
	RolledBack State = "rolled back"
	// Mixed: the three aliases name three keys, which earlier versions of
	// Rotate allowed.
	Mixed State = "prepared before the previous key was retired"
	// Unclear: the next and the previous alias name the same key, and the
	// signing alias another.
	Unclear State = "unclear"
)

// Status describes how far the rotation of a ring is. With
// [RotateOptions.Regions], State and the aliases are those of the first Region,
// and Odd says where another Region differs.
type Status struct {
	State                   State
	Signing, Next, Previous AliasStatus

	// Step is the step that comes next, and Wait is how long it must wait. Wait
	// is zero if the step can be taken now. At rest, Step is [Prepare], which
	// starts the next rotation. If an alias names a revoked key, Step is
	// [Advance], which finishes the revocation. If a step was taken in some
	// Regions and not in others, Step is that step. Step is empty if the State
	// is [Unclear], or if one of the aliases cannot be read. Odd then says why.
	Step Step
	Wait time.Duration

	// Odd describes, one entry each, what an operator should look at. It is
	// empty if all is well.
	Odd []string

	// Leftovers are the ARNs of enabled keys that were made for the ring and
	// have no alias, if [RotateOptions.Leftovers] is set.
	Leftovers []string
}

// AliasStatus is one alias of a ring and the key that it names. KeyARN is empty
// if the alias does not exist.
type AliasStatus struct {
	Name     string
	KeyARN   string
	KeySpec  types.KeySpec
	KeyState types.KeyState
	Age      time.Duration // since the alias was last moved
	Revoked  bool
}

// InspectClient is the part of the KMS API that [Inspect] calls. *kms.Client
// and *kmstest.KMS satisfy it.
type InspectClient interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	ListKeys(context.Context, *kms.ListKeysInput, ...func(*kms.Options)) (*kms.ListKeysOutput, error)
	ListResourceTags(context.Context, *kms.ListResourceTagsInput, ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error)
}

// Inspect reports how far the rotation of the key behind signing is. It changes
// nothing. It makes a DescribeKey call for each alias, a ListAliases call for
// each key, and up to three dry runs of Sign. With [RotateOptions.Leftovers] it
// also makes ListKeys calls, a ListResourceTags call for each key of the
// account in the Region, and up to two more calls for each key that was made
// for the ring. Each of these operations needs its permission. With
// [RotateOptions.Regions] it makes these calls in every Region, except those
// for leftovers, which it looks for in the Region of client.
func Inspect(ctx context.Context, client InspectClient, signing string, optFns ...func(*RotateOptions)) (Status, error) {
	if isNil(client) {
		return Status{}, fmt.Errorf("keyring: inspect %s: the client is nil", signing)
	}
	var opts RotateOptions
	for _, fn := range optFns {
		fn(&opts)
	}
	opts.DryRun, opts.Force = true, false
	var s Status
	var err error
	if len(opts.Regions) == 0 {
		err = s.inspect(ctx, readOnly{InspectClient: client}, signing, opts)
	} else {
		err = s.inspectRegions(ctx, readOnly{InspectClient: client}, signing, opts)
	}
	if err != nil {
		return Status{}, fmt.Errorf("keyring: inspect %s: %w", signing, err)
	}
	if opts.Leftovers {
		if s.Leftovers, err = leftovers(ctx, client, signing); err != nil {
			return s, fmt.Errorf("keyring: inspect %s: leftovers: %w", signing, err)
		}
	}
	return s, nil
}

// inspect looks at one Region.
func (s *Status) inspect(ctx context.Context, client AdminClient, signing string, opts RotateOptions) error {
	v, err := look(ctx, client, signing, &opts)
	if err != nil {
		return err
	}
	t := &rotation{client: client, opts: opts, view: v}
	s.see(ctx, t)
	s.try(func() error { return t.take(ctx, s.Step) })
	return nil
}

// inspectRegions looks at several Regions. The Status is that of the first.
func (s *Status) inspectRegions(ctx context.Context, client AdminClient, signing string, opts RotateOptions) error {
	r, err := lookEverywhere(ctx, client, signing, opts)
	if err != nil {
		return err
	}
	s.see(ctx, r.all[0])
	for _, t := range r.all[1:] {
		var other Status
		other.see(ctx, t)
		s.Odd = append(s.Odd, other.Odd...)
	}
	for _, err := range r.lost {
		s.Odd = append(s.Odd, err.Error())
	}
	if step, ok := r.interrupted(); !ok || step != "" {
		s.Odd = append(s.Odd, r.differ().Error())
		s.Step = step
	}
	if len(r.lost) > 0 {
		s.Step = "" // none can be taken
	}
	s.try(func() error { return r.take(ctx, s.Step) })
	return nil
}

// see sets all but Wait and Leftovers.
func (s *Status) see(ctx context.Context, t *rotation) {
	v := t.view
	s.State, s.Signing, s.Next, s.Previous = v.state(), v.signing.status(), v.next.status(), v.previous.status()
	odd := v.odd()
	if v.denied != nil {
		odd = append(odd, v.denied.Error())
	}
	for _, a := range []alias{v.signing, v.next} {
		if a.usable() && (a.name == v.signing.name || !a.is(v.signing)) {
			if err := dryRun(ctx, t.client, a.key); err != nil {
				odd = append(odd, fmt.Sprintf("a dry run of signing with the key of %s: %v", a.name, err))
			}
		}
	}
	for _, text := range odd {
		s.Odd = append(s.Odd, t.where+text)
	}
	if v.denied == nil {
		s.Step = map[State]Step{Rest: Prepare, Prepared: Promote, Promoted: Retire, RolledBack: Retire, Mixed: Retire}[s.State]
	}
	if step, _ := t.due(); step == Revoke {
		s.Step = Advance
	}
}

// try learns from a dry run how long the step must wait.
func (s *Status) try(take func() error) {
	if s.Step == "" {
		return
	}
	err := take()
	if early, ok := errors.AsType[*tooEarly](err); ok {
		s.Wait = early.left
	} else if err != nil {
		s.Odd = append(s.Odd, fmt.Sprintf("%s: %v", s.Step, err))
	}
}

// readOnly is an AdminClient for dry runs, which change nothing.
type readOnly struct {
	InspectClient
	AdminClient
}

func (r readOnly) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	return r.InspectClient.DescribeKey(ctx, in, optFns...)
}

func (r readOnly) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	return r.InspectClient.ListAliases(ctx, in, optFns...)
}

func (r readOnly) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	return r.InspectClient.Sign(ctx, in, optFns...)
}

// odd says what is not as it should be.
func (v *view) odd() []string {
	var odd []string
	for _, a := range []alias{v.signing, v.next, v.previous} {
		switch {
		case a.key == nil:
		case a.revoked:
			odd = append(odd, fmt.Sprintf("%s names a revoked key: %s finishes the work", a.name, Advance))
		case a.name != v.previous.name && a.key.KeyState != types.KeyStateEnabled:
			odd = append(odd, fmt.Sprintf("%s names a key that is %s", a.name, a.key.KeyState))
		}
		if a.key != nil && a.key.KeySpec != v.signing.key.KeySpec {
			odd = append(odd, fmt.Sprintf("the key of %s is a %s, the signing key a %s", a.name, a.key.KeySpec, v.signing.key.KeySpec))
		}
	}
	switch v.state() {
	case Unclear:
		odd = append(odd, v.unclear().Error())
	case RolledBack:
		odd = append(odd, fmt.Sprintf("the key of %s was rolled back: look at it, then %s it", v.next.name, Retire))
	case Mixed:
		odd = append(odd, fmt.Sprintf("the aliases name three keys: %s before anything else", Retire))
	}
	return odd
}

// dryRun asks KMS whether it would sign with a key.
func dryRun(ctx context.Context, client interface {
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}, key *types.KeyMetadata) error {
	if len(key.SigningAlgorithms) == 0 {
		return fmt.Errorf("it is a key for %s", key.KeyUsage)
	}
	algorithm := key.SigningAlgorithms[0]
	if slices.Contains(key.SigningAlgorithms, types.SigningAlgorithmSpecEd25519Sha512) {
		algorithm = types.SigningAlgorithmSpecEd25519Sha512 // the other one takes no message
	}
	_, err := client.Sign(ctx, &kms.SignInput{
		KeyId: key.Arn, Message: []byte("dry run"), MessageType: types.MessageTypeRaw,
		SigningAlgorithm: algorithm, DryRun: aws.Bool(true),
	}, answerlimit.Option)
	if _, ok := errors.AsType[*types.DryRunOperationException](err); ok {
		return nil
	}
	return err
}

// tagKey is the tag of the keys that were made for a ring.
const tagKey = "kmssign:keyring"

// leftovers finds enabled keys with the tag of the ring that no alias names.
func leftovers(ctx context.Context, client InspectClient, signing string) ([]string, error) {
	var found []string
	pages := kms.NewListKeysPaginator(client, &kms.ListKeysInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, answerlimit.ListingOption)
		if err != nil {
			return nil, err
		}
		for _, key := range page.Keys {
			tags, err := client.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: key.KeyId}, answerlimit.Option)
			if _, no := unusable(err); no {
				continue // another team's
			}
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(tags.Tags, func(tag types.Tag) bool {
				return aws.ToString(tag.TagKey) == tagKey && aws.ToString(tag.TagValue) == signing
			}) {
				continue
			}
			list, err := listAliases(ctx, client, aws.ToString(key.KeyArn))
			if err != nil {
				return nil, err
			}
			if len(list.ages) > 0 {
				continue
			}
			out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key.KeyId}, answerlimit.Option)
			if err != nil {
				return nil, err
			}
			if out.KeyMetadata.KeyState == types.KeyStateEnabled {
				found = append(found, aws.ToString(key.KeyArn))
			}
		}
	}
	return found, nil
}
