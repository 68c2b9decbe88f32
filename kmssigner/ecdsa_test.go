package kmssigner_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// ecdsaSpecs are the key specs of ECDSA keys, with the algorithm and the digest
// length in bytes that KMS pairs with them.
var ecdsaSpecs = []struct {
	spec      types.KeySpec
	algorithm types.SigningAlgorithmSpec
	hash      crypto.Hash
}{
	{types.KeySpecEccNistP256, types.SigningAlgorithmSpecEcdsaSha256, crypto.SHA256},
	{types.KeySpecEccNistP384, types.SigningAlgorithmSpecEcdsaSha384, crypto.SHA384},
	{types.KeySpecEccNistP521, types.SigningAlgorithmSpecEcdsaSha512, crypto.SHA512},
	{types.KeySpecEccSecgP256k1, types.SigningAlgorithmSpecEcdsaSha256, crypto.SHA256},
}

var ecdsaHashes = []crypto.Hash{
	crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_224, crypto.SHA512_256,
	crypto.SHA3_224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512,
}

// TestECDSAAnyHash signs with every hash on every curve. crypto/ecdsa verifies
// the signature of the whole digest.
func TestECDSAAnyHash(t *testing.T) {
	eachBackend(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		for _, key := range ecdsaSpecs {
			calls := &spy{Client: client}
			signer := newSigner(t, calls, fake.AddKey(key.spec))
			pub := signer.Public().(*ecdsa.PublicKey)
			raw := newSigner(t, calls, signer.KeyARN(), func(o *kmssigner.Options) { o.PreferRaw = true })
			for _, hash := range ecdsaHashes {
				msg := []byte("message for " + hash.String())
				digest := digestOf(hash, msg)
				given := bytes.Clone(digest)
				for name, sign := range map[string]func() ([]byte, error){
					"Sign":                   func() ([]byte, error) { return signer.Sign(nil, given, hash) },
					"SignMessage":            func() ([]byte, error) { return signer.SignMessage(nil, msg, hash) },
					"SignMessage, PreferRaw": func() ([]byte, error) { return raw.SignMessage(nil, msg, hash) },
				} {
					sig, err := sign()
					if err != nil {
						t.Errorf("%s, %v, %s: %v", key.spec, hash, name, err)
						continue
					}
					if !ecdsa.VerifyASN1(pub, digest, sig) {
						t.Errorf("%s, %v, %s: the signature does not verify", key.spec, hash, name)
					}
					in := calls.signs[len(calls.signs)-1]
					want := types.MessageTypeDigest
					if hash == key.hash && strings.Contains(name, "PreferRaw") {
						want = types.MessageTypeRaw
					}
					if in.SigningAlgorithm != key.algorithm || in.MessageType != want {
						t.Errorf("%s, %v, %s: KMS was asked for %s of a %s, want %s of a %s",
							key.spec, hash, name, in.SigningAlgorithm, in.MessageType, key.algorithm, want)
					}
					if want == types.MessageTypeDigest && len(in.Message) != key.hash.Size() {
						t.Errorf("%s, %v, %s: KMS was given %d bytes, want %d", key.spec, hash, name, len(in.Message), key.hash.Size())
					}
				}
				if !bytes.Equal(given, digest) {
					t.Errorf("%s, %v: Sign changed the caller's digest", key.spec, hash)
				}
			}
		}
	})
}

// TestECDSAFittedDigestIsVerified lets KMS sign something else. A signature of
// a fitted digest does not get out even with SkipVerification.
func TestECDSAFittedDigestIsVerified(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP384)
	otherDigest := newSigner(t, fake, keyID)
	client := &spy{Client: fake, editSign: func(o *kms.SignOutput) (*kms.SignOutput, error) {
		var err error
		o.Signature, err = otherDigest.Sign(nil, make([]byte, 48), crypto.SHA384)
		return o, err
	}}
	for _, skip := range []bool{false, true} {
		signer := newSigner(t, client, keyID, func(o *kmssigner.Options) { o.SkipVerification = skip })
		for _, hash := range ecdsaHashes {
			sig, err := signer.SignMessage(nil, []byte("message"), hash)
			switch {
			case skip && hash == crypto.SHA384: // KMS signs it without fitting
				if err != nil {
					t.Errorf("%v, verification skipped: %v", hash, err)
				}
			case sig != nil || !errors.Is(err, kmssigner.ErrBadSignature):
				t.Errorf("%v, skip %v: %x, %v, want ErrBadSignature", hash, skip, sig, err)
			}
		}
	}
}

