package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/answerlimit"
)

// The aliases of a ring are its only state. Beside the three that are moved
// there are two kinds that are made once and never moved:
//
//	alias/jwt-next-<id of the signing key>     made by Prepare before it makes a key
//	alias/jwt-revoked-<id of the revoked key>  made by Revoke
//
// CreateAlias is the only operation of KMS that fails if it has been done
// already, so the first keeps several Prepares from making several keys. The
// second names the key that it revokes, so that every issuer that lists the
// aliases of the key sees it.

// lister is the part of the KMS API that finds the aliases of a key.
type lister interface {
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
}

// aliasList is what ListAliases tells about one key.
type aliasList struct {
	ages    map[string]time.Duration // by name and by ARN: since the alias was moved to the key
	dates   map[string]time.Time     // the same: when it was moved, on KMS's clock
	made    map[string]time.Time     // by name: when the alias was made
	revoked bool
}

// age is how long the alias has named the key, or zero if it does not.
func (l aliasList) age(nameOrARN string) time.Duration { return l.ages[nameOrARN] }

// listAliases finds the aliases of a key, given by its ARN or ID. It makes one
// ListAliases call, and more if there are many aliases.
func listAliases(ctx context.Context, client lister, keyARN string) (aliasList, error) {
	list := aliasList{ages: map[string]time.Duration{}, dates: map[string]time.Time{}, made: map[string]time.Time{}}
	mark := "-revoked-" + keyID(keyARN)
	in := &kms.ListAliasesInput{KeyId: &keyARN}
	for {
		out, err := client.ListAliases(ctx, in, answerlimit.ListingOption)
		if err != nil {
			return list, err
		}
		// KMS's clock, because this machine's may be wrong.
		now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
		if !ok {
			now = time.Now()
		}
		for _, a := range out.Aliases {
			name := aws.ToString(a.AliasName)
			if strings.HasSuffix(name, mark) {
				list.revoked = true
			}
			if a.LastUpdatedDate != nil {
				age := max(0, now.Sub(*a.LastUpdatedDate))
				list.ages[name], list.ages[aws.ToString(a.AliasArn)] = age, age
				list.dates[name], list.dates[aws.ToString(a.AliasArn)] = *a.LastUpdatedDate, *a.LastUpdatedDate
				list.made[name] = aws.ToTime(a.CreationDate)
			}
		}
		if !out.Truncated {
			return list, nil
		}
		in.Marker = out.NextMarker
	}
}

// keyID is the ID in a key ARN, or the ID itself.
func keyID(keyARN string) string {
	if _, id, ok := strings.Cut(keyARN, ":key/"); ok {
		return id
	}
	return keyARN
}

// view is what the aliases of a ring name.
type view struct {
	opts                    *RotateOptions
	signing, next, previous alias
	lists                   map[string]aliasList // by key ARN
	moving                  string               // an alias that does not name the same key to all calls
	denied                  error                // why a side alias could not be looked at
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
	if isNil(client) {
		return nil, errors.New("the client is nil")
	}
	issuer := Options{Timing: opts.Timing, Next: opts.Next, Previous: opts.Previous}
	if err := issuer.complete(signing); err != nil {
		return nil, err
	}
	opts.Timing = issuer.Timing
	v := &view{opts: opts, lists: map[string]aliasList{}}
	v.signing.name, v.next.name, v.previous.name = signing, issuer.Next, issuer.Previous
	aliases := []*alias{&v.next, &v.signing, &v.previous}
	for _, a := range aliases {
		// KMS changes aliases by name, in the account and the Region of the
		// client.
		if !strings.HasPrefix(a.name, "alias/") {
			return nil, fmt.Errorf("%q is not an alias name, want one that begins with alias/", a.name)
		}
		out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &a.name}, answerlimit.Option)
		why, definite := unusable(err)
		switch {
		case err == nil:
			a.key = out.KeyMetadata
		case why == absent:
		case definite && a != &v.signing:
			v.denied = fmt.Errorf("%s: %w", a.name, err)
		default:
			return nil, err
		}
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

// heldFor is how long every issuer has had a reason to sign with the signing
// key: its alias names it, and it has propagated.
func (v *view) heldFor() time.Duration {
	return min(v.signing.age, v.signing.since-v.opts.PropagationDelay)
}

// untouched reports whether no step was ever taken.
func (v *view) untouched() bool {
	list := v.lists[v.signing.arn()]
	return v.next.key == nil && v.previous.key == nil && list.dates[v.signing.name].Equal(list.made[v.signing.name])
}

// lock is the name of the next lock alias of the signing key, and the age of
// the last one, or zero if there is none. Each interrupted Prepare leaves one.
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
