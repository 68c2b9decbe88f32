package kmstest

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func (k *KMS) createKey(in *kms.CreateKeyInput) (*kms.CreateKeyOutput, error) {
	md, err := k.addKey(in)
	if err != nil {
		return nil, err
	}
	return &kms.CreateKeyOutput{KeyMetadata: md}, nil
}

func (k *KMS) addKey(in *kms.CreateKeyInput) (*types.KeyMetadata, error) {
	name, usage, err := k.checkCreateKey(in)
	if err != nil {
		return nil, err
	}
	policy, err := k.newPolicy(in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return nil, err
	}
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	origin, state, secret := types.OriginTypeAwsKms, types.KeyStateEnabled, material(publicOnly(nil))
	if in.Origin == types.OriginTypeExternal {
		origin, state = in.Origin, types.KeyStatePendingImport
	} else if secret, err = specs[name].generate(); err != nil { // slow, so not under k.mu
		return nil, err
	}
	id := newUUID()
	var multi *multiRegion
	if aws.ToBool(in.MultiRegion) {
		id = "mrk-" + strings.ReplaceAll(id, "-", "")
		multi = &multiRegion{primary: k.opts.Region}
	}
	made := &key{
		id:       id,
		arn:      k.arn("key/" + id),
		keySpec:  name,
		spec:     specs[name],
		usage:    usage,
		material: secret,
		created:  now(),
		multi:    multi,
		origin:   origin,
		tags:     tags,
		state:    state,
		details:  details{Description: aws.ToString(in.Description), Policy: policy},
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = made
	return k.metadata(made), nil
}

// now returns the time to the millisecond, which is the precision of KMS.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// checkCreateKey checks an input and returns the spec and the usage of the new
// key.
func (k *KMS) checkCreateKey(in *kms.CreateKeyInput) (types.KeySpec, types.KeyUsageType, error) {
	invalid := func(format string, args ...any) (types.KeySpec, types.KeyUsageType, error) {
		return "", "", refuse("ValidationException", format, args...)
	}
	//lint:ignore SA1019 KMS accepts the deprecated member.
	oldName := in.CustomerMasterKeySpec
	if in.KeySpec != "" && oldName != "" {
		return invalid("You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	}
	name := in.KeySpec
	if name == "" {
		name = types.KeySpec(oldName)
	}
	if name == "" {
		name = types.KeySpecSymmetricDefault
	}
	usage := in.KeyUsage
	if usage == "" {
		// KMS has a default usage only for the default spec.
		if name != types.KeySpecSymmetricDefault {
			return invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
		}
		usage = encryptDecrypt
	}
	if name == types.KeySpecSm2 && k.opts.Partition != "aws-cn" {
		return "", "", refuse("UnsupportedOperationException", "KeySpec SM2 is not supported in this Region")
	}
	if !slices.Contains(specs[name].usages, usage) {
		return invalid("KeyUsage %s is not compatible with KeySpec %s", usage, name)
	}
	if in.CustomKeyStoreId != nil {
		return "", "", refuse("CustomKeyStoreNotFoundException", "kmstest: custom key stores are not supported")
	}
	switch in.Origin {
	case "", types.OriginTypeAwsKms:
	case types.OriginTypeExternal:
		// KMS cannot import ML-DSA and ML-KEM keys.
		if strings.HasPrefix(string(name), "ML_") {
			return "", "", unrecorded("UnsupportedOperationException", "KeySpec %s is not supported with Origin EXTERNAL", name)
		}
	default:
		return "", "", refuse("UnsupportedOperationException", "kmstest: origin %s is not supported", in.Origin)
	}
	return name, usage, nil
}
