//lint:file-ignore SA1019 KMS still takes and answers CustomerMasterKeySpec.

package kmstest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestCreateKey(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		before := time.Now().Add(-time.Second)
		out, err := f.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: p384, KeyUsage: signVerify, Description: aws.String("a key")})
		if err != nil {
			t.Fatal(err)
		}
		got := out.KeyMetadata
		if d := aws.ToTime(got.CreationDate); d.Before(before) || d.After(time.Now().Add(time.Second)) {
			t.Errorf("created %v, which is not now", d)
		}
		id := aws.ToString(got.KeyId)
		if !keyIDForm.MatchString(id) {
			t.Errorf("key id %q is not a UUID", id)
		}
		want := &types.KeyMetadata{
			AWSAccountId:          aws.String("111122223333"),
			Arn:                   aws.String("arn:aws:kms:us-east-1:111122223333:key/" + id),
			CreationDate:          got.CreationDate,
			CustomerMasterKeySpec: "ECC_NIST_P384",
			Description:           aws.String("a key"),
			Enabled:               true,
			KeyId:                 &id,
			KeyManager:            "CUSTOMER",
			KeySpec:               "ECC_NIST_P384",
			KeyState:              "Enabled",
			KeyUsage:              "SIGN_VERIFY",
			MultiRegion:           aws.Bool(false),
			Origin:                "AWS_KMS",
			SigningAlgorithms:     []types.SigningAlgorithmSpec{"ECDSA_SHA_384"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("CreateKey = %+v\nwant %+v", got, want)
		}
		described, err := f.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
		if err != nil || !reflect.DeepEqual(described.KeyMetadata, want) {
			t.Errorf("DescribeKey = %+v, %v\nwant %+v", described, err, want)
		}

		out, err = f.CreateKey(t.Context(), &kms.CreateKeyInput{CustomerMasterKeySpec: "ECC_NIST_P256", KeyUsage: signVerify, MultiRegion: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		got = out.KeyMetadata
		if got.KeySpec != p256 || !strings.HasPrefix(*got.KeyId, "mrk-") || !keyIDForm.MatchString(*got.KeyId) ||
			!*got.MultiRegion || got.MultiRegionConfiguration.MultiRegionKeyType != "PRIMARY" || *got.MultiRegionConfiguration.PrimaryKey.Arn != *got.Arn {
			t.Errorf("multi-Region key by the old member: %+v", got)
		}

		out, err = f.CreateKey(t.Context(), nil)
		if err != nil || out.KeyMetadata.KeySpec != types.KeySpecSymmetricDefault || out.KeyMetadata.KeyUsage != encryptDecrypt ||
			len(aws.ToString(out.KeyMetadata.CurrentKeyMaterialId)) != 64 {
			t.Errorf("key by default: %+v, %v", out, err)
		}
	})
}

func TestCreateKeyRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		for _, tt := range []struct {
			reason        string
			in            kms.CreateKeyInput
			code, message string
		}{
			{"the usage has no default for asymmetric keys",
				kms.CreateKeyInput{KeySpec: p256},
				"ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
			{"NIST curves do not encrypt",
				kms.CreateKeyInput{KeySpec: p256, KeyUsage: encryptDecrypt},
				"ValidationException", "KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec ECC_NIST_P256"},
			{"RSA does not agree on keys",
				kms.CreateKeyInput{KeySpec: rsa2048, KeyUsage: keyAgreement},
				"ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"},
			{"symmetric keys do not sign",
				kms.CreateKeyInput{KeyUsage: signVerify},
				"ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
			{"both names of the spec",
				kms.CreateKeyInput{KeySpec: p256, CustomerMasterKeySpec: "ECC_NIST_P256", KeyUsage: signVerify},
				"ValidationException", "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
			{"specs outside the enum",
				kms.CreateKeyInput{KeySpec: "RSA_1024", KeyUsage: signVerify},
				"ValidationException", "1 validation error detected: Value 'RSA_1024' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [*"},
			{"usages and origins outside the enum",
				kms.CreateKeyInput{KeySpec: p256, KeyUsage: "SIGN", Origin: "HERE"},
				"ValidationException", "2 validation errors detected: Value 'SIGN' at 'keyUsage' failed to satisfy constraint: Member must satisfy enum value set: [*"},
			{"descriptions over 8192 characters",
				kms.CreateKeyInput{KeySpec: p256, KeyUsage: signVerify, Description: aws.String(strings.Repeat("x", 8193))},
				"ValidationException", "1 validation error detected: Value '*"},
			{"policies that are not JSON",
				kms.CreateKeyInput{KeySpec: p256, KeyUsage: signVerify, Policy: aws.String("{")},
				"MalformedPolicyDocumentException", "The new key policy is not valid."},
			{"custom key stores: there are none",
				kms.CreateKeyInput{CustomKeyStoreId: aws.String("cks-1")},
				"CustomKeyStoreNotFoundException", "kmstest: custom key stores are not supported"},
			{"no import for ML-DSA",
				kms.CreateKeyInput{KeySpec: mldsa44, KeyUsage: signVerify, Origin: types.OriginTypeExternal},
				"UnsupportedOperationException", "KeySpec ML_DSA_44 is not supported with Origin EXTERNAL"},
			{"key stores are not imitated",
				kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm},
				"UnsupportedOperationException", "kmstest: origin AWS_CLOUDHSM is not supported"},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := f.CreateKey(t.Context(), &tt.in)
				checkPrefix(t, err, "CreateKey", tt.code, tt.message)
			})
		}
		if n := len(f.kms.keys); n != 0 {
			t.Errorf("refusals left %d keys behind", n)
		}
	})
}

// TestPendingImport checks that a key without its material can be described but
// not used.
func TestPendingImport(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		out, err := f.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: p256, KeyUsage: signVerify, Origin: types.OriginTypeExternal, MultiRegion: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		md := out.KeyMetadata
		if md.Enabled || md.KeyState != types.KeyStatePendingImport || md.Origin != types.OriginTypeExternal || md.ExpirationModel != "" {
			t.Errorf("%+v", md)
		}
		if got := f.describe(f.imported(types.KeySpecSymmetricDefault)).CurrentKeyMaterialId; got != nil {
			t.Errorf("a key without material has the material ID %s", *got)
		}
		id, pending := *md.KeyId, *md.Arn+" is pending import."
		_, err = f.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &id})
		check(t, err, "EnableKey", "KMSInvalidStateException", pending)
		_, err = f.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id})
		check(t, err, "DisableKey", "KMSInvalidStateException", pending)
		_, err = replicate(f, id, "eu-west-1")
		check(t, err, "ReplicateKey", "KMSInvalidStateException", pending)
		f.alias("alias/a", id)
		_, err = f.Sign(ctx, signInput("alias/a", []byte("m"), es256))
		check(t, err, "Sign", "KMSInvalidStateException", pending)
		f.scheduleDeletion(id)
		if _, err := f.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &id}); err != nil || f.describe(id).KeyState != types.KeyStatePendingImport {
			t.Errorf("CancelKeyDeletion: %v, %s", err, f.describe(id).KeyState)
		}
	})
}
