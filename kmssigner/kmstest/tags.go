package kmstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const maxTags = 50 // per key

// tags checks the length of the keys and values of tags.
func (v *violations) tags(tags []types.Tag) {
	for i, tag := range tags {
		v.text(fmt.Sprintf("tags.%d.member.tagKey", i+1), tag.TagKey, 1, 128)
		v.text(fmt.Sprintf("tags.%d.member.tagValue", i+1), tag.TagValue, 0, 256)
	}
}

// tagged returns a copy of old with tags added. The texts of its errors are not
// recorded.
func tagged(old map[string]string, tags []types.Tag) (map[string]string, error) {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	for _, tag := range tags {
		if strings.HasPrefix(strings.ToLower(*tag.TagKey), "aws:") {
			return nil, refuse("TagException", "Tag keys that begin with aws: are reserved")
		}
		all[*tag.TagKey] = *tag.TagValue
	}
	if len(all) > maxTags {
		return nil, refuse("LimitExceededException", "A key has at most %d tags", maxTags)
	}
	return all, nil
}

// listTags returns tags sorted by key.
func listTags(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{TagKey: aws.String(name), TagValue: aws.String(tags[name])})
	}
	return list
}

func (k *KMS) tagResource(in *kms.TagResourceInput) error {
	var v violations
	if in.Tags == nil {
		v.add("null", "tags", "Member must not be null")
	}
	v.tags(in.Tags)
	return k.change("TagResource", in.KeyId, v, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		all, err := tagged(key.tags, in.Tags)
		if err == nil {
			key.tags = all
		}
		return err
	})
}

func (k *KMS) untagResource(in *kms.UntagResourceInput) error {
	var v violations
	if in.TagKeys == nil {
		v.add("null", "tagKeys", "Member must not be null")
	}
	for i := range in.TagKeys {
		v.text(fmt.Sprintf("tagKeys.%d.member", i+1), &in.TagKeys[i], 1, 128)
	}
	return k.change("UntagResource", in.KeyId, v, func(key *key) error {
		if key.deletionScheduled() {
			return badState(key.arn, key.state)
		}
		key.tags = maps.Clone(key.tags)
		for _, name := range in.TagKeys {
			delete(key.tags, name)
		}
		return nil
	})
}

func (k *KMS) listResourceTags(in *kms.ListResourceTagsInput) (*kms.ListResourceTagsOutput, error) {
	var out *kms.ListResourceTagsOutput
	err := k.change("ListResourceTags", in.KeyId, nil, func(key *key) error {
		names, next, err := page(slices.Sorted(maps.Keys(key.tags)), in.Limit, 50, 50, in.Marker)
		if err != nil {
			return err
		}
		some := map[string]string{}
		for _, name := range names {
			some[name] = key.tags[name]
		}
		out = &kms.ListResourceTagsOutput{NextMarker: next, Tags: listTags(some), Truncated: next != nil}
		return nil
	})
	return out, err
}
