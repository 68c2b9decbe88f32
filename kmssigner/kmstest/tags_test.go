package kmstest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func TestTags(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx := t.Context()
		tag := func(pairs ...string) []types.Tag {
			tags := []types.Tag{}
			for i := 0; i < len(pairs); i += 2 {
				tags = append(tags, types.Tag{TagKey: &pairs[i], TagValue: &pairs[i+1]})
			}
			return tags
		}
		out, err := f.CreateKey(ctx, &kms.CreateKeyInput{Tags: tag("b", "1", "a", "")})
		if err != nil {
			t.Fatal(err)
		}
		id := out.KeyMetadata.KeyId
		list := func(want ...string) {
			t.Helper()
			out, err := f.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: id})
			if err != nil || !reflect.DeepEqual(out.Tags, tag(want...)) || out.Truncated {
				t.Errorf("%+v, %v, want %v", out, err, want)
			}
		}
		list("a", "", "b", "1")
		if _, err := f.TagResource(ctx, &kms.TagResourceInput{KeyId: id, Tags: tag("b", "2", "c", "3")}); err != nil {
			t.Error(err)
		}
		list("a", "", "b", "2", "c", "3")
		if _, err := f.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"b", "none"}}); err != nil {
			t.Error(err)
		}
		list("a", "", "c", "3")
		page, err := f.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: id, Limit: aws.Int32(1)})
		if err != nil || len(page.Tags) != 1 || !page.Truncated {
			t.Errorf("%+v, %v", page, err)
		}
		page, err = f.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: id, Marker: page.NextMarker})
		if err != nil || len(page.Tags) != 1 || *page.Tags[0].TagKey != "c" || page.Truncated {
			t.Errorf("%+v, %v", page, err)
		}

		add := func(tags []types.Tag) error {
			_, err := f.TagResource(ctx, &kms.TagResourceInput{KeyId: id, Tags: tags})
			return err
		}
		check(t, add(tag("AWS:x", "1")), "TagResource", "TagException", "Tag keys that begin with aws: are reserved")
		check(t, add(tag("", "1")), "TagResource", "ValidationException", "1 validation error detected: Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1")
		var many []string
		for i := range 49 {
			many = append(many, fmt.Sprint(i), "")
		}
		check(t, add(tag(many...)), "TagResource", "LimitExceededException", "A key has at most 50 tags")
		list("a", "", "c", "3")
		f.scheduleDeletion(*id)
		check(t, add(tag("d", "4")), "TagResource", "KMSInvalidStateException", *out.KeyMetadata.Arn+" is pending deletion.")
		_, err = f.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"a"}})
		check(t, err, "UntagResource", "KMSInvalidStateException", *out.KeyMetadata.Arn+" is pending deletion.")
		list("a", "", "c", "3")
	})
}
