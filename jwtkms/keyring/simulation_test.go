package keyring_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The simulation: two issuers, an operator who rotates the key, verifiers whose
// caches are as stale as Cache-Control allows and who never ask twice for an
// unknown kid, and 64 signers. Issuers crash and restart, at any time and right
// after each step of the operator, KMS is slow, refreshes fail for a while, the
// operator is early, and KMS's clock differs from the issuers'. It runs on a
// fake clock, so that half an hour takes milliseconds, and every choice follows
// from the seed.
const (
	refreshInterval = time.Minute
	maxAge          = 2 * time.Minute
	maxLifetime     = 5 * time.Minute
	longestOutage   = 2 * time.Minute
	// Long enough for an issuer that misses refreshes during the outage.
	propagationDelay = refreshInterval + maxAge + longestOutage
	signers          = 64
	tokensEach       = 2
	verifiers        = 8
)

// link is an issuer's way to KMS: slow, out of order at times, and with a clock
// that is not this machine's.
type link struct {
	*kmstest.KMS
	rng     *lockedRand
	latency time.Duration // at most
	skew    time.Duration
	down    atomic.Bool // refreshes fail, signing works
}

var errDown = errors.New("the link is down")

func (l *link) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	time.Sleep(l.rng.upTo(l.latency))
	if l.down.Load() {
		return nil, errDown
	}
	return l.KMS.GetPublicKey(ctx, in, optFns...)
}

func (l *link) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	time.Sleep(l.rng.upTo(l.latency))
	return l.KMS.Sign(ctx, in, optFns...)
}

func (l *link) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	time.Sleep(l.rng.upTo(l.latency))
	if l.down.Load() {
		return nil, errDown
	}
	out, err := l.KMS.ListAliases(ctx, in, append(optFns, l.skewDate)...)
	if err != nil {
		return nil, err
	}
	for i := range out.Aliases {
		out.Aliases[i].LastUpdatedDate = aws.Time(out.Aliases[i].LastUpdatedDate.Add(l.skew))
	}
	return out, nil
}

// skewDate moves the Date of the answer, as the dates in it are moved.
func (l *link) skewDate(o *kms.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("skew",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleDeserialize(ctx, in)
				if resp, ok := out.RawResponse.(*smithyhttp.Response); ok {
					if date, dateErr := http.ParseTime(resp.Header.Get("Date")); dateErr == nil {
						resp.Header.Set("Date", date.Add(l.skew).Format(http.TimeFormat))
					}
				}
				return out, metadata, err
			}), middleware.After)
	})
}

// lockedRand is a source that goroutines share.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRand) upTo(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.r.Int64N(int64(d)))
}

func (l *lockedRand) intN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.IntN(n)
}

// verifier caches a key set for as long as it may.
type verifier struct {
	mu      sync.Mutex
	keys    map[string]ed25519.PublicKey
	fetched time.Time
}

// lookUp fetches the keys only when the cached ones are too old.
func (v *verifier) lookUp(t *testing.T, from http.Handler) map[string]ed25519.PublicKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil && time.Since(v.fetched) <= maxAge {
		return v.keys
	}
	w := httptest.NewRecorder()
	from.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks.json", nil))
	var set jwtkms.JWKSet
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Error(err)
	}
	v.keys, v.fetched = map[string]ed25519.PublicKey{}, time.Now()
	for _, key := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err != nil {
			t.Error(err)
		}
		v.keys[key.Kid] = x
	}
	return v.keys
}

// schedule is what varies between the tests.
type schedule struct {
	delay   time.Duration // of the issuers; 0 is the default, negative none
	outages bool          // refreshes fail for a while
	latency time.Duration // of a call to KMS, at most
}

type world struct {
	t       *testing.T
	rng     *lockedRand
	fake    *kmstest.KMS
	links   [2]*link
	issuers [2]atomic.Pointer[keyring.Ring]
	running sync.WaitGroup

	mu   sync.Mutex // guards stop: issuers restart at the same time
	stop [2]context.CancelFunc

	schedule

	verifiers [verifiers]verifier
	tokens    atomic.Int64
	failed    atomic.Int64
}

func (w *world) start(i int) {
	ring, err := keyring.New(context.Background(), w.links[i], "alias/jwt", func(o *keyring.Options) {
		o.RefreshInterval = refreshInterval
		o.MaxAge = maxAge
		o.MaxLifetime = maxLifetime
		o.PropagationDelay = w.delay
		o.Logger = slog.New(slog.DiscardHandler)
		// The simulation checks every token itself.
		o.SignerOptions = append(o.SignerOptions, func(o *kmssigner.Options) { o.SkipVerification = true })
	})
	if err != nil {
		return // KMS is down: the old process goes on
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop[i] != nil {
		w.stop[i]()
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop[i] = cancel
	w.issuers[i].Store(ring)
	w.running.Go(func() { ring.Run(ctx) })
}

// sign issues a token somewhere and has it verified at once and shortly before
// it expires.
func (w *world) sign() {
	issuer := w.issuers[w.rng.intN(2)].Load()
	lifetime := time.Second + w.rng.upTo(maxLifetime-time.Second)
	compact, err := issuer.Sign(context.Background(), jwt.MapClaims{"exp": time.Now().Add(lifetime).Unix()})
	if err != nil {
		w.t.Errorf("Sign: %v", err)
		return
	}
	w.tokens.Add(1)
	expires := time.Now().Add(lifetime)
	w.verify(compact)
	time.Sleep(w.rng.upTo(time.Until(expires) + 1))
	w.verify(compact)
}

func (w *world) verify(compact string) {
	v := &w.verifiers[w.rng.intN(verifiers)]
	keys := v.lookUp(w.t, w.issuers[w.rng.intN(2)].Load())
	_, err := jwt.Parse(compact, func(token *jwt.Token) (any, error) {
		key, ok := keys[fmt.Sprint(token.Header["kid"])]
		if !ok {
			return nil, errors.New("unknown kid")
		}
		return key, nil
	}, jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"EdDSA"}))
	if err != nil {
		w.failed.Add(1)
	}
}

