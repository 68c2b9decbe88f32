//lint:file-ignore SA1019 KMS still takes and answers CustomerMasterKeySpec.

package kmstest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestKeyIDs resolves every form of key identifier, as Sign does and as every
// other operation does that takes aliases.
func TestKeyIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256)
		f.alias("alias/app/Prod", id)
		const missing = "01234567-89ab-cdef-0123-456789abcdef"
		for _, tt := range []struct {
			form, id      string
			code, message string
		}{
			{"key id", id, "", ""},
			{"key ARN", "arn:aws-cn:kms:cn-north-1:444455556666:key/" + id, "", ""},
			{"alias name", "alias/app/Prod", "", ""},
			{"alias ARN", "arn:aws-cn:kms:cn-north-1:444455556666:alias/app/Prod", "", ""},

			{"no such key id", missing, "NotFoundException", "Key 'arn:aws-cn:kms:cn-north-1:444455556666:key/" + missing + "' does not exist"},
			{"no such key ARN", "arn:aws-cn:kms:cn-north-1:444455556666:key/" + missing, "NotFoundException", "Key 'arn:aws-cn:kms:cn-north-1:444455556666:key/" + missing + "' does not exist"},
			{"no such multi-Region key id", "mrk-0123456789abcdef0123456789abcdef", "NotFoundException", "Key 'arn:aws-cn:kms:cn-north-1:444455556666:key/mrk-0123456789abcdef0123456789abcdef' does not exist"},
			{"no key id at all", "prod", "NotFoundException", "Invalid keyId 'prod'"},
			{"a resource without the rest of the ARN", "key/" + id, "NotFoundException", "Invalid keyId 'key/" + id + "'"},
			{"key ids are case-sensitive", strings.ToUpper(id), "NotFoundException", "Key 'arn:aws-cn:kms:cn-north-1:444455556666:key/" + strings.ToUpper(id) + "' does not exist"},
			{"a UUID without hyphens", strings.ReplaceAll(id, "-", ""), "NotFoundException", "Invalid keyId '" + strings.ReplaceAll(id, "-", "") + "'"},
			{"a short multi-Region key id", "mrk-1234", "NotFoundException", "Invalid keyId 'mrk-1234'"},
			{"no key id in a key ARN: no quotes either", "arn:aws-cn:kms:cn-north-1:444455556666:key/prod", "NotFoundException", "Invalid keyId prod"},
			{"no such alias", "alias/app/none", "NotFoundException", "Alias arn:aws-cn:kms:cn-north-1:444455556666:alias/app/none is not found."},
			{"alias names are case-sensitive", "alias/app/prod", "NotFoundException", "Alias arn:aws-cn:kms:cn-north-1:444455556666:alias/app/prod is not found."},
			{"no such alias ARN", "arn:aws-cn:kms:cn-north-1:444455556666:alias/x", "NotFoundException", "Alias arn:aws-cn:kms:cn-north-1:444455556666:alias/x is not found."},
			{"another Region", "arn:aws-cn:kms:cn-northwest-1:444455556666:key/" + id, "NotFoundException", "Invalid arn cn-northwest-1"},
			{"an alias of another Region", "arn:aws-cn:kms:cn-northwest-1:444455556666:alias/app/Prod", "NotFoundException", "Invalid arn cn-northwest-1"},
			{"another partition", "arn:aws:kms:cn-north-1:444455556666:key/" + id, "NotFoundException", "Invalid arn aws"},
			{"another account", "arn:aws-cn:kms:cn-north-1:999999999999:key/" + id, "AccessDeniedException",
				"User: arn:aws-cn:iam::444455556666:user/kmstest is not authorized to perform: kms:DescribeKey on resource: arn:aws-cn:kms:cn-north-1:999999999999:key/" + id +
					" because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"},
			{"an ARN of something else", "arn:aws-cn:kms:cn-north-1:444455556666:grant/x", "InvalidArnException", "Invalid arn arn:aws-cn:kms:cn-north-1:444455556666:grant/x"},
			{"an ARN of another service", "arn:aws-cn:s3:::bucket", "InvalidArnException", "Invalid arn arn:aws-cn:s3:::bucket"},
			{"empty, which is two mistakes", "", "ValidationException", "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$"},
			{"not ASCII", "alias/é", "ValidationException", "1 validation error detected: Value 'alias/é' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\\p{ASCII}+$"},
			{"too long", strings.Repeat("x", 2049), "ValidationException", "1 validation error detected: Value '" + strings.Repeat("x", 2049) + "' at 'keyId' failed to satisfy constraint: Member must have length less than or equal to 2048"},
		} {
			t.Run(tt.form, func(t *testing.T) {
				out, err := f.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &tt.id})
				if tt.code != "" {
					check(t, err, "DescribeKey", tt.code, tt.message)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, want := aws.ToString(out.KeyMetadata.Arn), "arn:aws-cn:kms:cn-north-1:444455556666:key/"+id; got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if got := aws.ToString(f.publicKey(tt.id).KeyId); got != *out.KeyMetadata.Arn {
					t.Errorf("GetPublicKey answers KeyId %s", got)
				}
			})
		}
		// The errors that Sign has do not include InvalidArnException.
		_, err := f.Sign(t.Context(), signInput("arn:aws-cn:s3:::bucket", []byte("m"), es256))
		check(t, err, "Sign", "NotFoundException", "Invalid arn arn:aws-cn:s3:::bucket")
	}, func(o *Options) { o.Region, o.AccountID = "cn-north-1", "444455556666" })
}

