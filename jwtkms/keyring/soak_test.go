package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A fate is what becomes of one Sign request.
type fate int

const (
	fine fate = iota
	internal
	throttled
	reset
	hangs
	corrupted
	outage // while nothing of KMS can be reached
	fates
)

func (f fate) String() string {
	return [fates]string{"fine", "internal error", "throttled", "reset", "hangs", "corrupted", "outage"}[f]
}

// draw draws the fate of a request.
func draw(rng *rand.Rand) fate {
	switch n := rng.IntN(1000); {
	case n < 50:
		return internal
	case n < 100:
		return throttled
	case n < 110:
		return reset
	case n < 120:
		return hangs
	case n < 125:
		return corrupted
	}
	return fine
}

var soakEffects = [fates]kmstest.Effect{
	internal:  kmstest.Fail(&types.KMSInternalException{}),
	throttled: kmstest.Throttle(),
	reset:     kmstest.Reset(),
	hangs:     kmstest.Hang(),
	corrupted: kmstest.Corrupt(),
	outage:    kmstest.Respond(http.StatusServiceUnavailable, ""),
}

// An ending is how the attempt to issue a token ended.
type ending int

const (
	issued      ending = iota
	badAnswer          // ErrBadSignature: the answer was withheld
	outOfTime          // context.DeadlineExceeded
	attemptsEnd        // *retry.MaxAttemptsError around the last attempt's error
	retriesEnd         // ratelimit.QuotaExceededError beside it: the client had failed too often
	untyped
	endings
)

func (e ending) String() string {
	return [endings]string{"issued", "bad answer", "out of time", "attempts used up", "retry quota used up", "untyped"}[e]
}

// endingOf tells the kinds of errors apart as a caller would.
func endingOf(err error) ending {
	_, isInternal := errors.AsType[*types.KMSInternalException](err)
	answer, isAnswer := errors.AsType[*awshttp.ResponseError](err)
	transient := isInternal || throttle(err) || errors.Is(err, syscall.ECONNRESET) ||
		isAnswer && answer.HTTPStatusCode() == http.StatusServiceUnavailable
	_, isLast := errors.AsType[*retry.MaxAttemptsError](err)
	_, isQuota := errors.AsType[ratelimit.QuotaExceededError](err)
	switch {
	case err == nil:
		return issued
	case errors.Is(err, kmssigner.ErrBadSignature):
		return badAnswer
	case errors.Is(err, context.DeadlineExceeded):
		return outOfTime
	case isLast && transient:
		return attemptsEnd
	case isQuota && transient:
		return retriesEnd
	}
	return untyped
}

func throttle(err error) bool {
	apiErr, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err)
	return ok && apiErr.ErrorCode() == "ThrottlingException"
}

// The soak: two issuers under load while one request in eight goes wrong in one
// of five ways, the key is rotated, and for a minute and a half KMS is away.
// Every token that was issued must verify, at once and later, by verifiers with
// stale caches; every failure must be an error to branch on; and each request
// that KMS saw must be in the count of what became of the tokens.
//
// It runs on a fake clock, so that hanging, the SDK's own waits between
// attempts and an hour cost nothing. The seed decides what goes wrong and when;
// which token it hits is the scheduler's choice.
func TestSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { soak(t, 1) })
}

// dryRunsApart answers dry runs of Sign itself, so that every Sign request that
// KMS sees is for a token.
type dryRunsApart struct{ *kmstest.KMS }

func (d dryRunsApart) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	if aws.ToBool(in.DryRun) {
		return nil, &types.DryRunOperationException{}
	}
	return d.KMS.Sign(ctx, in, optFns...)
}