// TestECDSAFittedDigestRefused reports the refusal of a policy that wants RAW.
// A fitted digest cannot be sent that way.
func TestECDSAFittedDigestRefused(t *testing.T) {
	fake := kmstest.New()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer := newSigner(t, fake, keyID, func(o *kmssigner.Options) { o.PreferRaw = true })
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"}))
	_, err := signer.SignMessage(nil, []byte("message"), crypto.SHA512)
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("error %v, want KMS's refusal", err)
	}
}

// TestNilOptions signs an ECDSA digest without options, as COSE, MSP and TPM
// code does. An ECDSA key leaves nothing to choose. An Ethereum caller signs a
// Keccak-256 digest so.
func TestNilOptions(t *testing.T) {
	fake := kmstest.New()
	for _, key := range ecdsaSpecs {
		signer := newSigner(t, fake, fake.AddKey(key.spec))
		digest := make([]byte, key.hash.Size())
		rand.Read(digest)
		sig, err := signer.Sign(nil, digest, nil)
		if err != nil || !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, sig) {
			t.Errorf("%s: %x, %v", key.spec, sig, err)
		}
		calls := fake.Calls("Sign")
		for _, size := range []int{0, 20, 28, len(digest) - 1, len(digest) + 1, 65} {
			_, err := signer.Sign(nil, make([]byte, size), nil)
			if err == nil || !strings.Contains(err.Error(), "opts is nil and digest has") {
				t.Errorf("%s, %d bytes: %v", key.spec, size, err)
			}
		}
		// A message is never taken for a digest.
		for name, sign := range map[string]func() ([]byte, error){
			"SignMessage, nil":         func() ([]byte, error) { return signer.SignMessage(nil, digest, nil) },
			"SignMessage, HashFunc 0":  func() ([]byte, error) { return signer.SignMessage(nil, digest, crypto.Hash(0)) },
			"Sign, HashFunc 0":         func() ([]byte, error) { return signer.Sign(nil, digest, crypto.Hash(0)) },
			"crypto.SignMessage, zero": func() ([]byte, error) { return crypto.SignMessage(signer, nil, digest, crypto.Hash(0)) },
		} {
			if sig, err := sign(); err == nil {
				t.Errorf("%s, %s: %x, want an error", key.spec, name, sig)
			}
		}
		if fake.Calls("Sign") != calls {
			t.Errorf("%s: a refused call reached KMS", key.spec)
		}
	}
}

// TestHashFunc signs with a Signer as its own options.
func TestHashFunc(t *testing.T) {
	fake := kmstest.New()
	want := map[types.KeySpec]crypto.Hash{
		types.KeySpecRsa2048: crypto.SHA256, types.KeySpecRsa3072: crypto.SHA256, types.KeySpecRsa4096: crypto.SHA256,
		types.KeySpecEccNistP256: crypto.SHA256, types.KeySpecEccNistP384: crypto.SHA384, types.KeySpecEccNistP521: crypto.SHA512,
		types.KeySpecEccSecgP256k1: crypto.SHA256,
	}
	for _, spec := range specs {
		signer := newSigner(t, fake, fake.AddKey(spec))
		if got := signer.HashFunc(); got != want[spec] {
			t.Errorf("%s: HashFunc() = %v, want %v", spec, got, want[spec])
		}
		msg := []byte("message")
		sig, err := signer.SignMessage(nil, msg, signer)
		if err != nil {
			t.Fatal(err)
		}
		// For RSA, verify expects RSASSA-PKCS1-v1_5.
		if err := verify(signer.Public(), msg, sig, want[spec]); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if sig, err = signer.Sign(nil, digestOf(signer, msg), signer); err != nil {
			t.Errorf("%s: %v", spec, err)
		} else if err := verify(signer.Public(), msg, sig, want[spec]); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
