package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// Schedules that lost tokens, stopped signing or hurt the signing key in the
// first version of this package, each as it happened. They use only what that
// version had, so that they can be run on it.

// quiet is the timing of most schedules: default refreshes, and time for KMS.
func quiet(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) }

// lagging is a KMS that shows an alias to an issuer as it was a while ago.
type lagging struct {
	*kmstest.KMS
	mu     sync.Mutex
	target map[string]string // by alias: the key ID that is shown, or "" for none
	before func(operation, id string)
}

func (l *lagging) shown(id string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	target, ok := l.target[id]
	return target, ok
}

func (l *lagging) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if l.before != nil {
		l.before("GetPublicKey", *in.KeyId)
	}
	if target, ok := l.shown(*in.KeyId); ok {
		if target == "" {
			return nil, &types.NotFoundException{Message: aws.String("not yet")}
		}
		in = &kms.GetPublicKeyInput{KeyId: &target}
	}
	return l.KMS.GetPublicKey(ctx, in, optFns...)
}

func (l *lagging) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	out, err := l.KMS.ListAliases(ctx, in, optFns...)
	if err == nil {
		out.Aliases = slices.DeleteFunc(out.Aliases, func(a types.AliasListEntry) bool {
			target, ok := l.shown(*a.AliasName)
			return ok && target != *a.TargetKeyId
		})
	}
	return out, err
}

func mustSign(t *testing.T, ring *keyring.Ring, lifetime time.Duration) string {
	t.Helper()
	compact, err := ring.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: in(lifetime)})
	if err != nil {
		t.Error(err)
	}
	return compact
}

// mustVerify verifies a token with the keys that a ring serves.
func mustVerify(t *testing.T, what, compact string, ring *keyring.Ring) {
	t.Helper()
	if _, err := jwt.Parse(compact, ring.Keyfunc); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func mustNew(t *testing.T, client keyring.Client, optFns ...func(*keyring.Options)) *keyring.Ring {
	t.Helper()
	ring, err := keyring.New(t.Context(), client, "alias/jwt", append([]func(*keyring.Options){quiet}, optFns...)...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustRefresh(t *testing.T, rings ...*keyring.Ring) {
	t.Helper()
	for _, ring := range rings {
		if err := ring.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// step takes a step, which must be done, or refused if it is refused for good
// reason.
func step(t *testing.T, client keyring.AdminClient, step keyring.Step) error {
	t.Helper()
	_, err := keyring.Rotate(t.Context(), client, "alias/jwt", step)
	return err
}

// rested is a ring that is old and at rest, with its signing key and another
// one.
func rested(t *testing.T) (fake *kmstest.KMS, a, b string) {
	fake = kmstest.New()
	a, b = fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
	for _, name := range []string{"alias/jwt", "alias/jwt-next", "alias/jwt-prev"} {
		createAlias(t, fake, name, a)
	}
	time.Sleep(24 * time.Hour)
	return fake, a, b
}

// An issuer has read the signing alias and not yet the next one when the
// operator promotes and prepares. It must not sign with a key, or serve a set,
// that the others do not share.
func TestStartInTheMiddleOfSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		updateAlias(t, fake, "alias/jwt-next", b)
		time.Sleep(time.Hour)
		x := mustNew(t, fake)
		client := &lagging{KMS: fake}
		seen := 0
		client.before = func(operation, id string) {
			if seen++; seen == 2 {
				for _, s := range []keyring.Step{keyring.Promote, keyring.Prepare} {
					if err := step(t, fake, s); err != nil && !errors.Is(err, keyring.ErrTooEarly) {
						t.Error(err)
					}
				}
			}
		}
		y := mustNew(t, client)
		mustRefresh(t, x)
		mustVerify(t, "a token of the issuer that runs, at the one that has started", mustSign(t, x, time.Hour), y)
		if got := x.Current().KeyARN; !strings.Contains(got, b) {
			t.Errorf("signs with %s, want %s; not %s", got, b, a)
		}
	})
}

// KMS shows a starting issuer the second of two writes and not the first.
func TestStartWhileKMSIsInconsistent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := kmstest.New(), "", ""
		a, b = fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", a)
		time.Sleep(24 * time.Hour)
		x := mustNew(t, fake)
		if err := step(t, fake, keyring.Prepare); err != nil {
			t.Fatal(err)
		}
		mustRefresh(t, x)
		time.Sleep(12 * time.Minute)
		compact := mustSign(t, x, time.Hour)
		before, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt-prev")})
		shown := ""
		if err == nil {
			shown = *before.KeyMetadata.KeyId
		}
		if err := step(t, fake, keyring.Promote); err != nil {
			t.Fatal(err)
		}
		// The previous alias is seen as it was before Promote.
		y := mustNew(t, &lagging{KMS: fake, target: map[string]string{"alias/jwt-prev": shown}})
		mustVerify(t, "a token signed before the promotion, at an issuer that starts after it", compact, y)
		_ = b
	})
}