func TestCreateKey(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		before := time.Now().Add(-time.Second)
		out, err := f.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: p384, KeyUsage: signVerify, Description: aws.String("a key"), Policy: aws.String("{}")})
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
				"MalformedPolicyDocumentException", "The new key policy is not valid JSON."},
			{"custom key stores: there are none",
				kms.CreateKeyInput{CustomKeyStoreId: aws.String("cks-1")},
				"CustomKeyStoreNotFoundException", "kmstest has no custom key stores"},
			{"no import for ML-DSA",
				kms.CreateKeyInput{KeySpec: mldsa44, KeyUsage: signVerify, Origin: types.OriginTypeExternal},
				"UnsupportedOperationException", "KeySpec ML_DSA_44 is not supported with Origin EXTERNAL"},
			{"key stores are not imitated",
				kms.CreateKeyInput{Origin: types.OriginTypeAwsCloudhsm},
				"UnsupportedOperationException", "kmstest cannot make keys of origin AWS_CLOUDHSM"},
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

// TestStates walks a key through its states.
func TestStates(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id := f.kms.AddKey(p256)
		arn := f.kms.arn("key/" + id)
		f.alias("alias/a", id)
		state := func(want types.KeyState) {
			t.Helper()
			out, err := f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
			if err != nil {
				t.Fatal(err)
			}
			if md := out.KeyMetadata; md.KeyState != want || md.Enabled != (want == "Enabled") || (md.DeletionDate != nil) != (want == "PendingDeletion") {
				t.Errorf("%s, enabled %v, deletion %v; want %s", md.KeyState, md.Enabled, md.DeletionDate, want)
			}
		}
		enable := func() error { _, err := f.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &arn}); return err }
		disable := func() error { _, err := f.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); return err }
		cancel := func() error { _, err := f.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &id}); return err }
		schedule := func(days *int32) (*kms.ScheduleKeyDeletionOutput, error) {
			return f.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: days})
		}
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}

		state("Enabled")
		ok(enable()) // no error to repeat it
		ok(disable())
		ok(disable())
		state("Disabled")
		ok(enable())
		state("Enabled")
		check(t, cancel(), "CancelKeyDeletion", "KMSInvalidStateException", arn+" is not pending deletion.")

		for days, constraint := range map[int32]string{
			6:  "Value '6' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7",
			31: "Value '31' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 30",
		} {
			_, err := schedule(&days)
			check(t, err, "ScheduleKeyDeletion", "ValidationException", "1 validation error detected: "+constraint)
		}
		out, err := schedule(aws.Int32(7))
		ok(err)
		week := time.Now().AddDate(0, 0, 7)
		if d := aws.ToTime(out.DeletionDate); d.Before(week.Add(-time.Minute)) || d.After(week) ||
			*out.KeyId != arn || out.KeyState != "PendingDeletion" || *out.PendingWindowInDays != 7 {
			t.Errorf("ScheduleKeyDeletion = %+v", out)
		}
		state("PendingDeletion")
		pending := arn + " is pending deletion."
		_, err = schedule(nil)
		check(t, err, "ScheduleKeyDeletion", "KMSInvalidStateException", pending)
		check(t, enable(), "EnableKey", "KMSInvalidStateException", pending)
		check(t, disable(), "DisableKey", "KMSInvalidStateException", pending)
		_, err = f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/b"), TargetKeyId: &id})
		check(t, err, "CreateAlias", "KMSInvalidStateException", pending)
		_, err = f.Sign(ctx, signInput("alias/a", []byte("m"), es256)) // the alias still leads there
		check(t, err, "Sign", "KMSInvalidStateException", pending)

		ok(cancel())
		state("Disabled") // not Enabled, which it was
		out, err = schedule(nil)
		ok(err)
		if *out.PendingWindowInDays != 30 {
			t.Errorf("window of %d days by default", *out.PendingWindowInDays)
		}
	})
}

