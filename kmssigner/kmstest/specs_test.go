//lint:file-ignore SA1019 KMS still answers CustomerMasterKeySpec.

package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"hash"
	"reflect"
	"strings"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

const (
	secp    = types.KeySpecEccSecgP256k1
	ed      = types.KeySpecEccNistEdwards25519
	ed512   = types.SigningAlgorithmSpecEd25519Sha512
	edPH    = types.SigningAlgorithmSpecEd25519PhSha512
	mldsa44 = types.KeySpecMlDsa44
	shake   = types.SigningAlgorithmSpecMlDsaShake256
)

func inChina(o *Options) { o.Region = "cn-north-1" }

// TestEverySpec: whatever spec the SDK has, the fake makes keys of it, with each
// usage that goes with it, and describes them with the algorithms of that usage.
func TestEverySpec(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		for _, name := range types.KeySpec("").Values() {
			s, ok := specs[name]
			if !ok {
				t.Errorf("no %s", name)
				continue
			}
			for _, usage := range s.usages {
				out, err := f.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name, KeyUsage: usage})
				if err != nil {
					t.Errorf("%s for %s: %v", name, usage, err)
					continue
				}
				md := out.KeyMetadata
				if md.KeySpec != name || string(md.CustomerMasterKeySpec) != string(name) || md.KeyUsage != usage {
					t.Errorf("%s for %s is described as %+v", name, usage, md)
				}
				for of, n := range map[types.KeyUsageType]int{
					signVerify:        len(md.SigningAlgorithms),
					generateVerifyMac: len(md.MacAlgorithms),
					encryptDecrypt:    len(md.EncryptionAlgorithms),
					keyAgreement:      len(md.KeyAgreementAlgorithms),
					encapsulate:       len(md.EncapsulationAlgorithms),
				} {
					if (n > 0) != (of == usage) {
						t.Errorf("%s for %s has %d algorithms of %s", name, usage, n, of)
					}
				}
				public, err := f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: md.KeyId})
				if strings.HasPrefix(string(name), "HMAC_") || name == types.KeySpecSymmetricDefault {
					check(t, err, "GetPublicKey", "UnsupportedOperationException", "")
					continue
				}
				if err != nil {
					t.Errorf("%s for %s: %v", name, usage, err)
					continue
				}
				want := &kms.GetPublicKeyOutput{
					CustomerMasterKeySpec:   md.CustomerMasterKeySpec,
					EncapsulationAlgorithms: md.EncapsulationAlgorithms,
					EncryptionAlgorithms:    md.EncryptionAlgorithms,
					KeyAgreementAlgorithms:  md.KeyAgreementAlgorithms,
					KeyId:                   md.Arn,
					KeySpec:                 name,
					KeyUsage:                usage,
					PublicKey:               public.PublicKey,
					SigningAlgorithms:       md.SigningAlgorithms,
					ResultMetadata:          public.ResultMetadata,
				}
				if !reflect.DeepEqual(public, want) || len(public.PublicKey) == 0 {
					t.Errorf("GetPublicKey = %+v\nwant %+v", public, want)
				}
			}
		}
	}, inChina)
}

// TestUsages: pairs of spec and usage that KMS does not make.
func TestUsages(t *testing.T) {
	k := New(inChina)
	for name, s := range specs {
		for _, usage := range types.KeyUsageType("").Values() {
			fits := false
			for _, u := range s.usages {
				fits = fits || u == usage
			}
			if fits {
				continue
			}
			_, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name, KeyUsage: usage})
			check(t, err, "CreateKey", "ValidationException", "KeyUsage "+string(usage)+" is not compatible with KeySpec "+string(name))
		}
		if name != types.KeySpecSymmetricDefault {
			_, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: name})
			check(t, err, "CreateKey", "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
		}
	}
}

