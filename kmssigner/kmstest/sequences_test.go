package kmstest

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The tests in this file call the fake in the order in which programs that set
// up keys call KMS. Each one checks that the fake knows all of the operations.

// must fails the test if a call failed, and returns its output.
func must[Out any](t *testing.T) func(*Out, error) *Out {
	t.Helper()
	return func(out *Out, err error) *Out {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// allKnown checks that every call got an answer other than
// UnknownOperationException.
func allKnown(t *testing.T, k *KMS) {
	t.Helper()
	for _, q := range k.Requests() {
		if q.Code == "UnknownOperationException" {
			t.Errorf("the fake does not know %s", q.Operation)
		}
	}
}

const signerPolicy = `{"Version":"2012-10-17","Statement":[` +
	`{"Sid":"admin","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},` +
	`{"Sid":"sign","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/signer"},"Action":["kms:GetPublicKey","kms:Sign"],"Resource":"*"}]}`

// TestTerraform follows the resources aws_kms_key, aws_kms_alias, aws_kms_grant
// and aws_kms_replica_key and the data source aws_kms_public_key of
// terraform-provider-aws (internal/service/kms), for a key that signs.
func TestTerraform(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		tag := func(name, value string) types.Tag { return types.Tag{TagKey: &name, TagValue: &value} }

		// Create aws_kms_key, and wait until the policy and the tags are there.
		created := must[kms.CreateKeyOutput](t)(f.CreateKey(ctx, &kms.CreateKeyInput{
			KeySpec: p256, KeyUsage: signVerify, MultiRegion: aws.Bool(true), Description: aws.String("tokens"),
			Policy: aws.String(signerPolicy), Tags: []types.Tag{tag("team", "identity"), tag("env", "test")},
		}))
		id := created.KeyMetadata.KeyId
		read := func(f fake) (*types.KeyMetadata, string, []types.Tag) {
			t.Helper()
			md := must[kms.DescribeKeyOutput](t)(f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: id})).KeyMetadata
			policy := must[kms.GetKeyPolicyOutput](t)(f.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: id, PolicyName: aws.String("default")}))
			rotation := must[kms.GetKeyRotationStatusOutput](t)(f.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: id}))
			if rotation.KeyRotationEnabled {
				t.Error("a signing key is rotated")
			}
			var tags []types.Tag
			pages := kms.NewListResourceTagsPaginator(f, &kms.ListResourceTagsInput{KeyId: id})
			for pages.HasMorePages() {
				tags = append(tags, must[kms.ListResourceTagsOutput](t)(pages.NextPage(ctx)).Tags...)
			}
			return md, *policy.Policy, tags
		}
		md, policy, tags := read(f)
		if md.KeyState != types.KeyStateEnabled || *md.Description != "tokens" || !strings.Contains(policy, "role/signer") || len(tags) != 2 {
			t.Errorf("read %+v, %s, %+v", md, policy, tags)
		}

		// Create aws_kms_alias and find it.
		must[kms.CreateAliasOutput](t)(f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: id}))
		target := func() (id string) {
			pages := kms.NewListAliasesPaginator(f, &kms.ListAliasesInput{})
			for pages.HasMorePages() {
				for _, a := range must[kms.ListAliasesOutput](t)(pages.NextPage(ctx)).Aliases {
					if *a.AliasName == "alias/jwt" {
						id = *a.TargetKeyId
					}
				}
			}
			return id
		}
		if target() != *id {
			t.Errorf("the alias names %s", target())
		}
		if key := f.publicKey("alias/jwt"); len(key.PublicKey) != 91 { // aws_kms_public_key
			t.Errorf("a public key of %d bytes", len(key.PublicKey))
		}

		// Create aws_kms_grant and read it.
		granted := must[kms.CreateGrantOutput](t)(f.CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId: id, Name: aws.String("signer"), GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign", "Verify", "GetPublicKey"},
		}))
		grants := func() (n int) {
			pages := kms.NewListGrantsPaginator(f, &kms.ListGrantsInput{KeyId: id, Limit: aws.Int32(100)})
			for pages.HasMorePages() {
				n += len(must[kms.ListGrantsOutput](t)(pages.NextPage(ctx)).Grants)
			}
			return n
		}
		if grants() != 1 {
			t.Errorf("%d grants", grants())
		}

		// Create aws_kms_replica_key, and wait until it is enabled.
		must[kms.ReplicateKeyOutput](t)(f.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: aws.String("eu-west-1"), Policy: aws.String(signerPolicy)}))
		eu := f.there("eu-west-1")
		if md, policy, _ := read(eu); md.KeyState != types.KeyStateEnabled || !strings.Contains(policy, "role/signer") {
			t.Errorf("replica %+v, %s", md, policy)
		}

		// Update all that can be, and the alias last.
		must[kms.UpdateKeyDescriptionOutput](t)(f.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: id, Description: aws.String("old tokens")}))
		must[kms.PutKeyPolicyOutput](t)(f.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: id, PolicyName: aws.String("default"), Policy: aws.String(strings.ReplaceAll(signerPolicy, "role/signer", "role/verifier"))}))
		must[kms.DisableKeyOutput](t)(f.DisableKey(ctx, &kms.DisableKeyInput{KeyId: id}))
		must[kms.UntagResourceOutput](t)(f.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"env"}}))
		must[kms.TagResourceOutput](t)(f.TagResource(ctx, &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{tag("team", "security")}}))
		md, policy, tags = read(f)
		if md.Enabled || *md.Description != "old tokens" || !strings.Contains(policy, "role/verifier") || len(tags) != 1 || *tags[0].TagValue != "security" {
			t.Errorf("updated %+v, %s, %+v", md, policy, tags)
		}
		other := f.kms.AddKey(p384)
		must[kms.UpdateAliasOutput](t)(f.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: &other}))
		if target() != other {
			t.Errorf("the alias names %s", target())
		}

		// Destroy, in the order of the dependencies, and wait until all is
		// gone.
		must[kms.RevokeGrantOutput](t)(f.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: id, GrantId: granted.GrantId}))
		if grants() != 0 {
			t.Errorf("%d grants", grants())
		}
		must[kms.DeleteAliasOutput](t)(f.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/jwt")}))
		if target() != "" {
			t.Errorf("the alias names %s", target())
		}
		for _, g := range []fake{eu, f} {
			must[kms.ScheduleKeyDeletionOutput](t)(g.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)}))
			if md := g.describe(*id); md.KeyState != types.KeyStatePendingDeletion && md.KeyState != types.KeyStatePendingReplicaDeletion {
				t.Errorf("state %s", md.KeyState)
			}
		}
		allKnown(t, f.kms)
		allKnown(t, eu.kms)
	})
}

