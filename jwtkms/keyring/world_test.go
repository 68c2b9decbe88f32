package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// The world of the explorer: a KMS in memory, issuers on the real Ring and its
// Run, operators on the real Rotate, hands that move aliases, and a symbolic
// verifier. It runs on the fake clock of a synctest bubble. Every actor has its
// own phase of a microsecond, so that no two events happen at once and a
// schedule always runs the same way.

// scope is the timing of the explorer. Nothing in it is spare: KMS is late by
// up to Slack (or issuers take half of it for a refresh and KMS the other
// half), and refreshes may fail for F.
var scope = Timing{
	RefreshInterval:  60 * time.Second,
	MaxAge:           90 * time.Second,
	MaxLifetime:      120 * time.Second,
	PropagationDelay: 200 * time.Second,
	Slack:            20 * time.Second,
}

const (
	scopeF  = 30 * time.Second     // PropagationDelay - RefreshInterval - MaxAge - Slack
	latency = 1 * time.Millisecond // of each call
)

// A script is one schedule. It is printed when it fails, and can be pasted into
// TestScripts.
type script struct {
	Ring string        // the ring at the beginning: see base
	Age  time.Duration // of the last step that was taken
	Acts []act
	Late []late        // what KMS shows late, to whom
	Down []down        // whose refreshes fail, and when
	Slow time.Duration // what a call of issuer y takes longer
	Fast time.Duration // by how much the clock of an issuer makes tokens live longer
	Keys int           // how many keys may be made; 0: any number
	Two  bool          // two Regions
	Dead []dead        // which Region is not available, and when

	Strict bool // tokens count that a starting issuer signs although no key has propagated
}

// An act happens at a time: "start x", "kill x", a step, "revoke A", or a hand
// that moves: "point next B", "delete prev", "disable A", "enable A", "deny A",
// "allow A", "nosign A", "dying A". A step may pause before its nth call, or be
// killed before or after it.
type act struct {
	At    time.Duration
	Do    string
	Pause int           // 1 is before the first call; 0: never
	For   time.Duration // how long
	Kill  int           // before call n; -n is after it; 0: never
}

type late struct {
	Who, What string // an issuer, and next, jwt, prev or list
	By        time.Duration
}

type dead struct {
	Region   int
	From, To time.Duration
}

type down struct {
	Who      string
	From, To time.Duration
}

func (s script) String() string {
	var b strings.Builder
	d := func(d time.Duration) string {
		if d%time.Second == 0 {
			return fmt.Sprintf("%d*time.Second", d/time.Second)
		}
		return fmt.Sprintf("%d*time.Millisecond", d/time.Millisecond)
	}
	fmt.Fprintf(&b, "script{Ring: %q, Age: %s, Acts: []act{\n", s.Ring, d(s.Age))
	for _, a := range s.Acts {
		fmt.Fprintf(&b, "\t{At: %s, Do: %q", d(a.At), a.Do)
		if a.Pause != 0 {
			fmt.Fprintf(&b, ", Pause: %d, For: %s", a.Pause, d(a.For))
		}
		if a.Kill != 0 {
			fmt.Fprintf(&b, ", Kill: %d", a.Kill)
		}
		b.WriteString("},\n")
	}
	b.WriteString("}")
	if len(s.Late) > 0 {
		b.WriteString(", Late: []late{")
		for _, l := range s.Late {
			fmt.Fprintf(&b, "{%q, %q, %s}, ", l.Who, l.What, d(l.By))
		}
		b.WriteString("}")
	}
	if len(s.Down) > 0 {
		b.WriteString(", Down: []down{")
		for _, l := range s.Down {
			fmt.Fprintf(&b, "{%q, %s, %s}, ", l.Who, d(l.From), d(l.To))
		}
		b.WriteString("}")
	}
	if s.Two {
		b.WriteString(", Two: true")
	}
	if len(s.Dead) > 0 {
		b.WriteString(", Dead: []dead{")
		for _, l := range s.Dead {
			fmt.Fprintf(&b, "{%d, %s, %s}, ", l.Region, d(l.From), d(l.To))
		}
		b.WriteString("}")
	}
	if s.Slow != 0 {
		fmt.Fprintf(&b, ", Slow: %s", d(s.Slow))
	}
	if s.Fast != 0 {
		fmt.Fprintf(&b, ", Fast: %s", d(s.Fast))
	}
	if s.Strict {
		b.WriteString(", Strict: true")
	}
	if s.Keys != 0 {
		fmt.Fprintf(&b, ", Keys: %d", s.Keys)
	}
	b.WriteString("}")
	return b.String()
}

// The keys of every world, made once.
const keyNames = "ABCDEFGHIJKLMNOP"

