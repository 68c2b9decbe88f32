//lint:file-ignore SA1019 There is no constructor for the broken keys.

package jwtkms_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/internal/secp256k1"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// FuzzKeyfunc parses tokens with the Keyfunc of every method. A token must not
// make it panic. A token that is accepted has the alg of the method, demands no
// extension, and verifies with code from outside this module. A token that
// cannot be valid does not reach a MAC.
func FuzzKeyfunc(f *testing.F) {
	if err := jwtkms.Register(); err != nil {
		f.Fatal(err)
	}
	type target struct {
		method *jwtkms.SigningMethod
		stock  jwt.SigningMethod
		key    any // to sign with
		pub    any // for foreignVerify
	}
	calls := 0
	secret := bytes.Repeat([]byte{'k'}, 32)
	targets := []target{{jwtkms.HS256, jwt.SigningMethodHS256, countingMAC{localMAC{crypto.SHA256, secret}, &calls}, secret}}
	fake := kmstest.New()
	for _, m := range methods {
		signer, err := kmssigner.New(f.Context(), fake, fake.AddKey(m.spec))
		if err != nil {
			f.Fatal(err)
		}
		targets = append(targets, target{m.method, m.stock, signer, signer.Public()})
	}
	for _, t := range targets {
		for _, header := range []map[string]any{nil, {"crit": []string{"x"}}, {"b64": false}, {"alg": "none"}, {"alg": nil}, {"kid": "1"}} {
			token := jwt.NewWithClaims(t.method, jwt.MapClaims{"sub": "alice"})
			for name, value := range header {
				token.Header[name] = value
			}
			compact, err := token.SignedString(t.key)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(compact)
			f.Add(compact[:len(compact)-2])
			f.Add(compact + "AA")
		}
	}
	for _, compact := range []string{"", ".", "..", "...", "e30.e30.", "bnVsbA.bnVsbA.AA", "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOlsiSFMyNTYiXX0.e30.AA"} {
		f.Add(compact)
	}
	f.Fuzz(func(t *testing.T, compact string) {
		for _, target := range targets {
			calls = 0
			token, err := jwt.Parse(compact, target.method.Keyfunc(target.key))
			var header map[string]any
			segments := strings.Split(compact, ".")
			if data, err := base64.RawURLEncoding.DecodeString(segments[0]); err == nil {
				_ = json.Unmarshal(data, &header)
			}
			_, crit := header["crit"]
			_, b64 := header["b64"]
			plausible := header["alg"] == target.method.Alg() && !crit && !b64
			if calls > 0 && (!plausible || len(token.Signature) != 32) {
				t.Errorf("%s: a MAC was asked about %q", target.method.Alg(), compact)
			}
			if err != nil {
				continue
			}
			if !plausible {
				t.Errorf("%s accepts %q", target.method.Alg(), compact)
			}
			signed := strings.Join(segments[:2], ".")
			if err := foreignVerify(target.stock, signed, token.Signature, target.pub); err != nil {
				t.Errorf("%s accepts %q: %v", target.method.Alg(), compact, err)
			}
		}
	})
}