func soak(t *testing.T, seed uint64) {
	const (
		length  = time.Hour
		timeout = 15 * time.Second // of a token: more than the SDK's waits of up to two and four seconds
	)
	soakTokens := max(3_000, sized(4_500, 20_000)) // fewer would be too far apart
	fake := kmstest.New()
	createAlias(t, fake, "alias/jwt", fake.AddKey(types.KeySpecEccNistEdwards25519))
	rng := &lockedRand{r: rand.New(rand.NewPCG(seed, 1))}
	time.Sleep(time.Hour) // the alias is not new

	var rings [2]*keyring.Ring
	var running, actors sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for i := range rings {
		retryer := retry.NewStandard() // as in a client of its own
		ring, err := keyring.New(ctx, dryRunsApart{fake}, "alias/jwt", func(o *keyring.Options) {
			o.RefreshInterval, o.MaxAge, o.MaxLifetime, o.PropagationDelay = refreshInterval, maxAge, maxLifetime, propagationDelay
			o.Logger = slog.New(slog.DiscardHandler)
			o.SignerOptions = append(o.SignerOptions, func(o *kmssigner.Options) {
				o.ClientOptions = append(o.ClientOptions, func(o *kms.Options) { o.Retryer = retryer })
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		rings[i] = ring
		running.Go(func() { ring.Run(ctx) })
	}

	// The fate of every request, by its number, with room for the retries.
	schedule := make([]fate, soakTokens+soakTokens/4)
	draws := rand.New(rand.NewPCG(seed, 2))
	for i := range schedule {
		if schedule[i] = draw(draws); schedule[i] != fine {
			fake.Inject(kmstest.Match{Operation: "Sign", Skip: i, Times: 1}, soakEffects[schedule[i]])
		}
	}

	var mu sync.Mutex
	var ended [endings]int
	kids := map[string]int{}
	var cache [verifiers]verifier
	verify := func(compact string) string {
		keys := cache[rng.intN(verifiers)].lookUp(t, rings[rng.intN(2)])
		token, err := jwt.Parse(compact, func(token *jwt.Token) (any, error) {
			key, ok := keys[fmt.Sprint(token.Header["kid"])]
			if !ok {
				return nil, errors.New("unknown kid")
			}
			return key, nil
		}, jwt.WithExpirationRequired(), jwt.WithValidMethods([]string{"EdDSA"}))
		if err != nil {
			t.Errorf("a token that was issued: %v", err)
			return ""
		}
		return fmt.Sprint(token.Header["kid"])
	}
	for i := range signers {
		actors.Go(func() {
			for n := i; n < soakTokens; n += signers {
				tokenCtx, cancel := context.WithTimeout(ctx, timeout)
				compact, err := rings[i%2].Sign(tokenCtx, jwt.MapClaims{"exp": time.Now().Add(maxLifetime).Unix()})
				cancel()
				end := endingOf(err)
				if end == untyped || (err == nil) != (compact != "") {
					t.Errorf("Sign = %q, %v", compact, err)
				}
				kid := ""
				if err == nil {
					kid = verify(compact)
				}
				mu.Lock()
				ended[end]++
				if kid != "" {
					kids[kid]++
				}
				mu.Unlock()
				time.Sleep(rng.upTo(2 * length * signers / time.Duration(soakTokens)))
				if err == nil {
					verify(compact)
				}
			}
		})
	}

	// The driver: a rotation, and the outage in the middle of it.
	rotate := func(step keyring.Step) {
		if _, err := keyring.Rotate(ctx, dryRunsApart{fake}, "alias/jwt", step, func(o *keyring.RotateOptions) {
			o.RefreshInterval, o.MaxAge, o.MaxLifetime, o.PropagationDelay = refreshInterval, maxAge, maxLifetime, propagationDelay
		}); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	time.Sleep(10 * time.Minute)
	rotate(keyring.Prepare)
	time.Sleep(30 * time.Second)
	synctest.Wait() // so that no request is halfway between being counted and being hit
	from := fake.Calls("Sign")
	back := fake.Inject(kmstest.Match{}, soakEffects[outage])
	time.Sleep(90 * time.Second)
	synctest.Wait()
	to := fake.Calls("Sign")
	back()
	time.Sleep(propagationDelay)
	rotate(keyring.Promote)
	time.Sleep(time.Second + 2*refreshInterval + propagationDelay + maxLifetime)
	rotate(keyring.Retire)
	actors.Wait()
	stop()
	running.Wait()

	// What KMS saw, and what became of it.
	calls := fake.Calls("Sign")
	if calls > len(schedule) {
		t.Fatalf("%d requests, more than the %d that have a fate", calls, len(schedule))
	}
	var met [fates]int
	for i, f := range schedule[:calls] {
		if (f == fine || f == corrupted) && from <= i && i < to {
			f = outage
		}
		met[f]++
	}
	retries := calls - soakTokens
	again := met[internal] + met[throttled] + met[reset] + met[outage]
	for _, sum := range []struct {
		what      string
		got, want int
	}{
		{"tokens issued, and requests that went well", ended[issued], met[fine]},
		{"bad answers withheld, and answers corrupted", ended[badAnswer], met[corrupted]},
		{"deadlines passed, and requests that hung", ended[outOfTime], met[hangs]},
		{"retries given up, and failures that were not retried", ended[attemptsEnd] + ended[retriesEnd], again - retries},
	} {
		if sum.got != sum.want {
			t.Errorf("%s: %d and %d, want the same", sum.what, sum.got, sum.want)
		}
	}
	if len(kids) != 2 {
		t.Errorf("tokens were signed with %d keys, want the old one and the new one", len(kids))
	}
	for f, n := range met {
		if n == 0 {
			t.Errorf("no request met the fate %q: the soak is too short", fate(f))
		}
	}
	for e, n := range ended[:untyped] {
		if n == 0 && ending(e) != retriesEnd {
			t.Errorf("no token ended as %q: the soak is too short", ending(e))
		}
	}
	t.Logf("%d tokens, %d requests", soakTokens, calls)
	for f, n := range met {
		t.Logf("requests: %5d %s", n, fate(f))
	}
	for e, n := range ended {
		t.Logf("tokens:   %5d %s", n, ending(e))
	}
}
