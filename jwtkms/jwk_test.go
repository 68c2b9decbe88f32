//lint:file-ignore SA1019 There is no constructor for a point off its curve.

package jwtkms_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
)

// The expected value is from RFC 7638 section 3.1.
func TestThumbprintRFC7638(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4" +
		"cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf" +
		"0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhA" +
		"I4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	got, err := jwtkms.Thumbprint(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; got != want || err != nil {
		t.Errorf("Thumbprint = %q, %v; want %q", got, err, want)
	}
}

// The key is from RFC 8037 appendix A.1, its thumbprint from A.3, and the
// signature from A.4. Ed25519 is deterministic, so Sign must return exactly
// that signature.
func TestRFC8037(t *testing.T) {
	decode := func(s string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := ed25519.NewKeyFromSeed(decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	got, err := jwtkms.Thumbprint(key.Public())
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want || err != nil {
		t.Errorf("Thumbprint = %q, %v; want %q", got, err, want)
	}
	const signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
	want := decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
	sig, err := jwtkms.EdDSA.Sign(signed, key)
	if !bytes.Equal(sig, want) || err != nil {
		t.Errorf("Sign = %x, %v; want %x", sig, err, want)
	}
}

// The keys are the examples of RFC 9964, whose seeds are all zeros. The test
// compares their thumbprints, and the two ends of the example signatures, which
// are deterministic.
func TestRFC9964(t *testing.T) {
	const payload = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4"
	for _, tt := range []struct {
		params     mldsa.Parameters
		method     *jwtkms.SigningMethod
		thumbprint string
		begin, end string
	}{
		{mldsa.MLDSA44(), jwtkms.MLDSA44, "T4xl70S7MT6Zeq6r9V9fPJGVn76wfnXJ21-gyo0Gu6o",
			"knI1Q_9CIzLH5Xy94Kkc7WVKqZcAgtJ3mNf0GUj1", "brEztHd9QAAAAAAAAAAAAAAABIf"},
		{mldsa.MLDSA65(), jwtkms.MLDSA65, "Suiu29qbfuaBaR4Ats-c6XQBePB_OpAxAwcTR_0KXVM",
			"zmO9_0bLgJAegoVNymfRo4nGPK5lVtSFGnDbzfzY", "UnQkuBhIyPtgAAAAAAAAAABgwVHCUv"},
		{mldsa.MLDSA87(), jwtkms.MLDSA87, "tRn1JNIkgMsABVQBlXeDHxAIcclh-2IX0UdDEzPt5XU", "", ""},
	} {
		key, err := mldsa.NewPrivateKey(tt.params, make([]byte, mldsa.PrivateKeySize))
		if err != nil {
			t.Fatal(err)
		}
		got, err := jwtkms.Thumbprint(key.Public())
		if got != tt.thumbprint || err != nil {
			t.Errorf("%v: Thumbprint = %q, %v; want %q", tt.params, got, err, tt.thumbprint)
		}
		header := fmt.Sprintf(`{"alg":"%s","kid":"%s"}`, tt.method.Alg(), tt.thumbprint)
		signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + payload
		sig, err := key.SignDeterministic([]byte(signed), nil)
		if err != nil {
			t.Fatal(err)
		}
		encoded := base64.RawURLEncoding.EncodeToString(sig)
		if !strings.HasPrefix(encoded, tt.begin) || !strings.Contains(encoded[len(encoded)-40:], tt.end) {
			t.Errorf("%v: the example's signature is %.40s..., want %s...%s", tt.params, encoded, tt.begin, tt.end)
		}
		if err := tt.method.Verify(signed, sig, key.Public()); err != nil {
			t.Errorf("%v: Verify refuses the example: %v", tt.params, err)
		}
	}
}

// Coordinates keep their leading zeros (RFC 7518 section 6.2.1.2). The test
// makes keys until the x coordinate has one.
func TestThumbprintKeepsLeadingZeros(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		size := (curve.Params().BitSize + 7) / 8
		for short := false; !short; {
			key, err := ecdsa.GenerateKey(curve, nil)
			if err != nil {
				t.Fatal(err)
			}
			point, err := key.PublicKey.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			x, y := point[1:1+size], point[1+size:]
			short = x[0] == 0
			b64 := base64.RawURLEncoding.EncodeToString
			sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"%s","kty":"EC","x":"%s","y":"%s"}`, curve.Params().Name, b64(x), b64(y)))
			got, err := jwtkms.Thumbprint(key.Public())
			if want := b64(sum[:]); got != want || err != nil {
				t.Fatalf("Thumbprint = %q, %v; want %q", got, err, want)
			}
		}
	}
}

func TestThumbprintRefuses(t *testing.T) {
	keys := publicKeys(t)
	for name, x := range map[string]*big.Int{
		"negative": big.NewInt(-1), "too large": new(big.Int).Lsh(big.NewInt(1), 256),
	} {
		keys["secp256k1, "+name] = &ecdsa.PublicKey{Curve: keys["secp256k1"].(*ecdsa.PublicKey).Curve, X: x, Y: big.NewInt(1)}
		if err := jwtkms.ES256K.Verify("signing string", make([]byte, 64), keys["secp256k1, "+name]); !errors.Is(err, jwt.ErrInvalidKey) {
			t.Errorf("ES256K, Verify with a point that is %s: %v, want jwt.ErrInvalidKey", name, err)
		}
	}
	keys["off secp256k1"] = &ecdsa.PublicKey{Curve: keys["secp256k1"].(*ecdsa.PublicKey).Curve, X: big.NewInt(1), Y: big.NewInt(1)}
	keys["off the curve"] = &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}
	for name, pub := range keys {
		switch name {
		case "P-256", "P-384", "P-521", "secp256k1", "RSA-1024", "RSA-2048", "Ed25519", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87":
			continue
		}
		if got, err := jwtkms.Thumbprint(pub); got != "" || !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("Thumbprint of %s = %q, %v; want jwt.ErrInvalidKeyType", name, got, err)
		}
	}
}

// A JWK has the members that verifiers need and no others. The examples test it
// with the parsers of go-jose and jwx.
func TestJWK(t *testing.T) {
	keys := publicKeys(t)
	for name, want := range map[string]struct {
		method  *jwtkms.SigningMethod
		members string
	}{
		"P-256":     {jwtkms.ES256, "alg crv kid kty use x y"},
		"P-384":     {jwtkms.ES384, "alg crv kid kty use x y"},
		"P-521":     {jwtkms.ES512, "alg crv kid kty use x y"},
		"secp256k1": {jwtkms.ES256K, "alg crv kid kty use x y"},
		"RSA-2048":  {jwtkms.PS384, "alg e kid kty n use"},
		"Ed25519":   {jwtkms.EdDSA, "alg crv kid kty use x"},
		"ML-DSA-44": {jwtkms.MLDSA44, "alg kid kty pub use"},
	} {
		jwk, err := want.method.JWK(keys[name])
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(jwk)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]string
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(members)), " "); got != want.members {
			t.Errorf("%s: members %s, want %s", name, got, want.members)
		}
		kid, _ := jwtkms.Thumbprint(keys[name])
		if members["alg"] != want.method.Alg() || members["use"] != "sig" || members["kid"] != kid {
			t.Errorf("%s: %s", name, data)
		}
	}
	for _, method := range []*jwtkms.SigningMethod{jwtkms.ES256, jwtkms.HS256} {
		if _, err := method.JWK(keys["P-384"]); !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("%s: JWK of a P-384 key: %v, want jwt.ErrInvalidKeyType", method.Alg(), err)
		}
	}
}

// The key and the members are the EC key of RFC 7517 appendix A.1.
func TestJWKOfTheRFCs(t *testing.T) {
	x, y := "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
	point := []byte{4}
	for _, s := range []string{x, y} {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, b...)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := jwtkms.ES256.JWK(pub)
	if jwk.Kty != "EC" || jwk.Crv != "P-256" || jwk.X != x || jwk.Y != y || err != nil {
		t.Errorf("JWK = %+v, %v", jwk, err)
	}
}
