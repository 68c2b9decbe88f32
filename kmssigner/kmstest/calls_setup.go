package kmstest

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// The methods in this file are those of *kms.Client that programs which set up
// keys call, without a network.

// GetKeyPolicy implements [kms.Client.GetKeyPolicy].
func (k *KMS) GetKeyPolicy(ctx context.Context, in *kms.GetKeyPolicyInput, optFns ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error) {
	return k.sdk().GetKeyPolicy(ctx, in, optFns...)
}

// PutKeyPolicy implements [kms.Client.PutKeyPolicy], except that the policy has
// no effect. Of its meaning it checks only the form of principals and that
// someone in the account can call PutKeyPolicy.
func (k *KMS) PutKeyPolicy(ctx context.Context, in *kms.PutKeyPolicyInput, optFns ...func(*kms.Options)) (*kms.PutKeyPolicyOutput, error) {
	return k.sdk().PutKeyPolicy(ctx, in, optFns...)
}

// ListKeyPolicies implements [kms.Client.ListKeyPolicies].
func (k *KMS) ListKeyPolicies(ctx context.Context, in *kms.ListKeyPoliciesInput, optFns ...func(*kms.Options)) (*kms.ListKeyPoliciesOutput, error) {
	return k.sdk().ListKeyPolicies(ctx, in, optFns...)
}

// GetKeyRotationStatus implements [kms.Client.GetKeyRotationStatus]. It answers
// false for keys that sign or make MACs.
func (k *KMS) GetKeyRotationStatus(ctx context.Context, in *kms.GetKeyRotationStatusInput, optFns ...func(*kms.Options)) (*kms.GetKeyRotationStatusOutput, error) {
	return k.sdk().GetKeyRotationStatus(ctx, in, optFns...)
}

// EnableKeyRotation implements [kms.Client.EnableKeyRotation], except that the
// key is never rotated.
func (k *KMS) EnableKeyRotation(ctx context.Context, in *kms.EnableKeyRotationInput, optFns ...func(*kms.Options)) (*kms.EnableKeyRotationOutput, error) {
	return k.sdk().EnableKeyRotation(ctx, in, optFns...)
}

// DisableKeyRotation implements [kms.Client.DisableKeyRotation].
func (k *KMS) DisableKeyRotation(ctx context.Context, in *kms.DisableKeyRotationInput, optFns ...func(*kms.Options)) (*kms.DisableKeyRotationOutput, error) {
	return k.sdk().DisableKeyRotation(ctx, in, optFns...)
}

// UpdateKeyDescription implements [kms.Client.UpdateKeyDescription].
func (k *KMS) UpdateKeyDescription(ctx context.Context, in *kms.UpdateKeyDescriptionInput, optFns ...func(*kms.Options)) (*kms.UpdateKeyDescriptionOutput, error) {
	return k.sdk().UpdateKeyDescription(ctx, in, optFns...)
}

// UpdatePrimaryRegion implements [kms.Client.UpdatePrimaryRegion], except that
// the change is complete when the call returns.
func (k *KMS) UpdatePrimaryRegion(ctx context.Context, in *kms.UpdatePrimaryRegionInput, optFns ...func(*kms.Options)) (*kms.UpdatePrimaryRegionOutput, error) {
	return k.sdk().UpdatePrimaryRegion(ctx, in, optFns...)
}

// CreateGrant implements [kms.Client.CreateGrant], except that the grant has no
// effect.
func (k *KMS) CreateGrant(ctx context.Context, in *kms.CreateGrantInput, optFns ...func(*kms.Options)) (*kms.CreateGrantOutput, error) {
	return k.sdk().CreateGrant(ctx, in, optFns...)
}

// ListGrants implements [kms.Client.ListGrants].
func (k *KMS) ListGrants(ctx context.Context, in *kms.ListGrantsInput, optFns ...func(*kms.Options)) (*kms.ListGrantsOutput, error) {
	return k.sdk().ListGrants(ctx, in, optFns...)
}

// ListRetirableGrants implements [kms.Client.ListRetirableGrants].
func (k *KMS) ListRetirableGrants(ctx context.Context, in *kms.ListRetirableGrantsInput, optFns ...func(*kms.Options)) (*kms.ListRetirableGrantsOutput, error) {
	return k.sdk().ListRetirableGrants(ctx, in, optFns...)
}

// RevokeGrant implements [kms.Client.RevokeGrant].
func (k *KMS) RevokeGrant(ctx context.Context, in *kms.RevokeGrantInput, optFns ...func(*kms.Options)) (*kms.RevokeGrantOutput, error) {
	return k.sdk().RevokeGrant(ctx, in, optFns...)
}

// RetireGrant implements [kms.Client.RetireGrant].
func (k *KMS) RetireGrant(ctx context.Context, in *kms.RetireGrantInput, optFns ...func(*kms.Options)) (*kms.RetireGrantOutput, error) {
	return k.sdk().RetireGrant(ctx, in, optFns...)
}

// GenerateRandom implements [kms.Client.GenerateRandom].
func (k *KMS) GenerateRandom(ctx context.Context, in *kms.GenerateRandomInput, optFns ...func(*kms.Options)) (*kms.GenerateRandomOutput, error) {
	return k.sdk().GenerateRandom(ctx, in, optFns...)
}

// GetParametersForImport implements [kms.Client.GetParametersForImport] for the
// wrapping algorithms RSAES_OAEP_SHA_256 and RSAES_OAEP_SHA_1.
func (k *KMS) GetParametersForImport(ctx context.Context, in *kms.GetParametersForImportInput, optFns ...func(*kms.Options)) (*kms.GetParametersForImportOutput, error) {
	return k.sdk().GetParametersForImport(ctx, in, optFns...)
}

// ImportKeyMaterial implements [kms.Client.ImportKeyMaterial] for ECC, HMAC and
// symmetric encryption keys, except that the material never expires.
func (k *KMS) ImportKeyMaterial(ctx context.Context, in *kms.ImportKeyMaterialInput, optFns ...func(*kms.Options)) (*kms.ImportKeyMaterialOutput, error) {
	return k.sdk().ImportKeyMaterial(ctx, in, optFns...)
}

// DeleteImportedKeyMaterial implements [kms.Client.DeleteImportedKeyMaterial].
func (k *KMS) DeleteImportedKeyMaterial(ctx context.Context, in *kms.DeleteImportedKeyMaterialInput, optFns ...func(*kms.Options)) (*kms.DeleteImportedKeyMaterialOutput, error) {
	return k.sdk().DeleteImportedKeyMaterial(ctx, in, optFns...)
}
