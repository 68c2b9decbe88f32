package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secpecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/cryptobyte"
	cryptobyte_asn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestEveryKeySpec finds that every key spec of the SDK signs, makes MACs, or
// is refused with the reason. It fails for a key spec that a later SDK adds.
func TestEveryKeySpec(t *testing.T) {
	refused := map[types.KeySpec]string{
		types.KeySpecSymmetricDefault: "symmetric or an HMAC key",
		types.KeySpecSm2:              "its key spec is SM2, for which Go has no type and JOSE no algorithm: use an RSA, ECC or ML-DSA key",
		types.KeySpecMlKem512:         `its key usage is "ENCAPSULATE_DECAPSULATE", want "SIGN_VERIFY"`,
		types.KeySpecMlKem768:         `its key usage is "ENCAPSULATE_DECAPSULATE", want "SIGN_VERIFY"`,
		types.KeySpecMlKem1024:        `its key usage is "ENCAPSULATE_DECAPSULATE", want "SIGN_VERIFY"`,
		types.KeySpecHmac224:          "for an HMAC key use NewHMAC",
		types.KeySpecHmac256:          "for an HMAC key use NewHMAC",
		types.KeySpecHmac384:          "for an HMAC key use NewHMAC",
		types.KeySpecHmac512:          "for an HMAC key use NewHMAC",
	}
	// SM2 exists only in the Regions of China.
	fake := kmstest.New(func(o *kmstest.Options) { o.Region = "cn-north-1" })
	for _, spec := range types.KeySpec("").Values() {
		keyID := fake.AddKey(spec)
		signer, err := kmssigner.New(t.Context(), fake, keyID)
		mac, macErr := kmssigner.NewHMAC(t.Context(), fake, keyID)
		if want, ok := refused[spec]; ok {
			if !errors.Is(err, kmssigner.ErrUnsupportedKey) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), keyID) {
				t.Errorf("%s: New: %v; want ErrUnsupportedKey, the key and %q", spec, err, want)
			}
		} else if err != nil {
			t.Errorf("%s: New: %v", spec, err)
		} else if _, err := signer.SignMessage(nil, []byte("message"), optsFor(spec)[0]); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if strings.HasPrefix(string(spec), "HMAC_") {
			if macErr != nil {
				t.Errorf("%s: NewHMAC: %v", spec, macErr)
			} else if _, err := mac.Generate([]byte("message")); err != nil {
				t.Errorf("%s: %v", spec, err)
			}
		} else if !errors.Is(macErr, kmssigner.ErrUnsupportedKey) || !strings.Contains(macErr.Error(), string(spec)) {
			t.Errorf("%s: NewHMAC: %v; want ErrUnsupportedKey and the key spec", spec, macErr)
		}
	}
}

// TestOtherUsages has keys whose spec could sign and whose usage is another.
func TestOtherUsages(t *testing.T) {
	fake := kmstest.New()
	for spec, usage := range map[types.KeySpec]types.KeyUsageType{
		types.KeySpecRsa2048:     types.KeyUsageTypeEncryptDecrypt,
		types.KeySpecEccNistP256: types.KeyUsageTypeKeyAgreement,
	} {
		out, err := fake.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
		if err != nil {
			t.Fatal(err)
		}
		_, err = kmssigner.New(t.Context(), fake, *out.KeyMetadata.Arn)
		if !errors.Is(err, kmssigner.ErrUnsupportedKey) || !strings.Contains(err.Error(), string(usage)) {
			t.Errorf("%s: %v; want ErrUnsupportedKey and the usage", usage, err)
		}
	}
}

// TestEd25519WithStockEdDSA signs with golang-jwt's own EdDSA, which takes any
// crypto.Signer with an Ed25519 key.
func TestEd25519WithStockEdDSA(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		signer := newSigner(t, client, fake.AddKey(types.KeySpecEccNistEdwards25519))
		token, err := jwt.New(jwt.SigningMethodEdDSA).SignedString(signer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = jwt.Parse(token, func(*jwt.Token) (any, error) { return signer.Public(), nil }, jwt.WithValidMethods([]string{"EdDSA"}))
		if err != nil {
			t.Error(err)
		}
	})
}

