package kmstest

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The model's limits. The prose of the SDK permits an empty message; the
// recorded service refuses it.
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
	secret, err := key.signer(in.SigningAlgorithm, in.MessageType, in.Message)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(in.DryRun) {
		return nil, dryRun
	}
	sig, err := secret.sign(in.SigningAlgorithm, in.MessageType, in.Message)
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
	secret, err := key.signer(in.SigningAlgorithm, in.MessageType, in.Message)
	if err != nil {
		return nil, err
	}
	// A bad signature is reported even when this is a dry run.
	if !secret.verify(in.SigningAlgorithm, in.MessageType, in.Message, in.Signature) {
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

// checkSigning checks the form of what Sign and Verify have in common.
func checkSigning(v *violations, id *string, msg []byte, t types.MessageType, alg types.SigningAlgorithmSpec, grants []string) {
	v.grantTokens(grants)
	v.keyID("keyId", id)
	v.message(msg)
	oneOf(v, "messageType", t)
	switch alg {
	case "":
		v.add("null", "signingAlgorithm", "Member must not be null")
	case "SYMMETRIC_DEFAULT":
		// It is not in the enum, yet KMS goes on to say that it is not the key's.
	default:
		oneOf(v, "signingAlgorithm", alg)
	}
}

// signer returns the secret of a key that signs, after checking the algorithm
// against the key, then the message against both.
func (key *key) signer(alg types.SigningAlgorithmSpec, t types.MessageType, msg []byte) (signer, error) {
	if !slices.Contains(key.spec.signing, alg) {
		return nil, incompatible(string(alg), key.name)
	}
	if t == "" {
		t = types.MessageTypeRaw
	}
	invalid := func(format string, args ...any) (signer, error) {
		return nil, refuse("ValidationException", format, args...)
	}
	isMLDSA := alg == types.SigningAlgorithmSpecMlDsaShake256
	switch {
	case t == types.MessageTypeExternalMu && !isMLDSA, t == types.MessageTypeDigest && isMLDSA:
		return invalid("Message type %s is incompatible with key spec %s.", t, key.name)
	case t == types.MessageTypeDigest && alg == types.SigningAlgorithmSpecEd25519Sha512,
		t == types.MessageTypeRaw && alg == types.SigningAlgorithmSpecEd25519PhSha512:
		return invalid("Message type %s is incompatible with algorithm %s.", t, alg)
	case t == types.MessageTypeExternalMu && len(msg) != 64:
		return invalid("External Mu is invalid length for algorithm %s.", alg)
	case t == types.MessageTypeDigest && hashes[alg] != 0 && len(msg) != hashes[alg].Size():
		return invalid("Digest is invalid length for algorithm %s.", alg)
	}
	s, ok := key.material.(signer)
	if !ok {
		return nil, refuse("UnsupportedOperationException", "kmstest cannot sign or verify with %s.", alg)
	}
	return s, nil
}
