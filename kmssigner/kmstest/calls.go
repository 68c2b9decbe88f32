package kmstest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// The methods below are those of *kms.Client, over inMemory instead of a network.

// GetPublicKey does what the method of *kms.Client does.
func (k *KMS) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return k.client.GetPublicKey(ctx, in, optFns...)
}

// Sign does what the method of *kms.Client does.
func (k *KMS) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	return k.client.Sign(ctx, in, optFns...)
}

// Verify does what the method of *kms.Client does: a signature that does not
// verify is a KMSInvalidSignatureException, never an answer of false.
func (k *KMS) Verify(ctx context.Context, in *kms.VerifyInput, optFns ...func(*kms.Options)) (*kms.VerifyOutput, error) {
	return k.client.Verify(ctx, in, optFns...)
}

// GenerateMac does what the method of *kms.Client does.
func (k *KMS) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	return k.client.GenerateMac(ctx, in, optFns...)
}

// VerifyMac does what the method of *kms.Client does: a MAC that does not verify
// is a KMSInvalidMacException, never an answer of false.
func (k *KMS) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	return k.client.VerifyMac(ctx, in, optFns...)
}

// DescribeKey does what the method of *kms.Client does.
func (k *KMS) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	return k.client.DescribeKey(ctx, in, optFns...)
}

// CreateKey does what the method of *kms.Client does. The key policy is checked
// to be JSON, then ignored.
func (k *KMS) CreateKey(ctx context.Context, in *kms.CreateKeyInput, optFns ...func(*kms.Options)) (*kms.CreateKeyOutput, error) {
	return k.client.CreateKey(ctx, in, optFns...)
}

// ReplicateKey does what the method of *kms.Client does: the replica is in
// [KMS.Region] of the Region asked for. The state in the answer is Creating, as
// in KMS, but the replica can be used at once. The policy and tags are as for
// CreateKey.
func (k *KMS) ReplicateKey(ctx context.Context, in *kms.ReplicateKeyInput, optFns ...func(*kms.Options)) (*kms.ReplicateKeyOutput, error) {
	return k.client.ReplicateKey(ctx, in, optFns...)
}

// CreateAlias does what the method of *kms.Client does.
func (k *KMS) CreateAlias(ctx context.Context, in *kms.CreateAliasInput, optFns ...func(*kms.Options)) (*kms.CreateAliasOutput, error) {
	return k.client.CreateAlias(ctx, in, optFns...)
}

// UpdateAlias does what the method of *kms.Client does.
func (k *KMS) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, optFns ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	return k.client.UpdateAlias(ctx, in, optFns...)
}

// DeleteAlias does what the method of *kms.Client does.
func (k *KMS) DeleteAlias(ctx context.Context, in *kms.DeleteAliasInput, optFns ...func(*kms.Options)) (*kms.DeleteAliasOutput, error) {
	return k.client.DeleteAlias(ctx, in, optFns...)
}

// EnableKey does what the method of *kms.Client does.
func (k *KMS) EnableKey(ctx context.Context, in *kms.EnableKeyInput, optFns ...func(*kms.Options)) (*kms.EnableKeyOutput, error) {
	return k.client.EnableKey(ctx, in, optFns...)
}

// DisableKey does what the method of *kms.Client does.
func (k *KMS) DisableKey(ctx context.Context, in *kms.DisableKeyInput, optFns ...func(*kms.Options)) (*kms.DisableKeyOutput, error) {
	return k.client.DisableKey(ctx, in, optFns...)
}

// ScheduleKeyDeletion does what the method of *kms.Client does, except that the
// waiting period never ends. A primary key that has replicas waits for their end,
// in the state PendingReplicaDeletion.
func (k *KMS) ScheduleKeyDeletion(ctx context.Context, in *kms.ScheduleKeyDeletionInput, optFns ...func(*kms.Options)) (*kms.ScheduleKeyDeletionOutput, error) {
	return k.client.ScheduleKeyDeletion(ctx, in, optFns...)
}

// CancelKeyDeletion does what the method of *kms.Client does: it leaves the key
// disabled.
func (k *KMS) CancelKeyDeletion(ctx context.Context, in *kms.CancelKeyDeletionInput, optFns ...func(*kms.Options)) (*kms.CancelKeyDeletionOutput, error) {
	return k.client.CancelKeyDeletion(ctx, in, optFns...)
}

// ListKeys does what the method of *kms.Client does.
func (k *KMS) ListKeys(ctx context.Context, in *kms.ListKeysInput, optFns ...func(*kms.Options)) (*kms.ListKeysOutput, error) {
	return k.client.ListKeys(ctx, in, optFns...)
}

// ListAliases does what the method of *kms.Client does. There are no aliases of
// AWS managed keys in the list.
func (k *KMS) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	return k.client.ListAliases(ctx, in, optFns...)
}

// TagResource does what the method of *kms.Client does.
func (k *KMS) TagResource(ctx context.Context, in *kms.TagResourceInput, optFns ...func(*kms.Options)) (*kms.TagResourceOutput, error) {
	return k.client.TagResource(ctx, in, optFns...)
}

// UntagResource does what the method of *kms.Client does.
func (k *KMS) UntagResource(ctx context.Context, in *kms.UntagResourceInput, optFns ...func(*kms.Options)) (*kms.UntagResourceOutput, error) {
	return k.client.UntagResource(ctx, in, optFns...)
}

// ListResourceTags does what the method of *kms.Client does.
func (k *KMS) ListResourceTags(ctx context.Context, in *kms.ListResourceTagsInput, optFns ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error) {
	return k.client.ListResourceTags(ctx, in, optFns...)
}