func TestEd25519Lengths(t *testing.T) {
	fake := kmstest.New()
	calls := &spy{Client: fake}
	signer := newSigner(t, calls, fake.AddKey(types.KeySpecEccNistEdwards25519))
	for _, tt := range []struct {
		size int
		ok   bool
	}{{0, false}, {1, true}, {4096, true}, {4097, false}} {
		msg := make([]byte, tt.size)
		before := len(calls.signs)
		sig, err := signer.Sign(nil, msg, crypto.Hash(0))
		if tt.ok {
			if err != nil || !ed25519.Verify(signer.Public().(ed25519.PublicKey), msg, sig) {
				t.Errorf("%d bytes: %v", tt.size, err)
			}
			if in := calls.signs[before]; in.MessageType != types.MessageTypeRaw || in.SigningAlgorithm != types.SigningAlgorithmSpecEd25519Sha512 {
				t.Errorf("%d bytes: asked for %s of a %s", tt.size, in.SigningAlgorithm, in.MessageType)
			}
			continue
		}
		if !errors.Is(err, kmssigner.ErrMessageLength) || !strings.Contains(err.Error(), "KMS takes 1 to 4096 for Ed25519") {
			t.Errorf("%d bytes: %v, want ErrMessageLength and the limits", tt.size, err)
		}
		if len(calls.signs) != before {
			t.Errorf("%d bytes: a call was made", tt.size)
		}
	}
}

// TestMLDSAMessageTypes finds that a message goes to KMS whole if KMS takes it,
// and otherwise, or with a context, as mu.
func TestMLDSAMessageTypes(t *testing.T) {
	fake := kmstest.New()
	calls := &spy{Client: fake}
	signer := newSigner(t, calls, fake.AddKey(types.KeySpecMlDsa44))
	pub := signer.Public().(*mldsa.PublicKey)
	tests := []struct {
		size    int
		context string
		want    types.MessageType
	}{
		{0, "", types.MessageTypeExternalMu},
		{1, "", types.MessageTypeRaw},
		{4096, "", types.MessageTypeRaw},
		{4097, "", types.MessageTypeExternalMu},
		{100000, "", types.MessageTypeExternalMu},
		{1, "c", types.MessageTypeExternalMu},
		{0, "c", types.MessageTypeExternalMu},
	}
	for _, tt := range tests {
		msg := bytes.Repeat([]byte{'m'}, tt.size)
		opts := &mldsa.Options{Context: tt.context}
		sig, err := signer.SignMessage(nil, msg, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := mldsa.Verify(pub, msg, sig, opts); err != nil {
			t.Errorf("%d bytes, context %q: %v", tt.size, tt.context, err)
		}
		in := calls.signs[len(calls.signs)-1]
		if in.MessageType != tt.want {
			t.Errorf("%d bytes, context %q: MessageType %s, want %s", tt.size, tt.context, in.MessageType, tt.want)
		}
	}
}

// TestMLDSAOwnMu signs a mu that the test computes from its definition in FIPS
// 204.
func TestMLDSAOwnMu(t *testing.T) {
	fake := kmstest.New()
	for _, spec := range []types.KeySpec{types.KeySpecMlDsa44, types.KeySpecMlDsa65, types.KeySpecMlDsa87} {
		signer := newSigner(t, fake, fake.AddKey(spec))
		pub := signer.Public().(*mldsa.PublicKey)
		msg, context := []byte("message"), "context"
		tr := sha3.SumSHAKE256(pub.Bytes(), 64)
		mu := sha3.SumSHAKE256([]byte(string(tr)+"\x00"+string(rune(len(context)))+context+string(msg)), 64)
		sig, err := signer.Sign(nil, mu, mldsacrypto.MLDSAMu)
		if err != nil {
			t.Fatal(err)
		}
		if err := mldsa.Verify(pub, msg, sig, &mldsa.Options{Context: context}); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		for _, size := range []int{0, 32, 63, 65} {
			if _, err := signer.Sign(nil, make([]byte, size), mldsacrypto.MLDSAMu); err == nil || !strings.Contains(err.Error(), "want 64") {
				t.Errorf("%s: mu of %d bytes: %v", spec, size, err)
			}
		}
		// SignMessage computes mu, as it computes any hash.
		for _, msg := range [][]byte{nil, msg, make([]byte, 5000)} {
			sig, err := signer.SignMessage(nil, msg, mldsacrypto.MLDSAMu)
			if err != nil {
				t.Fatal(err)
			}
			if err := mldsa.Verify(pub, msg, sig, nil); err != nil {
				t.Errorf("%s: SignMessage of %d bytes with MLDSAMu: %v", spec, len(msg), err)
			}
		}
	}
}

// decredKMS is a Client with one secp256k1 key that signs with decred's
// package, because crypto/ecdsa panics on this curve with GODEBUG=fips140=only.
type decredKMS struct {
	key *secp256k1.PrivateKey
	arn string
}

func (d decredKMS) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return &kms.GetPublicKeyOutput{
		KeyId:             &d.arn,
		KeySpec:           types.KeySpecEccSecgP256k1,
		KeyUsage:          types.KeyUsageTypeSignVerify,
		PublicKey:         secp256k1SPKI(d.key.PubKey().SerializeUncompressed()),
		SigningAlgorithms: []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256},
	}, nil
}

