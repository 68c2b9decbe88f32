package kmstest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// account is what the fakes of one account in several Regions share.
type account struct {
	mu      sync.Mutex      // guards all state of all of them
	regions map[string]*KMS // by name
}

// Region returns the fake of k's account in another Region: the same one at each
// call, and k itself for k's own Region. It has the options of k apart from the
// Region. Keys, aliases, faults and recorded requests are its own; only keys that
// ReplicateKey makes have their id and material from elsewhere. For a Region on
// the wire, start a [Server] for it. Region panics if there is no such Region in
// k's partition.
func (k *KMS) Region(name string) *KMS {
	if err := k.checkRegion(name); err != nil {
		panic(fmt.Sprintf("kmstest: Region(%q): %v", name, err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.region(name)
}

// region is Region for a name that is good. The caller holds k.mu.
func (k *KMS) region(name string) *KMS {
	if there, ok := k.regions[name]; ok {
		return there
	}
	o := k.opts
	o.Region = name
	return newKMS(o, k.account)
}

// The forms of the names of the Regions, as the SDK's endpoint rules have them.
var partitions = []struct {
	partition string
	region    *regexp.Regexp
}{
	{"aws-cn", regexp.MustCompile(`^cn-\w+-\d+$`)},
	{"aws-us-gov", regexp.MustCompile(`^us-gov-\w+-\d+$`)},
	{"aws-eusc", regexp.MustCompile(`^eusc-\w+-\w+-\d+$`)},
	{"aws-iso", regexp.MustCompile(`^us-iso-\w+-\d+$`)},
	{"aws-iso-b", regexp.MustCompile(`^us-isob-\w+-\d+$`)},
	{"aws-iso-e", regexp.MustCompile(`^eu-isoe-\w+-\d+$`)},
	{"aws-iso-f", regexp.MustCompile(`^us-isof-\w+-\d+$`)},
	{"aws", regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$`)},
}

// partitionOf names the partition of a Region; known is false, and the partition
// aws, if it is in none.
func partitionOf(region string) (partition string, known bool) {
	for _, p := range partitions {
		if p.region.MatchString(region) {
			return p.partition, true
		}
	}
	return "aws", false
}

// checkRegion demands a Region of k's partition. Its code and texts are the
// fake's choice: what KMS says is not known.
func (k *KMS) checkRegion(name string) error {
	there, known := partitionOf(name)
	here, _ := partitionOf(k.opts.Region)
	switch {
	case name == k.opts.Region:
		return nil
	case !known:
		return refuse("UnsupportedOperationException", "KMS is not available in Region %s", name)
	case there != here:
		return refuse("UnsupportedOperationException", "Region %s is in partition %s, not in %s", name, there, here)
	}
	return nil
}

// multiRegion is what the primary key and the replicas of one multi-Region key
// share, besides id, spec, usage and material.
type multiRegion struct {
	primary  string   // Region
	replicas []string // Regions
}

// configuration describes a multi-Region key. The caller holds k.mu.
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
	if existing, ok := there.keys[primary.id]; ok { // in the primary's own Region too
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
	// The state passes in KMS after a few seconds, and here at once.
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

// regionForm is the model's pattern.
var regionForm = regexp.MustCompile(`^([a-z]+-){2,3}\d+$`)

// defaultPolicy is the key policy of a key that is made without one.
const defaultPolicy = `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:%s:iam::%s:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`

// keyPolicy checks the policy of a new key, which is all that is done with it.
func keyPolicy(policy *string) (string, error) {
	if policy != nil && !json.Valid([]byte(*policy)) {
		return "", refuse("MalformedPolicyDocumentException", "The new key policy is not valid JSON.")
	}
	return aws.ToString(policy), nil
}