var spkis = func() (spkis [len(keyNames)][]byte) {
	for i := range spkis {
		seed := make([]byte, ed25519.SeedSize)
		seed[0] = byte(i)
		spki, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(seed).Public())
		if err != nil {
			panic(err)
		}
		spkis[i] = spki
	}
	return spkis
}()

// regionNames are those of a world. The aliases of the second have its name in
// front of theirs.
var regionNames = [2]string{"us-east-1", "eu-west-1"}

func inRegion(region int, alias string) string {
	if region == 0 {
		return alias
	}
	return regionNames[region] + " " + alias
}

func arnIn(region int) string { return "arn:aws:kms:" + regionNames[region] + ":111122223333:" }

func letter(keyARN string) byte { return keyARN[len(keyARN)-1] }

// xkey is a key of the KMS in memory.
type xkey struct {
	id      byte
	state   types.KeyState
	denied  bool // nobody may do anything with it
	nosign  bool // nobody may sign with it
	mac     bool // it is of another type
	tagged  bool
	orphan  bool         // the step was killed right after making it
	good    time.Time    // since when it can be read and can sign
	revoked time.Time    // when it was first marked
	marks   [2]time.Time // the same by Region
	hidden  time.Time    // when its public key could first not be read
	shown   time.Time    // when it could be read again

	region, primary int
	ready           time.Time // when a replica is no longer Creating
	twin            *xkey     // the replica in the other Region
}

// in returns the key as it is in a Region, or nil.
func (k *xkey) in(region int) *xkey {
	if k == nil || region == k.region {
		return k
	}
	return k.twin
}

// version is what an alias named from a time on.
type version struct {
	at     time.Time
	target byte // 0: the alias does not exist
	made   time.Time
}

type world struct {
	script
	t0      time.Time
	mu      sync.Mutex
	keys    map[byte]*xkey
	aliases map[string][]version
	issuers []*issuer
	ghosts  []signing
	killed  map[string]string // by step: the key of one that was killed
	made    int               // keys
	hands   bool              // somebody else than an operator has done something
	actors  sync.WaitGroup
	badMu   sync.Mutex // guards bad
	bad     []string
	errs    []string // of steps
	stop    context.CancelFunc
	ctx     context.Context
}

// signing is a span in which tokens are signed with a key.
type signing struct {
	key      byte
	from, to time.Time // to is zero while it lasts
	last     bool      // the last resort, told by the hook
}

// serving is a span in which a set of keys is served. reach is until when a
// verifier may use the set.
type serving struct {
	keys            string
	from, to, reach time.Time
}

type issuer struct {
	w       *world
	name    string
	phase   time.Duration
	ring    *Ring
	state   *state
	cancel  context.CancelFunc
	signed  []signing
	served  []serving
	running atomic.Bool
}

func (w *world) fail(format string, args ...any) {
	w.badMu.Lock()
	defer w.badMu.Unlock()
	w.bad = append(w.bad, fmt.Sprintf("%v: ", time.Since(w.t0))+fmt.Sprintf(format, args...))
}

// set moves an alias by hand at a time, which may be past.
func (w *world) set(name string, key byte, at time.Time) {
	versions := w.aliases[name]
	made := at
	if n := len(versions); n > 0 && versions[n-1].target != 0 {
		made = versions[n-1].made
	}
	w.aliases[name] = append(versions, version{at, key, made})
}

// names finds what an alias named at a time.
func (w *world) names(name string, at time.Time) version {
	versions := w.aliases[name]
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].at.After(at) {
			return versions[i]
		}
	}
	return version{}
}

func (w *world) newKey() *xkey {
	k := &xkey{id: keyNames[len(w.keys)], state: types.KeyStateEnabled, good: time.Now()}
	w.keys[k.id] = k
	return k
}

