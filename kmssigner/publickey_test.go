package kmssigner_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"filippo.io/mldsa"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestPKIXPublicKey takes the public key of each spec out of KMS, as a file,
// and makes a Signer with it.
func TestPKIXPublicKey(t *testing.T) {
	fake := kmstest.New()
	for _, spec := range specs {
		online := newSigner(t, fake, fake.AddKey(spec))
		keyARN := online.KeyARN()
		out, err := fake.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &keyARN})
		if err != nil {
			t.Fatal(err)
		}
		pub, err := kmssigner.ParsePKIXPublicKey(out.PublicKey)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if !pub.(interface{ Equal(crypto.PublicKey) bool }).Equal(online.Public()) {
			t.Errorf("%s: the parsed key is another one", spec)
		}
		spki, err := kmssigner.MarshalPKIXPublicKey(pub)
		if err != nil || !bytes.Equal(spki, out.PublicKey) {
			t.Errorf("%s: marshalled as %x, %v, want %x", spec, spki, err, out.PublicKey)
		}
		offline := newSigner(t, fake, keyARN, func(o *kmssigner.Options) { o.PublicKey = pub })
		if _, err := offline.SignMessage(nil, []byte("m"), offline); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if _, err := kmssigner.ParsePKIXPublicKey(append(out.PublicKey, 0)); err == nil {
			t.Errorf("%s: a trailing byte is accepted", spec)
		}
		if _, err := kmssigner.ParsePKIXPublicKey(out.PublicKey[:len(out.PublicKey)-1]); err == nil {
			t.Errorf("%s: a missing byte is accepted", spec)
		}
		if _, err := kmssigner.ParsePKIXPublicKey(withTrailingParameter(t, out.PublicKey)); err == nil {
			t.Errorf("%s: trailing data in the parameters is accepted", spec)
		}
	}
}

// withTrailingParameter returns spki with a NULL at the end of the algorithm
// identifier, which crypto/x509 ignores for the NIST curves.
func withTrailingParameter(t *testing.T, spki []byte) []byte {
	t.Helper()
	var info struct {
		Algorithm asn1.RawValue
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		t.Fatal(err)
	}
	info.Algorithm.FullBytes = nil
	info.Algorithm.Bytes = append(bytes.Clone(info.Algorithm.Bytes), 5, 0)
	again, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// smallOrder returns the y-coordinates of the Ed25519 points of small order. It
// computes them from the curve equation -x² + y² = 1 + d·x²·y² (RFC 8032
// section 5.1): a point of order 8 doubles to one of order 4, which has y = 0,
// so its coordinates satisfy y² = -x², and d·y⁴ = 2y² - 1.
func smallOrder() []*big.Int {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	d := mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), p)))
	ys := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1))}
	// y² = (1 ± √(1+d)) / (-d) solves d·y⁴ + 2y² - 1 = 0, the curve equation
	// with x² = -y².
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(d, big.NewInt(1))), p)
	for _, sign := range []int64{1, -1} {
		square := new(big.Int).Mul(big.NewInt(sign), root)
		square.Sub(square, big.NewInt(1))
		square.Mul(square, new(big.Int).ModInverse(d, p))
		if y := new(big.Int).ModSqrt(mod(square), p); y != nil {
			ys = append(ys, y, new(big.Int).Sub(p, y))
		}
	}
	for _, y := range ys[:len(ys):len(ys)] {
		if y := new(big.Int).Add(y, p); y.BitLen() <= 255 {
			ys = append(ys, y) // not reduced, and encodable all the same
		}
	}
	return ys
}

