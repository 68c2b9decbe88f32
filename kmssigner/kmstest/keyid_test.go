package kmstest

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestKeyIDs checks each form of key identifier.
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
		// Sign has no InvalidArnException.
		_, err := f.Sign(t.Context(), signInput("arn:aws-cn:s3:::bucket", []byte("m"), es256))
		check(t, err, "Sign", "NotFoundException", "Invalid arn arn:aws-cn:s3:::bucket")
	}, func(o *Options) { o.Region, o.AccountID = "cn-north-1", "444455556666" })
}

// TestNoAliases checks that operations that change a key do not take an alias.
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
