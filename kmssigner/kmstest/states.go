package kmstest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// change calls f with a key while it holds k.mu. It is for operations that take
// a key ID or a key ARN but not an alias.
func (k *KMS) change(operation string, id *string, f func(*key) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.findNoAlias(operation, *id)
	if err != nil {
		return err
	}
	return f(key)
}

func (k *KMS) updateKeyDescription(in *kms.UpdateKeyDescriptionInput) error {
	return k.change("UpdateKeyDescription", in.KeyId, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		key.Description = *in.Description
		return nil
	})
}

func (k *KMS) enableKey(in *kms.EnableKeyInput) error {
	return k.change("EnableKey", in.KeyId, func(key *key) error { return key.setState(types.KeyStateEnabled) })
}

func (k *KMS) disableKey(in *kms.DisableKeyInput) error {
	return k.change("DisableKey", in.KeyId, func(key *key) error { return key.setState(types.KeyStateDisabled) })
}

// setState sets the state to Enabled or Disabled if the key is in one of the
// two.
func (key *key) setState(state types.KeyState) error {
	if key.state != types.KeyStateEnabled && key.state != types.KeyStateDisabled {
		return badState(key.arn, key.state)
	}
	key.state = state
	return nil
}

// deletionScheduled reports whether the deletion of the key is scheduled.
func (key *key) deletionScheduled() bool {
	return key.state == types.KeyStatePendingDeletion || key.state == types.KeyStatePendingReplicaDeletion
}

func (k *KMS) scheduleKeyDeletion(in *kms.ScheduleKeyDeletionInput) (*kms.ScheduleKeyDeletionOutput, error) {
	days := int32(30)
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	if days < 7 || days > 30 {
		// The service model has 1 to 365. The text is recorded.
		return nil, refuse("ValidationException", "PendingWindowInDays must be between 7 and 30")
	}
	var out *kms.ScheduleKeyDeletionOutput
	err := k.change("ScheduleKeyDeletion", in.KeyId, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		key.window = days
		out = &kms.ScheduleKeyDeletionOutput{KeyId: aws.String(key.arn), PendingWindowInDays: aws.Int32(days)}
		if m := key.multi; m != nil && m.primary == k.opts.Region && len(m.replicas) > 0 {
			// The waiting period starts when the last replica is deleted, which
			// never happens in the fake.
			key.state = types.KeyStatePendingReplicaDeletion
		} else {
			key.state, key.deletion = types.KeyStatePendingDeletion, now().AddDate(0, 0, int(days))
			out.DeletionDate = aws.Time(key.deletion)
		}
		out.KeyState = key.state
		return nil
	})
	return out, err
}

func (k *KMS) cancelKeyDeletion(in *kms.CancelKeyDeletionInput) (*kms.CancelKeyDeletionOutput, error) {
	var out *kms.CancelKeyDeletionOutput
	err := k.change("CancelKeyDeletion", in.KeyId, func(key *key) error {
		if !key.deletionScheduled() {
			return refuse("KMSInvalidStateException", "%s is not pending deletion.", key.arn)
		}
		key.state = types.KeyStateDisabled // even if it was enabled
		if key.origin == types.OriginTypeExternal && !key.Import.Present {
			key.state = types.KeyStatePendingImport
		}
		out = &kms.CancelKeyDeletionOutput{KeyId: aws.String(key.arn)}
		return nil
	})
	return out, err
}