// TestWeakKeys has keys with which anybody can make signatures, or nobody.
func TestWeakKeys(t *testing.T) {
	fake := kmstest.New()
	keyARN := newSigner(t, fake, fake.AddKey(types.KeySpecRsa2048)).KeyARN()
	good, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak := map[string]crypto.PublicKey{}
	for name, e := range map[string]int{"0": 0, "1": 1, "2": 2, "-3": -3, "65536": 65536, "2^31+1": 1<<31 + 1} {
		weak["RSA exponent "+name] = &rsa.PublicKey{N: good.N, E: e}
	}
	weak["even RSA modulus"] = &rsa.PublicKey{N: new(big.Int).SetBit(good.N, 0, 0), E: 65537}
	weak["negative RSA modulus"] = &rsa.PublicKey{N: new(big.Int).Neg(good.N), E: 65537}
	ys := smallOrder()
	if len(ys) != 7 {
		t.Fatalf("%d y-coordinates of small order, want 7", len(ys))
	}
	forgeries := 0
	for _, y := range ys {
		for _, sign := range []byte{0, 0x80} {
			point := y.FillBytes(make([]byte, 32))
			for i := range 16 {
				point[i], point[31-i] = point[31-i], point[i]
			}
			point[31] |= sign
			weak["Ed25519 point "+new(big.Int).SetBytes(point).Text(16)] = ed25519.PublicKey(point)
			for i := range 64 {
				if ed25519.Verify(point, []byte{byte(i)}, make([]byte, 64)) {
					forgeries++
				}
			}
		}
	}
	if forgeries == 0 {
		t.Error("no all-zero signature verifies with these points: they are not of small order")
	}
	for name, pub := range weak {
		if _, err := kmssigner.New(t.Context(), fake, keyARN, func(o *kmssigner.Options) { o.PublicKey = pub }); !errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("%s: New with Options.PublicKey: %v, want ErrUnsupportedKey", name, err)
		}
		if spki, err := kmssigner.MarshalPKIXPublicKey(pub); !errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("%s: MarshalPKIXPublicKey = %x, %v, want ErrUnsupportedKey", name, spki, err)
		}
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			continue
		}
		if pub, err := kmssigner.ParsePKIXPublicKey(spki); err == nil {
			t.Errorf("%s: ParsePKIXPublicKey = %v, want an error", name, pub)
		}
		client := &spy{Client: fake, editGet: func(o *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
			return &kms.GetPublicKeyOutput{
				KeyId: o.KeyId, KeyUsage: o.KeyUsage, SigningAlgorithms: o.SigningAlgorithms, PublicKey: spki,
			}, nil
		}}
		if _, err := kmssigner.New(t.Context(), client, keyARN); err == nil {
			t.Errorf("%s: New accepts it from KMS", name)
		}
	}
	if _, err := kmssigner.MarshalPKIXPublicKey(&rsa.PublicKey{N: good.N, E: 3}); err != nil {
		t.Errorf("RSA exponent 3: %v", err)
	}
	if _, err := kmssigner.MarshalPKIXPublicKey(&rsa.PublicKey{N: good.N, E: 1<<31 - 1}); err != nil {
		t.Errorf("RSA exponent 2^31-1: %v", err)
	}
}

// TestPKIXPublicKeyUnsupported has keys of the types that New refuses.
func TestPKIXPublicKeyUnsupported(t *testing.T) {
	small, err := rsa.GenerateKey(nil, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]crypto.PublicKey{
		"nil":                 nil,
		"a string":            "key",
		"RSA of 1024 bits":    &small.PublicKey,
		"P-224":               &p224.PublicKey,
		"a nil RSA key":       (*rsa.PublicKey)(nil),
		"a nil ECDSA key":     (*ecdsa.PublicKey)(nil),
		"a zero ECDSA key":    &ecdsa.PublicKey{},
		"an empty Ed25519":    ed25519.PublicKey{},
		"a zero ML-DSA key":   &mldsa.PublicKey{},
		"a Signer, not a key": &kmssigner.Signer{},
	} {
		if spki, err := kmssigner.MarshalPKIXPublicKey(pub); !errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("MarshalPKIXPublicKey of %s = %x, %v, want ErrUnsupportedKey", name, spki, err)
		}
	}
	for name, pub := range map[string]crypto.PublicKey{"RSA of 1024 bits": &small.PublicKey, "P-224": &p224.PublicKey} {
		spki, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kmssigner.ParsePKIXPublicKey(spki); !errors.Is(err, kmssigner.ErrUnsupportedKey) {
			t.Errorf("ParsePKIXPublicKey of %s: %v, want ErrUnsupportedKey", name, err)
		}
	}
}

// FuzzParsePKIXPublicKey holds that parsing never panics, and that what it
// accepts is the encoding that MarshalPKIXPublicKey returns.
func FuzzParsePKIXPublicKey(f *testing.F) {
	fake := kmstest.New()
	for _, spec := range specs {
		keyID := fake.AddKey(spec)
		out, err := fake.GetPublicKey(f.Context(), &kms.GetPublicKeyInput{KeyId: &keyID})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out.PublicKey)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, spki []byte) {
		pub, err := kmssigner.ParsePKIXPublicKey(spki)
		if err != nil {
			return
		}
		if again, err := kmssigner.MarshalPKIXPublicKey(pub); err != nil || !bytes.Equal(again, spki) {
			t.Errorf("%x is marshalled as %x, %v", spki, again, err)
		}
	})
}