func TestSecp256k1(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(secp)
		out := f.publicKey(id)
		// RFC 5480 with the curve 1.3.132.0.10; crypto/x509 cannot read it.
		const prefix = "3056301006072a8648ce3d020106052b8104000a034200"
		if got := hex.EncodeToString(out.PublicKey); len(out.PublicKey) != 88 || !strings.HasPrefix(got, prefix+"04") {
			t.Fatalf("SPKI %s", got)
		}
		public, err := secp256k1.ParsePubKey(out.PublicKey[len(prefix)/2:])
		if err != nil {
			t.Fatal(err)
		}
		msg := []byte("message")
		digest := crypto.SHA256.New()
		digest.Write(msg)
		sum := digest.Sum(nil)
		high, seen := 0, map[string]bool{}
		for i := range 64 {
			in := signInput(id, msg, es256)
			if i%2 == 1 {
				in.Message, in.MessageType = sum, predig
			}
			der := f.mustSign(in)
			sig, err := ecdsa.ParseDERSignature(der)
			if err != nil || !sig.Verify(sum, public) || seen[string(der)] {
				t.Fatalf("signature %x: %v", der, err)
			}
			seen[string(der)] = true
			if s := sig.S(); s.IsOverHalfOrder() {
				high++
			}
			if _, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: msg, Signature: der, SigningAlgorithm: es256}); err != nil {
				t.Error(err)
			}
		}
		if high == 0 || high == 64 {
			t.Errorf("%d of 64 signatures have a high s", high)
		}
	})
}

func TestEd25519(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(ed)
		out := f.publicKey(id)
		if want := []types.SigningAlgorithmSpec{edPH, ed512}; !reflect.DeepEqual(out.SigningAlgorithms, want) || len(out.PublicKey) != 44 {
			t.Errorf("GetPublicKey = %+v", out)
		}
		parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		public := parsed.(ed25519.PublicKey)
		msg := make([]byte, 4096)
		rand.Read(msg)
		sig := f.mustSign(signInput(id, msg, ed512))
		if !ed25519.Verify(public, msg, sig) {
			t.Error("crypto/ed25519 rejects a signature")
		}
		if again := f.mustSign(signInput(id, msg, ed512)); !bytes.Equal(sig, again) {
			t.Error("two signatures of one message differ")
		}

		// Ed25519ph: the digest that the caller sends is hashed again, so it is the
		// message of Ed25519ph and not its pre-hash.
		once := sha512.Sum512(msg)
		twice := sha512.Sum512(once[:])
		sigPH := f.mustSign(&kms.SignInput{KeyId: &id, Message: once[:], MessageType: predig, SigningAlgorithm: edPH})
		opts := &ed25519.Options{Hash: crypto.SHA512}
		if err := ed25519.VerifyWithOptions(public, twice[:], sigPH, opts); err != nil {
			t.Errorf("hashed twice: %v", err)
		}
		if ed25519.VerifyWithOptions(public, once[:], sigPH, opts) == nil {
			t.Error("hashed once")
		}

		for _, in := range []*kms.VerifyInput{
			{Message: msg, Signature: sig, SigningAlgorithm: ed512},
			{Message: once[:], MessageType: predig, Signature: sigPH, SigningAlgorithm: edPH},
		} {
			in.KeyId = &id
			if out, err := f.Verify(t.Context(), in); err != nil || !out.SignatureValid {
				t.Errorf("Verify %s: %v", in.SigningAlgorithm, err)
			}
			in.Signature = bytes.Clone(in.Signature)
			in.Signature[3] ^= 1
			_, err := f.Verify(t.Context(), in)
			check(t, err, "Verify", "KMSInvalidSignatureException", "")
		}
	})
}

