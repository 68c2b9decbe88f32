package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// A step in several Regions is the step of each Region, with a barrier before
// it: it is taken only if every Region is where the step begins or where it
// ends, and if every Region would take it. The dates that it waits for are the
// latest of all Regions. A step that was interrupted between two Regions is
// finished by taking it again.

// regions are the steps under way in the Regions of a ring.
type regions struct {
	all  []*rotation // of the Regions that answered, in the caller's order
	lost []error     // why the others could not be read
}

// rotateRegions takes a step in several Regions.
func rotateRegions(ctx context.Context, client AdminClient, signing string, step Step, opts RotateOptions) ([]string, error) {
	if in := opts.NewKey; in != nil && !aws.ToBool(in.MultiRegion) {
		return nil, errors.New("the option NewKey makes a key of one Region, want MultiRegion to be true")
	}
	r, err := lookEverywhere(ctx, client, signing, opts)
	if err != nil {
		return nil, err
	}
	err = r.take(ctx, step)
	var done []string
	for _, t := range r.all {
		done = append(done, t.done...)
	}
	return done, err
}

// lookEverywhere reads the aliases in all Regions. It fails if none can be
// read.
func lookEverywhere(ctx context.Context, client AdminClient, signing string, opts RotateOptions) (*regions, error) {
	r := &regions{}
	limit := regionLimit(opts)
	for i, client := range append([]AdminClient{client}, opts.Regions...) {
		if isNil(client) {
			return nil, fmt.Errorf("the client of %s is nil", regionOf(nil, i))
		}
		t := &rotation{client: client, opts: opts}
		var err error
		if t.view, err = lookFor(ctx, limit, client, signing, &t.opts); err != nil {
			r.lost = append(r.lost, fmt.Errorf("%s: %w", regionOf(client, i), err))
			continue
		}
		if err := r.add(t); err != nil {
			return nil, err
		}
	}
	if len(r.all) == 0 {
		return nil, errors.Join(r.lost...)
	}
	return r, r.merge(ctx)
}

// regionLimit is how long a Region may keep a step waiting. One share is left
// for the Regions that answer.
func regionLimit(opts RotateOptions) time.Duration {
	return stepLimit / time.Duration(len(opts.Regions)+2)
}

// lookFor is look with a limit, so that a Region that hangs leaves time for a
// Revoke in the others.
func lookFor(ctx context.Context, limit time.Duration, client AdminClient, signing string, opts *RotateOptions) (*view, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := look(limited, client, signing, opts)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the Region did not answer within %v: %w", limit, err)
	}
	return v, err
}

// add adds a Region, whose name is in the ARN of its signing key.
func (r *regions) add(t *rotation) error {
	for _, a := range []alias{t.signing, t.next, t.previous} {
		if a.key != nil && !strings.HasPrefix(keyID(a.arn()), "mrk-") {
			return fmt.Errorf("%s names %s, want a multi-Region key, whose ID begins with mrk-", a.name, a.arn())
		}
	}
	parsed, err := arn.Parse(t.signing.arn())
	if err != nil {
		return err
	}
	t.where = parsed.Region + ": "
	if r.in(parsed.Region) != nil {
		return fmt.Errorf("two clients are for %s, want one for each Region", parsed.Region)
	}
	r.all = append(r.all, t)
	return nil
}

// region is the name of the Region.
func (t *rotation) region() string { return strings.TrimSuffix(t.where, ": ") }

// in returns the step in a Region, or nil.
func (r *regions) in(region string) *rotation {
	for _, t := range r.all {
		if t.region() == region {
			return t
		}
	}
	return nil
}

// regionOf names the Region of a client that has not told its ARNs.
func regionOf(client any, i int) string {
	if r, ok := client.(readOnly); ok {
		return regionOf(r.InspectClient, i)
	}
	if c, ok := client.(interface{ Options() kms.Options }); ok && c.Options().Region != "" {
		return c.Options().Region
	}
	return fmt.Sprintf("Region %d", i+1)
}

// lookAgain reads the aliases anew.
func (t *rotation) lookAgain(ctx context.Context) (err error) {
	t.view, err = look(ctx, t.client, t.signing.name, &t.opts)
	return err
}

// merge gives every Region the latest dates of all, and their marks. An alias
// counts in the Regions in which it names the same key: in the others the step
// that moves it has been taken already, or has not.
func (r *regions) merge(ctx context.Context) error {
	type found struct {
		moved      time.Time
		age, since time.Duration
		revoked    bool
	}
	var all [][]found
	for _, t := range r.all {
		var merged []found
		for i, a := range t.aliases() {
			f := found{a.moved, a.age, a.since, a.revoked}
			for _, other := range r.all {
				if other == t || a.key == nil {
					continue
				}
				if b := other.aliases()[i]; b.named() == a.named() {
					f.age = min(f.age, b.age)
					if b.moved.After(f.moved) {
						f.moved = b.moved
					}
				}
				since, revoked, err := other.knows(ctx, a.named())
				if err != nil {
					return fmt.Errorf("%s%w", other.where, err)
				}
				f.since, f.revoked = min(f.since, since), f.revoked || revoked
			}
			merged = append(merged, f)
		}
		all = append(all, merged)
	}
	for n, t := range r.all {
		for i, a := range t.aliases() {
			f := all[n][i]
			a.moved, a.age, a.since, a.revoked = f.moved, f.age, f.since, f.revoked
		}
	}
	return nil
}

func (v *view) aliases() []*alias { return []*alias{&v.signing, &v.next, &v.previous} }

// named is the ID of the key that an alias names, which a multi-Region key has
// in every Region, or empty.
func (a *alias) named() string { return keyID(a.arn()) }

