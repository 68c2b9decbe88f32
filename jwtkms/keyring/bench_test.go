package keyring_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

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
//	go test -run '^$' -bench JWKS ./jwtkms/keyring
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
	for _, variant := range []struct {
		name    string
		handler http.Handler
		request *http.Request
		status  int
	}{
		{"marshalling", marshal, plain, 0}, // an implied 200
		{"ring", ring, plain, http.StatusOK},
		{"ring-unchanged", ring, again, http.StatusNotModified},
	} {
		b.Run(variant.name, func(b *testing.B) {
			b.ReportAllocs()
			w := &discard{header: http.Header{}}
			for b.Loop() {
				clear(w.header)
				variant.handler.ServeHTTP(w, variant.request)
			}
			if w.status != variant.status || (w.size == 0) != (w.status == http.StatusNotModified) {
				b.Fatalf("status %d, %d bytes", w.status, w.size)
			}
		})
	}
}

// BenchmarkKeyfunc compares the Ring's lookup with a map from kid to public
// key, each alone and as part of verifying a token.
//
//	go test -run '^$' -bench Keyfunc ./jwtkms/keyring
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
	for _, variant := range []struct {
		name    string
		keyfunc jwt.Keyfunc
	}{{"map", fixed}, {"ring", ring.Keyfunc}} {
		b.Run("lookup/"+variant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if key, err := variant.keyfunc(token); err != nil || key == nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, variant := range []struct {
		name    string
		keyfunc jwt.Keyfunc
	}{{"map", fixed}, {"ring", ring.Keyfunc}} {
		b.Run("parse/"+variant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jwt.Parse(compact, variant.keyfunc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
