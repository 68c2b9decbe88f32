package multiregion_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// The explorer runs the real Client on a fake clock, against every combination
// of what two and three Regions may answer and when that changes, with every
// combination of options, and checks laws that every run must obey. It runs a
// small scope by default, and all of it with KMSSIGN_FULL=1.

// full reports whether the whole scope is explored. It is a function, because
// the go command does not see what an initializer reads of the environment, and
// would use a cached result.
func full() bool { return os.Getenv("KMSSIGN_FULL") == "1" }

const (
	exploredHedge    = 50 * time.Millisecond
	exploredInterval = 10 * time.Second
)

// A behavior is what one Region does during a run: from the start it answers in
// one way, and from change on in another.
type behavior struct {
	before, after *kind
	change        time.Duration
}

func (b behavior) at(t time.Duration) *kind {
	if t < b.change {
		return b.before
	}
	return b.after
}

func (b behavior) String() string {
	if b.before == b.after {
		return b.before.name
	}
	return fmt.Sprintf("%s until %v, then %s", b.before.name, b.change, b.after.name)
}

// always reports whether the Region answers in classes from start to end.
func (b behavior) always(from, to time.Duration, classes ...class) bool {
	return slices.Contains(classes, b.at(from).class) && (to < b.change || from >= b.change || slices.Contains(classes, b.after.class))
}

// product returns all combinations of what the Regions may do.
func product(regions ...[]behavior) [][]behavior {
	all := [][]behavior{nil}
	for _, choices := range regions {
		var longer [][]behavior
		for _, c := range all {
			for _, b := range choices {
				longer = append(longer, append(slices.Clip(c), b))
			}
		}
		all = longer
	}
	return all
}

// A mode is how a run calls KMS.
type mode struct {
	hedge, spread bool
	deadline      time.Duration
}

func (m mode) String() string {
	return fmt.Sprintf("hedge %v, spread %v, deadline %v", m.hedge, m.spread, m.deadline)
}

// schedule is when a run calls KMS. Two calls at the same time, calls while
// others hang, calls around both changes, and calls long after.
var schedule = []time.Duration{
	0, 0, 50 * time.Millisecond, 300 * time.Millisecond, 1200 * time.Millisecond,
	4900 * time.Millisecond, 5 * time.Second, 5100 * time.Millisecond, 11 * time.Second,
	18 * time.Second, 20 * time.Second, 22 * time.Second, 24 * time.Second, 26 * time.Second,
}

const lastChange = 5 * time.Second

// behaviors returns what one Region may do with kinds of answers, each all the
// time, until a change, and from a change on.
func behaviors(kinds []*kind, changes ...time.Duration) []behavior {
	good := kinds[0]
	all := []behavior{{before: good, after: good}}
	for _, k := range kinds[1:] {
		all = append(all, behavior{before: k, after: k})
		for _, at := range changes {
			all = append(all, behavior{k, good, at}, behavior{good, k, at})
		}
	}
	return all
}

// A run is one case: a Client, its Regions, and the calls that were made.
type run struct {
	mode
	regions []behavior
	began   time.Time
	client  *multiregion.Client
	calls   []*call

	mu      sync.Mutex
	changes []change
}

// A change is what OnChange was told.
type change struct {
	region int
	down   bool
}

// A call is a call to the Client.
type call struct {
	start, end, deadline time.Duration
	out                  *kms.SignOutput
	err                  error

	mu    sync.Mutex
	asked []*asked
}

// asked is a call to one Region.
type asked struct {
	region     int
	start, end time.Duration
	kind       *kind
	done       bool // it ended with the Region's answer, not with its context
}

func (a *asked) is(classes ...class) bool { return a.done && slices.Contains(classes, a.kind.class) }

type callKey struct{}

// A station is a Region's KMS.
type station struct {
	kmssigner.Client
	*run
	region  int
	results map[*kind]result
}

