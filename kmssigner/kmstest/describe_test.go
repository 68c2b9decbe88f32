package kmstest

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestGetPublicKey(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		get := func(id string) error {
			_, err := f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &id})
			return err
		}
		id := f.kms.AddKey(p256)
		f.disable(id)
		if err := get(id); err != nil {
			t.Errorf("of a disabled key: %v", err)
		}
		f.scheduleDeletion(id)
		check(t, get(id), "GetPublicKey", "KMSInvalidStateException", f.kms.arn("key/"+id)+" is pending deletion.")
		id = f.kms.AddKey(types.KeySpecSymmetricDefault)
		check(t, get(id), "GetPublicKey", "UnsupportedOperationException", "")
		check(t, get("nonsense"), "GetPublicKey", "NotFoundException", "Invalid keyId 'nonsense'")

		out := f.publicKey(f.create(rsa2048, encryptDecrypt))
		if want := []types.EncryptionAlgorithmSpec{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}; !reflect.DeepEqual(out.EncryptionAlgorithms, want) ||
			out.SigningAlgorithms != nil || out.KeyUsage != encryptDecrypt {
			t.Errorf("of an RSA key for encryption: %+v", out)
		}
		out = f.publicKey(f.create(p384, keyAgreement))
		if want := []types.KeyAgreementAlgorithmSpec{"ECDH"}; !reflect.DeepEqual(out.KeyAgreementAlgorithms, want) ||
			out.SigningAlgorithms != nil || out.KeyUsage != keyAgreement {
			t.Errorf("of a P-384 key for key agreement: %+v", out)
		}
	})
}

func TestDisabledHidesPublicKey(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256)
		f.publicKey(id)
		f.disable(id)
		_, err := f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &id})
		check(t, err, "GetPublicKey", "DisabledException", f.kms.arn("key/"+id)+" is disabled.")
	}, func(o *Options) { o.DisabledHidesPublicKey = true })
}
