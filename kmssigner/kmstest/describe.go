package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func (k *KMS) describeKey(in *kms.DescribeKeyInput) (*kms.DescribeKeyOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.find("DescribeKey", *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &kms.DescribeKeyOutput{KeyMetadata: k.metadata(key)}, nil
}

func (k *KMS) getPublicKey(in *kms.GetPublicKeyInput) (*kms.GetPublicKeyOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.find("GetPublicKey", *in.KeyId)
	if err != nil {
		return nil, err
	}
	switch {
	case key.state == types.KeyStateEnabled:
	case key.state == types.KeyStateDisabled && !k.opts.DisabledHidesPublicKey:
	default:
		return nil, badState(key.arn, key.state)
	}
	spki := key.material.publicKey()
	if spki == nil { // HMAC and symmetric encryption keys
		return nil, noPublicKey
	}
	return &kms.GetPublicKeyOutput{
		//lint:ignore SA1019 KMS answers with the deprecated member.
		CustomerMasterKeySpec:   types.CustomerMasterKeySpec(key.keySpec),
		EncapsulationAlgorithms: key.encapsulation(),
		EncryptionAlgorithms:    key.encryption(),
		KeyAgreementAlgorithms:  key.agreement(),
		KeyId:                   aws.String(key.arn),
		KeySpec:                 key.keySpec,
		KeyUsage:                key.usage,
		PublicKey:               spki,
		SigningAlgorithms:       key.signing(),
	}, nil
}

// metadata returns the description of a key. The caller must hold k.mu, unless
// the key is new.
func (k *KMS) metadata(key *key) *types.KeyMetadata {
	md := &types.KeyMetadata{
		AWSAccountId: aws.String(k.opts.AccountID),
		Arn:          aws.String(key.arn),
		CreationDate: aws.Time(key.created),

		CurrentKeyMaterialId: key.materialID(),
		//lint:ignore SA1019 KMS answers with the deprecated member.
		CustomerMasterKeySpec:   types.CustomerMasterKeySpec(key.keySpec),
		Description:             aws.String(key.Description),
		Enabled:                 key.state == types.KeyStateEnabled,
		EncapsulationAlgorithms: key.encapsulation(),
		EncryptionAlgorithms:    key.encryption(),
		KeyAgreementAlgorithms:  key.agreement(),
		KeyId:                   aws.String(key.id),
		KeyManager:              types.KeyManagerTypeCustomer,
		KeySpec:                 key.keySpec,
		KeyState:                key.state,
		KeyUsage:                key.usage,
		MacAlgorithms:           key.macs(),
		MultiRegion:             aws.Bool(key.multi != nil),
		Origin:                  key.origin,
		SigningAlgorithms:       key.signing(),
	}
	if key.Import.Present {
		md.ExpirationModel = types.ExpirationModelTypeKeyMaterialDoesNotExpire
		if !key.Import.Expires.IsZero() {
			md.ExpirationModel, md.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, aws.Time(key.Import.Expires)
		}
	}
	if key.multi != nil {
		md.MultiRegionConfiguration = k.configuration(key)
	}
	switch key.state {
	case types.KeyStatePendingDeletion:
		md.DeletionDate = aws.Time(key.deletion)
	case types.KeyStatePendingReplicaDeletion:
		md.PendingDeletionWindowInDays = aws.Int32(key.window)
	}
	return md
}

// The methods below return the algorithms that answers list for a key, which
// are those of its usage.

func (key *key) signing() []types.SigningAlgorithmSpec {
	return ifUsage(key, signVerify, key.spec.signing)
}

func (key *key) macs() []types.MacAlgorithmSpec {
	return ifUsage(key, generateVerifyMac, key.spec.mac)
}

func (key *key) encryption() []types.EncryptionAlgorithmSpec {
	return ifUsage(key, encryptDecrypt, key.spec.encryption)
}

func (key *key) agreement() []types.KeyAgreementAlgorithmSpec {
	return ifUsage(key, keyAgreement, key.spec.agreement)
}

func (key *key) encapsulation() []types.EncapsulationAlgorithmSpec {
	return ifUsage(key, encapsulate, key.spec.encapsulation)
}

func ifUsage[A any](key *key, usage types.KeyUsageType, algs []A) []A {
	if key.usage != usage {
		return nil
	}
	return algs
}
