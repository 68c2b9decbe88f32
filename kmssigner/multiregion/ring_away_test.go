package multiregion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// route is an issuer's way to a Region, which may be broken while an operator
// still reaches the Region.
type route struct {
	*kmstest.KMS
	broken atomic.Bool
}

func (r *route) check() error {
	if r.broken.Load() {
		return &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route to host")}
	}
	return nil
}

func (r *route) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.KMS.GetPublicKey(ctx, in, optFns...)
}

func (r *route) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.KMS.Sign(ctx, in, optFns...)
}

func (r *route) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.KMS.ListAliases(ctx, in, optFns...)
}

// rotating is a ring of aliases in two Regions, the issuers that follow it, and
// a verifier that caches the JWKS of the first for as long as it may.
type rotating struct {
	*testing.T
	world
	routes   [2]*route
	issuers  []*keyring.Ring
	cached   jwt.Keyfunc
	fetched  time.Time
	aliveFor map[string]time.Time // tokens, and until when they must verify
}

func newRotating(t *testing.T) *rotating {
	w := ecWorld(t)
	r := &rotating{T: t, world: *w, routes: [2]*route{{KMS: w.a}, {KMS: w.b}}, aliveFor: map[string]time.Time{}}
	r.move(alias+"-next", r.id, w.a, w.b)
	r.move(alias+"-prev", r.id, w.a, w.b)
	time.Sleep(24 * time.Hour)
	return r
}

// client is a way through both Regions, the first one first.
func (r *rotating) client() *multiregion.Client {
	r.Helper()
	c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: r.routes[0]}, {Name: regionB, Client: r.routes[1]}})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func newIssuer(ctx context.Context, c *multiregion.Client) (*keyring.Ring, error) {
	return keyring.New(ctx, c, alias, func(o *keyring.Options) { o.Logger = slog.New(slog.DiscardHandler) })
}

// start starts an issuer, which runs until the test ends.
func (r *rotating) start() {
	r.Helper()
	ring, err := newIssuer(r.Context(), r.client())
	if err != nil {
		r.Fatal(err)
	}
	r.issuers = append(r.issuers, ring)
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	go func() { ring.Run(ctx); close(done) }()
	r.Cleanup(func() { cancel(); <-done })
}

// pass lets time pass, in which every issuer signs each half minute and every
// token that lives is verified.
func (r *rotating) pass(d time.Duration) {
	r.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
		for _, ring := range r.issuers {
			exp := time.Now().Add(time.Hour)
			token, err := ring.Sign(r.Context(), jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(exp)})
			if err != nil {
				r.Fatal(err)
			}
			r.aliveFor[token] = exp
		}
		if time.Since(r.fetched) >= 5*time.Minute {
			r.fetch()
		}
		for token, exp := range r.aliveFor {
			if !time.Now().Before(exp.Add(-time.Second)) {
				delete(r.aliveFor, token)
			} else if _, err := jwt.Parse(token, r.cached, jwt.WithValidMethods([]string{"ES256"})); err != nil {
				r.Fatalf("a token that lives until %v: %v", exp, err)
			}
		}
	}
}

// fetch fetches the JWKS of the first issuer.
func (r *rotating) fetch() {
	r.Helper()
	w := httptest.NewRecorder()
	r.issuers[0].ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var set jwtkms.JWKSet
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		r.Fatal(err)
	}
	r.cached, r.fetched = keyfuncOf(set), time.Now()
}

// keyfuncOf finds the P-256 keys of a JWKS by their kid.
func keyfuncOf(set jwtkms.JWKSet) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		for _, key := range set.Keys {
			if key.Kid != token.Header["kid"] {
				continue
			}
			x, errX := base64.RawURLEncoding.DecodeString(key.X)
			y, errY := base64.RawURLEncoding.DecodeString(key.Y)
			if err := errors.Join(errX, errY); err != nil {
				return nil, err
			}
			return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		}
		return nil, fmt.Errorf("the JWKS has no key %q", token.Header["kid"])
	}
}

// move points an alias to a key in some Regions.
func (r *rotating) move(name, id string, regions ...*kmstest.KMS) {
	r.Helper()
	for _, k := range regions {
		_, err := k.UpdateAlias(r.Context(), &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &id})
		if _, none := errors.AsType[*types.NotFoundException](err); none {
			_, err = k.CreateAlias(r.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &id})
		}
		if err != nil {
			r.Fatal(err)
		}
	}
}

// revoke does what the runbook says for an emergency, in some Regions.
func (r *rotating) revoke(id, replacement string, regions ...*kmstest.KMS) {
	r.Helper()
	for _, k := range regions {
		r.move(alias+"-revoked-"+id, id, k)
		r.move(alias, replacement, k)
		if _, err := k.DisableKey(r.Context(), &kms.DisableKeyInput{KeyId: &id}); err != nil {
			r.Fatal(err)
		}
		r.move(alias+"-prev", replacement, k)
		r.move(alias+"-next", replacement, k)
	}
}

