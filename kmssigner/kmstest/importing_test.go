package kmstest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// wrapped encrypts a secret by RSAES_OAEP with a key in base64.
func wrapped(t *testing.T, public string, secret []byte, hash crypto.Hash) []byte {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	out, err := rsa.EncryptOAEP(hash.New(), rand.Reader, key.(*rsa.PublicKey), secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// importing makes an input for ImportKeyMaterial.
func (f fake) importing(id string, secret []byte, alg types.AlgorithmSpec) *kms.ImportKeyMaterialInput {
	f.t.Helper()
	p, err := f.GetParametersForImport(f.t.Context(), &kms.GetParametersForImportInput{KeyId: &id, WrappingAlgorithm: alg, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	if err != nil {
		f.t.Fatal(err)
	}
	return &kms.ImportKeyMaterialInput{
		KeyId: &id, ImportToken: p.ImportToken, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
		EncryptedKeyMaterial: wrapped(f.t, base64.StdEncoding.EncodeToString(p.PublicKey), secret, oaepHashes[alg]),
	}
}

const (
	oaep1   = types.AlgorithmSpecRsaesOaepSha1
	oaep256 = types.AlgorithmSpecRsaesOaepSha256
)

// newP256 returns a key on P-256 and its PKCS #8 form.
func newP256(t *testing.T) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, der
}

// newP384 returns a key on P-384 in PKCS #8.
func newP384(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestImport imports a key, signs with it, deletes the material and imports it
// again.
func TestImport(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id := f.imported(p256)
		arn := f.kms.arn("key/" + id)
		private, der := newP256(t)
		out, err := f.ImportKeyMaterial(ctx, f.importing(id, der, oaep256))
		if err != nil || *out.KeyId != arn || out.KeyMaterialId != nil {
			t.Fatalf("%+v, %v", out, err)
		}
		if public, _ := x509.MarshalPKIXPublicKey(&private.PublicKey); !bytes.Equal(f.publicKey(id).PublicKey, public) {
			t.Error("another public key")
		}
		sig := f.mustSign(signInput(id, []byte("m"), es256))
		if !ecdsa.VerifyASN1(&private.PublicKey, sum(crypto.SHA256, []byte("m")), sig) {
			t.Error("the imported key did not sign")
		}

		// A date, in place of no date.
		again := f.importing(id, der, oaep1)
		again.ExpirationModel, again.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, aws.Time(time.Now().Add(time.Hour))
		if _, err := f.ImportKeyMaterial(ctx, again); err != nil {
			t.Fatal(err)
		}
		if md := f.describe(id); md.ExpirationModel != again.ExpirationModel || md.ValidTo == nil || md.ValidTo.Sub(*again.ValidTo).Abs() > time.Millisecond {
			t.Errorf("%s, %v", md.ExpirationModel, md.ValidTo)
		}

		// Only the same material can follow.
		_, other := newP256(t)
		_, err = f.ImportKeyMaterial(ctx, f.importing(id, other, oaep256))
		check(t, err, "ImportKeyMaterial", "IncorrectKeyMaterialException", "The key material is not the one that was imported before")
		remove := func() {
			t.Helper()
			out, err := f.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &id})
			if err != nil || *out.KeyId != arn {
				t.Errorf("%+v, %v", out, err)
			}
		}
		remove()
		remove() // which has no effect
		if md := f.describe(id); md.KeyState != types.KeyStatePendingImport || md.ExpirationModel != "" || md.ValidTo != nil {
			t.Errorf("%+v", md)
		}
		_, err = f.Sign(ctx, signInput(id, []byte("m"), es256))
		check(t, err, "Sign", "KMSInvalidStateException", arn+" is pending import.")
		_, err = f.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &id})
		check(t, err, "GetPublicKey", "KMSInvalidStateException", arn+" is pending import.")
		_, err = f.ImportKeyMaterial(ctx, f.importing(id, other, oaep256))
		check(t, err, "ImportKeyMaterial", "IncorrectKeyMaterialException", "The key material is not the one that was imported before")
		in := f.importing(id, der, oaep256)
		in.ImportType = types.ImportTypeExistingKeyMaterial
		if _, err := f.ImportKeyMaterial(ctx, in); err != nil {
			t.Fatal(err)
		}
		f.mustSign(signInput(id, []byte("m"), es256))

		// Cancelling the deletion of a key with material leaves it disabled.
		f.scheduleDeletion(id)
		_, err = f.ImportKeyMaterial(ctx, in)
		check(t, err, "ImportKeyMaterial", "KMSInvalidStateException", arn+" is pending deletion.")
		_, err = f.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &id, WrappingAlgorithm: oaep256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
		check(t, err, "GetParametersForImport", "KMSInvalidStateException", arn+" is pending deletion.")
		cancel := func(want types.KeyState) {
			t.Helper()
			if _, err := f.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &id}); err != nil || f.describe(id).KeyState != want {
				t.Errorf("%v, %s, want %s", err, f.describe(id).KeyState, want)
			}
		}
		cancel(types.KeyStateDisabled)
		f.scheduleDeletion(id)
		remove() // which does not change the state
		if state := f.describe(id).KeyState; state != types.KeyStatePendingDeletion {
			t.Errorf("state %s", state)
		}
		cancel(types.KeyStatePendingImport)
	})
}