func TestMLDSA(t *testing.T) {
	for _, tt := range []struct {
		spec             types.KeySpec
		params           mldsa.Parameters
		spki, publicSize int
	}{
		{mldsa44, mldsa.MLDSA44(), 1334, 1312},
		{types.KeySpecMlDsa65, mldsa.MLDSA65(), 1974, 1952},
		{types.KeySpecMlDsa87, mldsa.MLDSA87(), 2614, 2592},
	} {
		t.Run(string(tt.spec), func(t *testing.T) {
			onBoth(t, func(t *testing.T, f fake) {
				id, other := f.kms.AddKey(tt.spec), f.kms.AddKey(tt.spec)
				out := f.publicKey(id)
				if want := []types.SigningAlgorithmSpec{shake}; !reflect.DeepEqual(out.SigningAlgorithms, want) || len(out.PublicKey) != tt.spki {
					t.Errorf("GetPublicKey = %s, %d bytes", out.SigningAlgorithms, len(out.PublicKey))
				}
				parsed, err := mldsax509.ParsePKIXPublicKey(out.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				public := parsed.(*mldsa.PublicKey)
				if public.Parameters() != tt.params {
					t.Errorf("parameters %s", public.Parameters())
				}
				msg := []byte("message")
				h := sha3.NewSHAKE256()
				h.Write(sha3.SumSHAKE256(out.PublicKey[tt.spki-tt.publicSize:], 64))
				h.Write([]byte{0, 0})
				h.Write(msg)
				rep := make([]byte, 64)
				h.Read(rep)

				ofMsg := f.mustSign(signInput(id, msg, shake))
				ofMu := f.mustSign(&kms.SignInput{KeyId: &id, Message: rep, MessageType: mu, SigningAlgorithm: shake})
				if bytes.Equal(ofMsg, ofMu) || bytes.Equal(ofMsg, f.mustSign(signInput(id, msg, shake))) {
					t.Error("signatures are deterministic")
				}
				verify := func(id string, t0 types.MessageType, msg, sig []byte) error {
					_, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: msg, MessageType: t0, Signature: sig, SigningAlgorithm: shake})
					return err
				}
				for _, sig := range [][]byte{ofMsg, ofMu} {
					if err := mldsa.Verify(public, msg, sig, nil); err != nil {
						t.Error(err)
					}
					// The modes are interchangeable: sign one way, verify the other.
					for t0, msg := range map[types.MessageType][]byte{"": msg, raw: msg, mu: rep} {
						if err := verify(id, t0, msg, sig); err != nil {
							t.Errorf("Verify %q: %v", t0, err)
						}
						check(t, verify(other, t0, msg, sig), "Verify", "KMSInvalidSignatureException", "")
						wrong := bytes.Clone(msg)
						wrong[0] ^= 1
						check(t, verify(id, t0, wrong, sig), "Verify", "KMSInvalidSignatureException", "")
						wrong = bytes.Clone(sig)
						wrong[9] ^= 1
						check(t, verify(id, t0, msg, wrong), "Verify", "KMSInvalidSignatureException", "")
						check(t, verify(id, t0, msg, append(wrong, 0)[1:]), "Verify", "KMSInvalidSignatureException", "")
					}
				}
			})
		})
	}
}

