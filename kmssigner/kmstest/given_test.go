package kmstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"

	internal "github.com/kmssign/kmssign/internal/secp256k1"
)

// privateKeys returns a private key for each spec that signs or makes MACs.
func privateKeys(t *testing.T) map[types.KeySpec]crypto.PrivateKey {
	t.Helper()
	keys := map[types.KeySpec]crypto.PrivateKey{}
	add := func(spec types.KeySpec, key crypto.PrivateKey, err error) {
		if err != nil {
			t.Fatal(err)
		}
		keys[spec] = key
	}
	for spec, curve := range map[types.KeySpec]elliptic.Curve{p256: elliptic.P256(), p384: elliptic.P384(), p521: elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(spec, key, err)
	}
	for spec, bits := range map[types.KeySpec]int{rsa2048: 2048, types.KeySpecRsa3072: 3072, types.KeySpecRsa4096: 4096} {
		key, err := testRSAKey(bits)
		add(spec, key, err)
	}
	for spec, params := range map[types.KeySpec]mldsa.Parameters{
		mldsa44: mldsa.MLDSA44(), types.KeySpecMlDsa65: mldsa.MLDSA65(), types.KeySpecMlDsa87: mldsa.MLDSA87(),
	} {
		key, err := mldsa.GenerateKey(params)
		add(spec, key, err)
	}
	for spec, size := range map[types.KeySpec]int{
		types.KeySpecHmac224: 28, types.KeySpecHmac256: 32, types.KeySpecHmac384: 48, types.KeySpecHmac512: 64,
	} {
		secret := make([]byte, size)
		rand.Read(secret)
		add(spec, secret, nil)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	add(ed, private, err)
	s, err := secp256k1.GeneratePrivateKey()
	add(secp, s.ToECDSA(), err)
	return keys
}

// spki returns the public key of a private key as the libraries encode it.
func spki(t *testing.T, private crypto.PrivateKey) []byte {
	t.Helper()
	public := private.(crypto.Signer).Public()
	der, err := mldsax509.MarshalPKIXPublicKey(public)
	if key, ok := private.(*ecdsa.PrivateKey); ok && key.Curve == internal.Curve {
		der, err = internal.MarshalPKIXPublicKey(&key.PublicKey)
	}
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestAddPrivateKey adds a key of each spec. Its public key is that of the
// given key, and the MAC of an HMAC key is that of the given secret.
func TestAddPrivateKey(t *testing.T) {
	keys := privateKeys(t)
	for spec, s := range specs {
		if (s.signing != nil || s.mac != nil) && spec != types.KeySpecSm2 && keys[spec] == nil {
			t.Errorf("no key of spec %s", spec)
		}
	}
	for spec, private := range keys {
		k := New()
		id, err := k.AddPrivateKey("", private)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		f := fake{k, k, t}
		if md := f.describe(id); md.KeySpec != spec || !md.Enabled || md.Origin != types.OriginTypeAwsKms || *md.KeyId != id {
			t.Errorf("%s: %+v", spec, md)
		}
		if secret, ok := private.([]byte); ok {
			out, err := k.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: specs[spec].mac[0]})
			if err != nil {
				t.Fatal(err)
			}
			if spec == types.KeySpecHmac256 {
				h := hmac.New(sha256.New, secret)
				h.Write([]byte("m"))
				if !hmac.Equal(out.Mac, h.Sum(nil)) {
					t.Errorf("%s: the MAC is of another secret", spec)
				}
			}
		} else {
			if string(f.publicKey(id).PublicKey) != string(spki(t, private)) {
				t.Errorf("%s: another public key", spec)
			}
			sig := f.mustSign(signInput(id, []byte("m"), specs[spec].signing[len(specs[spec].signing)-1]))
			if public, ok := private.(*ecdsa.PrivateKey); ok && spec == p256 {
				digest := sha256.Sum256([]byte("m"))
				if !ecdsa.VerifyASN1(&public.PublicKey, digest[:], sig) {
					t.Error("the signature is by another key")
				}
			}
		}
		// The derived ID is the same in every process, and the ID of no other
		// key.
		if again, err := New().AddPrivateKey("", private); err != nil || again != id || !givenID.MatchString(id) {
			t.Errorf("%s: ID %s, then %s, %v", spec, id, again, err)
		}
		if again, err := k.AddPrivateKey("", private); err != nil || again != id || len(k.keys) != 1 {
			t.Errorf("%s: added twice: %s, %v, %d keys", spec, again, err, len(k.keys))
		}
	}
}

