package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// view is what the aliases of a ring name.
type view struct {
	opts                    *RotateOptions
	signing, next, previous alias
	lists                   map[string]aliasList // by key ARN
	moving                  string               // an alias that does not name the same key to all calls
}

// alias is where an alias points.
type alias struct {
	name    string
	key     *types.KeyMetadata // nil: there is no such alias
	moved   time.Time          // when it was last moved, on KMS's clock
	age     time.Duration      // since then
	since   time.Duration      // since any alias of the ring has named the key
	revoked bool               // so is the key
}

func (a alias) arn() string {
	if a.key == nil {
		return ""
	}
	return aws.ToString(a.key.Arn)
}

// is reports whether both aliases name the same key.
func (a alias) is(b alias) bool { return a.key != nil && a.arn() == b.arn() }

// usable reports whether nothing is known that keeps the key from signing.
func (a alias) usable() bool {
	return a.key != nil && !a.revoked && a.key.KeyState == types.KeyStateEnabled
}

func (a alias) status() AliasStatus {
	s := AliasStatus{Name: a.name, KeyARN: a.arn(), Age: a.age, Revoked: a.revoked}
	if a.key != nil {
		s.KeySpec, s.KeyState = a.key.KeySpec, a.key.KeyState
	}
	return s
}

// look reads the aliases of a ring and completes the options.
func look(ctx context.Context, client interface {
	lister
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
}, signing string, opts *RotateOptions) (*view, error) {
	issuer := Options{Timing: opts.Timing, Next: opts.Next, Previous: opts.Previous}
	if err := issuer.complete(signing); err != nil {
		return nil, err
	}
	opts.Timing = issuer.Timing
	v := &view{opts: opts, lists: map[string]aliasList{}}
	v.signing.name, v.next.name, v.previous.name = signing, issuer.Next, issuer.Previous
	aliases := []*alias{&v.next, &v.signing, &v.previous}
	for _, a := range aliases {
		// KMS changes aliases by name, in the account and the Region of the client.
		if !strings.HasPrefix(a.name, "alias/") {
			return nil, fmt.Errorf("%q is not an alias name, want one that begins with alias/", a.name)
		}
		out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &a.name})
		if _, absent := errors.AsType[*types.NotFoundException](err); absent {
			continue
		}
		if err != nil {
			return nil, err
		}
		a.key = out.KeyMetadata
	}
	if v.signing.key == nil {
		return nil, fmt.Errorf("there is no %s: create a key and the alias first", signing)
	}
	for _, a := range aliases {
		if a.key == nil {
			continue
		}
		list, ok := v.lists[a.arn()]
		if !ok {
			var err error
			if list, err = listAliases(ctx, client, a.arn()); err != nil {
				return nil, err
			}
			v.lists[a.arn()] = list
		}
		a.moved, a.age, a.revoked = list.dates[a.name], list.age(a.name), list.revoked
		if a.moved.IsZero() {
			v.moving = a.name
		}
		for _, b := range aliases {
			a.since = max(a.since, list.age(b.name))
		}
	}
	return v, nil
}

func (v *view) state() State {
	next := v.next.key != nil && !v.next.is(v.signing)
	previous := v.previous.key != nil && !v.previous.is(v.signing)
	switch {
	case !next && !previous:
		return Rest
	case previous && next && v.next.is(v.previous):
		return Unclear
	case previous && next:
		return Mixed
	case previous:
		return Promoted
	case !v.next.moved.Before(v.signing.moved):
		return Prepared
	}
	return RolledBack
}

func (v *view) unclear() error {
	return fmt.Errorf("%s and %s both name %s: point one of them to the key of %s", v.next.name, v.previous.name, v.next.arn(), v.signing.name)
}

// heldFor is how long every issuer has had a reason to sign with the signing key:
// its alias names it, and it has propagated.
func (v *view) heldFor() time.Duration {
	return min(v.signing.age, v.signing.since-v.opts.PropagationDelay)
}

// untouched reports whether no step was ever taken.
func (v *view) untouched() bool {
	list := v.lists[v.signing.arn()]
	return v.next.key == nil && v.previous.key == nil && list.dates[v.signing.name].Equal(list.made[v.signing.name])
}

// lock is the name of the next lock alias of the signing key, and the age of the
// last one, or zero if there is none. Each interrupted Prepare leaves one.
func (v *view) lock() (name string, age time.Duration) {
	first := v.signing.name + "-next-" + keyID(v.signing.arn())
	list := v.lists[v.signing.arn()]
	for name, n := first, 2; ; n++ {
		last, taken := list.ages[name]
		if !taken {
			return name, age
		}
		name, age = fmt.Sprintf("%s-%d", first, n), max(last, 1)
	}
}
