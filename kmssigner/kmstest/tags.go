package kmstest

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const maxTags = 50 // per key

// tagged returns a copy of old with tags added. The codes and texts are
// recorded.
func tagged(old map[string]string, tags []types.Tag) (map[string]string, error) {
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	for _, tag := range tags {
		all[*tag.TagKey] = *tag.TagValue
	}
	if len(all) > maxTags {
		return nil, refuse("TagException", "Too many tags")
	}
	return all, nil
}

// checkTags checks what KMS demands of tags besides the service model. The
// order of the checks is not recorded.
func checkTags(tags []types.Tag) error {
	seen := map[string]bool{}
	for _, tag := range tags {
		name := *tag.TagKey
		switch {
		case seen[name]:
			return refuse("TagException", "Duplicate tag keys")
		case strings.HasPrefix(strings.ToLower(name), "aws:"):
			return refuse("TagException", "Tags beginning with aws: are reserved")
		case strings.ContainsFunc(name+*tag.TagValue, notInTags):
			return refuse("TagException", "Invalid tag: ") // nothing follows the colon
		}
		seen[name] = true
	}
	return nil
}

// notInTags reports whether a tag may not contain r. The documentation lists
// letters, digits and spaces of any script and some punctuation.
func notInTags(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r)
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
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	return k.change("TagResource", in.KeyId, func(key *key) error {
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
	return k.change("UntagResource", in.KeyId, func(key *key) error {
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
	err := k.change("ListResourceTags", in.KeyId, func(key *key) error {
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
