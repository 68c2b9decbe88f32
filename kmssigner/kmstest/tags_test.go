package kmstest

import (
	"fmt"
	"reflect"
	"strings"
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
		check(t, add(tag("AWS:x", "1")), "TagResource", "TagException", "Tags beginning with aws: are reserved")
		check(t, add(tag("", "1")), "TagResource", "ValidationException", "1 validation error detected: Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1")
		var many []string
		for i := range 49 {
			many = append(many, fmt.Sprint(i), "")
		}
		check(t, add(tag(many...)), "TagResource", "TagException", "Too many tags")
		check(t, add(tag("d", "1", "d", "2")), "TagResource", "TagException", "Duplicate tag keys")
		check(t, add(tag("d", "My & My Team")), "TagResource", "TagException", "Invalid tag: ")
		check(t, add(tag("d,", "")), "TagResource", "TagException", "Invalid tag: ")
		list("a", "", "c", "3")

		// Lengths are characters, and letters are those of any script.
		long, longer := strings.Repeat("ü", 128), strings.Repeat("日", 256)
		if err := add(tag(long, longer, "+-=._:/@ 9", "+-=._:/@ 9")); err != nil {
			t.Error(err)
		}
		if _, err := f.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{long, "+-=._:/@ 9"}}); err != nil {
			t.Error(err)
		}
		check(t, add(tag("d", longer+"x")), "TagResource", "ValidationException", "1 validation error detected: Value '"+longer+"x' at 'tags.1.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256")
		check(t, add(tag(long+"x", "")), "TagResource", "ValidationException", "1 validation error detected: Value '"+long+"x' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128")
		list("a", "", "c", "3")
		f.scheduleDeletion(*id)
		check(t, add(tag("d", "4")), "TagResource", "KMSInvalidStateException", *out.KeyMetadata.Arn+" is pending deletion.")
		_, err = f.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"a"}})
		check(t, err, "UntagResource", "KMSInvalidStateException", *out.KeyMetadata.Arn+" is pending deletion.")
		list("a", "", "c", "3")
	})
}
