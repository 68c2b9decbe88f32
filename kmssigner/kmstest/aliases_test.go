package kmstest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

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
			{"empty, which is two mistakes", "", "ValidationException", "2 validation errors detected: Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
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

		// The spec of the key may change, but not its usage or type.
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

// TestAliasQuota checks that a key has at most 50 aliases, by either operation
// that gives it one.
func TestAliasQuota(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		full, other := f.kms.AddKey(p256), f.kms.AddKey(p256)
		for i := range 50 {
			f.alias(fmt.Sprintf("alias/%d", i), full)
		}
		f.alias("alias/other", other)
		quota := "Aliases per key quota for this account in this region is 50, current usage is 50."
		_, err := f.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/50"), TargetKeyId: &full})
		check(t, err, "CreateAlias", "LimitExceededException", quota)
		_, err = f.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String("alias/other"), TargetKeyId: &full})
		check(t, err, "UpdateAlias", "LimitExceededException", quota)
		// An alias may be pointed at the key that it has.
		if _, err := f.UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: aws.String("alias/0"), TargetKeyId: &full}); err != nil {
			t.Error(err)
		}
		if _, err := f.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/0")}); err != nil {
			t.Error(err)
		}
		f.alias("alias/50", full)
	})
}