// The signing alias is moved again while its key waits to propagate, so that
// the old key signs for longer than one delay.
func TestSigningAliasMovedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		var keys []string
		for range 4 {
			keys = append(keys, fake.AddKey(types.KeySpecEccNistP256))
		}
		createAlias(t, fake, "alias/jwt", keys[0])
		time.Sleep(24 * time.Hour)
		x, y := mustNew(t, fake), mustNew(t, fake)
		// x has all its refreshes a little before y.
		var last string
		pass := func(d time.Duration) {
			for range d / (5 * time.Minute) {
				time.Sleep(5*time.Minute - time.Second)
				mustRefresh(t, x)
				time.Sleep(time.Second)
				if strings.Contains(y.Current().KeyARN, keys[0]) {
					last = mustSign(t, y, time.Hour)
				}
				mustRefresh(t, y)
			}
		}
		for _, key := range keys[1:] {
			updateAlias(t, fake, "alias/jwt", key)
			pass(10 * time.Minute)
		}
		for range 24 {
			pass(5 * time.Minute)
			token, _, err := jwt.NewParser().ParseUnverified(last, &jwt.RegisteredClaims{})
			if err != nil {
				t.Fatal(err)
			}
			if token.Claims.(*jwt.RegisteredClaims).ExpiresAt.After(time.Now()) {
				mustVerify(t, fmt.Sprint("the last token of the old key at ", time.Now()), last, x)
			}
		}
	})
}

// The next key could not be read for a long time. When it can, it has been
// published for no time at all.
func TestNextKeyCouldNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, _, b := rested(t)
		denied := fake.Inject(kmstest.Match{Operation: "GetPublicKey", Key: "alias/jwt-next"}, kmstest.Fail(&types.KMSInvalidStateException{}))
		updateAlias(t, fake, "alias/jwt-next", b)
		x, y := mustNew(t, fake), mustNew(t, fake)
		for range 10 {
			time.Sleep(5 * time.Minute)
			mustRefresh(t, x, y)
		}
		denied()
		updateAlias(t, fake, "alias/jwt", b)
		mustRefresh(t, x)
		mustVerify(t, "a token of one issuer, at another that refreshes later", mustSign(t, x, time.Hour), y)
	})
}

// Refreshes fail for long. The first that succeeds must not drop a key whose
// tokens others may have signed meanwhile.
func TestRefreshesFailedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		x, y := mustNew(t, fake), mustNew(t, fake)
		updateAlias(t, fake, "alias/jwt-next", b)
		for range 4 {
			time.Sleep(5 * time.Minute)
			mustRefresh(t, x, y)
		}
		// x sees the old key for the last time. Then it is cut off, and the
		// aliases move away from the key while y signs with it, until its next
		// refresh.
		time.Sleep(90 * time.Minute)
		compact := mustSign(t, y, time.Hour)
		for _, name := range []string{"alias/jwt-prev", "alias/jwt"} {
			updateAlias(t, fake, name, b)
		}
		mustRefresh(t, x)
		mustVerify(t, "a token of another issuer after the first refresh that succeeds", compact, x)
		_ = a
	})
}