// every checks which key every issuer signs with and which keys it publishes.
func (r *rotating) every(signs string, publishes ...string) {
	r.Helper()
	for i, ring := range r.issuers {
		if got := ring.Current().KeyARN; !strings.HasSuffix(got, "/"+signs) {
			r.Errorf("issuer %d signs with %s, want %s", i, got, signs)
		}
		var got []string
		for _, key := range ring.Keys() {
			got = append(got, key.KeyARN[strings.LastIndex(key.KeyARN, "/")+1:])
		}
		slices.Sort(got)
		slices.Sort(publishes)
		if !slices.Equal(got, publishes) {
			r.Errorf("issuer %d publishes %q, want %q", i, got, publishes)
		}
	}
}

// With either Region dead, issuers start, refresh, sign with the next key when
// it is promoted, and stop publishing a key that is revoked.
func TestRingWithADeadRegion(t *testing.T) {
	for dead, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRotating(t)
				a := r.id
				b, _ := r.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
				r.routes[dead].broken.Store(true)
				r.start()
				r.pass(10 * time.Minute)
				r.every(a, a)

				r.move(alias+"-next", b, r.a, r.b)
				r.pass(6 * time.Minute)
				r.start()
				r.pass(6 * time.Minute)
				r.every(a, a, b)

				r.move(alias, b, r.a, r.b)
				r.pass(5 * time.Minute)
				r.start()
				r.pass(time.Minute)
				r.every(b, a, b)

				clear(r.aliveFor) // those of the revoked key fail
				r.revoke(b, a, r.a, r.b)
				time.Sleep(6 * time.Minute)
				r.fetch()
				r.every(a, a)
				r.pass(time.Minute)

				// The Region comes back, in the same state.
				r.routes[dead].broken.Store(false)
				r.pass(6 * time.Minute)
				r.start()
				r.every(a, a)
				calls := r.routes[dead].Calls("GetPublicKey")
				r.pass(6 * time.Minute)
				if r.routes[dead].Calls("GetPublicKey") == calls {
					t.Error("nobody asks the Region that came back")
				}
			})
		})
	}
}

// A Region that comes back behind the other makes refreshes fail. Issuers keep
// their keys meanwhile, and go on when the Region has caught up.
func TestRingWithARegionBehind(t *testing.T) {
	for behind, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRotating(t)
				a := r.id
				b, _ := r.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
				there, other := r.routes[behind], r.routes[1-behind]
				r.move(alias+"-next", b, r.a, r.b)
				r.start()
				r.pass(12 * time.Minute)
				r.every(a, a, b)

				// The key is promoted in one Region while the other is dead.
				there.broken.Store(true)
				r.move(alias, b, other.KMS)
				r.pass(6 * time.Minute)
				r.every(b, a, b)

				// The Region comes back and names the old key. The issuer keeps
				// what it has, and another does not start.
				there.broken.Store(false)
				r.pass(20 * time.Minute)
				r.every(b, a, b)
				if err := r.issuers[0].Refresh(t.Context()); !errors.Is(err, multiregion.ErrKeyMismatch) {
					t.Errorf("a refresh while the Regions differ: %v, want ErrKeyMismatch", err)
				}
				if _, err := newIssuer(t.Context(), r.client()); !errors.Is(err, multiregion.ErrKeyMismatch) {
					t.Errorf("a start while the Regions differ: %v, want ErrKeyMismatch", err)
				}
				r.move(alias, b, there.KMS)
				r.pass(6 * time.Minute)
				r.start()
				r.every(b, a, b)
				if err := r.issuers[0].Refresh(t.Context()); err != nil {
					t.Errorf("a refresh when the Region has caught up: %v", err)
				}
			})
		})
	}
}

// A key that was revoked in one Region stays revoked when the other comes back
// and does not know of it.
func TestRevokedInOneRegion(t *testing.T) {
	for behind, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRotating(t)
				a := r.id
				b, _ := r.addKey(t, types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
				there, other := r.routes[behind], r.routes[1-behind]
				r.move(alias+"-next", b, r.a, r.b)
				r.start()
				r.pass(12 * time.Minute)
				r.every(a, a, b)

				there.broken.Store(true)
				clear(r.aliveFor) // those of the revoked key fail
				r.revoke(a, b, other.KMS)
				time.Sleep(6 * time.Minute)
				r.fetch()
				r.every(b, b)

				there.broken.Store(false)
				r.pass(20 * time.Minute)
				r.every(b, b)

				r.revoke(a, b, there.KMS)
				r.pass(6 * time.Minute)
				r.start()
				r.every(b, b)
			})
		})
	}
}
