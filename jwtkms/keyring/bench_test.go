package keyring_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// benchRing is a Ring in the middle of a rotation: three keys are published.
// With it come those keys, and a token of the one that signs.
func benchRing(b *testing.B) (*keyring.Ring, []keyring.Key, string) {
	b.Helper()
	fake := kmstest.New()
	var keys []keyring.Key
	for _, alias := range []string{"alias/jwt-next", "alias/jwt-prev", "alias/jwt"} {
		id := fake.AddKey(types.KeySpecEccNistP256)
		if _, err := fake.CreateAlias(b.Context(), &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &id}); err != nil {
			b.Fatal(err)
		}
		ring, err := keyring.New(b.Context(), fake, id) // the key alone
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, ring.Current())
	}
	// The delay is off: with it the previous key would sign, the others are too
	// new.
	ring, err := keyring.New(b.Context(), fake, "alias/jwt", func(o *keyring.Options) { o.PropagationDelay = -1 })
	if err != nil {
		b.Fatal(err)
	}
	compact, err := ring.Sign(b.Context(), jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		b.Fatal(err)
	}
	return ring, keys, compact
}

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
	size   int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(status int) {
	d.status = status
}
func (d *discard) Write(p []byte) (int, error) {
	d.size += len(p)
	return len(p), nil
}

// BenchmarkJWKS compares the Ring's answer, and its answer to a verifier that
// has the set already, with a handler that makes the set from the public keys
// for each request.
//
//	go test -run '^$' -bench JWKS -benchtime 2s ./jwtkms/keyring
func BenchmarkJWKS(b *testing.B) {
	ring, keys, _ := benchRing(b)
	plain := httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil)
	first := httptest.NewRecorder()
	ring.ServeHTTP(first, plain)
	var set jwtkms.JWKSet
	if err := json.Unmarshal(first.Body.Bytes(), &set); err != nil || len(set.Keys) != len(keys) {
		b.Fatalf("%d keys are served, want %d; %v", len(set.Keys), len(keys), err)
	}
	again := plain.Clone(b.Context())
	again.Header.Set("If-None-Match", first.Header().Get("ETag"))
	marshal := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var set jwtkms.JWKSet
		for _, key := range keys {
			jwk, err := jwtkms.ES256.JWK(key.Public)
			if err != nil {
				b.Fatal(err)
			}
			set.Keys = append(set.Keys, jwk)
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		if err := json.NewEncoder(w).Encode(set); err != nil {
			b.Fatal(err)
		}
	})
	serving := func(name string, handler http.Handler, request *http.Request, status int) turns.Variant {
		w := &discard{header: http.Header{}}
		return turns.Variant{Name: name, Run: func() error {
			clear(w.header)
			w.status, w.size = http.StatusOK, 0
			handler.ServeHTTP(w, request)
			if w.status != status || (w.size == 0) != (w.status == http.StatusNotModified) {
				return fmt.Errorf("status %d, %d bytes", w.status, w.size)
			}
			return nil
		}}
	}
	baseline := serving("marshalling", marshal, plain, http.StatusOK)
	served := serving("ring", ring, plain, http.StatusOK)
	unchanged := serving("unchanged", ring, again, http.StatusNotModified)
	times := turns.Measure(b, 20, baseline, served, unchanged)
	table := turns.NewTable("", "times as fast", "allocations")
	for _, row := range []struct {
		name string
		v    turns.Variant
	}{
		{"serving the keys", served},
		{"the same, to a verifier that has them (304)", unchanged},
	} {
		table.Row(row.name, times.Ratio("marshalling", row.v.Name),
			fmt.Sprintf("%v and %v", turns.Allocations(row.v.Run), turns.Allocations(baseline.Run)))
	}
	table.Write(os.Stdout)
}

// BenchmarkKeyfunc compares the Ring's lookup with a map from kid to public
// key, each alone and as part of verifying a token.
//
//	go test -run '^$' -bench Keyfunc -benchtime 2s ./jwtkms/keyring
func BenchmarkKeyfunc(b *testing.B) {
	ring, keys, compact := benchRing(b)
	byKID := map[string]any{}
	for _, key := range keys {
		byKID[key.KID] = key.Public
	}
	fixed := func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		return byKID[kid], nil
	}
	token, err := jwt.Parse(compact, ring.Keyfunc)
	if err != nil {
		b.Fatal(err)
	}
	lookup := func(name string, keyfunc jwt.Keyfunc) turns.Variant {
		return turns.Variant{Name: name, Run: func() error {
			if key, err := keyfunc(token); err != nil || key == nil {
				return fmt.Errorf("key %v, %v", key, err)
			}
			return nil
		}}
	}
	parse := func(name string, keyfunc jwt.Keyfunc) turns.Variant {
		return turns.Variant{Name: name, Run: func() error {
			_, err := jwt.Parse(compact, keyfunc)
			return err
		}}
	}
	table := turns.NewTable("", "compared with", "time")
	b.Run("lookup", func(b *testing.B) {
		times := turns.Measure(b, 1000, lookup("map", fixed), lookup("ring", ring.Keyfunc))
		table.Row("`Ring.Keyfunc`", "a lookup in a map", times.Ratio("ring", "map"))
		table.Row("the same, in microseconds", "", times.Microseconds("ring"))
	})
	b.Run("parse", func(b *testing.B) {
		times := turns.Measure(b, 5, parse("map", fixed), parse("ring", ring.Keyfunc))
		table.Row("parsing a token with `Ring.Keyfunc`", "with the map", times.Ratio("ring", "map"))
	})
	table.Write(os.Stdout)
}