// TestAddPrivateKeyID gives keys IDs.
func TestAddPrivateKeyID(t *testing.T) {
	const id, mrk = "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab"
	a, b := []byte(strings.Repeat("a", 32)), []byte(strings.Repeat("b", 32))
	k := New()
	f := fake{k, k, t}
	if got, err := k.AddPrivateKey(id, a); got != id || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	a[0]++ // the KMS has a copy
	if _, err := k.AddPrivateKey(id, []byte(strings.Repeat("a", 32))); err != nil {
		t.Error(err)
	}
	f.disable(id)
	if _, err := k.AddPrivateKey(id, []byte(strings.Repeat("a", 32))); err != nil || f.describe(id).Enabled {
		t.Errorf("a second time, disabled: %v, enabled %v", err, f.describe(id).Enabled)
	}
	if _, err := k.AddPrivateKey(mrk, b); err != nil || f.describe(mrk).MultiRegionConfiguration == nil {
		t.Errorf("multi-Region: %v, %+v", err, f.describe(mrk))
	}
	if _, err := replicate(f, mrk, "eu-west-1"); err != nil {
		t.Error(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	keys, others := privateKeys(t), privateKeys(t)
	//lint:ignore SA1019 No other way makes such a key.
	offCurve := &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, D: big.NewInt(1)}
	otherPoint, otherPointSecp := *keys[p256].(*ecdsa.PrivateKey), *keys[secp].(*ecdsa.PrivateKey)
	otherPoint.PublicKey = others[p256].(*ecdsa.PrivateKey).PublicKey
	otherPointSecp.PublicKey = others[secp].(*ecdsa.PrivateKey).PublicKey
	otherPrimes := *keys[rsa2048].(*rsa.PrivateKey)
	otherPrimes.Primes = others[rsa2048].(*rsa.PrivateKey).Primes
	for _, tt := range []struct {
		id      string
		private crypto.PrivateKey
		want    string
	}{
		{id, b, "key " + k.arn("key/"+id) + " exists with other key material"},
		{id, ed25519.NewKeyFromSeed(make([]byte, 32)), "exists with other key material"},
		{"jwt", b, `key ID "jwt", want a lower-case UUID`},
		{strings.ToUpper(id), b, "want a lower-case UUID"},
		{"", nil, "the key is nil"},
		{"", (*ecdsa.PrivateKey)(nil), "the key is nil"},
		{"", (*rsa.PrivateKey)(nil), "the key is nil"},
		{"", (*mldsa.PrivateKey)(nil), "the key is nil"},
		{"", ed25519.PrivateKey{}, "the Ed25519 key has 0 bytes, want 64"},
		{"", make(ed25519.PrivateKey, 64), "does not belong to its seed"},
		{"", []byte("short"), "an HMAC key has 5 bytes, want 28, 32, 48 or 64"},
		{"", "secret", "a string is not a private key"},
		{"", ec, "a curve other than P-256, P-384, P-521 and secp256k1"},
		{"", offCurve, "kmstest: AddPrivateKey: "},
		{"", &otherPoint, "does not belong to its private number"},
		{"", &otherPointSecp, "does not belong to its private number"},
		{"", small, "the RSA key has 1024 bits, want 2048, 3072 or 4096"},
		{"", &otherPrimes, "kmstest: AddPrivateKey: "},
		{"", &rsa.PrivateKey{}, "the RSA key has no modulus"},
		{"", &ecdsa.PrivateKey{}, "no private number or no point"},
		{"", &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: internal.Curve}}, "no private number or no point"},
	} {
		if got, err := k.AddPrivateKey(tt.id, tt.private); err == nil || !strings.Contains(err.Error(), tt.want) || got != "" {
			t.Errorf("%q, %T: %q, %v; want %q", tt.id, tt.private, got, err, tt.want)
		}
	}
}

// TestGivenPKCS8 checks that a key that x509 parsed is taken as it is.
func TestGivenPKCS8(t *testing.T) {
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New().AddPrivateKey("", parsed); err != nil {
		t.Error(err)
	}
}
