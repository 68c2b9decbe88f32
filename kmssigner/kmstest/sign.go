package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Maximum sizes in bytes in the service model. The minimum is 1. The
// documentation of the SDK permits an empty message, but recordings of KMS show
// that it is refused.
const (
	maxMessage   = 4096
	maxSignature = 6144
)

func (k *KMS) sign(in *kms.SignInput) (*kms.SignOutput, error) {
	var v violations
	checkSigning(&v, in.KeyId, in.Message, in.MessageType, in.SigningAlgorithm, in.GrantTokens)
	if err := v.err(); err != nil {
		return nil, err
	}
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
	var v violations
	checkSigning(&v, in.KeyId, in.Message, in.MessageType, in.SigningAlgorithm, in.GrantTokens)
	v.blob("signature", in.Signature, 1, maxSignature)
	if err := v.err(); err != nil {
		return nil, err
	}
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

// checkSigning checks the form of the members that Sign and Verify share.
func checkSigning(v *violations, id *string, msg []byte, t types.MessageType, alg types.SigningAlgorithmSpec, grants []string) {
	v.grantTokens(grants)
	v.keyID("keyId", id)
	v.message(msg)
	oneOf(v, "messageType", t)
	switch alg {
	case "":
		v.add("null", "signingAlgorithm", "Member must not be null")
	case "SYMMETRIC_DEFAULT":
		// KMS accepts the form of this value, although it is not in the enum.
	default:
		oneOf(v, "signingAlgorithm", alg)
	}
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