// TestAnsible follows the modules kms_key and kms_key_info of Ansible's
// collection amazon.aws, for a key that signs.
func TestAnsible(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()

		// kms_key finds the key by its alias, or creates it.
		_, err := f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/jwt")})
		check(t, err, "DescribeKey", "NotFoundException", "Alias "+f.kms.arn("alias/jwt")+" is not found.")
		//lint:ignore SA1019 The module sends the deprecated member.
		in := &kms.CreateKeyInput{CustomerMasterKeySpec: types.CustomerMasterKeySpecEccNistP256, KeyUsage: signVerify,
			Origin: types.OriginTypeAwsKms, Tags: []types.Tag{}, Policy: aws.String(signerPolicy), Description: aws.String("")}
		md := must[kms.CreateKeyOutput](t)(f.CreateKey(ctx, in)).KeyMetadata
		must[kms.CreateAliasOutput](t)(f.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/jwt"), TargetKeyId: md.KeyId}))
		must[kms.CreateGrantOutput](t)(f.CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId: md.KeyId, Name: aws.String("signer"), GranteePrincipal: aws.String(grantee), RetiringPrincipal: aws.String(retiring), Operations: []types.GrantOperation{"Sign"},
		}))

		// kms_key_info lists all keys, and reads each with all that it has.
		ids := must[kms.ListKeysOutput](t)(f.ListKeys(ctx, &kms.ListKeysInput{})).Keys
		if len(ids) != 1 {
			t.Fatalf("%d keys", len(ids))
		}
		id := ids[0].KeyId
		must[kms.ListAliasesOutput](t)(f.ListAliases(ctx, &kms.ListAliasesInput{}))
		must[kms.DescribeKeyOutput](t)(f.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: id}))
		must[kms.GetKeyRotationStatusOutput](t)(f.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: id}))
		names := must[kms.ListKeyPoliciesOutput](t)(f.ListKeyPolicies(ctx, &kms.ListKeyPoliciesInput{KeyId: id})).PolicyNames
		must[kms.GetKeyPolicyOutput](t)(f.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: id, PolicyName: &names[0]}))
		must[kms.ListResourceTagsOutput](t)(f.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: id}))
		grants := must[kms.ListGrantsOutput](t)(f.ListGrants(ctx, &kms.ListGrantsInput{KeyId: id})).Grants

		// kms_key with purge_grants, another description and state absent.
		must[kms.UpdateKeyDescriptionOutput](t)(f.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: id, Description: aws.String("tokens")}))
		must[kms.PutKeyPolicyOutput](t)(f.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: id, PolicyName: aws.String("default"), Policy: aws.String(signerPolicy)}))
		must[kms.RetireGrantOutput](t)(f.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: md.Arn, GrantId: grants[0].GrantId}))
		must[kms.ScheduleKeyDeletionOutput](t)(f.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)}))
		must[kms.CancelKeyDeletionOutput](t)(f.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: id}))
		must[kms.EnableKeyOutput](t)(f.EnableKey(ctx, &kms.EnableKeyInput{KeyId: id}))
		f.mustSign(signInput("alias/jwt", []byte("m"), es256))
		allKnown(t, f.kms)
	})
}