// base makes the ring at the beginning, and the tokens that issuers before it
// can have signed at the latest.
func (w *world) base() {
	now := w.t0
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	old := ago(24 * time.Hour)
	for range 4 {
		w.newKey().good = old
	}
	settled := w.Age - scope.settle()
	switch w.Ring {
	case "fresh": // an alias and nothing else
		w.set("alias/jwt", 'A', old)
	case "legacy": // as version 1 left it
		w.set("alias/jwt", 'A', old)
		w.set("alias/jwt-next", 'A', old)
	case "legacy prepared":
		w.set("alias/jwt", 'A', old)
		w.set("alias/jwt-next", 'B', ago(w.Age))
	case "rest":
		for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
			w.set(name, 'A', old)
		}
	case "prepared":
		w.set("alias/jwt", 'A', old)
		w.set("alias/jwt-prev", 'A', old)
		w.set("alias/jwt-next", 'B', ago(w.Age))
	case "promoted":
		w.set("alias/jwt", 'A', old)
		w.set("alias/jwt-prev", 'A', old)
		w.set("alias/jwt-next", 'B', ago(w.Age+scope.PropagationDelay))
		w.set("alias/jwt", 'B', ago(w.Age))
		w.ghosts = append(w.ghosts, signing{key: 'A', from: old, to: ago(settled)})
	case "rolled back":
		w.set("alias/jwt", 'A', old)
		w.set("alias/jwt-prev", 'A', old)
		w.set("alias/jwt-next", 'B', ago(w.Age+2*scope.PropagationDelay))
		w.set("alias/jwt", 'B', ago(w.Age+scope.PropagationDelay))
		w.set("alias/jwt", 'A', ago(w.Age))
		w.ghosts = append(w.ghosts, signing{key: 'B', from: old, to: ago(settled)})
	case "retired": // p was moved Age ago
		w.set("alias/jwt", 'B', old)
		w.set("alias/jwt-next", 'B', old)
		w.set("alias/jwt-prev", 'A', old)
		w.set("alias/jwt-prev", 'B', ago(w.Age))
		w.keys['A'].state = types.KeyStateDisabled
	default:
		panic("unknown ring " + w.Ring)
	}
	if w.Two {
		for _, k := range w.keys {
			k.replicate(time.Time{})
			k.twin.good, k.twin.state = k.good, k.state
		}
		for name, versions := range maps.Clone(w.aliases) {
			w.aliases[inRegion(1, name)] = slices.Clone(versions)
		}
	}
}

func (k *xkey) replicate(ready time.Time) {
	k.twin = &xkey{id: k.id, state: types.KeyStateEnabled, region: 1 - k.region, primary: k.region, ready: ready, good: ready}
}

// run runs a script in a synctest bubble and returns what was wrong.
func (s script) run() (*world, []string) {
	w := &world{script: s, t0: time.Now(), keys: map[byte]*xkey{}, aliases: map[string][]version{}, killed: map[string]string{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.base()
	acts := slices.Clone(s.Acts)
	slices.SortStableFunc(acts, func(a, b act) int { return int(a.At - b.At) })
	end := time.Duration(0)
	for i, a := range acts {
		time.Sleep(time.Until(w.t0.Add(a.At + time.Duration(10+i)*time.Microsecond)))
		w.do(i, a)
		end = a.At + a.For
	}
	for _, d := range s.Down {
		end = max(end, d.To)
	}
	// Until all is over: keys propagate, issuers settle, tokens expire.
	quiet := scope.PropagationDelay + 2*scope.settle() + scope.hold() + 3*scope.RefreshInterval
	time.Sleep(time.Until(w.t0.Add(end + quiet)))
	w.stop()
	w.actors.Wait()
	w.judge()
	return w, w.bad
}

func (w *world) do(i int, a act) {
	word := strings.Fields(a.Do)
	switch Step(word[0]) {
	case "start":
		w.start(word[1])
	case "kill":
		for _, i := range w.live() {
			if i.name == word[1] {
				i.end()
			}
		}
	case Prepare, Promote, Retire, Rollback, Revoke, Advance:
		w.actors.Go(func() { w.operate(i, a, word) })
	default:
		w.mu.Lock()
		w.hands = true
		w.hand(word)
		w.mu.Unlock()
		w.poke()
	}
}

func (w *world) hand(word []string) {
	now := time.Now()
	key := func() *xkey { return w.keys[word[1][0]] }
	switch word[0] {
	case "point":
		w.set(long(word[1]), word[2][0], now)
		return
	case "delete":
		w.set(long(word[1]), 0, now)
		return
	case "touch":
		for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
			if w.names(name, now).target == word[1][0] {
				w.set(name, word[1][0], now)
			}
		}
		return
	case "disable":
		key().state = types.KeyStateDisabled
	case "enable":
		key().state = types.KeyStateEnabled
	case "dying":
		key().state = types.KeyStatePendingDeletion
	case "deny":
		key().denied = true
	case "allow":
		key().denied, key().nosign = false, false
	case "nosign":
		key().nosign = true
	case "mac":
		key().mac = true
	default:
		panic("unknown act " + word[0])
	}
	key().good = now
	switch hidden := key().check(false) != nil || key().mac; {
	case hidden:
		key().hidden = now
	case !key().hidden.IsZero():
		key().shown = now
	}
}

// start starts an issuer, in place of one of the same name.
func (w *world) start(name string) {
	i := &issuer{w: w, name: name, phase: time.Duration(name[0]) * time.Microsecond}
	ctx, cancel := context.WithCancel(w.ctx)
	i.cancel = cancel
	w.actors.Go(func() {
		time.Sleep(i.phase)
		ring, err := New(ctx, w.client(name), "alias/jwt", func(o *Options) {
			o.Timing = scope
			o.Logger = slog.New(slog.DiscardHandler)
			o.SignerOptions = append(o.SignerOptions, func(o *kmssigner.Options) { o.SkipVerification = true })
			o.OnRefresh = func(error) { i.sample(); i.sign() }
			o.OnChange = func(Key, Key) { i.sample() }
		})
		if err != nil {
			if ctx.Err() == nil && w.good() != 0 && w.alike() {
				w.fail("%s does not start: %v", name, err)
			}
			return
		}
		ring.jitter = func(time.Duration) time.Duration { return 0 }
		w.mu.Lock()
		i.ring = ring
		i.running.Store(true)
		w.issuers = append(w.issuers, i)
		w.mu.Unlock()
		i.sample()
		i.sign()
		ring.Run(ctx)
		i.end()
	})
}

// client is how an issuer reaches KMS.
func (w *world) client(name string) Client {
	if !w.Two {
		return caller{w: w, who: name}
	}
	var all []multiregion.Region
	for region, regionName := range regionNames {
		all = append(all, multiregion.Region{Name: regionName, Client: caller{w: w, who: name, region: region}})
	}
	c, err := multiregion.New(all)
	if err != nil {
		panic(err)
	}
	return c
}

// alike reports whether the aliases of the ring have named the same keys in
// both Regions for some time.
func (w *world) alike() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alikeAt(time.Now()) && w.alikeAt(time.Now().Add(-10*latency))
}