// operate rotates once, well or badly.
func (w *world) operate() {
	early := w.rng.intN(3) == 0 || w.delay < 0
	const second = time.Second // the resolution of KMS's clock
	step := func(step keyring.Step, wait time.Duration) {
		time.Sleep(wait)
		opts := func(o *keyring.RotateOptions) {
			o.RefreshInterval, o.MaxAge, o.MaxLifetime, o.PropagationDelay = refreshInterval, maxAge, maxLifetime, max(0, w.delay)
			o.Force = early
		}
		if _, err := keyring.Rotate(context.Background(), w.fake, "alias/jwt", step, opts); err != nil {
			w.t.Errorf("%s: %v", step, err)
		}
		if w.rng.intN(2) == 0 {
			w.start(w.rng.intN(2)) // one issuer crashes and sees the new state at once
		}
	}
	delay := w.delay
	if delay <= 0 {
		delay = refreshInterval + maxAge + time.Minute // the default
	}
	step(keyring.Prepare, w.rng.upTo(3*time.Minute))
	if early {
		step(keyring.Promote, w.rng.upTo(delay/2))
	} else {
		step(keyring.Promote, second+delay+w.rng.upTo(2*time.Minute))
	}
	if !early { // the early operator would retire too early as well, by force
		step(keyring.Retire, second+2*refreshInterval+delay+maxLifetime+w.rng.upTo(time.Minute))
	}
}

// simulate runs one schedule and counts the tokens and the verifications that
// failed.
func simulate(t *testing.T, seed uint64, s schedule) (tokens, failed int64) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, rng: &lockedRand{r: rand.New(rand.NewPCG(seed, 0))}, fake: kmstest.New(), schedule: s}
		createAlias(t, w.fake, "alias/jwt", w.fake.AddKey(types.KeySpecEccNistEdwards25519))
		// Verifiers have been there before the schedule begins.
		time.Sleep(time.Hour)
		for i := range w.links {
			w.links[i] = &link{KMS: w.fake, rng: w.rng, latency: s.latency, skew: w.rng.upTo(time.Hour) - 30*time.Minute}
			time.Sleep(w.rng.upTo(refreshInterval))
			w.start(i)
		}
		for i := range w.verifiers {
			w.verifiers[i].lookUp(t, w.issuers[w.rng.intN(2)].Load())
		}
		const length = 26 * time.Minute
		var actors sync.WaitGroup
		actors.Go(w.operate)
		for i := range w.links { // crashes and outages
			actors.Go(func() {
				time.Sleep(w.rng.upTo(length))
				w.start(i)
			})
			if !s.outages {
				continue
			}
			actors.Go(func() {
				time.Sleep(w.rng.upTo(length))
				w.links[i].down.Store(true)
				time.Sleep(w.rng.upTo(longestOutage - refreshInterval/4))
				w.links[i].down.Store(false)
			})
		}
		for range signers {
			actors.Go(func() {
				for range tokensEach {
					time.Sleep(w.rng.upTo(length / tokensEach))
					w.sign()
				}
			})
		}
		actors.Wait()
		for _, stop := range w.stop {
			stop()
		}
		w.running.Wait()
		tokens, failed = w.tokens.Load(), w.failed.Load()
	})
	return tokens, failed
}

func TestRotationLosesNoToken(t *testing.T) {
	losesNone(t, sized(24, 300), schedule{propagationDelay, true, 200 * time.Millisecond})
}

// The default delay has room for a KMS that is slow, but for no outage.
func TestRotationWithDefaultDelayLosesNoToken(t *testing.T) {
	losesNone(t, sized(12, 200), schedule{0, false, 3 * time.Second})
}

func losesNone(t *testing.T, seeds int, s schedule) {
	var tokens int64
	for seed := range uint64(seeds) {
		n, failed := simulate(t, seed, s)
		tokens += n
		if failed != 0 {
			t.Errorf("seed %d: %d verifications of %d tokens failed", seed, failed, n)
		}
	}
	t.Logf("%d schedules, %d tokens", seeds, tokens)
}

// Without the propagation delay, and with an operator who is always early,
// tokens fail: if none did, the simulation would show nothing.
func TestRotationWithoutDelayLosesTokens(t *testing.T) {
	var all, lost int64
	for seed := range uint64(10) {
		n, failed := simulate(t, seed, schedule{-1, true, 200 * time.Millisecond})
		all += n
		lost += failed
	}
	if lost == 0 {
		t.Errorf("no verification of %d tokens failed without a propagation delay", all)
	}
	t.Logf("%d verifications of %d tokens failed without a propagation delay", lost, all)
}

// sized is full with KMSSIGN_FULL=1, and otherwise small, or less with the race
// detector, which makes everything several times as slow.
func sized(small, full int) int {
	switch {
	case os.Getenv("KMSSIGN_FULL") == "1":
		return full
	case raced:
		return small / 3
	}
	return small
}

func createAlias(t *testing.T, fake *kmstest.KMS, alias, keyID string) {
	t.Helper()
	if _, err := fake.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &keyID}); err != nil {
		t.Fatal(err)
	}
}
