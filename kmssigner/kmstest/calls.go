package kmstest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// The methods in this file are those of *kms.Client, without a network.

// GetPublicKey implements [kms.Client.GetPublicKey].
func (k *KMS) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return k.sdk().GetPublicKey(ctx, in, optFns...)
}

// Sign implements [kms.Client.Sign].
func (k *KMS) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	return k.sdk().Sign(ctx, in, optFns...)
}

// Verify implements [kms.Client.Verify]. If the signature is not valid, it
// returns a [types.KMSInvalidSignatureException], and never an output whose
// SignatureValid is false.
func (k *KMS) Verify(ctx context.Context, in *kms.VerifyInput, optFns ...func(*kms.Options)) (*kms.VerifyOutput, error) {
	return k.sdk().Verify(ctx, in, optFns...)
}

// GenerateMac implements [kms.Client.GenerateMac].
func (k *KMS) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	return k.sdk().GenerateMac(ctx, in, optFns...)
}

// VerifyMac implements [kms.Client.VerifyMac]. If the MAC is not valid, it
// returns a [types.KMSInvalidMacException], and never an output whose MacValid
// is false.
func (k *KMS) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	return k.sdk().VerifyMac(ctx, in, optFns...)
}

// DescribeKey implements [kms.Client.DescribeKey].
func (k *KMS) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	return k.sdk().DescribeKey(ctx, in, optFns...)
}

// CreateKey implements [kms.Client.CreateKey]. It checks the key policy as
// [KMS.PutKeyPolicy] does.
func (k *KMS) CreateKey(ctx context.Context, in *kms.CreateKeyInput, optFns ...func(*kms.Options)) (*kms.CreateKeyOutput, error) {
	return k.sdk().CreateKey(ctx, in, optFns...)
}

// ReplicateKey implements [kms.Client.ReplicateKey]. [KMS.Region] returns the
// fake that has the replica. The state in the output is Creating, as in KMS,
// but the replica can be used at once.
func (k *KMS) ReplicateKey(ctx context.Context, in *kms.ReplicateKeyInput, optFns ...func(*kms.Options)) (*kms.ReplicateKeyOutput, error) {
	return k.sdk().ReplicateKey(ctx, in, optFns...)
}

// CreateAlias implements [kms.Client.CreateAlias].
func (k *KMS) CreateAlias(ctx context.Context, in *kms.CreateAliasInput, optFns ...func(*kms.Options)) (*kms.CreateAliasOutput, error) {
	return k.sdk().CreateAlias(ctx, in, optFns...)
}

// UpdateAlias implements [kms.Client.UpdateAlias].
func (k *KMS) UpdateAlias(ctx context.Context, in *kms.UpdateAliasInput, optFns ...func(*kms.Options)) (*kms.UpdateAliasOutput, error) {
	return k.sdk().UpdateAlias(ctx, in, optFns...)
}

// DeleteAlias implements [kms.Client.DeleteAlias].
func (k *KMS) DeleteAlias(ctx context.Context, in *kms.DeleteAliasInput, optFns ...func(*kms.Options)) (*kms.DeleteAliasOutput, error) {
	return k.sdk().DeleteAlias(ctx, in, optFns...)
}

// EnableKey implements [kms.Client.EnableKey].
func (k *KMS) EnableKey(ctx context.Context, in *kms.EnableKeyInput, optFns ...func(*kms.Options)) (*kms.EnableKeyOutput, error) {
	return k.sdk().EnableKey(ctx, in, optFns...)
}

// DisableKey implements [kms.Client.DisableKey].
func (k *KMS) DisableKey(ctx context.Context, in *kms.DisableKeyInput, optFns ...func(*kms.Options)) (*kms.DisableKeyOutput, error) {
	return k.sdk().DisableKey(ctx, in, optFns...)
}

// ScheduleKeyDeletion implements [kms.Client.ScheduleKeyDeletion], except that
// the waiting period never ends. A primary key that has replicas goes to the
// state PendingReplicaDeletion.
func (k *KMS) ScheduleKeyDeletion(ctx context.Context, in *kms.ScheduleKeyDeletionInput, optFns ...func(*kms.Options)) (*kms.ScheduleKeyDeletionOutput, error) {
	return k.sdk().ScheduleKeyDeletion(ctx, in, optFns...)
}

// CancelKeyDeletion implements [kms.Client.CancelKeyDeletion]. It leaves the
// key disabled.
func (k *KMS) CancelKeyDeletion(ctx context.Context, in *kms.CancelKeyDeletionInput, optFns ...func(*kms.Options)) (*kms.CancelKeyDeletionOutput, error) {
	return k.sdk().CancelKeyDeletion(ctx, in, optFns...)
}

// ListKeys implements [kms.Client.ListKeys].
func (k *KMS) ListKeys(ctx context.Context, in *kms.ListKeysInput, optFns ...func(*kms.Options)) (*kms.ListKeysOutput, error) {
	return k.sdk().ListKeys(ctx, in, optFns...)
}

// ListAliases implements [kms.Client.ListAliases]. The list does not have the
// aliases of AWS managed keys.
func (k *KMS) ListAliases(ctx context.Context, in *kms.ListAliasesInput, optFns ...func(*kms.Options)) (*kms.ListAliasesOutput, error) {
	return k.sdk().ListAliases(ctx, in, optFns...)
}

// TagResource implements [kms.Client.TagResource].
func (k *KMS) TagResource(ctx context.Context, in *kms.TagResourceInput, optFns ...func(*kms.Options)) (*kms.TagResourceOutput, error) {
	return k.sdk().TagResource(ctx, in, optFns...)
}

// UntagResource implements [kms.Client.UntagResource].
func (k *KMS) UntagResource(ctx context.Context, in *kms.UntagResourceInput, optFns ...func(*kms.Options)) (*kms.UntagResourceOutput, error) {
	return k.sdk().UntagResource(ctx, in, optFns...)
}

// ListResourceTags implements [kms.Client.ListResourceTags].
func (k *KMS) ListResourceTags(ctx context.Context, in *kms.ListResourceTagsInput, optFns ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error) {
	return k.sdk().ListResourceTags(ctx, in, optFns...)
}