func (w *world) alikeAt(at time.Time) bool {
	if w.Two {
		for _, name := range ringAliases {
			if w.names(name, at).target != w.names(inRegion(1, name), at).target {
				return false
			}
		}
	}
	return true
}

var ringAliases = []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"}

// end ends an issuer, as a crash does.
func (i *issuer) end() {
	i.cancel()
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if i.running.CompareAndSwap(true, false) {
		i.close(time.Now())
	}
}

// live are the issuers that run.
func (w *world) live() []*issuer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.issuers), func(i *issuer) bool { return !i.running.Load() })
}

func (i *issuer) close(now time.Time) {
	if n := len(i.signed); n > 0 {
		i.signed[n-1].to = now
	}
	if n := len(i.served); n > 0 {
		i.served[n-1].to, i.served[n-1].reach = now, now.Add(i.ring.maxAge(i.state, now))
	}
}

// sample notes what the Ring signs with and serves from now on.
func (i *issuer) sample() {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	if !i.running.Load() || i.w.ctx.Err() != nil {
		return
	}
	now, s := time.Now(), i.ring.state.Load()
	var key byte
	last := true
	if m := s.current(); m != nil {
		key = letter(m.signer.KeyARN())
		for _, c := range s.order {
			last = last && (c.member != m || !c.propagated)
		}
		// A key that no alias names any more had propagated when one did.
		if n := len(i.signed); n > 0 && i.signed[n-1].key == key && !i.signed[n-1].last {
			last = false
		}
	}
	if n := len(i.signed); n == 0 || i.signed[n-1].key != key || i.signed[n-1].last != last {
		if n > 0 {
			i.signed[n-1].to = now
		}
		i.signed = append(i.signed, signing{key: key, from: now, last: last})
	}
	if s == i.state {
		return
	}
	if n := len(i.served); n > 0 {
		i.served[n-1].to, i.served[n-1].reach = now, now.Add(i.ring.maxAge(i.state, now))
	}
	i.state = s
	var keys []byte
	for _, m := range s.published {
		keys = append(keys, letter(m.signer.KeyARN()))
	}
	slices.Sort(keys)
	i.served = append(i.served, serving{keys: string(keys), from: now})
}

// poke has every issuer sign.
func (w *world) poke() {
	for _, i := range w.live() {
		w.actors.Go(i.sign)
	}
}

// sign signs a token, which must succeed while some good key is there.
func (i *issuer) sign() {
	if !i.running.Load() {
		return
	}
	good := i.w.good()
	compact, err := i.ring.Sign(i.w.ctx, jwt.MapClaims{"exp": float64(time.Now().Add(scope.MaxLifetime).UnixMicro()) / 1e6})
	if i.w.ctx.Err() != nil || !i.running.Load() {
		return
	}
	i.sample()
	if err != nil && good != 0 {
		i.w.fail("%s cannot sign, although %c can: %v", i.name, good, err)
	}
	if err == nil && !strings.Contains(compact, ".") {
		i.w.fail("%s signs %q", i.name, compact)
	}
}

// good is a key that an alias of the ring names in every Region that is
// available, that is not revoked, has propagated and can sign; or 0.
func (w *world) good() byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.keys {
		ok := true
		for region := range regionNames {
			if region == 0 || w.Two {
				ok = ok && (w.dead(region) || w.goodIn(region, id))
			}
		}
		if ok {
			return id
		}
	}
	return 0
}