// TestMessageTypes has the rows of TestSignRefusals for the newer specs.
func TestMessageTypes(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		edID, dsa, secpID, hmacID := f.kms.AddKey(ed), f.kms.AddKey(mldsa44), f.kms.AddKey(secp), f.kms.AddKey(types.KeySpecHmac256)
		kem := f.kms.AddKey(types.KeySpecMlKem768)
		sm2 := f.kms.AddKey(types.KeySpecSm2)
		for _, tt := range []struct {
			reason        string
			id            string
			alg           types.SigningAlgorithmSpec
			t             types.MessageType
			n             int // bytes
			code, message string
		}{
			{"Ed25519 takes the message only", edID, ed512, predig, 64,
				"ValidationException", "Message type DIGEST is incompatible with algorithm ED25519_SHA_512."},
			{"Ed25519ph takes a digest only", edID, edPH, raw, 64,
				"ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
			{"Ed25519ph and the default message type", edID, edPH, "", 64,
				"ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
			{"a digest of SHA-256 for Ed25519ph", edID, edPH, predig, 32,
				"ValidationException", "Digest is invalid length for algorithm ED25519_PH_SHA_512."},
			{"EXTERNAL_MU for Ed25519", edID, ed512, mu, 64,
				"ValidationException", "Message type EXTERNAL_MU is incompatible with key spec ECC_NIST_EDWARDS25519."},
			{"Ed25519 does not take more than others", edID, ed512, raw, 4097,
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
			{"ECDSA with an Ed25519 key", edID, es512, raw, 1,
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_512 is incompatible with key spec ECC_NIST_EDWARDS25519."},
			{"ML-DSA has no digest", dsa, shake, predig, 64,
				"ValidationException", "Message type DIGEST is incompatible with key spec ML_DSA_44."},
			{"a mu that is too short", dsa, shake, mu, 63,
				"ValidationException", "External Mu is invalid length for algorithm ML_DSA_SHAKE_256."},
			{"a mu that is too long", dsa, shake, mu, 65,
				"ValidationException", "External Mu is invalid length for algorithm ML_DSA_SHAKE_256."},
			{"Ed25519 with an ML-DSA key", dsa, ed512, raw, 1,
				"InvalidKeyUsageException", "Algorithm ED25519_SHA_512 is incompatible with key spec ML_DSA_44."},
			{"secp256k1 signs with SHA-256 only", secpID, es384, raw, 1,
				"InvalidKeyUsageException", "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_SECG_P256K1."},
			{"digests for secp256k1", secpID, es256, predig, 48,
				"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."},
			{"HMAC keys do not sign", hmacID, es256, raw, 1,
				"InvalidKeyUsageException", f.kms.arn("key/"+hmacID) + " key usage is GENERATE_VERIFY_MAC which is not valid for {op}."},
			{"ML-KEM keys do not sign", kem, shake, raw, 1,
				"InvalidKeyUsageException", f.kms.arn("key/"+kem) + " key usage is ENCAPSULATE_DECAPSULATE which is not valid for {op}."},
			{"SM2 is beyond the fake", sm2, types.SigningAlgorithmSpecSm2dsa, raw, 1,
				"UnsupportedOperationException", "kmstest cannot sign or verify with SM2DSA."},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.Sign(t.Context(), &kms.SignInput{KeyId: &tt.id, Message: make([]byte, tt.n), MessageType: tt.t, SigningAlgorithm: tt.alg})
				checkPrefix(t, err, "Sign", tt.code, tt.message)
				_, err = f.Verify(t.Context(), &kms.VerifyInput{KeyId: &tt.id, Message: make([]byte, tt.n), MessageType: tt.t, SigningAlgorithm: tt.alg, Signature: make([]byte, 64)})
				checkPrefix(t, err, "Verify", tt.code, tt.message)
			})
		}
	}, inChina)
}

func TestMac(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		for _, tt := range []struct {
			spec types.KeySpec
			alg  types.MacAlgorithmSpec
			hash func() hash.Hash
			size int
		}{
			{types.KeySpecHmac224, types.MacAlgorithmSpecHmacSha224, sha256.New224, 28},
			{types.KeySpecHmac256, types.MacAlgorithmSpecHmacSha256, sha256.New, 32},
			{types.KeySpecHmac384, types.MacAlgorithmSpecHmacSha384, sha512.New384, 48},
			{types.KeySpecHmac512, types.MacAlgorithmSpecHmacSha512, sha512.New, 64},
		} {
			spec, alg := tt.spec, tt.alg
			id := f.kms.AddKey(spec)
			secret := f.kms.keys[id].material.(hmacKey)
			if len(secret.secret) != tt.size {
				t.Errorf("%s: secret of %d bytes", spec, len(secret.secret))
			}
			msg := make([]byte, 4096)
			rand.Read(msg)
			h := hmac.New(tt.hash, secret.secret)
			h.Write(msg)
			want := h.Sum(nil)
			out, err := f.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: &id, Message: msg, MacAlgorithm: alg})
			if err != nil || !bytes.Equal(out.Mac, want) || *out.KeyId != f.kms.arn("key/"+id) || out.MacAlgorithm != alg {
				t.Errorf("GenerateMac = %+v, %v", out, err)
			}
			verify := func(msg, mac []byte, dry bool) error {
				out, err := f.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: &id, Message: msg, Mac: mac, MacAlgorithm: alg, DryRun: &dry})
				if err == nil && (!out.MacValid || *out.KeyId != f.kms.arn("key/"+id) || out.MacAlgorithm != alg) {
					t.Errorf("VerifyMac = %+v", out)
				}
				return err
			}
			if err := verify(msg, want, false); err != nil {
				t.Error(err)
			}
			for _, dry := range []bool{false, true} {
				check(t, verify(msg[1:], want, dry), "VerifyMac", "KMSInvalidMacException", "")
				check(t, verify(msg, want[1:], dry), "VerifyMac", "KMSInvalidMacException", "")
				check(t, verify(msg, append(bytes.Clone(want), 0), dry), "VerifyMac", "KMSInvalidMacException", "")
			}
			check(t, verify(msg, want, true), "VerifyMac", "DryRunOperationException", dryRun.message)
		}
	})
}

func TestMacRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id, sign, off := f.kms.AddKey(types.KeySpecHmac256), f.kms.AddKey(p256), f.kms.AddKey(types.KeySpecHmac256)
		f.disable(off)
		const hs256, hs512 = types.MacAlgorithmSpecHmacSha256, types.MacAlgorithmSpecHmacSha512
		for _, tt := range []struct {
			reason        string
			in            kms.GenerateMacInput
			code, message string
		}{
			{"no empty messages",
				kms.GenerateMacInput{KeyId: &id, Message: []byte{}, MacAlgorithm: hs256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"no long messages",
				kms.GenerateMacInput{KeyId: &id, Message: make([]byte, 4097), MacAlgorithm: hs256},
				"ValidationException", "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
			{"algorithms outside the enum",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: "HS256"},
				"ValidationException", "1 validation error detected: Value 'HS256' at 'macAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [*"},
			{"keys that are not there",
				kms.GenerateMacInput{KeyId: aws.String("alias/x"), Message: []byte("m"), MacAlgorithm: hs256},
				"NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/x is not found."},
			{"disabled keys, before the algorithm",
				kms.GenerateMacInput{KeyId: &off, Message: []byte("m"), MacAlgorithm: hs512},
				"DisabledException", f.kms.arn("key/"+off) + " is disabled."},
			{"keys that sign",
				kms.GenerateMacInput{KeyId: &sign, Message: []byte("m"), MacAlgorithm: hs256},
				"InvalidKeyUsageException", f.kms.arn("key/"+sign) + " key usage is SIGN_VERIFY which is not valid for {op}."},
			{"each spec has one algorithm",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: hs512},
				"InvalidKeyUsageException", "Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256."},
			{"a dry run",
				kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: hs256, DryRun: aws.Bool(true)},
				"DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.GenerateMac(t.Context(), &tt.in)
				checkPrefix(t, err, "GenerateMac", tt.code, tt.message)
				if tt.code == "DryRunOperationException" {
					return // VerifyMac would look at the MAC first
				}
				_, err = f.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: tt.in.KeyId, Message: tt.in.Message, MacAlgorithm: tt.in.MacAlgorithm, Mac: []byte("m")})
				checkPrefix(t, err, "VerifyMac", tt.code, tt.message)
			})
		}
	})
}

// TestPublicOnly: the keys that the fake cannot use are well-formed.
func TestPublicOnly(t *testing.T) {
	k := New(inChina)
	f := fake{k, k, t}
	for spec, parse := range map[types.KeySpec]func([]byte) error{
		types.KeySpecMlKem512: func(b []byte) error { return nil }, // no parser at hand
		types.KeySpecMlKem768: func(b []byte) error { _, err := mlkem.NewEncapsulationKey768(b); return err },
		types.KeySpecMlKem1024: func(b []byte) error {
			_, err := mlkem.NewEncapsulationKey1024(b)
			return err
		},
	} {
		spki := f.publicKey(k.AddKey(spec)).PublicKey
		size := map[types.KeySpec]int{types.KeySpecMlKem512: 800, types.KeySpecMlKem768: 1184, types.KeySpecMlKem1024: 1568}[spec]
		if len(spki) != size+22 {
			t.Errorf("%s: SPKI of %d bytes", spec, len(spki))
		}
		if err := parse(spki[22:]); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	// SM2: RFC 5480 with the curve 1.2.156.10197.1.301.
	const prefix = "3059301306072a8648ce3d020106082a811ccf5501822d034200"
	if got := hex.EncodeToString(f.publicKey(k.AddKey(types.KeySpecSm2)).PublicKey); len(got) != 2*91 || !strings.HasPrefix(got, prefix+"04") {
		t.Errorf("SM2: SPKI %s", got)
	}
	_, err := New().CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: signVerify})
	check(t, err, "CreateKey", "UnsupportedOperationException", "KeySpec SM2 is not supported in this Region")
}
