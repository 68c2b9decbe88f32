package kmstest

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// multiRegion is the state that the primary key and the replicas of a
// multi-Region key share, besides their ID, spec, usage and material.
type multiRegion struct {
	primary  string   // Region of the primary key
	replicas []string // Regions of the replicas, sorted
}

// configuration returns the description of a multi-Region key. The caller must
// hold k.mu.
func (k *KMS) configuration(key *key) *types.MultiRegionConfiguration {
	in := func(region string) types.MultiRegionKey {
		return types.MultiRegionKey{Arn: aws.String(k.region(region).arn("key/" + key.id)), Region: aws.String(region)}
	}
	primary := in(key.multi.primary)
	c := &types.MultiRegionConfiguration{
		MultiRegionKeyType: types.MultiRegionKeyTypeReplica,
		PrimaryKey:         &primary,
		ReplicaKeys:        []types.MultiRegionKey{},
	}
	if key.multi.primary == k.opts.Region {
		c.MultiRegionKeyType = types.MultiRegionKeyTypePrimary
	}
	for _, region := range key.multi.replicas {
		c.ReplicaKeys = append(c.ReplicaKeys, in(region))
	}
	return c
}

func (k *KMS) replicateKey(in *kms.ReplicateKeyInput) (*kms.ReplicateKeyOutput, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	primary, err := k.findNoAlias("ReplicateKey", *in.KeyId)
	switch {
	case err != nil:
		return nil, err
	case primary.multi == nil || primary.multi.primary != k.opts.Region:
		return nil, refuse("UnsupportedOperationException", "%s is not a multi-region primary key.", primary.arn)
	case primary.state != types.KeyStateEnabled:
		return nil, badState(primary.arn, primary.state)
	}
	if err := k.checkRegion(*in.ReplicaRegion); err != nil {
		return nil, err
	}
	there := k.region(*in.ReplicaRegion)
	if existing, ok := there.keys[primary.id]; ok { // also in the Region of the primary
		return nil, unrecorded("AlreadyExistsException", "%s already exists", existing.arn)
	}
	policy, err := k.newPolicy(in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return nil, err
	}
	tags, err := tagged(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	replica := *primary
	replica.arn = there.arn("key/" + primary.id)
	replica.created = now()
	replica.tags = tags
	replica.details = details{Description: aws.ToString(in.Description), Policy: policy}
	if replica.origin == types.OriginTypeExternal {
		// The same material must be imported into the replica.
		replica.material, replica.state = publicOnly(nil), types.KeyStatePendingImport
		replica.Import.Fingerprint = primary.Import.Fingerprint
	}
	there.keys[replica.id] = &replica
	replica.multi.replicas = append(replica.multi.replicas, there.opts.Region)
	slices.Sort(replica.multi.replicas)

	md := there.metadata(&replica)
	// In KMS the replica is Creating for a few seconds. Here it is enabled
	// already.
	md.KeyState, md.Enabled = types.KeyStateCreating, false
	md.CurrentKeyMaterialId = nil // not yet known
	var replicaTags []types.Tag   // absent if there are none
	if len(tags) > 0 {
		replicaTags = listTags(tags)
	}
	return &kms.ReplicateKeyOutput{
		ReplicaKeyMetadata: md,
		ReplicaPolicy:      aws.String(policy),
		ReplicaTags:        replicaTags,
	}, nil
}

// updatePrimaryRegion makes a replica the primary key. In KMS the two keys are
// Updating for some seconds. Here the change is made at once. The text for a
// key that is not a primary key is that of ReplicateKey.
func (k *KMS) updatePrimaryRegion(in *kms.UpdatePrimaryRegionInput) error {
	return k.change("UpdatePrimaryRegion", in.KeyId, func(key *key) error {
		m := key.multi
		switch {
		case key.state != types.KeyStateEnabled:
			return badState(key.arn, key.state)
		case m == nil || m.primary != k.opts.Region:
			return unrecorded("UnsupportedOperationException", "%s is not a multi-region primary key.", key.arn)
		case *in.PrimaryRegion == m.primary:
			return unrecorded("UnsupportedOperationException", "%s is the primary key already.", key.arn)
		}
		if err := k.checkRegion(*in.PrimaryRegion); err != nil {
			return err
		}
		there := k.region(*in.PrimaryRegion)
		replica, ok := there.keys[key.id]
		switch {
		case !ok:
			return unrecorded("NotFoundException", "Key '%s' does not exist", there.arn("key/"+key.id))
		case replica.state != types.KeyStateEnabled:
			return badState(replica.arn, replica.state)
		}
		replica.Rotation, key.Rotation = key.Rotation, rotation{}
		m.replicas = slices.DeleteFunc(m.replicas, func(r string) bool { return r == there.opts.Region })
		m.replicas = append(m.replicas, k.opts.Region)
		slices.Sort(m.replicas)
		m.primary = there.opts.Region
		return nil
	})
}