// The refreshes of some issuers take half a minute, of others no time: the hold
// time has to allow for that.
func TestSlowRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		a, b := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		createAlias(t, fake, "alias/jwt", a)
		time.Sleep(24 * time.Hour)
		// A lifetime with which the hold time was a number of intervals.
		const lifetime = 64 * time.Minute
		long := func(o *keyring.Options) { o.MaxLifetime = lifetime }
		var xSlow, ySlow time.Duration
		x := mustNew(t, &lagging{KMS: fake, before: func(string, string) { time.Sleep(xSlow) }}, long)
		y := mustNew(t, &lagging{KMS: fake, before: func(string, string) { time.Sleep(ySlow) }}, long)
		moved := time.Now().Add(10 * time.Minute)
		at := func(d time.Duration) { time.Sleep(time.Until(moved.Add(d))) }
		const interval, instant = 5 * time.Minute, 100 * time.Millisecond
		var actors sync.WaitGroup
		actors.Go(func() { at(0); updateAlias(t, fake, "alias/jwt", b) })
		actors.Go(func() {
			for n := time.Duration(-1); n <= 16; n++ {
				at(n*interval + instant)
				if n == 16 {
					xSlow = time.Second
				}
				mustRefresh(t, x)
			}
		})
		var compact string
		actors.Go(func() { // y finds the new key too young by a moment
			for n := time.Duration(-1); n <= 3; n++ {
				at(time.Minute + n*interval - instant)
				if n == 3 {
					ySlow = 9900 * time.Millisecond
				}
				mustRefresh(t, y)
			}
		})
		actors.Go(func() {
			at(16*time.Minute + 29*time.Second)
			compact = mustSign(t, y, lifetime)
		})
		actors.Wait()
		at(80*time.Minute + 10*time.Second)
		if !strings.Contains(y.Current().KeyARN, b) {
			t.Errorf("y signs with %s, want %s", y.Current().KeyARN, b)
		}
		mustVerify(t, "the last token of the old key, shortly before it expires", compact, x)
	})
}

func background(t *testing.T, rings ...*keyring.Ring) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, ring := range rings {
		running.Go(func() { ring.Run(ctx) })
	}
	return func() { cancel(); running.Wait() }
}

// The signing alias comes to name a key that cannot sign. The Ring must not
// leave the good key for it.
func TestSigningAliasNamesAKeyThatCannotSign(t *testing.T) {
	for _, reason := range []string{"disabled", "no permission"} {
		synctest.Test(t, func(t *testing.T) {
			fake, _, b := rested(t)
			x := mustNew(t, fake)
			updateAlias(t, fake, "alias/jwt", b)
			if reason == "disabled" {
				disable(t, fake, b)
			} else {
				fake.Inject(kmstest.Match{Operation: "Sign", Key: b}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
			}
			stop := background(t, x)
			for range 30 {
				time.Sleep(time.Minute)
				mustSign(t, x, time.Hour)
			}
			stop()
			y := mustNew(t, fake)
			mustSign(t, y, time.Hour)
		})
	}
}

// AccessDenied on an alias beside the signing one is not an outage.
func TestSideAliasDenied(t *testing.T) {
	for _, name := range []string{"alias/jwt-next", "alias/jwt-prev", "alias/other"} {
		synctest.Test(t, func(t *testing.T) {
			fake, a, b := rested(t)
			createAlias(t, fake, "alias/other", a)
			updateAlias(t, fake, name, b)
			others := func(o *keyring.Options) { o.Others = []string{"alias/other"} }
			x := mustNew(t, fake, others)
			if len(kids(t, x)) != 2 {
				t.Errorf("%d keys, want 2", len(kids(t, x)))
			}
			fake.Inject(kmstest.Match{Operation: "GetPublicKey", Key: name}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}))
			mustSign(t, mustNew(t, fake, others), time.Hour)
			stop := background(t, x)
			time.Sleep(3 * time.Hour)
			stop()
			if len(kids(t, x)) != 1 {
				t.Error("a key that nobody may use stays published")
			}
		})
	}
}

// Retire races Promote: it must not take the alias of the key whose tokens
// live.
func TestRetireRacesPromote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		c := fake.AddKey(types.KeySpecEccNistP256)
		// A rotation whose last step is due, and the next one prepared, which
		// the first version allowed.
		updateAlias(t, fake, "alias/jwt-next", b)
		updateAlias(t, fake, "alias/jwt", b)
		time.Sleep(2 * time.Hour)
		updateAlias(t, fake, "alias/jwt-next", c)
		time.Sleep(time.Hour)
		x := mustNew(t, fake)
		compact := mustSign(t, x, time.Hour)
		between := &pausing{KMS: fake, pause: func() {
			if err := step(t, fake, keyring.Promote); err != nil {
				t.Log(err)
			}
		}}
		if err := step(t, between, keyring.Retire); err != nil {
			t.Error(err)
		}
		mustVerify(t, "a token of the key that signed before, at an issuer that starts", compact, mustNew(t, fake))
		_ = a
	})
}

// Retire races a rollback by hand: it must not disable the signing key.
func TestRetireRacesRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		updateAlias(t, fake, "alias/jwt-next", b)
		time.Sleep(time.Hour)
		if err := step(t, fake, keyring.Promote); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		between := &pausing{KMS: fake, pause: func() {
			if err := step(t, fake, "rollback"); err == nil {
				t.Error("a rollback is taken while the previous key may be retired")
			} else if strings.Contains(err.Error(), "unknown step") {
				// The first version had hands only.
				updateAlias(t, fake, "alias/jwt", a)
			}
		}}
		if err := step(t, between, keyring.Retire); err != nil {
			t.Error(err)
		}
		signing, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
		if err != nil || signing.KeyMetadata.KeyState != types.KeyStateEnabled {
			t.Errorf("the signing key is %s, %v", signing.KeyMetadata.KeyState, err)
		}
	})
}

