package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// revoke revokes a key in every Region in which it can. A Region that fails
// does not keep it from the others, because this is an emergency. The error
// names that Region.
func (r *regions) revoke(ctx context.Context, id string) error {
	if err := revocable(id); err != nil {
		return err
	}
	id = keyID(id)
	if err := r.mayRevoke(ctx, id); err != nil {
		return err
	}
	var signs bool
	for _, t := range r.all {
		signs = signs || t.signing.named() == id
	}
	replacement := ""
	var err error
	if signs {
		if replacement, err = r.replacement(ctx, id); err != nil {
			return err
		}
	} else if err := r.each(func(t *rotation) error { return t.takesOver(ctx) }); err != nil {
		return err
	}
	failed := r.lost
	for _, t := range r.all {
		key, err := t.describe(ctx, id)
		if err == nil && key != nil {
			limited, cancel := context.WithTimeout(ctx, regionLimit(r.all[0].opts))
			err = t.revokeHere(limited, key, replacement)
			cancel()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s%w", t.where, err))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s is not revoked in all Regions; take the step again: %w", id, errors.Join(failed...))
	}
	if r.all[0].opts.DryRun {
		return nil
	}
	if err := r.each(func(t *rotation) error { return t.lookAgain(ctx) }); err != nil {
		return err
	}
	return r.align(ctx)
}

// mayRevoke refuses a key that no alias of the ring names in any Region.
func (r *regions) mayRevoke(ctx context.Context, id string) error {
	var owned bool
	var key *types.KeyMetadata
	for _, t := range r.all {
		here, err := t.describe(ctx, id)
		if err != nil || here == nil {
			continue // the other Regions tell, or the step itself
		}
		key = here
		list, err := listAliases(ctx, t.client, aws.ToString(here.Arn))
		owned = owned || err == nil && t.owns(list)
	}
	if key == nil {
		return fmt.Errorf("no Region has a key %s", id)
	}
	return r.all[0].mayRevoke(key, owned)
}

// revokeHere revokes a key in one Region. The ID of the key that takes its
// place is needed if it signs.
func (t *rotation) revokeHere(ctx context.Context, key *types.KeyMetadata, replacement string) error {
	list, err := listAliases(ctx, t.client, aws.ToString(key.Arn))
	if err != nil {
		return err
	}
	signing := t.signing.arn()
	if signing == aws.ToString(key.Arn) {
		signing = t.here(replacement)
	}
	return t.takeOut(ctx, key, list.revoked, signing)
}

// align makes the side aliases alike, which a Revoke that could not read a
// Region may have left different. The alias that was moved last is right. A key
// that is disabled where it is right is disabled in the other Regions too.
func (r *regions) align(ctx context.Context) error {
	for i := range r.all[0].aliases() {
		last := r.all[0]
		for _, t := range r.all[1:] {
			if t.aliases()[i].moved.After(last.aliases()[i].moved) {
				last = t
			}
		}
		right := last.aliases()[i]
		if right.key == nil {
			continue
		}
		err := r.each(func(t *rotation) error {
			wrong := t.aliases()[i]
			if wrong.named() == right.named() {
				return nil
			}
			if wrong.key != nil {
				key, err := last.describe(ctx, wrong.named())
				if err != nil {
					return err
				}
				if key != nil && key.KeyState == types.KeyStateDisabled {
					if err := t.disable(ctx, wrong.key); err != nil {
						return err
					}
				}
			}
			return t.point(ctx, *wrong, t.here(right.named()))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replacement is the ID of the key to sign with in place of the key id, in
// every Region.
func (r *regions) replacement(ctx context.Context, id string) (string, error) {
	var candidates []string
	for _, t := range r.all {
		if other := t.signing.named(); other != id && t.signing.usable() {
			// A Revoke was interrupted, or could not read a Region.
			if err := r.replicate(ctx, other); err != nil {
				return "", err
			}
			candidates = append(candidates, other)
		}
	}
	if len(candidates) == 0 {
		err := r.each(func(t *rotation) error {
			sides, err := t.substitutes(ctx)
			for _, side := range sides {
				candidates = append(candidates, side.named())
			}
			return err
		})
		if err != nil {
			return "", err
		}
	}
	for _, candidate := range candidates {
		ok, err := r.canSign(ctx, candidate)
		if ok || err != nil {
			return candidate, err
		}
	}
	first := r.all[0]
	if err := first.known(); err != nil {
		return "", err
	}
	made, lock, err := first.unfinished(ctx)
	if err == nil && made == "" {
		made, lock, err = first.makeRecordedKey(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("%s%w", first.where, err)
	}
	if err := r.replicate(ctx, made); err != nil {
		return "", err
	}
	err = r.each(func(t *rotation) error { return t.announceNext(ctx, t.here(made)) })
	if err == nil {
		err = first.point(ctx, alias{name: lock, key: first.signing.key}, first.signing.arn())
	}
	return made, err
}

// canSign reports whether a key can sign in every Region that answers. The
// error is that of a Region which does not say.
func (r *regions) canSign(ctx context.Context, id string) (bool, error) {
	for _, t := range r.all {
		key, err := t.describe(ctx, id)
		if err != nil {
			return false, fmt.Errorf("%s%w", t.where, err)
		}
		if key == nil {
			return false, nil
		}
		_, revoked, err := t.knows(ctx, id)
		if err != nil {
			return false, fmt.Errorf("%s%w", t.where, err)
		}
		a := alias{name: id, key: key, revoked: revoked}
		err = t.signs(ctx, a)
		if err == nil {
			continue
		}
		if a.usable() && !refused(err) {
			return false, fmt.Errorf("%s%w", t.where, err)
		}
		return false, nil
	}
	return true, nil
}
