package kmstest

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestReplicas checks that a replica shares the ID and the material of its
// primary key and nothing else.
func TestReplicas(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.multiRegion(p256, signVerify)
		arn := func(region string) string { return "arn:aws:kms:" + region + ":111122223333:key/" + id }
		key := func(region string) types.MultiRegionKey {
			return types.MultiRegionKey{Arn: aws.String(arn(region)), Region: &region}
		}
		out, err := f.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{
			KeyId: aws.String(arn("us-east-1")), ReplicaRegion: aws.String("eu-west-1"), Description: aws.String("there"),
			Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("b")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		primary := key("us-east-1")
		want := *f.describe(id) // spec, usage, algorithms and origin are shared
		want.Arn, want.Description = aws.String(arn("eu-west-1")), aws.String("there")
		want.CreationDate = out.ReplicaKeyMetadata.CreationDate
		want.KeyState, want.Enabled = types.KeyStateCreating, false
		want.MultiRegionConfiguration = &types.MultiRegionConfiguration{
			MultiRegionKeyType: types.MultiRegionKeyTypeReplica,
			PrimaryKey:         &primary,
			ReplicaKeys:        []types.MultiRegionKey{key("eu-west-1")},
		}
		if !reflect.DeepEqual(out.ReplicaKeyMetadata, &want) {
			t.Errorf("replica %+v\nwant    %+v", out.ReplicaKeyMetadata, &want)
		}
		if !strings.Contains(*out.ReplicaPolicy, `"arn:aws:iam::111122223333:root"`) || len(out.ReplicaTags) != 1 {
			t.Errorf("policy %s, tags %+v", *out.ReplicaPolicy, out.ReplicaTags)
		}
		eu := f.there("eu-west-1")
		want.KeyState, want.Enabled = types.KeyStateEnabled, true // at once
		if got := eu.describe(id); !reflect.DeepEqual(got, &want) {
			t.Errorf("replica %+v\nwant    %+v", got, &want)
		}

		// The primary key and each replica list all of them, sorted.
		if _, err := replicate(f, id, "ap-southeast-2"); err != nil {
			t.Fatal(err)
		}
		ap := f.there("ap-southeast-2")
		for _, g := range []fake{f, eu, ap} {
			c := g.describe(id).MultiRegionConfiguration
			role := types.MultiRegionKeyTypeReplica
			if g == f {
				role = types.MultiRegionKeyTypePrimary
			}
			if c.MultiRegionKeyType != role || !reflect.DeepEqual(c.PrimaryKey, &primary) ||
				!reflect.DeepEqual(c.ReplicaKeys, []types.MultiRegionKey{key("ap-southeast-2"), key("eu-west-1")}) {
				t.Errorf("configuration %+v", c)
			}
		}

		// The primary key verifies a signature by the replica.
		if !bytes.Equal(f.publicKey(id).PublicKey, eu.publicKey(id).PublicKey) || *eu.publicKey(id).KeyId != arn("eu-west-1") {
			t.Error("the replica has another public key, or a wrong ARN")
		}
		sig := eu.mustSign(signInput(id, []byte("m"), es256))
		if _, err := f.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: []byte("m"), Signature: sig, SigningAlgorithm: es256}); err != nil {
			t.Error(err)
		}

		// State, aliases and tags are independent.
		f.disable(id)
		f.alias("alias/a", id)
		if md := eu.describe(id); !md.Enabled {
			t.Error("the replica is disabled too")
		}
		eu.mustSign(signInput(id, []byte("m"), es256))
		_, err = eu.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/a")})
		check(t, err, "DescribeKey", "NotFoundException", "Alias arn:aws:kms:eu-west-1:111122223333:alias/a is not found.")
		for g, n := range map[fake]int{f: 0, eu: 1, ap: 0} {
			tags, err := g.ListResourceTags(t.Context(), &kms.ListResourceTagsInput{KeyId: &id})
			if err != nil || len(tags.Tags) != n {
				t.Errorf("%+v, %v", tags, err)
			}
		}

		// A primary key is deleted after its replicas.
		deleted, err := f.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(8)})
		if err != nil || deleted.KeyState != types.KeyStatePendingReplicaDeletion || deleted.DeletionDate != nil || *deleted.PendingWindowInDays != 8 {
			t.Errorf("ScheduleKeyDeletion = %+v, %v", deleted, err)
		}
		if md := f.describe(id); md.KeyState != types.KeyStatePendingReplicaDeletion || md.DeletionDate != nil || *md.PendingDeletionWindowInDays != 8 || md.Enabled {
			t.Errorf("%+v", md)
		}
		pending := arn("us-east-1") + " is pending replica deletion."
		_, err = f.Sign(t.Context(), signInput(id, []byte("m"), es256))
		check(t, err, "Sign", "KMSInvalidStateException", pending)
		_, err = f.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: &id})
		check(t, err, "GetPublicKey", "KMSInvalidStateException", pending)
		_, err = f.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &id})
		check(t, err, "EnableKey", "KMSInvalidStateException", pending)
		eu.mustSign(signInput(id, []byte("m"), es256))
		eu.scheduleDeletion(id)
		if md := eu.describe(id); md.KeyState != types.KeyStatePendingDeletion || md.DeletionDate == nil || md.PendingDeletionWindowInDays != nil {
			t.Errorf("%+v", md)
		}
		if _, err := f.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: &id}); err != nil || f.describe(id).KeyState != types.KeyStateDisabled {
			t.Errorf("CancelKeyDeletion: %v", err)
		}
	})
}