// TestPendingImport: a key whose material is to be imported can be looked at and
// little else.
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
			t.Errorf("material %s before there is any", *got)
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

// TestNoAliases: the operations that change a key take its id or ARN only.
func TestNoAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		f.alias("alias/a", f.kms.AddKey(p256))
		aliasARN := f.kms.arn("alias/a")
		for operation, call := range map[string]func(id *string) error{
			"EnableKey": func(id *string) error { _, err := f.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: id}); return err },
			"DisableKey": func(id *string) error {
				_, err := f.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: id})
				return err
			},
			"ScheduleKeyDeletion": func(id *string) error {
				_, err := f.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: id})
				return err
			},
			"CancelKeyDeletion": func(id *string) error {
				_, err := f.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: id})
				return err
			},
			"ReplicateKey": func(id *string) error {
				_, err := f.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: aws.String("eu-west-1")})
				return err
			},
			"TagResource": func(id *string) error {
				_, err := f.TagResource(t.Context(), &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{}})
				return err
			},
			"UntagResource": func(id *string) error {
				_, err := f.UntagResource(t.Context(), &kms.UntagResourceInput{KeyId: id, TagKeys: []string{}})
				return err
			},
			"ListResourceTags": func(id *string) error {
				_, err := f.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: id})
				return err
			},
			"ListAliases": func(id *string) error {
				_, err := f.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: id})
				return err
			},
		} {
			for _, id := range []string{"alias/a", aliasARN, "alias/none"} {
				check(t, call(&id), operation, "InvalidArnException", "Key Aliases are not supported for this operation.")
			}
		}
	})
}

func TestAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		a, b := f.kms.AddKey(p256), f.kms.AddKey(rsa2048)
		agree, decrypt := f.create(p256, keyAgreement), f.create(rsa2048, encryptDecrypt)
		symmetric := f.kms.AddKey(types.KeySpecSymmetricDefault)
		create := func(name, target string) error {
			_, err := f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &target})
			return err
		}
		update := func(name, target string) error {
			_, err := f.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &name, TargetKeyId: &target})
			return err
		}
		remove := func(name string) error {
			_, err := f.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &name})
			return err
		}
		names := func(name string) string { // the key that an alias names
			t.Helper()
			out, err := f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name})
			if err != nil {
				t.Fatal(err)
			}
			return *out.KeyMetadata.KeyId
		}
		arn := func(name string) string { return f.kms.arn(name) }

		f.alias("alias/a", a)
		f.alias("alias/a/b_C-9", arn("key/"+a)) // by ARN, second alias of a key
		if names("alias/a") != a || names("alias/a/b_C-9") != a {
			t.Error("aliases name another key")
		}
		check(t, create("alias/a", b), "CreateAlias", "AlreadyExistsException", "An alias with the name "+arn("alias/a")+" already exists")
		f.alias("alias/A", b) // names are case-sensitive

		for _, tt := range []struct{ reason, name, code, message string }{
			{"no prefix", "a", "ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
			{"nothing behind the prefix", "alias/", "ValidationException", "Invalid identifier"},
			{"reserved", "alias/aws/s3", "NotAuthorizedException", "UnknownError"}, // which is what the SDK makes of no text
			{"colon", "alias/a:b", "ValidationException", "alias/a:b contains invalid characters for an alias"},
			{"space", "alias/a b", "ValidationException", "1 validation error detected: Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
			{"empty", "", "ValidationException", "1 validation error detected: Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1"},
			{"too long", "alias/" + strings.Repeat("x", 251), "ValidationException", "1 validation error detected: Value 'alias/" + strings.Repeat("x", 251) + "' at 'aliasName' failed to satisfy constraint: Member must have length less than or equal to 256"},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				check(t, create(tt.name, a), "CreateAlias", tt.code, tt.message)
				check(t, update(tt.name, a), "UpdateAlias", tt.code, tt.message)
				check(t, remove(tt.name), "DeleteAlias", tt.code, tt.message)
			})
		}
		f.alias("alias/"+strings.Repeat("x", 250), a) // as long as may be
		f.alias("alias/awsome", a)                    // not reserved

		check(t, create("alias/n", "alias/a"), "CreateAlias", "ValidationException", "Aliases must refer to keys. Not aliases")
		check(t, create("alias/n", arn("alias/a")), "CreateAlias", "ValidationException", "Aliases must refer to keys. Not aliases")
		check(t, create("alias/n", "nonsense"), "CreateAlias", "NotFoundException", "Invalid keyId 'nonsense'")
		check(t, update("alias/n", a), "UpdateAlias", "NotFoundException", "Alias "+arn("alias/n")+" is not found.")
		check(t, remove("alias/n"), "DeleteAlias", "NotFoundException", "Alias "+arn("alias/n")+" is not found.")

		// Another spec is fine, another usage or type is not.
		if err := update("alias/a", b); err != nil || names("alias/a") != b {
			t.Errorf("from P-256 to RSA: %v", err)
		}
		mismatch := func(from, to string) string {
			return fmt.Sprintf("Alias %s cannot be changed from key %s to key %s: they must have the same type and the same key usage.", arn("alias/a"), arn("key/"+from), arn("key/"+to))
		}
		check(t, update("alias/a", agree), "UpdateAlias", "ValidationException", mismatch(b, agree))
		check(t, update("alias/a", decrypt), "UpdateAlias", "ValidationException", mismatch(b, decrypt))
		check(t, update("alias/a", symmetric), "UpdateAlias", "ValidationException", mismatch(b, symmetric))
		if err := remove("alias/a"); err != nil {
			t.Error(err)
		}
		f.alias("alias/a", decrypt) // free again
		check(t, update("alias/a", symmetric), "UpdateAlias", "ValidationException", mismatch(decrypt, symmetric))
	})
}

func TestListKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		var want []string
		for range 103 {
			want = append(want, f.kms.AddKey(p256))
		}
		slices.Sort(want)
		for _, tt := range []struct {
			limit *int32
			pages []int
		}{
			{nil, []int{100, 3}},
			{aws.Int32(1000), []int{103}},
			{aws.Int32(103), []int{103}},
			{aws.Int32(51), []int{51, 51, 1}},
		} {
			var got []string
			var pages []int
			p := kms.NewListKeysPaginator(f, &kms.ListKeysInput{Limit: tt.limit})
			for p.HasMorePages() {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if out.Truncated != (out.NextMarker != nil) {
					t.Errorf("truncated %v with marker %v", out.Truncated, out.NextMarker)
				}
				for _, e := range out.Keys {
					if *e.KeyArn != f.kms.arn("key/"+*e.KeyId) {
						t.Errorf("entry %s, %s", *e.KeyArn, *e.KeyId)
					}
					got = append(got, *e.KeyId)
				}
				pages = append(pages, len(out.Keys))
			}
			if !slices.Equal(pages, tt.pages) || !slices.Equal(got, want) {
				t.Errorf("pages %v of %d keys, want %v of %d", pages, len(got), tt.pages, len(want))
			}
		}
		list := func(in kms.ListKeysInput) error { _, err := f.ListKeys(t.Context(), &in); return err }
		check(t, list(kms.ListKeysInput{Limit: aws.Int32(0)}), "ListKeys", "ValidationException", "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
		check(t, list(kms.ListKeysInput{Limit: aws.Int32(1001)}), "ListKeys", "ValidationException", "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000")
		for _, marker := range []string{"nonsense", "!", "YWJj"} {
			check(t, list(kms.ListKeysInput{Marker: &marker}), "ListKeys", "InvalidMarkerException", "Invalid marker")
		}
	})
}

func TestListAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		a, b := f.kms.AddKey(p256), f.kms.AddKey(p384)
		var want []string
		for i := range 51 {
			name := fmt.Sprintf("alias/%02d", i)
			f.alias(name, []string{a, b}[i%2])
			want = append(want, name)
		}
		var got []string
		var pages []int
		p := kms.NewListAliasesPaginator(f, nil)
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, len(out.Aliases))
			for _, e := range out.Aliases {
				if *e.AliasArn != f.kms.arn(*e.AliasName) || e.CreationDate == nil || e.LastUpdatedDate == nil {
					t.Errorf("entry %+v", e)
				}
				got = append(got, *e.AliasName)
			}
			// Aliases that come and go between pages do not upset the rest.
			f.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/49")})
		}
		if !slices.Equal(pages, []int{50, 1}) || !slices.Equal(got, want) {
			t.Errorf("pages %v: %v", pages, got)
		}
		out, err := f.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: aws.String(f.kms.arn("key/" + b)), Limit: aws.Int32(2)})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Aliases) != 2 || !out.Truncated || *out.Aliases[0].AliasName != "alias/01" || *out.Aliases[1].TargetKeyId != b {
			t.Errorf("of one key: %+v", out)
		}
		_, err = f.ListAliases(t.Context(), &kms.ListAliasesInput{Limit: aws.Int32(101)})
		check(t, err, "ListAliases", "ValidationException", "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100")
	})
}
