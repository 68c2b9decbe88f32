package kmstest

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func (k *KMS) generateMac(in *kms.GenerateMacInput) (*kms.GenerateMacOutput, error) {
	key, secret, err := k.macKey("GenerateMac", *in.KeyId, in.MacAlgorithm)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(in.DryRun) {
		return nil, dryRun
	}
	mac, err := secret.sign(newInput("", "", in.Message))
	if err != nil {
		return nil, err
	}
	return &kms.GenerateMacOutput{
		KeyId:        aws.String(key.arn),
		Mac:          mac,
		MacAlgorithm: in.MacAlgorithm,
	}, nil
}

func (k *KMS) verifyMac(in *kms.VerifyMacInput) (*kms.VerifyMacOutput, error) {
	key, secret, err := k.macKey("VerifyMac", *in.KeyId, in.MacAlgorithm)
	if err != nil {
		return nil, err
	}
	// KMS reports an invalid MAC even in a dry run.
	if !secret.verify(newInput("", "", in.Message), in.Mac) {
		return nil, invalidMac
	}
	if aws.ToBool(in.DryRun) {
		return nil, dryRun
	}
	return &kms.VerifyMacOutput{
		KeyId:        aws.String(key.arn),
		MacAlgorithm: in.MacAlgorithm,
		MacValid:     true,
	}, nil
}

// macKey returns the key for a MAC and its material, after checking the
// algorithm against the key.
func (k *KMS) macKey(operation, id string, alg types.MacAlgorithmSpec) (key, signer, error) {
	found, err := k.forUse(operation, id, generateVerifyMac)
	if err != nil {
		return key{}, nil, err
	}
	if !slices.Contains(found.spec.mac, alg) {
		return key{}, nil, incompatible(string(alg), found.keySpec)
	}
	return found, found.material.(signer), nil
}