func (w *world) goodIn(region int, id byte) bool {
	now := time.Now()
	var since time.Time
	for _, name := range ringAliases {
		if v := w.names(inRegion(region, name), now); v.target == id && (since.IsZero() || v.at.Before(since)) {
			since = v.at
		}
	}
	k := w.keys[id].in(region)
	if since.IsZero() || k == nil {
		return false
	}
	if k.good.After(since) {
		since = k.good
	}
	return w.keys[id].revoked.IsZero() && k.state == types.KeyStateEnabled && !k.denied && !k.nosign && !k.mac && now.Sub(since) >= scope.PropagationDelay
}

// dead reports whether a Region is not available.
func (w *world) dead(region int) bool {
	now := time.Since(w.t0)
	return slices.ContainsFunc(w.Dead, func(d dead) bool { return d.Region == region && d.From <= now && now < d.To })
}

var errKilled = errors.New("killed")

// operate takes a step.
func (w *world) operate(n int, a act, word []string) {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	c := caller{w: w, who: "operator", act: &a, n: new(int), kill: func() { cancel(errKilled) }}
	key := ""
	if len(word) > 1 { // the key that an alias names, or its ID
		key = word[1]
		if name := long(key); name != "" {
			w.mu.Lock()
			key = string(w.names(name, time.Now()).target)
			if killed := w.killed[a.Do]; killed != "" {
				key = killed // the step is taken again
			} else if a.Kill != 0 {
				w.killed[a.Do] = key
			}
			w.mu.Unlock()
		}
	}
	_, err := Rotate(ctx, c, "alias/jwt", Step(word[0]), func(o *RotateOptions) {
		o.Timing = scope
		o.MaxKeyAge = time.Hour
		if len(word) > 1 {
			o.Key = "mrk-" + key
		}
		if w.Two {
			other := c
			other.region = 1
			o.Regions = []AdminClient{other}
		}
	})
	if err != nil && a.Kill == 0 {
		w.mu.Lock()
		w.errs = append(w.errs, fmt.Sprintf("%s: %v", a.Do, err))
		w.mu.Unlock()
	}
}

// String tells what happened.
func (w *world) String() string {
	var b strings.Builder
	at := func(t time.Time) time.Duration { return t.Sub(w.t0).Round(time.Millisecond) }
	for _, name := range slices.Sorted(maps.Keys(w.aliases)) {
		fmt.Fprintf(&b, "\n%s:", name)
		for _, v := range w.aliases[name] {
			fmt.Fprintf(&b, " %c %v", max(v.target, '-'), at(v.at))
		}
	}
	for _, k := range w.keys {
		if k.state != types.KeyStateEnabled {
			fmt.Fprintf(&b, "\n%c is %s since %v", k.id, k.state, at(k.good))
		}
	}
	for _, i := range w.issuers {
		fmt.Fprintf(&b, "\n%s signs:", i.name)
		for _, s := range i.signed {
			fmt.Fprintf(&b, " %c %v-%v", max(s.key, '-'), at(s.from), at(s.to))
			if s.last {
				b.WriteString("!")
			}
		}
		fmt.Fprintf(&b, "\n%s serves:", i.name)
		last := ""
		for _, s := range i.served {
			if s.keys != last {
				fmt.Fprintf(&b, " %s %v", s.keys, at(s.from))
			}
			last = s.keys
		}
	}
	for _, err := range w.errs {
		fmt.Fprintf(&b, "\n%s", err)
	}
	return b.String()
}

