package kmstest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func TestListKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		var want []string
		for range 103 {
			want = append(want, f.kms.AddKey(p256))
		}
		slices.Sort(want)
		for _, tt := range []struct {
			limit *int32
			pages []int
		}{
			{nil, []int{100, 3}},
			{aws.Int32(1000), []int{103}},
			{aws.Int32(103), []int{103}},
			{aws.Int32(51), []int{51, 51, 1}},
		} {
			var got []string
			var pages []int
			p := kms.NewListKeysPaginator(f, &kms.ListKeysInput{Limit: tt.limit})
			for p.HasMorePages() {
				out, err := p.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if out.Truncated != (out.NextMarker != nil) {
					t.Errorf("truncated %v with marker %v", out.Truncated, out.NextMarker)
				}
				for _, e := range out.Keys {
					if *e.KeyArn != f.kms.arn("key/"+*e.KeyId) {
						t.Errorf("entry %s, %s", *e.KeyArn, *e.KeyId)
					}
					got = append(got, *e.KeyId)
				}
				pages = append(pages, len(out.Keys))
			}
			if !slices.Equal(pages, tt.pages) || !slices.Equal(got, want) {
				t.Errorf("pages %v of %d keys, want %v of %d", pages, len(got), tt.pages, len(want))
			}
		}
		list := func(in kms.ListKeysInput) error { _, err := f.ListKeys(t.Context(), &in); return err }
		check(t, list(kms.ListKeysInput{Limit: aws.Int32(0)}), "ListKeys", "ValidationException", "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
		check(t, list(kms.ListKeysInput{Limit: aws.Int32(1001)}), "ListKeys", "ValidationException", "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000")
		for _, marker := range []string{"nonsense", "!", "YWJj"} {
			check(t, list(kms.ListKeysInput{Marker: &marker}), "ListKeys", "InvalidMarkerException", "Invalid marker")
		}
	})
}

func TestListAliases(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		a, b := f.kms.AddKey(p256), f.kms.AddKey(p384)
		var want []string
		for i := range 51 {
			name := fmt.Sprintf("alias/%02d", i)
			f.alias(name, []string{a, b}[i%2])
			want = append(want, name)
		}
		var got []string
		var pages []int
		p := kms.NewListAliasesPaginator(f, nil)
		for p.HasMorePages() {
			out, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, len(out.Aliases))
			for _, e := range out.Aliases {
				if *e.AliasArn != f.kms.arn(*e.AliasName) || e.CreationDate == nil || e.LastUpdatedDate == nil {
					t.Errorf("entry %+v", e)
				}
				got = append(got, *e.AliasName)
			}
			// Aliases that are created or deleted between pages do not shift
			// the rest.
			f.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/49")})
		}
		if !slices.Equal(pages, []int{50, 1}) || !slices.Equal(got, want) {
			t.Errorf("pages %v: %v", pages, got)
		}
		out, err := f.ListAliases(t.Context(), &kms.ListAliasesInput{KeyId: aws.String(f.kms.arn("key/" + b)), Limit: aws.Int32(2)})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Aliases) != 2 || !out.Truncated || *out.Aliases[0].AliasName != "alias/01" || *out.Aliases[1].TargetKeyId != b {
			t.Errorf("of one key: %+v", out)
		}
		// The service model permits 1000, and a page has 100 at most.
		for i := range 60 {
			f.alias(fmt.Sprintf("alias/more-%02d", i), f.kms.AddKey(p256))
		}
		out, err = f.ListAliases(t.Context(), &kms.ListAliasesInput{Limit: aws.Int32(1000)})
		if err != nil || len(out.Aliases) != 100 || !out.Truncated {
			t.Errorf("%d aliases, %v", len(out.Aliases), err)
		}
		_, err = f.ListAliases(t.Context(), &kms.ListAliasesInput{Limit: aws.Int32(1001)})
		check(t, err, "ListAliases", "ValidationException", "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000")
	})
}