func (s *station) Sign(ctx context.Context, _ *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	start := time.Since(s.began)
	a := &asked{region: s.region, start: start, kind: s.regions[s.region].at(start)}
	c := ctx.Value(callKey{}).(*call)
	c.mu.Lock()
	c.asked = append(c.asked, a)
	c.mu.Unlock()
	defer func() { a.end = time.Since(s.began) }()
	if ctx.Err() == nil && a.kind.delay == 0 {
		a.done = true
		return s.results[a.kind].out, s.results[a.kind].err
	}
	answer := time.NewTimer(a.kind.delay)
	defer answer.Stop()
	select {
	case <-answer.C:
		a.done = true
		return s.results[a.kind].out, s.results[a.kind].err
	case <-ctx.Done():
	}
	if a.kind.name == "hanging in the body" {
		return nil, s.results[a.kind].err // what net/http makes of the end of the context
	}
	return nil, &aws.RequestCanceledError{Err: ctx.Err()}
}

var errWrong = errors.New("it is wrong")

// explore makes the calls of the schedule, and returns when all have ended.
func (r *run) explore(t *testing.T, results []map[*kind]result) {
	var regions []multiregion.Region
	for i := range r.regions {
		regions = append(regions, multiregion.Region{Name: exploredRegions[i], Client: &station{run: r, region: i, results: results[i]}})
	}
	client, err := multiregion.New(regions, func(o *multiregion.Options) {
		o.Spread = r.spread
		o.ProbeInterval = exploredInterval
		if r.hedge {
			o.HedgeAfter = exploredHedge
		}
		o.OnChange = func(region string, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.changes = append(r.changes, change{slices.Index(exploredRegions, region), err != nil})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r.client, r.began = client, time.Now()
	var wg sync.WaitGroup
	for _, at := range schedule {
		time.Sleep(at - time.Since(r.began))
		c := &call{start: at, deadline: at + r.deadline}
		r.calls = append(r.calls, c)
		wg.Go(func() {
			ctx, cancel := context.WithDeadline(context.WithValue(context.Background(), callKey{}, c), r.began.Add(c.deadline))
			defer cancel()
			c.out, c.err = client.SignChecked(ctx, exploredInput, func(out *kms.SignOutput) error {
				if !bytes.Equal(out.Signature, rightSignature) {
					return errWrong
				}
				return nil
			})
			c.end = time.Since(r.began)
		})
	}
	wg.Wait()
	synctest.Wait() // the attempts that lost have ended
}

var (
	exploredRegions = []string{"us-east-1", "eu-west-1", "ap-south-1"}
	exploredInput   = &kms.SignInput{
		KeyId: aws.String(exploredID), Message: make([]byte, 32), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	}
)

// check returns the laws that the run has broken.
func (r *run) check() (broken []string) {
	violated := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for _, c := range r.calls {
		r.checkCall(c, func(format string, args ...any) {
			violated("the call at %v: "+format, append([]any{c.start}, args...)...)
		})
	}
	down := r.client.Down()
	last := r.calls[len(r.calls)-1]
	for i, b := range r.regions {
		isDown := slices.Contains(down, exploredRegions[i])
		var balance int
		for _, ch := range r.changes {
			if ch.region == i && ch.down {
				balance++
			} else if ch.region == i {
				balance--
			}
		}
		if isDown != (balance == 1) || balance < 0 || balance > 1 {
			violated("OnChange was told %v, and Down() is %q", r.changes, down)
		}
		// A Region that does nothing wrong is never passed over. With hedging,
		// one that is slow may be.
		prompt := !r.hedge || b.before.delay < exploredHedge && b.after.delay < exploredHedge
		if prompt && b.always(0, last.end, well, lagging, refusing) && slices.Contains(r.changes, change{i, true}) {
			violated("Region %d was passed over", i)
		}
		// A Region that is back is used again.
		if prompt && isDown && b.always(lastChange, last.end, well, lagging, refusing) {
			violated("Region %d is back and passed over at the end", i)
		}
		if n, most := r.asksOf(i); n > most {
			violated("Region %d was asked %d times, want at most %d", i, n, most)
		}
	}
	if !r.hedge && !r.spread {
		preferred := slices.IndexFunc(r.regions, func(b behavior) bool { return b.always(lastChange, last.end, well, lagging, refusing) })
		if preferred >= 0 && last.asked[len(last.asked)-1].region != preferred {
			violated("the last call was not answered by Region %d", preferred)
		}
	}
	return broken
}

// asksOf returns how often a Region was asked, and how often at most it may be:
// once the first call that asked it has passed it over, one call in an interval
// may find out whether it is back. It knows that for Regions that fail at once
// while another is well.
func (r *run) asksOf(region int) (n, most int) {
	b := r.regions[region]
	const end = 30 * time.Second
	interval := exploredInterval
	if b.always(0, end, throttle) {
		interval = time.Second
	}
	most = 1 << 20
	otherIsWell := slices.ContainsFunc(r.regions, func(b behavior) bool { return b.always(0, end, well) })
	refusal := slices.ContainsFunc(r.regions, func(b behavior) bool { return !b.always(0, end, well, lagging, away, throttle, lying, never) })
	failing := b.always(0, end, away, throttle) || b.always(0, end, lying) && !r.hedge
	var first *call
	for _, c := range r.calls {
		for _, a := range c.asked {
			if a.region != region {
				continue
			}
			n++
			if first == nil {
				first = c
			}
			if failing && otherIsWell && !refusal && first.end < a.start && most == 1<<20 {
				most = n - 1 + int((r.calls[len(r.calls)-1].start-first.end)/interval) + 1
			}
		}
	}
	return n, most
}

func (r *run) checkCall(c *call, violated func(string, ...any)) {
	slices.SortStableFunc(c.asked, func(x, y *asked) int { return int(x.start - y.start) })
	// Nothing goes on after the deadline, or after the call has returned.
	if c.end > c.deadline {
		violated("it ended at %v, after its deadline", c.end)
	}
	refused, right := false, false
	for i, a := range c.asked {
		if a.end > c.end {
			violated("Region %d was still asked at %v, the call had ended at %v", a.region, a.end, c.end)
		}
		refused = refused || a.is(refusing)
		right = right || a.is(well, lagging, tardy)
		if slices.ContainsFunc(c.asked[:i], func(other *asked) bool { return other.region == a.region }) {
			violated("Region %d was asked twice", a.region)
		}
		if i > 0 {
			r.checkAnother(c.asked[:i], a, violated)
		}
	}
	// Only the right answer is returned, under the name that the caller knows.
	if c.err == nil {
		if !right || !bytes.Equal(c.out.Signature, rightSignature) {
			violated("it returned %q", c.out.Signature)
		}
		if want := "arn:aws:kms:us-east-1:111122223333:key/" + exploredID; *c.out.KeyId != want {
			violated("its key is %q, want %q", *c.out.KeyId, want)
		}
		return
	}
	// It fails only if KMS refused, or if no Region was well.
	for i, b := range r.regions {
		if !refused && b.always(c.start, c.end, well, lagging) {
			violated("it failed while Region %d was well: %v", i, c.err)
		}
	}
	for _, a := range c.asked {
		// What has not ended when a refusal comes is not waited for.
		if !strings.Contains(c.err.Error(), exploredRegions[a.region]+": ") && (a.done && a.end < c.end || !refused) {
			violated("its error does not name Region %d: %v", a.region, c.err)
		}
	}
	if c.end == c.deadline && !refused && !errors.Is(c.err, context.DeadlineExceeded) {
		violated("its error is not the deadline: %v", c.err)
	}
}

// checkAnother checks that there was reason to ask a, after others were asked.
func (r *run) checkAnother(before []*asked, a *asked, violated func(string, ...any)) {
	// What ends when a starts may be the reason, or may still be running.
	if !r.reason(before, a, false) && !r.reason(before, a, true) {
		violated("there was no reason to ask Region %d at %v", a.region, a.start)
	}
}

func (r *run) reason(before []*asked, a *asked, tieRuns bool) bool {
	running := 0
	var latest time.Duration // when something last happened
	for _, b := range before {
		latest = max(latest, b.start)
		switch {
		case b.end > a.start || b.end == a.start && tieRuns:
			running++
		case b.is(well, lagging, tardy, refusing):
			return false // b had answered
		default:
			latest = max(latest, b.end)
		}
	}
	if running == 0 {
		return a.start == latest // the others have just failed
	}
	return r.hedge && running == 1 && a.start-latest >= exploredHedge
}

// trace describes the run for a report.
func (r *run) trace() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v\n", r.mode)
	for i, b := range r.regions {
		fmt.Fprintf(&s, "  Region %d: %v\n", i, b)
	}
	for _, c := range r.calls {
		fmt.Fprintf(&s, "  call %v to %v: %v\n", c.start, c.end, c.err)
		for _, a := range c.asked {
			fmt.Fprintf(&s, "    Region %d, %v to %v: %s\n", a.region, a.start, a.end, a.kind.name)
		}
	}
	return s.String()
}

func TestExplorer(t *testing.T) {
	var all, few []*kind
	for i := range kinds {
		all = append(all, &kinds[i])
		if i == 0 || kinds[i].class != kinds[i-1].class {
			few = append(few, &kinds[i]) // one of each class
		}
	}
	var results []map[*kind]result
	for _, region := range exploredRegions {
		of := map[*kind]result{}
		for _, k := range all {
			of[k] = k.through(t, region)
		}
		results = append(results, of)
	}
	var runs []run
	add := func(modes []mode, cases [][]behavior) {
		for _, c := range cases {
			for _, m := range modes {
				runs = append(runs, run{mode: m, regions: c})
			}
		}
	}
	early, late := 50*time.Millisecond, lastChange
	half := []mode{
		{false, false, 10 * time.Second}, {true, false, 10 * time.Second},
		{false, true, 10 * time.Second}, {true, true, 900 * time.Millisecond},
	}
	if full() {
		whole := append(half, mode{true, true, 10 * time.Second}, mode{false, true, 900 * time.Millisecond},
			mode{true, false, 900 * time.Millisecond}, mode{false, false, 900 * time.Millisecond})
		add(whole, product(behaviors(all, early, late), behaviors(all, early, late)))
		add(whole, product(behaviors(few, late), behaviors(few, late), behaviors(few, late)))
		add(half, product(behaviors(all), behaviors(all), behaviors(all)))
	} else {
		add(half, product(behaviors(all), behaviors(all)))
		add(half, product(behaviors(all, late), behaviors(few, late)))
		add(half, product(behaviors(few, late), behaviors(all, late)))
		add(half, product(behaviors(few), behaviors(few), behaviors(few, late)))
	}
	var calls, asks, failures, next atomic.Int64
	total := int64(len(runs)) / exploredShare
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				// A bubble for some cases: one for each costs more than the
				// case.
				first := next.Add(64) - 64
				if first >= total || t.Failed() {
					return
				}
				synctest.Test(t, func(t *testing.T) {
					for i := first; i < min(first+64, total); i++ {
						r := &runs[i*exploredShare]
						r.explore(t, results)
						for _, c := range r.calls {
							calls.Add(1)
							asks.Add(int64(len(c.asked)))
							if c.err != nil {
								failures.Add(1)
							}
						}
						if broken := r.check(); len(broken) > 0 {
							t.Fatalf("%s\n%s", strings.Join(broken, "\n"), r.trace())
						}
						r.client, r.calls = nil, nil
					}
				})
			}
		})
	}
	wg.Wait()
	t.Logf("%d cases, %d calls, %d calls to Regions, %d calls failed because KMS refused or no Region was well, in %v",
		total, calls.Load(), asks.Load(), failures.Load(), time.Since(began).Round(time.Millisecond))
}