// judge holds what was recorded against the properties.
func (w *world) judge() {
	now := time.Now()
	slack := w.Fast
	life := scope.MaxLifetime + slack
	var all []signing
	for _, i := range w.issuers {
		all = append(all, i.signed...)
	}
	all = append(all, w.ghosts...)
	at := func(t time.Time) time.Duration { return t.Sub(w.t0) }
	for _, i := range w.issuers {
		for _, p := range i.served {
			// Nothing stays.
			for _, key := range []byte(p.keys) {
				if mark := w.told(w.keys[key]); !mark.IsZero() && p.to.Sub(mark) > scope.RefreshInterval+scope.Slack+w.downtime() {
					w.bad = append(w.bad, fmt.Sprintf("%s serves %c until %v, which was revoked at %v", i.name, key, at(p.to), at(mark)))
				}
			}
			// No lost token.
			for _, s := range all {
				if s.key == 0 || s.last && !w.Strict || strings.IndexByte(p.keys, s.key) >= 0 {
					continue
				}
				from := p.from
				if s.from.After(from) {
					from = s.from
				}
				if mark := w.keys[s.key].revoked; !mark.IsZero() && !from.Before(mark) {
					continue
				}
				k := w.keys[s.key]
				if !k.hidden.IsZero() && i.served[0].from.After(k.hidden) && (k.shown.IsZero() || s.from.Before(k.shown)) {
					continue // an issuer that starts cannot know the key
				}
				if s.from.Before(p.reach) && p.from.Before(s.to.Add(life)) {
					w.bad = append(w.bad, fmt.Sprintf("%s serves %q from %v to %v, cached until %v, while tokens of %c are signed from %v to %v",
						i.name, p.keys, at(p.from), at(p.to), at(p.reach), s.key, at(s.from), at(s.to)))
				}
			}
		}
		for _, s := range i.signed {
			if s.key == 0 {
				continue
			}
			if mark := w.told(w.keys[s.key]); !mark.IsZero() && s.to.Sub(mark) > scope.RefreshInterval+scope.Slack+w.downtime() {
				w.bad = append(w.bad, fmt.Sprintf("%s signs with %c until %v, which was revoked at %v", i.name, s.key, at(s.to), at(mark)))
			}
		}
		// Nothing stays: at the end all is over.
		if n := len(i.served); n > 0 && i.served[n-1].to.Equal(now) {
			var want []byte
			for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
				k := w.keys[w.names(name, now).target]
				if k != nil && k.revoked.IsZero() && !k.denied && !k.mac && k.state != types.KeyStatePendingDeletion && !slices.Contains(want, k.id) {
					want = append(want, k.id)
				}
			}
			slices.Sort(want)
			if len(want) > 0 && string(want) != i.served[n-1].keys && w.good() != 0 {
				w.bad = append(w.bad, fmt.Sprintf("%s serves %q at the end, want %q", i.name, i.served[n-1].keys, want))
			}
		}
	}
	w.judgeKeys()
}

// judgeKeys looks at what operators have left.
func (w *world) judgeKeys() {
	now := time.Now()
	for region := range regionNames {
		for _, k := range w.keys {
			if k = k.in(region); k == nil {
				continue
			}
			var named, was bool
			for _, name := range ringAliases {
				name = inRegion(region, name)
				named = named || w.names(name, now).target == k.id
				for _, v := range w.aliases[name] {
					was = was || v.target == k.id
				}
			}
			if !w.hands && was && !named && k.state == types.KeyStateEnabled {
				w.bad = append(w.bad, fmt.Sprintf("the key %c has lost its aliases in %s and is enabled", k.id, regionNames[region]))
			}
			if k.id > 'D' && !k.tagged {
				w.bad = append(w.bad, fmt.Sprintf("the key %c was made without a tag in %s", k.id, regionNames[region]))
			}
		}
	}
	for _, name := range []string{"alias/jwt", inRegion(1, "alias/jwt")} {
		k := w.keys[w.names(name, now).target]
		if k == nil || w.hands {
			continue
		}
		if in := k.in(len(strings.Fields(name)) - 1); in.state != types.KeyStateEnabled || !k.revoked.IsZero() {
			w.bad = append(w.bad, fmt.Sprintf("%s names %c, which is %s", name, k.id, in.state))
		}
	}
	if w.Two && !w.hands {
		if !w.alikeAt(now) {
			w.bad = append(w.bad, "the Regions differ at the end")
		}
		// A key that was made is found again, unless the step was killed right
		// after making it.
		for _, k := range w.keys {
			named := k.id <= 'D' || k.orphan
			for name := range w.aliases {
				named = named || w.names(name, now).target == k.id
			}
			if !named {
				w.bad = append(w.bad, fmt.Sprintf("the key %c was left behind", k.id))
			}
		}
	}
	if w.Keys > 0 && w.made > w.Keys {
		w.bad = append(w.bad, fmt.Sprintf("%d keys were made, want at most %d", w.made, w.Keys))
	}
}

// told is when issuers could see for a whole interval that a key is revoked.
func (w *world) told(k *xkey) time.Time {
	told := k.revoked
	for {
		var delayed time.Time
		for region, mark := range k.marks {
			if mark.IsZero() {
				continue
			}
			at := mark
			if told.After(at) {
				at = told
			}
			for _, d := range w.Dead {
				from, to := w.t0.Add(d.From), w.t0.Add(d.To)
				if d.Region == region && from.Before(at.Add(scope.RefreshInterval+scope.Slack)) && to.After(at) {
					at = to
				}
			}
			if delayed.IsZero() || at.Before(delayed) {
				delayed = at
			}
		}
		if !delayed.After(told) {
			return told
		}
		told = delayed
	}
}

func (w *world) downtime() time.Duration {
	if len(w.Down) > 0 {
		return scopeF
	}
	return 0
}

// A caller is a way to the KMS in memory.
type caller struct {
	w    *world
	who  string
	act  *act // of an operator
	n    *int // calls so far
	kill func()

	region int
}

