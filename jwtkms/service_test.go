package jwtkms_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A service signs tokens with a key in KMS and publishes its public key. A
// receiver verifies them with golang-jwt and the published JWKS, without KMS.
func TestServiceAndReceiver(t *testing.T) {
	// The service starts. It fetches the public key once.
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	method, err := jwtkms.MethodFor(signer)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := method.JWK(signer)
	if err != nil {
		t.Fatal(err)
	}

	// It publishes the public key.
	jwks, err := json.Marshal(jwtkms.JWKSet{Keys: []jwtkms.JWK{jwk}})
	if err != nil {
		t.Fatal(err)
	}

	// It issues a token, which costs one Sign call.
	token := jwt.NewWithClaims(method, jwt.MapClaims{
		"sub": "alice", "aud": "api", "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = jwk.Kid
	compact, err := token.SignedString(signer.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if fake.Calls("GetPublicKey") != 1 || fake.Calls("Sign") != 1 || fake.Calls("") != 2 {
		t.Errorf("calls to KMS: %d GetPublicKey, %d Sign, %d in total; want 1, 1, 2", fake.Calls("GetPublicKey"), fake.Calls("Sign"), fake.Calls(""))
	}

	// The receiver reads the JWKS and finds the key of the token in it.
	keyfunc := receiver(t, jwks)
	parse := func(compact string) (*jwt.Token, error) {
		return jwt.Parse(compact, keyfunc, jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience("api"), jwt.WithExpirationRequired())
	}
	parsed, err := parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	if subject, _ := parsed.Claims.GetSubject(); subject != "alice" {
		t.Errorf("the subject is %q, want alice", subject)
	}

	// It refuses the token with other claims.
	segments := strings.Split(compact, ".")
	segments[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"mallory","aud":"api","exp":4000000000}`))
	if _, err := parse(strings.Join(segments, ".")); !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		t.Errorf("other claims: %v, want ErrTokenSignatureInvalid", err)
	}
	// It refuses a token that another key signed under the same kid.
	elsewhere := kmstest.New()
	forger := newSigner(t, elsewhere, elsewhere.AddKey(types.KeySpecEccNistP256))
	forged, err := token.SignedString(forger)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parse(forged)
	if !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		t.Errorf("another key: %v, want ErrTokenSignatureInvalid", err)
	}
	if fake.Calls("") != 2 {
		t.Errorf("verifying made %d calls to KMS, want none", fake.Calls("")-2)
	}
}

// receiver returns the Keyfunc of a receiver that knows the EC keys of a JWKS.
func receiver(t *testing.T, jwks []byte) jwt.Keyfunc {
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]*ecdsa.PublicKey)
	for _, jwk := range set.Keys {
		if jwk.Kty != "EC" || jwk.Crv != "P-256" {
			t.Fatalf("key %q of type %s on %s, want EC on P-256", jwk.Kid, jwk.Kty, jwk.Crv)
		}
		x, err := base64.RawURLEncoding.DecodeString(jwk.X)
		if err != nil {
			t.Fatal(err)
		}
		y, err := base64.RawURLEncoding.DecodeString(jwk.Y)
		if err != nil {
			t.Fatal(err)
		}
		keys[jwk.Kid], err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			t.Fatal(err)
		}
	}
	return func(token *jwt.Token) (any, error) {
		key, ok := keys[fmt.Sprint(token.Header["kid"])]
		if !ok {
			return nil, fmt.Errorf("no key has the kid %v", token.Header["kid"])
		}
		return key, nil
	}
}
