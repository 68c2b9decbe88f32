package keyring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// replicator is what a client needs in addition for a ring in several Regions.
// *kms.Client and *kmstest.KMS have it.
type replicator interface {
	ReplicateKey(context.Context, *kms.ReplicateKeyInput, ...func(*kms.Options)) (*kms.ReplicateKeyOutput, error)
}

// prepare makes a key with its replicas, and only then points the next alias to
// it in every Region, so that the Regions differ for a moment only.
func (r *regions) prepare(ctx context.Context) error {
	first := r.all[0]
	id, lock, err := first.unfinished(ctx)
	if err != nil {
		return fmt.Errorf("%s%w", first.where, err)
	}
	prepared := func(t *rotation) bool { return t.state() == Prepared && t.next.usable() }
	var todo []*rotation
	for _, t := range r.all {
		if prepared(t) {
			if err := t.sameSpec(); err != nil {
				return fmt.Errorf("%s%w", t.where, err)
			}
			id = t.next.named()
		} else {
			todo = append(todo, t)
		}
	}
	for _, t := range todo {
		if err := t.preparable(); err != nil {
			return fmt.Errorf("%s%w", t.where, err)
		}
	}
	if len(todo) > 0 {
		if id == "" {
			if id, lock, err = first.makeRecordedKey(ctx); err != nil {
				return fmt.Errorf("%s%w", first.where, err)
			}
		}
		if err := r.replicate(ctx, id); err != nil {
			return err
		}
		for _, t := range todo {
			err := t.makePrevious(ctx)
			if err == nil {
				err = t.point(ctx, t.next, t.here(id))
			}
			if err != nil {
				return fmt.Errorf("%s%w", t.where, err)
			}
		}
	}
	if lock == "" {
		return nil
	}
	return first.point(ctx, alias{name: lock, key: first.signing.key}, first.signing.arn())
}

// newKeyID stands for the ID of a new key in a dry run.
const newKeyID = "the new key"

// here is the ARN of a multi-Region key in this Region.
func (t *rotation) here(id string) string {
	if id == newKeyID {
		return id
	}
	return t.signing.arn()[:len(t.signing.arn())-len(t.signing.named())] + id
}

// makeRecordedKey makes a key and points the lock alias to it. While that names
// the key, its replicas or its aliases may be missing, and Prepare goes on with
// it.
func (t *rotation) makeRecordedKey(ctx context.Context) (id, lock string, err error) {
	lock, _ = t.lock()
	keyARN, err := t.makeKey(ctx)
	if err != nil {
		return "", "", err
	}
	return keyID(keyARN), lock, t.point(ctx, alias{name: lock, key: t.signing.key}, keyARN)
}

// unfinished finds the key of a Prepare that was interrupted, and the lock
// alias that names it. A lock whose key cannot be used is pointed back.
func (t *rotation) unfinished(ctx context.Context) (id, lock string, err error) {
	first := t.signing.name + "-next-" + t.signing.named()
	for name, n := first, 2; ; n++ {
		out, err := t.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name}, answerlimit.Option)
		if why, _ := unusable(err); why == absent {
			return "", "", nil
		}
		if err != nil {
			return "", "", err
		}
		a := alias{name: name, key: out.KeyMetadata}
		if !a.is(t.signing) {
			list, err := listAliases(ctx, t.client, a.arn())
			if err != nil {
				return "", "", err
			}
			if a.revoked = list.revoked; a.usable() {
				return a.named(), name, nil
			}
			if err := t.point(ctx, a, t.signing.arn()); err != nil {
				return "", "", err
			}
		}
		name = fmt.Sprintf("%s-%d", first, n)
	}
}

const (
	replicaPoll  = time.Second
	replicaPolls = 10 // as many seconds; the step has 30
	replicaLater = 30 * time.Second
)

// replicate makes the replicas that a key lacks, and waits for a while until
// they can sign.
func (r *regions) replicate(ctx context.Context, id string) error {
	var missing []*rotation
	primary, home := r.all[0], r.all[0].region()
	for _, t := range r.all {
		key, err := t.describe(ctx, id)
		if err != nil {
			return fmt.Errorf("%s%w", t.where, err)
		}
		if key == nil {
			missing = append(missing, t)
		} else if key.MultiRegionConfiguration != nil && key.MultiRegionConfiguration.PrimaryKey != nil {
			home = aws.ToString(key.MultiRegionConfiguration.PrimaryKey.Region)
			primary = r.in(home)
		}
	}
	for _, t := range missing {
		if id == newKeyID && t == primary {
			continue // a dry run
		}
		if primary == nil {
			return fmt.Errorf("%s has no replica in %s, and its primary Region, %s, cannot be asked for one", id, t.region(), home)
		}
		if err := primary.replicateTo(ctx, t, id); err != nil {
			return fmt.Errorf("%s%w", primary.where, err)
		}
	}
	if r.all[0].opts.DryRun {
		return nil
	}
	for polls := 0; ; polls++ {
		var waiting string
		for _, t := range r.all {
			key, err := t.describe(ctx, id)
			switch {
			case err != nil:
				return fmt.Errorf("%s%w", t.where, err)
			case key == nil:
				waiting = t.where + "there is no replica of " + id + " yet"
			case key.KeyState == types.KeyStateEnabled:
			case key.KeyState == types.KeyStateCreating || key.KeyState == types.KeyStateUpdating:
				waiting = fmt.Sprintf("%s%s is %s", t.where, t.here(id), key.KeyState)
			default:
				return fmt.Errorf("%s is %s, want it %s", t.here(id), key.KeyState, types.KeyStateEnabled)
			}
		}
		switch {
		case waiting == "":
			return nil
		case polls == replicaPolls:
			return &tooEarly{waiting + " (the same step again goes on)", replicaLater}
		}
		select {
		case <-time.After(replicaPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// describe describes a key by its ID. It returns nil if this Region has no such
// key.
func (t *rotation) describe(ctx context.Context, id string) (*types.KeyMetadata, error) {
	if id == newKeyID {
		return nil, nil
	}
	out, err := t.client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id}, answerlimit.Option)
	if why, _ := unusable(err); why == absent {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, nil
}

// replicateTo makes the replica of a key in another Region, with the
// description, the key policy and the tags that the key was made with, which
// KMS does not copy.
func (t *rotation) replicateTo(ctx context.Context, other *rotation, id string) error {
	region := other.region()
	return t.do("replicate "+id+" to "+region, func() error {
		client, ok := t.client.(replicator)
		if !ok {
			return fmt.Errorf("the client is a %T, which has no ReplicateKey", t.client)
		}
		made := t.newKey()
		_, err := client.ReplicateKey(ctx, &kms.ReplicateKeyInput{
			KeyId: &id, ReplicaRegion: &region,
			Description: made.Description, Tags: made.Tags,
			Policy: made.Policy, BypassPolicyLockoutSafetyCheck: made.BypassPolicyLockoutSafetyCheck,
		}, answerlimit.Option)
		if _, exists := errors.AsType[*types.AlreadyExistsException](err); exists {
			return nil
		}
		return err
	})
}
