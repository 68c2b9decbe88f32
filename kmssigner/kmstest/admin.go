package kmstest

import (
	"encoding/base64"
	"maps"
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
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	origin, state, secret := types.OriginTypeAwsKms, types.KeyStateEnabled, material(publicOnly(nil))
	if in.Origin == types.OriginTypeExternal {
		origin, state = in.Origin, types.KeyStatePendingImport // and so it stays
	} else if secret, err = specs[name].generate(); err != nil { // slow, so before taking the lock
		return nil, err
	}
	id := newUUID()
	var multi *multiRegion
	if aws.ToBool(in.MultiRegion) {
		id = "mrk-" + strings.ReplaceAll(id, "-", "")
		multi = &multiRegion{primary: k.opts.Region}
	}
	made := &key{
		id:          id,
		arn:         k.arn("key/" + id),
		name:        name,
		spec:        specs[name],
		usage:       usage,
		material:    secret,
		created:     now(),
		description: aws.ToString(in.Description),
		multi:       multi,
		origin:      origin,
		tags:        tags,
		state:       state,
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[id] = made
	return k.metadata(made), nil
}

// now is the time to the millisecond, which is what KMS's answers have.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// checkCreateKey decides the spec and the usage of a new key.
func (k *KMS) checkCreateKey(in *kms.CreateKeyInput) (types.KeySpec, types.KeyUsageType, error) {
	invalid := func(format string, args ...any) (types.KeySpec, types.KeyUsageType, error) {
		return "", "", refuse("ValidationException", format, args...)
	}
	//lint:ignore SA1019 KMS still takes it.
	oldName := in.CustomerMasterKeySpec
	var v violations
	oneOf(&v, "customerMasterKeySpec", oldName)
	v.description(in.Description)
	oneOf(&v, "keySpec", in.KeySpec)
	oneOf(&v, "keyUsage", in.KeyUsage)
	oneOf(&v, "origin", in.Origin)
	v.policy(in.Policy)
	v.tags(in.Tags)
	if err := v.err(); err != nil {
		return "", "", err
	}
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
		// The default of the usage is that of the default spec, and fits no other.
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
		return "", "", refuse("CustomKeyStoreNotFoundException", "kmstest has no custom key stores")
	}
	switch in.Origin {
	case "", types.OriginTypeAwsKms:
	case types.OriginTypeExternal:
		// There is no import for them; KMS's words are not known.
		if strings.HasPrefix(string(name), "ML_") {
			return "", "", refuse("UnsupportedOperationException", "KeySpec %s is not supported with Origin EXTERNAL", name)
		}
	default:
		return "", "", refuse("UnsupportedOperationException", "kmstest cannot make keys of origin %s", in.Origin)
	}
	if _, err := keyPolicy(in.Policy); err != nil {
		return "", "", err
	}
	return name, usage, nil
}

func (k *KMS) describeKey(in *kms.DescribeKeyInput) (*kms.DescribeKeyOutput, error) {
	var v violations
	v.grantTokens(in.GrantTokens)
	v.keyID("keyId", in.KeyId)
	if err := v.err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.find("DescribeKey", *in.KeyId)
	if err != nil {
		return nil, err
	}
	return &kms.DescribeKeyOutput{KeyMetadata: k.metadata(key)}, nil
}

// change runs f on a key under the lock, for operations that take a key id or a
// key ARN but no alias. v has what is wrong with the rest of the request.
func (k *KMS) change(operation string, id *string, v violations, f func(*key) error) error {
	v.keyID("keyId", id)
	if err := v.err(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.findNoAlias(operation, *id)
	if err != nil {
		return err
	}
	return f(key)
}

func (k *KMS) enableKey(in *kms.EnableKeyInput) error {
	return k.change("EnableKey", in.KeyId, nil, func(key *key) error { return key.able(types.KeyStateEnabled) })
}

func (k *KMS) disableKey(in *kms.DisableKeyInput) error {
	return k.change("DisableKey", in.KeyId, nil, func(key *key) error { return key.able(types.KeyStateDisabled) })
}

// able sets one of the states Enabled and Disabled, if the key is in either.
func (key *key) able(state types.KeyState) error {
	if key.state != types.KeyStateEnabled && key.state != types.KeyStateDisabled {
		return badState(key.arn, key.state)
	}
	key.state = state
	return nil
}

// dying reports whether the key's deletion is scheduled.
func (key *key) dying() bool {
	return key.state == types.KeyStatePendingDeletion || key.state == types.KeyStatePendingReplicaDeletion
}

func (k *KMS) scheduleKeyDeletion(in *kms.ScheduleKeyDeletionInput) (*kms.ScheduleKeyDeletionOutput, error) {
	days := int32(30)
	if in.PendingWindowInDays != nil {
		days = *in.PendingWindowInDays
	}
	var v violations
	v.number("pendingWindowInDays", &days, 7, 30)
	var out *kms.ScheduleKeyDeletionOutput
	err := k.change("ScheduleKeyDeletion", in.KeyId, v, func(key *key) error {
		if key.dying() {
			return badState(key.arn, key.state)
		}
		key.window = days
		out = &kms.ScheduleKeyDeletionOutput{KeyId: aws.String(key.arn), PendingWindowInDays: aws.Int32(days)}
		if m := key.multi; m != nil && m.primary == k.opts.Region && len(m.replicas) > 0 {
			// The waiting period starts when the last replica is gone, and
			// here none ever goes.
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
	err := k.change("CancelKeyDeletion", in.KeyId, nil, func(key *key) error {
		if !key.dying() {
			return refuse("KMSInvalidStateException", "%s is not pending deletion.", key.arn)
		}
		key.state = types.KeyStateDisabled // not Enabled, even if it was
		if key.origin == types.OriginTypeExternal {
			key.state = types.KeyStatePendingImport
		}
		out = &kms.CancelKeyDeletionOutput{KeyId: aws.String(key.arn)}
		return nil
	})
	return out, err
}

func (k *KMS) listKeys(in *kms.ListKeysInput) (*kms.ListKeysOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids, next, err := page(slices.Sorted(maps.Keys(k.keys)), in.Limit, 100, 1000, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &kms.ListKeysOutput{Keys: []types.KeyListEntry{}, NextMarker: next, Truncated: next != nil}
	for _, id := range ids {
		out.Keys = append(out.Keys, types.KeyListEntry{KeyArn: aws.String(k.keys[id].arn), KeyId: aws.String(id)})
	}
	return out, nil
}

// markerPrefix tells the fake's own markers from other text.
const markerPrefix = "after "

// page cuts one page out of a sorted list of names. A marker holds the last name
// of the page before, so pages stay in step when names come and go in between.
func page(names []string, limit *int32, usual, most int32, marker *string) (cut []string, next *string, err error) {
	var v violations
	v.number("limit", limit, 1, most)
	if marker != nil {
		v.text("marker", marker, 1, 1024)
	}
	if err := v.err(); err != nil {
		return nil, nil, err
	}
	if marker != nil {
		b, err := base64.URLEncoding.DecodeString(*marker)
		last, ok := strings.CutPrefix(string(b), markerPrefix)
		if err != nil || !ok {
			return nil, nil, refuse("InvalidMarkerException", "Invalid marker")
		}
		i, found := slices.BinarySearch(names, last)
		if found {
			i++
		}
		names = names[i:]
	}
	n := usual
	if limit != nil {
		n = *limit
	}
	if len(names) <= int(n) {
		return names, nil, nil
	}
	cut = names[:n]
	return cut, aws.String(base64.URLEncoding.EncodeToString([]byte(markerPrefix + cut[n-1]))), nil
}
