package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// usualRotation is the number of days between rotations by default.
const usualRotation = 365

// getKeyRotationStatus answers false for keys that KMS cannot rotate, except
// for keys of origin EXTERNAL, whose recorded answer is an error in every
// state.
func (k *KMS) getKeyRotationStatus(in *kms.GetKeyRotationStatusInput) (*kms.GetKeyRotationStatusOutput, error) {
	var out *kms.GetKeyRotationStatusOutput
	err := k.change("GetKeyRotationStatus", in.KeyId, func(key *key) error {
		if key.origin == types.OriginTypeExternal {
			return wrongOrigin(key)
		}
		out = &kms.GetKeyRotationStatusOutput{KeyId: aws.String(key.arn)}
		if r := k.rotation(key); r.Days > 0 && !key.deletionScheduled() {
			out.KeyRotationEnabled = true
			out.RotationPeriodInDays = aws.Int32(r.Days)
			out.NextRotationDate = aws.Time(r.Since.AddDate(0, 0, int(r.Days)))
		}
		return nil
	})
	return out, err
}

// rotation returns the rotation of a key, which for a replica is that of its
// primary key. The caller must hold k.mu.
func (k *KMS) rotation(key *key) *rotation {
	if m := key.multi; m != nil && m.primary != k.opts.Region {
		if primary, ok := k.region(m.primary).keys[key.id]; ok {
			return &primary.Rotation
		}
	}
	return &key.Rotation
}

func (k *KMS) enableKeyRotation(in *kms.EnableKeyRotationInput) error {
	return k.changeRotation("EnableKeyRotation", in.KeyId, func(r *rotation) {
		days := int32(usualRotation)
		if in.RotationPeriodInDays != nil {
			days = *in.RotationPeriodInDays
		}
		r.Days, r.Since = days, now()
	})
}

func (k *KMS) disableKeyRotation(in *kms.DisableKeyRotationInput) error {
	return k.changeRotation("DisableKeyRotation", in.KeyId, func(r *rotation) { *r = rotation{} })
}

// changeRotation changes the rotation of a key. Recordings have its state
// before its origin and its spec. For a key that is not symmetric, the error
// has no text.
func (k *KMS) changeRotation(operation string, id *string, f func(*rotation)) error {
	return k.change(operation, id, func(key *key) error {
		switch {
		case key.state != types.KeyStateEnabled:
			return badState(key.arn, key.state)
		case key.origin == types.OriginTypeExternal:
			return wrongOrigin(key)
		case key.keySpec != types.KeySpecSymmetricDefault:
			return refuse("UnsupportedOperationException", "")
		case k.rotation(key) != &key.Rotation:
			return unrecorded("UnsupportedOperationException", "%s is not a multi-region primary key.", key.arn)
		}
		f(&key.Rotation)
		return nil
	})
}

// wrongOrigin returns the error for an operation that keys of another origin
// have.
func wrongOrigin(key *key) *refusal {
	return refuse("UnsupportedOperationException", "%s origin is %s which is not valid for this operation.", key.arn, key.origin)
}
