package kmstest

import (
	"fmt"
	"reflect"
	"strings"
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

// TestRequestsBytes checks that neither made-up names of operations nor large
// requests are kept beyond the limits.
func TestRequestsBytes(t *testing.T) {
	k := New()
	call := func(target, body string) { k.handle(t.Context(), target, []byte(body), nil) }
	for i := range 3 * maxUnknown {
		call(fmt.Sprintf("TrentService.MadeUp%d%s", i, strings.Repeat("x", 1000)), "{}")
	}
	if n := len(k.seen.calls); n != maxUnknown || k.Calls("") != 3*maxUnknown {
		t.Errorf("%d names of %d calls", n, k.Calls(""))
	}
	for name := range k.seen.calls {
		if len(name) > maxUnknownName {
			t.Errorf("a name of %d bytes", len(name))
		}
	}
	call("TrentService.ListKeys", "{}")
	if k.Calls("ListKeys") != 1 {
		t.Error("an operation is not counted any more")
	}
	large := `{"KeyId":"` + strings.Repeat("x", 900_000) + `"}`
	for range 30 {
		call("TrentService.DescribeKey", large)
	}
	requests := k.Requests()
	if n := len(requests); n != maxRequestBytes/len(large) || k.Calls("DescribeKey") != 30 {
		t.Errorf("%d requests of %d bytes", n, len(large))
	}
	sum := 0
	for _, q := range k.seen.requests {
		sum += q.size
	}
	if sum != k.seen.bytes || sum > maxRequestBytes {
		t.Errorf("%d bytes, counted %d", sum, k.seen.bytes)
	}
	// A request that the SDK sends without a network has the same limit.
	_, err := k.Sign(t.Context(), signInput("x", make([]byte, maxBody), es256))
	check(t, err, "Sign", "SerializationException", tooLarge.message)
}