// pausing does something before the first change of a step.
type pausing struct {
	*kmstest.KMS
	pause func()
	once  sync.Once
}

func (p *pausing) DisableKey(ctx context.Context, in *kms.DisableKeyInput, optFns ...func(*kms.Options)) (*kms.DisableKeyOutput, error) {
	p.once.Do(p.pause)
	return p.KMS.DisableKey(ctx, in, optFns...)
}

func (p *pausing) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, optFns ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	p.once.Do(p.pause)
	return p.KMS.UpdateAlias(ctx, in, optFns...)
}

// A key is compromised: what marks it as revoked takes it out of every JWKS
// within a refresh, and out of those of issuers that start.
func TestCompromisedKeyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, a, b := rested(t)
		x := mustNew(t, fake)
		stop := background(t, x)
		force := func(o *keyring.RotateOptions) { o.Force = true }
		updateAlias(t, fake, "alias/jwt-next", b)
		for _, s := range []keyring.Step{keyring.Promote, keyring.Retire} {
			if _, err := keyring.Rotate(t.Context(), fake, "alias/jwt", s, force); err != nil {
				t.Error(err)
			}
		}
		createAlias(t, fake, "alias/jwt-revoked-"+a, a) // as Revoke does
		if _, err := fake.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &a}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + time.Minute)
		if len(kids(t, x)) != 1 || len(kids(t, mustNew(t, fake))) != 1 {
			t.Errorf("the compromised key is published: %d keys", len(kids(t, x)))
		}
		mustSign(t, x, time.Hour)
		stop()
	})
}

// golang-jwt reads an exp of 0 as absent: that would be a token for ever.
func TestExpZero(t *testing.T) {
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
	ring := mustNew(t, fake)
	for _, exp := range []any{0, 0.0, -1, int64(0)} {
		if compact, err := ring.Sign(t.Context(), jwt.MapClaims{"exp": exp}); !errors.Is(err, keyring.ErrLifetime) {
			t.Errorf("exp %v: %q, %v, want ErrLifetime", exp, compact, err)
		}
	}
}

// A cron of all steps, every hour, by three replicas, makes one key a rotation.
func TestCronOfAllSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kmstest.New()
		createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistP256))
		time.Sleep(24 * time.Hour)
		var rotations atomic.Int64
		for range sized(3, 30) * 24 {
			var replicas sync.WaitGroup
			signing := func() string {
				out, err := fake.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
				if err != nil {
					t.Fatal(err)
				}
				return *out.KeyMetadata.KeyId
			}
			before := signing()
			for range 3 {
				replicas.Go(func() {
					for _, s := range []keyring.Step{keyring.Prepare, keyring.Promote, keyring.Retire} {
						keyring.Rotate(t.Context(), fake, "alias/jwt", s)
					}
				})
			}
			replicas.Wait()
			if signing() != before {
				rotations.Add(1)
			}
			time.Sleep(time.Hour)
		}
		out, err := fake.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1000)})
		if err != nil {
			t.Fatal(err)
		}
		if n := rotations.Load(); n < 5 || len(out.Keys) > int(n)+2 {
			t.Errorf("%d keys in %d rotations, want one each", len(out.Keys), n)
		}
	})
}

// The max-age shrinks while refreshes fail, so that an issuer that is cut off
// does not spread an old set for long.
func TestMaxAgeShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, _, _ := rested(t)
		x := mustNew(t, fake)
		maxAge := func() string {
			w := httptest.NewRecorder()
			x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			return w.Header().Get("Cache-Control")
		}
		for _, tt := range []struct {
			after time.Duration
			want  string
		}{{0, "public, max-age=300"}, {5 * time.Minute, "public, max-age=300"}, {2 * time.Minute, "public, max-age=180"}, {time.Hour, "public, max-age=5"}} {
			time.Sleep(tt.after)
			if got := maxAge(); got != tt.want {
				t.Errorf("%v later: %q, want %q", tt.after, got, tt.want)
			}
		}
		mustRefresh(t, x)
		if got := maxAge(); got != "public, max-age=300" {
			t.Errorf("after a refresh: %q", got)
		}
	})
}