// enter takes the time of a call, and decides whether it is made.
func (c caller) enter(ctx context.Context) error {
	wait := latency
	if c.act != nil {
		*c.n++
		if c.act.Pause == *c.n {
			wait += c.act.For
		}
		if c.act.Kill == *c.n {
			c.kill()
		}
	} else if c.who == "y" {
		wait += c.w.Slow
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.w.dead(c.region) {
		return &smithyhttp.RequestSendError{Err: errors.New("no route")}
	}
	for _, d := range c.w.Down {
		now := time.Since(c.w.t0)
		if d.Who == c.who && d.From <= now && now < d.To {
			return errors.New("outage")
		}
	}
	c.w.mu.Lock()
	return nil
}

// leave ends a call that was made.
func (c caller) leave() {
	c.w.mu.Unlock()
	if c.act != nil && c.act.Kill == -*c.n {
		c.kill()
	}
}

// view is the time as of which the caller sees something.
func (c caller) view(what string) time.Time {
	now := time.Now()
	for _, l := range c.w.Late {
		if l.Who == c.who && l.What == what {
			now = now.Add(-l.By)
		}
	}
	return now
}

func long(short string) string {
	return map[string]string{"jwt": "alias/jwt", "next": "alias/jwt-next", "prev": "alias/jwt-prev"}[short]
}

func short(alias string) string {
	return map[string]string{"alias/jwt": "jwt", "alias/jwt-next": "next", "alias/jwt-prev": "prev"}[alias]
}

// find finds a key by alias, ID or ARN.
func (c caller) find(id string) (*xkey, error) {
	letter := letter(id)
	if strings.HasPrefix(id, "alias/") {
		letter = c.w.names(inRegion(c.region, id), c.view(short(id))).target
	}
	if k := c.w.keys[letter].in(c.region); k != nil {
		return k, nil
	}
	return nil, &types.NotFoundException{}
}

var errDenied = &smithy.GenericAPIError{Code: "AccessDeniedException"}

func (k *xkey) check(sign bool) error {
	switch {
	case k.denied, sign && k.nosign:
		return errDenied
	case sign && k.mac:
		return &types.InvalidKeyUsageException{}
	case k.state == types.KeyStatePendingDeletion:
		return &types.KMSInvalidStateException{}
	case sign && k.state == types.KeyStateDisabled:
		return &types.DisabledException{}
	}
	return nil
}

func (k *xkey) arn() *string { return aws.String(arnIn(k.region) + "key/mrk-" + string(k.id)) }

func (c caller) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	k, err := c.find(*in.KeyId)
	if err == nil {
		err = k.check(false)
	}
	if err != nil {
		return nil, err
	}
	if k.mac {
		return nil, &types.UnsupportedOperationException{}
	}
	return &kms.GetPublicKeyOutput{
		KeyId: k.arn(), KeySpec: types.KeySpecEccNistEdwards25519, KeyUsage: types.KeyUsageTypeSignVerify, PublicKey: spkis[k.id-'A'],
		SigningAlgorithms: []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEd25519PhSha512, types.SigningAlgorithmSpecEd25519Sha512},
	}, nil
}

var signature = make([]byte, ed25519.SignatureSize)

func (c caller) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	if c.act == nil && in.DryRun == nil {
		c.w.mu.Lock() // tokens take no time, so that a step of the world does not wait for them
	} else if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	k, err := c.find(*in.KeyId)
	if err == nil {
		err = k.check(true)
	}
	if err == nil && aws.ToBool(in.DryRun) {
		err = &types.DryRunOperationException{}
	}
	if err != nil {
		return nil, err
	}
	return &kms.SignOutput{KeyId: k.arn(), Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
}

func (c caller) ListAliases(ctx context.Context, in *kms.ListAliasesInput, _ ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	out := &kms.ListAliasesOutput{}
	if _, err := c.find(*in.KeyId); err != nil {
		return nil, err
	}
	out.Aliases = []types.AliasListEntry{}
	for full := range c.w.aliases {
		name := full
		if c.region != 0 {
			name = strings.TrimPrefix(full, inRegion(c.region, ""))
		}
		if inRegion(c.region, name) != full || !strings.HasPrefix(name, "alias/") {
			continue // of the other Region
		}
		if v := c.w.names(full, c.view("list")); v.target == letter(*in.KeyId) {
			out.Aliases = append(out.Aliases, types.AliasListEntry{AliasName: aws.String(name), AliasArn: aws.String(arnIn(c.region) + name),
				TargetKeyId: aws.String("mrk-" + string(v.target)), CreationDate: &v.made, LastUpdatedDate: &v.at})
		}
	}
	return out, nil
}