// TestReplicaMaterial checks that keys of all types can be replicated.
func TestReplicaMaterial(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		eu := f.there("eu-west-1")
		for _, spec := range []types.KeySpec{rsa2048, secp, ed, mldsa44} {
			id := f.multiRegion(spec, signVerify)
			if _, err := replicate(f, id, "eu-west-1"); err != nil {
				t.Fatal(err)
			}
			alg := specs[spec].signing[len(specs[spec].signing)-1]
			sig := f.mustSign(signInput(id, []byte("m"), alg))
			if _, err := eu.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: []byte("m"), Signature: sig, SigningAlgorithm: alg}); err != nil {
				t.Errorf("%s: %v", spec, err)
			}
		}
		id := f.multiRegion(types.KeySpecHmac256, generateVerifyMac)
		if _, err := replicate(f, id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		in := &kms.GenerateMacInput{KeyId: &id, Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256}
		one, err := f.GenerateMac(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		two, err := eu.GenerateMac(t.Context(), in)
		if err != nil || !bytes.Equal(one.Mac, two.Mac) {
			t.Errorf("MACs differ: %v", err)
		}
	})
}

func TestReplicateRefusals(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		single, id, off, doomed := f.kms.AddKey(p256), f.multiRegion(p256, signVerify), f.multiRegion(p256, signVerify), f.multiRegion(p256, signVerify)
		f.disable(off)
		f.scheduleDeletion(doomed)
		if _, err := replicate(f, id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		arn := func(id string) string { return f.kms.arn("key/" + id) }
		for _, tt := range []struct {
			reason, id, region, code, message string
		}{
			{"a key of one Region", single, "eu-west-1", "UnsupportedOperationException", arn(single) + " is not a multi-region primary key."},
			{"no such key", "mrk-0123456789abcdef0123456789abcdef", "eu-west-1", "NotFoundException", "Key '" + arn("mrk-0123456789abcdef0123456789abcdef") + "' does not exist"},
			{"a disabled key", off, "eu-west-1", "DisabledException", arn(off) + " is disabled."},
			{"a key pending deletion", doomed, "eu-west-1", "KMSInvalidStateException", arn(doomed) + " is pending deletion."},
			{"once more", id, "eu-west-1", "AlreadyExistsException", f.kms.Region("eu-west-1").arn("key/"+id) + " already exists"},
			{"the primary's own Region", id, "us-east-1", "AlreadyExistsException", arn(id) + " already exists"},
			{"an unknown Region", id, "xx-nowhere-1", "UnsupportedOperationException", "KMS is not available in Region xx-nowhere-1"},
			{"another partition", id, "cn-north-1", "UnsupportedOperationException", "Region cn-north-1 is in partition aws-cn, not in aws"},
			{"no Region at all", id, "Ireland", "ValidationException", `1 validation error detected: Value 'Ireland' at 'replicaRegion' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\d+$`},
		} {
			t.Run(tt.reason, func(t *testing.T) {
				_, err := replicate(f, tt.id, tt.region)
				check(t, err, "ReplicateKey", tt.code, tt.message)
			})
		}
		_, err := replicate(f.there("eu-west-1"), id, "eu-west-2")
		check(t, err, "ReplicateKey", "UnsupportedOperationException", f.kms.Region("eu-west-1").arn("key/"+id)+" is not a multi-region primary key.")
		_, err = f.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: &id, ReplicaRegion: aws.String("eu-west-2"), Policy: aws.String("{")})
		check(t, err, "ReplicateKey", "MalformedPolicyDocumentException", "The new key policy is not valid.")
		if n := len(f.kms.Region("eu-west-2").keys); n != 0 {
			t.Errorf("refusals left %d keys behind", n)
		}
	})
}

