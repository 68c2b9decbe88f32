package secp256k1

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// newKey returns a key that crypto/ecdsa, which is independent of decred's
// ecdsa package, signs with.
func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.ToECDSA()
}

// TestKey is the life of a key: marshalled, parsed, and verifying a signature.
func TestKey(t *testing.T) {
	key := newKey(t)
	der, err := MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if !pub.Equal(&key.PublicKey) || pub.Curve != Curve {
		t.Fatal("the parsed key is another one")
	}
	// Digests of every length verify as crypto/ecdsa makes them: it cuts the
	// long ones to their leftmost bits.
	short, fitting, long := sha256.Sum224([]byte("m")), sha256.Sum256([]byte("m")), sha512.Sum512([]byte("m"))
	for _, digest := range [][]byte{short[:], fitting[:], long[:]} {
		sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			t.Fatal(err)
		}
		if !VerifyASN1(pub, digest, sig) {
			t.Errorf("a signature of a digest of %d bytes does not verify", len(digest))
		}
		other := bytes.Clone(digest)
		other[0] ^= 1
		if VerifyASN1(pub, other, sig) {
			t.Errorf("a signature of a digest of %d bytes verifies another digest", len(digest))
		}
		if VerifyASN1(pub, digest, append(sig, 0)) || VerifyASN1(pub, digest, nil) {
			t.Error("a malformed signature verifies")
		}
		if VerifyASN1(&newKey(t).PublicKey, digest, sig) {
			t.Error("a signature verifies with another key")
		}
	}
}

// TestParsePKIXPublicKeyOpenSSL reads a key that OpenSSL wrote
// (openssl ecparam -name secp256k1 -genkey | openssl ec -pubout -outform DER).
func TestParsePKIXPublicKeyOpenSSL(t *testing.T) {
	der, err := hex.DecodeString(openSSLKey)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	again, err := MarshalPKIXPublicKey(pub)
	if err != nil || !bytes.Equal(again, der) {
		t.Errorf("marshalled as %x, %v", again, err)
	}
}

func TestParsePKIXPublicKeyRefuses(t *testing.T) {
	good, err := MarshalPKIXPublicKey(&newKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(der []byte) []byte) []byte { return f(bytes.Clone(good)) }
	point := len(good) - secp256k1.PubKeyBytesLenUncompressed
	for _, tt := range []struct {
		name  string
		der   []byte
		other bool // the error is ErrOtherKey
	}{
		{"empty", nil, true},
		{"P-256", p256, true},
		{"trailing byte", edit(func(der []byte) []byte { return append(der, 0) }), false},
		{"off the curve", edit(func(der []byte) []byte { der[len(der)-1] ^= 1; return der }), false},
		{"hybrid point", edit(func(der []byte) []byte { der[point] = 6; return der }), false},
		{"unused bits", edit(func(der []byte) []byte { der[point-1] = 1; return der }), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub, err := ParsePKIXPublicKey(tt.der)
			if err == nil || pub != nil {
				t.Fatalf("got %v, %v, want an error", pub, err)
			}
			if errors.Is(err, ErrOtherKey) != tt.other {
				t.Errorf("got the error %v", err)
			}
		})
	}
}

// TestKeyRefused calls everything that takes a key with keys that no signature
// can be of.
func TestKeyRefused(t *testing.T) {
	good := newKey(t).PublicKey
	//lint:ignore SA1019 only these fields can hold a bad point.
	x, y := good.X, good.Y
	wide := new(big.Int).Lsh(big.NewInt(1), 256)
	for name, pub := range map[string]*ecdsa.PublicKey{
		"nil":           nil,
		"zero":          {},
		"no point":      {Curve: Curve},
		"other curve":   {Curve: elliptic.P256(), X: x, Y: y},
		"negative x":    {Curve: Curve, X: new(big.Int).Neg(x), Y: y},
		"negative y":    {Curve: Curve, X: x, Y: new(big.Int).Neg(y)},
		"wide x":        {Curve: Curve, X: wide, Y: y},
		"wide y":        {Curve: Curve, X: x, Y: wide},
		"off the curve": {Curve: Curve, X: x, Y: new(big.Int).Add(y, big.NewInt(1))},
	} {
		t.Run(name, func(t *testing.T) {
			if point, err := MarshalUncompressed(pub); err == nil {
				t.Errorf("MarshalUncompressed returned %x", point)
			}
			if der, err := MarshalPKIXPublicKey(pub); err == nil {
				t.Errorf("MarshalPKIXPublicKey returned %x", der)
			}
			if VerifyASN1(pub, make([]byte, 32), nil) {
				t.Error("VerifyASN1 returned true")
			}
		})
	}
}

const openSSLKey = "3056301006072a8648ce3d020106052b8104000a034200041bb8dfc0b47e074897541e50084a559a69f16158" +
	"a8d519bf1921e98110e3bd99b31490ab62597735f3f085032609f03b07cebcd3c6eb1028af764e829a7024b5"