func (d decredKMS) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	return &kms.SignOutput{
		KeyId:            &d.arn,
		Signature:        secpecdsa.Sign(d.key, in.Message).Serialize(),
		SigningAlgorithm: in.SigningAlgorithm,
	}, nil
}

// secp256k1SPKI returns a SubjectPublicKeyInfo made from a hexadecimal
// template.
func secp256k1SPKI(point []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyte_asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1})
			b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 132, 0, 10})
		})
		b.AddASN1BitString(point)
	})
	return b.BytesOrPanic()
}

func TestSecp256k1(t *testing.T) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	client := decredKMS{key, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
	signer := newSigner(t, client, client.arn)
	if pub := signer.Public().(*ecdsa.PublicKey); !pub.Equal(key.PubKey().ToECDSA()) {
		t.Errorf("Public() = %v, want decred's %v", pub, key.PubKey().ToECDSA())
	}
	der, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	sig, err := secpecdsa.ParseDERSignature(der)
	if err != nil || !sig.Verify(digest[:], key.PubKey()) {
		t.Errorf("decred does not verify %x: %v", der, err)
	}
	offline := newSigner(t, client, client.arn, func(o *kmssigner.Options) { o.PublicKey = signer.Public() })
	if _, err := offline.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Error(err)
	}
}

// TestSecp256k1InFIPSMode signs in FIPS 140-only mode, in which crypto/ecdsa
// panics on this curve.
func TestSecp256k1InFIPSMode(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecp256k1$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestSecp256k1")) {
		t.Errorf("with GODEBUG=fips140=only: %v\n%s", err, out)
	}
}

func TestSecp256k1BadPublicKeys(t *testing.T) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	point := key.PubKey().SerializeUncompressed()
	good := secp256k1SPKI(point)
	offCurve := bytes.Clone(point)
	offCurve[64] ^= 1
	hybrid := append([]byte{6 | point[64]&1}, point[1:]...)
	unused := bytes.Clone(good) // the count of unused bits goes before the point
	unused[len(good)-66] = 1
	fake := kmstest.New()
	for reason, spki := range map[string][]byte{
		"trailing byte":          append(bytes.Clone(good), 0),
		"cut off":                good[:len(good)-1],
		"compressed point":       secp256k1SPKI(key.PubKey().SerializeCompressed()),
		"hybrid point":           secp256k1SPKI(hybrid),
		"point off the curve":    secp256k1SPKI(offCurve),
		"no point":               secp256k1SPKI(nil),
		"point at infinity":      secp256k1SPKI([]byte{0}),
		"unused bits":            unused,
		"half an uncompressed":   secp256k1SPKI(point[:33]),
		"nothing":                {},
		"a SEQUENCE of nothing":  {0x30, 0},
		"a long length":          {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"something else in DER":  {2, 1, 0},
		"byte inside the SPKI":   append([]byte{0x30, good[1] + 2}, append(bytes.Clone(good[2:]), 5, 0)...),
		"algorithm with a third": bytes.Replace(good, []byte{0x30, 0x10}, []byte{0x30, 0x11}, 1),
	} {
		client := &spy{Client: fake, editGet: func(o *kms.GetPublicKeyOutput) (*kms.GetPublicKeyOutput, error) {
			o.PublicKey = spki
			return o, nil
		}}
		if _, err := kmssigner.New(t.Context(), client, fake.AddKey(types.KeySpecEccSecgP256k1)); err == nil {
			t.Errorf("New takes a public key with %s", reason)
		}
	}
}

// TestSecp256k1HighS finds that signatures with a high S, which KMS makes as
// often as a low one, are returned unchanged.
func TestSecp256k1HighS(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccSecgP256k1))
	high := 0
	for range 64 {
		der, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := secpecdsa.ParseDERSignature(der)
		if err != nil {
			t.Fatal(err)
		}
		if s := sig.S(); s.IsOverHalfOrder() {
			high++
		}
	}
	if high == 0 || high == 64 {
		t.Errorf("%d of 64 signatures have a high S", high)
	}
}