// knows returns since when an alias of the ring has named a key in this Region,
// and whether the key is marked as revoked here.
func (t *rotation) knows(ctx context.Context, id string) (since time.Duration, revoked bool, err error) {
	for _, a := range t.aliases() {
		if a.named() == id {
			return a.since, a.revoked, nil
		}
	}
	list, err := listAliases(ctx, t.client, id)
	if why, _ := unusable(err); why == absent {
		return 0, false, nil
	}
	return 0, list.revoked, err
}

// take takes a step in all Regions.
func (r *regions) take(ctx context.Context, step Step) error {
	if step == Advance {
		err := r.advance(ctx)
		if errors.Is(err, ErrTooEarly) {
			return nil
		}
		return err
	}
	if step == Revoke {
		return r.revoke(ctx, r.all[0].opts.Key)
	}
	if len(r.lost) > 0 {
		return fmt.Errorf("nothing was changed, because a Region cannot be read: %w", errors.Join(r.lost...))
	}
	if err := r.each(func(t *rotation) error { return t.begin(step) }); err != nil {
		return err
	}
	behind, err := r.barrier(step)
	if err != nil {
		return err
	}
	everywhere := func(r *regions) error {
		if step == Prepare {
			return r.prepare(ctx)
		}
		return r.each(func(t *rotation) error {
			if !behind(t) {
				return nil
			}
			return t.take(ctx, step)
		})
	}
	// First see that no Region refuses.
	trial := r.trial()
	err = everywhere(trial)
	if r.all[0].opts.DryRun {
		r.all = trial.all // with what would be done
		return err
	}
	if err != nil {
		return err
	}
	return everywhere(r)
}

// trial returns copies of the steps that change nothing.
func (r *regions) trial() *regions {
	trial := &regions{}
	for _, t := range r.all {
		c, v := *t, *t.view
		c.view, c.opts.DryRun, c.done = &v, true, nil
		trial.all = append(trial.all, &c)
	}
	return trial
}

// each does something in every Region, until it fails.
func (r *regions) each(do func(*rotation) error) error {
	for _, t := range r.all {
		if err := do(t); err != nil {
			return fmt.Errorf("%s%w", t.where, err)
		}
	}
	return nil
}

// A place is how far a Region is: the keys that the aliases name, where an
// alias that does not exist counts as naming the signing key, and the state.
type place struct {
	signing, next, previous string
	state                   State
}

func (v *view) place() place {
	p := place{v.signing.named(), v.next.named(), v.previous.named(), v.state()}
	if v.next.key == nil {
		p.next = p.signing
	}
	if v.previous.key == nil {
		p.previous = p.signing
	}
	return p
}

// leads reports whether a step takes a Region from one place to another.
func leads(step Step, from, to place) bool {
	is := func(signing, next, previous string) bool {
		return to.signing == signing && to.next == next && to.previous == previous
	}
	switch from.state {
	case Rest:
		return step == Prepare && to.state == Prepared && is(from.signing, to.next, from.previous)
	case Prepared:
		return step == Promote && is(from.next, from.next, from.signing) ||
			step == Prepare && to.state == Prepared && is(from.signing, to.next, from.previous)
	case Promoted:
		return step == Retire && is(from.signing, from.next, from.signing) ||
			step == Rollback && is(from.previous, from.next, from.previous)
	case RolledBack:
		return step == Retire && is(from.signing, from.signing, from.signing)
	case Mixed:
		return step == Retire && is(from.signing, from.next, from.signing) ||
			step == Promote && is(from.next, from.next, from.signing)
	}
	return false
}

// end is the place to which a step leads if it is taken in the Regions that
// have not taken it. It is false if that does not make all Regions alike.
func (r *regions) end(step Step) (place, bool) {
	for _, end := range r.all {
		if !slices.ContainsFunc(r.all, func(t *rotation) bool {
			return t.place() != end.place() && !leads(step, t.place(), end.place())
		}) {
			return end.place(), true
		}
	}
	return place{}, false
}

// interrupted is the step that some Regions have taken and others have not. It
// is empty if all Regions are alike, and ok is false if no step explains how
// they differ.
func (r *regions) interrupted() (step Step, ok bool) {
	for _, step := range []Step{"", Promote, Prepare, Retire, Rollback} {
		if _, ok := r.end(step); ok {
			return step, true
		}
	}
	return "", false
}

// barrier refuses a step unless every Region is where it begins or where it
// ends. It returns which Regions are to take it.
func (r *regions) barrier(step Step) (behind func(*rotation) bool, err error) {
	if _, alike := r.end(""); alike {
		return func(*rotation) bool { return true }, nil
	}
	end, ok := r.end(step)
	if !ok {
		return nil, r.differ()
	}
	for _, t := range r.all {
		t.finishing = true
	}
	return func(t *rotation) bool { return t.place() != end }, nil
}

// differ says how the Regions differ and what to do.
func (r *regions) differ() error {
	var places []string
	for _, t := range r.all {
		places = append(places, t.where+string(t.state()))
	}
	how := strings.Join(places, ", ")
	if step, ok := r.interrupted(); ok {
		return fmt.Errorf("the Regions differ (%s): %s first, which finishes it everywhere", how, step)
	}
	return fmt.Errorf("the Regions differ (%s) in a way that no step explains: move the aliases in each of them as in the others", how)
}

// advance takes the step that is due, or finishes one that was interrupted.
func (r *regions) advance(ctx context.Context) error {
	for _, t := range r.all {
		if step, key := t.due(); step == Revoke {
			return r.revoke(ctx, key)
		}
	}
	step, ok := r.interrupted()
	if !ok {
		return r.differ()
	}
	if step == "" {
		step, _ = r.all[0].due()
	}
	if step == "" {
		return nil
	}
	return r.take(ctx, step)
}