func (c caller) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, _ ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	k, err := c.find(*in.KeyId)
	if err == nil && k.denied {
		err = errDenied
	}
	if err != nil {
		return nil, err
	}
	return &kms.DescribeKeyOutput{KeyMetadata: k.metadata()}, nil
}

func (k *xkey) metadata() *types.KeyMetadata {
	if k.mac {
		return &types.KeyMetadata{Arn: k.arn(), KeyId: aws.String("mrk-" + string(k.id)), KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac, KeyState: k.state}
	}
	state := k.state
	if time.Now().Before(k.ready) {
		state = types.KeyStateCreating
	}
	return &types.KeyMetadata{
		MultiRegion:              aws.Bool(true),
		MultiRegionConfiguration: &types.MultiRegionConfiguration{PrimaryKey: &types.MultiRegionKey{Region: aws.String(regionNames[k.primary])}},
		Arn:                      k.arn(), KeyId: aws.String("mrk-" + string(k.id)), KeySpec: types.KeySpecEccNistEdwards25519, KeyUsage: types.KeyUsageTypeSignVerify, KeyState: state,
		SigningAlgorithms: []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEd25519PhSha512, types.SigningAlgorithmSpecEd25519Sha512},
	}
}

func (c caller) CreateKey(ctx context.Context, in *kms.CreateKeyInput, _ ...func(*kms.Options)) (*kms.CreateKeyOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	k := c.w.newKey()
	k.region, k.primary = c.region, c.region
	c.w.made++
	k.orphan = c.act.Kill == -*c.n || c.act.Kill == *c.n+1
	k.tagged = len(in.Tags) == 1
	return &kms.CreateKeyOutput{KeyMetadata: k.metadata()}, nil
}

// creating is how long it takes to make a replica.
const creating = 2500 * time.Millisecond

func (c caller) ReplicateKey(ctx context.Context, in *kms.ReplicateKeyInput, _ ...func(*kms.Options)) (*kms.ReplicateKeyOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	k, err := c.find(*in.KeyId)
	switch {
	case err != nil:
		return nil, err
	case k.region != k.primary || *in.ReplicaRegion != regionNames[1-c.region]:
		return nil, &types.UnsupportedOperationException{}
	case k.twin != nil:
		return nil, &types.AlreadyExistsException{}
	}
	k.replicate(time.Now().Add(creating))
	k.twin.tagged = len(in.Tags) == 1
	return &kms.ReplicateKeyOutput{ReplicaKeyMetadata: k.twin.metadata()}, nil
}

func (c caller) CreateAlias(ctx context.Context, in *kms.CreateAliasInput, _ ...func(*kms.Options)) (*kms.CreateAliasOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	now := time.Now()
	name := inRegion(c.region, *in.AliasName)
	if c.w.names(name, now).target != 0 {
		return nil, &types.AlreadyExistsException{}
	}
	k, err := c.find(*in.TargetKeyId)
	if err != nil {
		return nil, err
	}
	if first := c.w.keys[k.id]; strings.Contains(name, "-revoked-") {
		if first.revoked.IsZero() {
			first.revoked = now
		}
		first.marks[c.region] = now
	}
	c.w.set(name, k.id, now)
	return &kms.CreateAliasOutput{}, nil
}

func (c caller) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, _ ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.leave()
	now := time.Now()
	name := inRegion(c.region, *in.AliasName)
	if c.w.names(name, now).target == 0 {
		return nil, &types.NotFoundException{}
	}
	k, err := c.find(*in.TargetKeyId)
	if err == nil && now.Before(k.ready) {
		err = &types.KMSInvalidStateException{}
	}
	if err == nil {
		c.w.set(name, k.id, now)
	}
	return &kms.UpdateAliasOutput{}, err
}

func (c caller) DisableKey(ctx context.Context, in *kms.DisableKeyInput, _ ...func(*kms.Options)) (*kms.DisableKeyOutput, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	k, err := c.find(*in.KeyId)
	if err == nil {
		k.state, k.good = types.KeyStateDisabled, time.Now()
		if c.w.keys[k.id].revoked.IsZero() {
			c.w.mourn(k)
		}
	}
	c.leave()
	c.w.poke()
	return &kms.DisableKeyOutput{}, err
}

// mourn reports that a key was disabled which signs or whose tokens live.
func (w *world) mourn(k *xkey) {
	now := time.Now()
	spans := slices.Clone(w.ghosts)
	for _, i := range w.issuers {
		spans = append(spans, i.signed...)
	}
	for _, s := range spans {
		if s.key == k.id && (s.to.IsZero() || now.Before(s.to.Add(scope.MaxLifetime+w.Fast))) && !s.last {
			w.fail("%c is disabled while it signs or its tokens live", k.id)
		}
	}
}