// TestImportReplica checks that a replica of an imported key needs the same
// material.
func TestImportReplica(t *testing.T) {
	k := New()
	f := fake{k, k, t}
	out, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: p256, KeyUsage: signVerify, Origin: types.OriginTypeExternal, MultiRegion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	id := *out.KeyMetadata.KeyId
	_, der := newP256(t)
	_, other := newP256(t)
	if _, err := k.ImportKeyMaterial(t.Context(), f.importing(id, der, oaep256)); err != nil {
		t.Fatal(err)
	}
	if _, err := replicate(f, id, "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	eu := f.there("eu-west-1")
	if state := eu.describe(id).KeyState; state != types.KeyStatePendingImport {
		t.Errorf("state %s", state)
	}
	_, err = eu.ImportKeyMaterial(t.Context(), eu.importing(id, other, oaep256))
	check(t, err, "ImportKeyMaterial", "IncorrectKeyMaterialException", "The key material is not the one that was imported before")
	if _, err := eu.ImportKeyMaterial(t.Context(), eu.importing(id, der, oaep256)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(eu.publicKey(id).PublicKey, f.publicKey(id).PublicKey) {
		t.Error("two public keys")
	}
}

func TestImportRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		parameters := func(id string, alg types.AlgorithmSpec, spec types.WrappingKeySpec) error {
			_, err := f.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &id, WrappingAlgorithm: alg, WrappingKeySpec: spec})
			return err
		}
		id := f.imported(p256)
		const unsupported = "UnsupportedOperationException"
		check(t, parameters(id, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa2048), "GetParametersForImport", unsupported,
			"kmstest: wrapping algorithm RSA_AES_KEY_WRAP_SHA_256 is not supported, want RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1")
		check(t, parameters(id, types.AlgorithmSpecRsaesPkcs1V15, types.WrappingKeySpecRsa2048), "GetParametersForImport", unsupported,
			"kmstest: wrapping algorithm RSAES_PKCS1_V1_5 is not supported, want RSAES_OAEP_SHA_256 or RSAES_OAEP_SHA_1")
		check(t, parameters(id, oaep256, types.WrappingKeySpecSm2), "GetParametersForImport", unsupported, "kmstest: wrapping key spec SM2 is not supported")

		own := f.kms.AddKey(p256)
		wrong := f.kms.arn("key/"+own) + " origin is AWS_KMS which is not valid for this operation."
		_, der := newP256(t)
		good := f.importing(id, der, oaep256)
		foreign := *good
		foreign.KeyId = &own
		_, err := f.ImportKeyMaterial(ctx, &foreign)
		check(t, err, "ImportKeyMaterial", unsupported, wrong)
		_, err = f.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &own})
		check(t, err, "DeleteImportedKeyMaterial", unsupported, wrong)

		p384DER := newP384(t)
		for _, tt := range []struct {
			reason        string
			in            *kms.ImportKeyMaterialInput
			edit          func(*kms.ImportKeyMaterialInput)
			code, message string
		}{
			{"a token of another key", good, func(in *kms.ImportKeyMaterialInput) { in.KeyId = aws.String(f.imported(p256)) }, "InvalidImportTokenException", ""},
			{"a token that is none", good, func(in *kms.ImportKeyMaterialInput) { in.ImportToken = []byte("token") }, "InvalidImportTokenException", ""},
			{"not encrypted", good, func(in *kms.ImportKeyMaterialInput) { in.EncryptedKeyMaterial = der }, "InvalidCiphertextException", ""},
			{"another hash", good, func(in *kms.ImportKeyMaterialInput) {
				in.EncryptedKeyMaterial = f.importing(id, der, oaep1).EncryptedKeyMaterial
			}, "InvalidCiphertextException", ""},
			{"no PKCS #8", f.importing(id, []byte("key"), oaep256), nil, "IncorrectKeyMaterialException", "The key material is not a private key in PKCS #8"},
			{"another curve", f.importing(id, p384DER, oaep256), nil, "IncorrectKeyMaterialException", "The key material is not that of a KMS key with key spec ECC_NIST_P256"},
			{"a MAC key too short", f.importing(f.imported(types.KeySpecHmac256), make([]byte, 31), oaep256), nil, "IncorrectKeyMaterialException", "The key material is not that of a KMS key with key spec HMAC_256"},
			{"a MAC key of another spec", f.importing(f.imported(types.KeySpecHmac256), make([]byte, 64), oaep256), nil, "IncorrectKeyMaterialException", "The key material is not that of a KMS key with key spec HMAC_256"},
			{"a symmetric key too short", f.importing(f.imported(types.KeySpecSymmetricDefault), make([]byte, 16), oaep256), nil, "IncorrectKeyMaterialException", "The key material has 16 bytes, want 32"},
			{"an RSA key", f.importing(f.imported(rsa2048), []byte("key"), oaep256), nil, unsupported, "kmstest: the import of RSA keys is not supported"},
			{"material that is to be known", good, func(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeExistingKeyMaterial }, "IncorrectKeyMaterialException", "The KMS key has had no key material"},
			{"a date and none", good, func(in *kms.ImportKeyMaterialInput) { in.ValidTo = aws.Time(time.Now().Add(time.Hour)) },
				"ValidationException", "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"},
			{"a date in the past", good, func(in *kms.ImportKeyMaterialInput) { in.ExpirationModel, in.ValidTo = "", aws.Time(time.Unix(1, 0)) },
				"ValidationException", "The validTo date must be in the future, and at most 365 days ahead"},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				in := *tt.in
				if tt.edit != nil {
					tt.edit(&in)
				}
				_, err := f.ImportKeyMaterial(ctx, &in)
				check(t, err, "ImportKeyMaterial", tt.code, tt.message)
			})
		}
		if state := f.describe(id).KeyState; state != types.KeyStatePendingImport {
			t.Errorf("refused imports left the state %s", state)
		}
		if _, err := f.ImportKeyMaterial(ctx, good); err != nil {
			t.Fatal(err)
		}
		in := f.importing(id, der, oaep256)
		in.ImportType = types.ImportTypeNewKeyMaterial
		_, err = f.ImportKeyMaterial(ctx, in)
		check(t, err, "ImportKeyMaterial", unsupported, "kmstest: the rotation of imported key material is not supported")
	})
}

// TestImportTokens checks that the answers of GetParametersForImport are valid
// for 24 hours, and that a key keeps ten of them.
func TestImportTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New()
		f := fake{k, k, t}
		id := f.imported(p256)
		_, der := newP256(t)
		in := f.importing(id, der, oaep256)
		time.Sleep(24 * time.Hour)
		if _, err := k.ImportKeyMaterial(t.Context(), in); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		_, err := k.ImportKeyMaterial(t.Context(), in)
		check(t, err, "ImportKeyMaterial", "ExpiredImportTokenException", "")

		in = f.importing(id, der, oaep256)
		for range maxParameters {
			f.importing(id, der, oaep256)
		}
		_, err = k.ImportKeyMaterial(t.Context(), in)
		check(t, err, "ImportKeyMaterial", "InvalidImportTokenException", "")
		if n := len(k.keys[id].Import.Parameters); n != maxParameters {
			t.Errorf("the key keeps %d answers", n)
		}
	})
}
