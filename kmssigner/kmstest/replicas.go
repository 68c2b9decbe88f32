package kmstest

import (
	"fmt"
	"regexp"
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
	var v violations
	v.description(in.Description)
	v.keyID("keyId", in.KeyId)
	v.policy(in.Policy)
	v.text("replicaRegion", in.ReplicaRegion, 1, 32)
	if name := in.ReplicaRegion; name != nil && !regionForm.MatchString(*name) {
		v.add("'"+*name+"'", "replicaRegion", "Member must satisfy regular expression pattern: %s", regionForm)
	}
	v.tags(in.Tags)
	if err := v.err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	primary, err := k.findNoAlias("ReplicateKey", *in.KeyId)
	switch {
	case err != nil:
		return nil, err
	case primary.multi == nil || primary.multi.primary != k.opts.Region:
		return nil, refuse("UnsupportedOperationException", "%s is not a multi-Region primary key.", primary.arn)
	case primary.state != types.KeyStateEnabled:
		return nil, badState(primary.arn, primary.state)
	}
	if err := k.checkRegion(*in.ReplicaRegion); err != nil {
		return nil, err
	}
	there := k.region(*in.ReplicaRegion)
	if existing, ok := there.keys[primary.id]; ok { // also in the Region of the primary
		return nil, refuse("AlreadyExistsException", "%s already exists", existing.arn)
	}
	policy, err := keyPolicy(in.Policy)
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
	replica.description = aws.ToString(in.Description)
	replica.tags = tags
	there.keys[replica.id] = &replica
	replica.multi.replicas = append(replica.multi.replicas, there.opts.Region)
	slices.Sort(replica.multi.replicas)

	md := there.metadata(&replica)
	// In KMS the replica is Creating for a few seconds. Here it is enabled
	// already.
	md.KeyState, md.Enabled = types.KeyStateCreating, false
	if policy == "" {
		policy = fmt.Sprintf(defaultPolicy, k.opts.Partition, k.opts.AccountID)
	}
	return &kms.ReplicateKeyOutput{
		ReplicaKeyMetadata: md,
		ReplicaPolicy:      aws.String(policy),
		ReplicaTags:        listTags(tags),
	}, nil
}

// regionForm is the pattern in the service model.
var regionForm = regexp.MustCompile(`^([a-z]+-){2,3}\d+$`)