// TestUpdatePrimaryRegion moves the primary key to the Region of a replica.
func TestUpdatePrimaryRegion(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.multiRegion(p256, signVerify)
		for _, region := range []string{"eu-west-1", "ap-southeast-2"} {
			if _, err := replicate(f, id, region); err != nil {
				t.Fatal(err)
			}
		}
		move := func(f fake, id, region string) error {
			_, err := f.UpdatePrimaryRegion(t.Context(), &kms.UpdatePrimaryRegionInput{KeyId: &id, PrimaryRegion: &region})
			return err
		}
		eu := f.there("eu-west-1")
		const code = "UnsupportedOperationException"
		check(t, move(eu, id, "ap-southeast-2"), "UpdatePrimaryRegion", code, eu.kms.arn("key/"+id)+" is not a multi-region primary key.")
		single := f.kms.AddKey(p256)
		check(t, move(f, single, "eu-west-1"), "UpdatePrimaryRegion", code, f.kms.arn("key/"+single)+" is not a multi-region primary key.")
		check(t, move(f, id, "us-east-1"), "UpdatePrimaryRegion", code, f.kms.arn("key/"+id)+" is the primary key already.")
		check(t, move(f, id, "mars-north-1"), "UpdatePrimaryRegion", code, "KMS is not available in Region mars-north-1")
		check(t, move(f, id, "eu-central-1"), "UpdatePrimaryRegion", "NotFoundException", "Key 'arn:aws:kms:eu-central-1:111122223333:key/"+id+"' does not exist")
		check(t, move(f, id, "Europe"), "UpdatePrimaryRegion", "ValidationException", `1 validation error detected: Value 'Europe' at 'primaryRegion' failed to satisfy constraint: Member must satisfy regular expression pattern: ^([a-z]+-){2,3}\d+$`)
		f.there("ap-southeast-2").disable(id)
		check(t, move(f, id, "ap-southeast-2"), "UpdatePrimaryRegion", "DisabledException", "arn:aws:kms:ap-southeast-2:111122223333:key/"+id+" is disabled.")

		if err := move(f, id, "eu-west-1"); err != nil {
			t.Fatal(err)
		}
		for g, role := range map[*fake]types.MultiRegionKeyType{&f: "REPLICA", &eu: "PRIMARY"} {
			c := g.describe(id).MultiRegionConfiguration
			var replicas []string
			for _, r := range c.ReplicaKeys {
				replicas = append(replicas, *r.Region)
			}
			if c.MultiRegionKeyType != role || *c.PrimaryKey.Region != "eu-west-1" || strings.Join(replicas, " ") != "ap-southeast-2 us-east-1" {
				t.Errorf("%s, primary %s, replicas %v", c.MultiRegionKeyType, *c.PrimaryKey.Region, replicas)
			}
		}
		_, err := replicate(f, id, "eu-central-1")
		check(t, err, "ReplicateKey", code, f.kms.arn("key/"+id)+" is not a multi-region primary key.")
		if _, err := replicate(eu, id, "eu-central-1"); err != nil {
			t.Error(err)
		}
		f.mustSign(signInput(id, []byte("m"), es256)) // either key still signs
		eu.mustSign(signInput(id, []byte("m"), es256))
	})
}

// TestReplicaDetails checks that a replica has a policy, a description and
// grants of its own.
func TestReplicaDetails(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		id := f.multiRegion(p256, signVerify)
		const policy = `{"Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}}`
		if _, err := f.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: aws.String(policy)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String(grantee), Operations: []types.GrantOperation{"Sign"}}); err != nil {
			t.Fatal(err)
		}
		out, err := replicate(f, id, "eu-west-1")
		if err != nil {
			t.Fatal(err)
		}
		eu := f.there("eu-west-1")
		got, err := eu.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id})
		if err != nil || *got.Policy != *out.ReplicaPolicy || !strings.Contains(*got.Policy, "key-default-1") {
			t.Errorf("%+v, %v", got, err)
		}
		grants, err := eu.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &id})
		if err != nil || len(grants.Grants) != 0 {
			t.Errorf("%+v, %v", grants, err)
		}
		if _, err := eu.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: aws.String("there")}); err != nil {
			t.Error(err)
		}
		if here, there := f.describe(id), eu.describe(id); *here.Description != "here" || *there.Description != "there" {
			t.Errorf("%q and %q", *here.Description, *there.Description)
		}
		long := strings.Repeat("日", 8192)
		if _, err := f.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: &long}); err != nil {
			t.Error(err)
		}
		if *f.describe(id).Description != long {
			t.Error("not the description that was set")
		}
		f.scheduleDeletion(id)
		_, err = f.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: aws.String("")})
		check(t, err, "UpdateKeyDescription", "KMSInvalidStateException", f.kms.arn("key/"+id)+" is pending replica deletion.")
	})
}