// FuzzVerify verifies signatures with public keys that consist of arbitrary
// numbers. Nothing may panic. A key that no method takes is an error
// everywhere, and a signature that a method accepts verifies with code from
// outside this module.
func FuzzVerify(f *testing.F) {
	const signed = "header.payload"
	fake := kmstest.New()
	for i, m := range methods {
		signer, err := kmssigner.New(f.Context(), fake, fake.AddKey(m.spec))
		if err != nil {
			f.Fatal(err)
		}
		sig, err := m.method.Sign(signed, signer)
		if err != nil {
			f.Fatal(err)
		}
		kind, data, exponent := splitKey(f, signer.Public())
		for _, sig := range [][]byte{sig, sig[1:], append(slices.Clone(sig), 0), bytes.Repeat([]byte{0xff}, len(sig)), {}} {
			f.Add(byte(i), sig, kind, data, exponent)
		}
		for other := range byte(len(kinds)) {
			f.Add(byte(i), sig, other, data, exponent)
		}
		f.Add(byte(i), sig, kind, []byte{}, 0)
		f.Add(byte(i), sig, kind, bytes.Repeat([]byte{0xff}, len(data)), -1)
		f.Add(byte(i), make([]byte, 64), kindRSA, bytes.Repeat([]byte{0xff}, 65536), 65537)
	}

	f.Fuzz(func(t *testing.T, index byte, sig []byte, kind byte, data []byte, exponent int) {
		m := methods[int(index)%len(methods)]
		pub := joinKey(kind, data, exponent)
		err := m.method.Verify(signed, sig, pub)
		if err == nil {
			if err := foreignVerify(m.stock, signed, sig, pub); err != nil {
				t.Errorf("%s accepts %x with %v: %v", m.method.Alg(), sig, pub, err)
			}
		}
		own, ownErr := jwtkms.MethodFor(pub)
		if ownErr != nil && !errors.Is(err, jwt.ErrInvalidKeyType) {
			t.Errorf("%s: Verify with a key of no method: %v", m.method.Alg(), err)
		}
		kid, kidErr := jwtkms.Thumbprint(pub)
		if kidErr == nil && len(kid) != 43 || kidErr != nil && !errors.Is(kidErr, jwt.ErrInvalidKeyType) {
			t.Errorf("Thumbprint of %v = %q, %v", pub, kid, kidErr)
		}
		if ownErr != nil {
			return
		}
		jwk, err := own.JWK(pub)
		if (err == nil) != (kidErr == nil) || err == nil && (jwk.Kid != kid || jwk.Alg != own.Alg()) {
			t.Errorf("JWK of %v = %+v, %v; Thumbprint = %q, %v", pub, jwk, err, kid, kidErr)
		}
	})
}

// kinds are the types of the keys that joinKey makes: a curve, a parameter set,
// or a string.
var kinds = []any{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521(), secp256k1.Curve, "RSA", "Ed25519", mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87(), "none"}

var kindRSA = byte(slices.Index(kinds, any("RSA")))

// splitKey returns the arguments with which joinKey makes pub.
func splitKey(tb testing.TB, pub crypto.PublicKey) (kind byte, data []byte, exponent int) {
	tb.Helper()
	var k any
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		size := (pub.Curve.Params().BitSize + 7) / 8
		k, data = pub.Curve, append(pub.X.FillBytes(make([]byte, size)), pub.Y.FillBytes(make([]byte, size))...)
	case *rsa.PublicKey:
		k, data, exponent = "RSA", pub.N.Bytes(), pub.E
	case ed25519.PublicKey:
		k, data = "Ed25519", pub
	case *mldsa.PublicKey:
		k, data = pub.Parameters(), pub.Bytes()
	}
	i := slices.Index(kinds, k)
	if i < 0 {
		tb.Fatalf("no kind for a %T", pub)
	}
	return byte(i), data, exponent
}

// joinKey makes a public key that may be invalid. The numbers of an EC key are
// negative if exponent is.
func joinKey(kind byte, data []byte, exponent int) crypto.PublicKey {
	switch kind := kinds[int(kind)%len(kinds)].(type) {
	case elliptic.Curve:
		x, y := new(big.Int).SetBytes(data[:len(data)/2]), new(big.Int).SetBytes(data[len(data)/2:])
		if exponent < 0 {
			x, y = x.Neg(x), y.Neg(y)
		}
		return &ecdsa.PublicKey{Curve: kind, X: x, Y: y}
	case mldsa.Parameters:
		if pub, err := mldsa.NewPublicKey(kind, data); err == nil {
			return pub
		}
		return &mldsa.PublicKey{}
	case string:
		switch kind {
		case "RSA":
			return &rsa.PublicKey{N: new(big.Int).SetBytes(data), E: exponent}
		case "Ed25519":
			return ed25519.PublicKey(data)
		}
	}
	return data
}
