package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func (k *KMS) sign(in *kms.SignInput) (*kms.SignOutput, error) {
	key, err := k.forUse("Sign", *in.KeyId, signVerify)
	if err != nil {
		return nil, err
	}
	msg := newInput(in.SigningAlgorithm, in.MessageType, in.Message)
	secret, err := key.signer(msg)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(in.DryRun) {
		return nil, dryRun
	}
	sig, err := secret.sign(msg)
	if err != nil {
		return nil, err
	}
	return &kms.SignOutput{
		KeyId:            aws.String(key.arn),
		Signature:        sig,
		SigningAlgorithm: in.SigningAlgorithm,
	}, nil
}

func (k *KMS) verify(in *kms.VerifyInput) (*kms.VerifyOutput, error) {
	key, err := k.forUse("Verify", *in.KeyId, signVerify)
	if err != nil {
		return nil, err
	}
	msg := newInput(in.SigningAlgorithm, in.MessageType, in.Message)
	secret, err := key.signer(msg)
	if err != nil {
		return nil, err
	}
	// KMS reports an invalid signature even in a dry run.
	if !secret.verify(msg, in.Signature) {
		return nil, invalidSignature
	}
	if aws.ToBool(in.DryRun) {
		return nil, dryRun
	}
	return &kms.VerifyOutput{
		KeyId:            aws.String(key.arn),
		SignatureValid:   true,
		SigningAlgorithm: in.SigningAlgorithm,
	}, nil
}

// signer checks in against the key and returns the material of the key.
func (key *key) signer(in input) (signer, error) {
	if err := key.checkInput(in); err != nil {
		return nil, err
	}
	s, ok := key.material.(signer)
	if !ok {
		return nil, refuse("UnsupportedOperationException", "kmstest: algorithm %s is not supported", in.alg)
	}
	return s, nil
}
