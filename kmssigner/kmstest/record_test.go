package kmstest

import (
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestRequests checks the record of calls.
func TestRequests(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(p256) // not a call
		in := &kms.SignInput{KeyId: aws.String("alias/a"), Message: []byte("m"), SigningAlgorithm: es256, GrantTokens: []string{"t"}}
		f.Sign(t.Context(), in)
		f.alias("alias/a", id)
		f.mustSign(in)
		f.Sign(t.Context(), nil) // stopped by the SDK
		f.ListKeys(t.Context(), nil)

		want := []Request{
			{"Sign", "alias/a", in, 400, "NotFoundException"},
			{"CreateAlias", id, &kms.CreateAliasInput{AliasName: aws.String("alias/a"), TargetKeyId: &id}, 200, ""},
			{"Sign", "alias/a", in, 200, ""},
			{"ListKeys", "", &kms.ListKeysInput{}, 200, ""},
		}
		if got := f.kms.Requests(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		if f.kms.Calls("Sign") != 2 || f.kms.Calls("") != 4 || f.kms.Calls("Verify") != 0 {
			t.Errorf("%d, %d, %d", f.kms.Calls("Sign"), f.kms.Calls(""), f.kms.Calls("Verify"))
		}
	})
}

// TestRequestsBound checks that the number of recorded requests is bounded.
func TestRequestsBound(t *testing.T) {
	k := New()
	for range maxRequests + 5 {
		k.handle(t.Context(), "TrentService.ListKeys", []byte("{}"), nil)
	}
	k.handle(t.Context(), "TrentService.Encrypt", []byte("{}"), nil)
	q := k.Requests()
	if len(q) != maxRequests || k.Calls("ListKeys") != maxRequests+5 {
		t.Errorf("%d requests, %d calls", len(q), k.Calls("ListKeys"))
	}
	if last := q[len(q)-1]; last != (Request{"Encrypt", "", nil, 400, "UnknownOperationException"}) {
		t.Errorf("last %+v", last)
	}
}
