package kmstest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

func TestRegions(t *testing.T) {
	k := New(func(o *Options) { o.AccountID = "444455556666" })
	eu := k.Region("eu-west-1")
	if k.Region("us-east-1") != k || k.Region("eu-west-1") != eu || eu.Region("us-east-1") != k || eu == k {
		t.Error("Region does not return the same KMS at each call")
	}
	if got := eu.arn("key/x"); got != "arn:aws:kms:eu-west-1:444455556666:key/x" {
		t.Error(got)
	}
	id := k.AddKey(p256)
	_, err := eu.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
	check(t, err, "DescribeKey", "NotFoundException", "Key '"+eu.arn("key/"+id)+"' does not exist")
	_, err = eu.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String(k.arn("key/" + id))})
	check(t, err, "DescribeKey", "NotFoundException", "Invalid arn us-east-1")

	// Faults and the record of calls are separate for each Region.
	k.Inject(Match{}, Throttle())
	if _, err := eu.ListKeys(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if k.Calls("") != 0 || eu.Calls("") != 3 {
		t.Errorf("%d calls, %d calls", k.Calls(""), eu.Calls(""))
	}

	for _, name := range []string{"", "moon", "cn-north-1", "us-gov-west-1", "xx-west-1"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic on Region %q", name)
				}
			}()
			k.Region(name)
		}()
	}
	if got := New(func(o *Options) { o.Region = "us-gov-west-1" }).Region("us-gov-east-1").arn("x"); got != "arn:aws-us-gov:kms:us-gov-east-1:111122223333:x" {
		t.Error(got)
	}
}

func TestPartitions(t *testing.T) {
	for region, want := range map[string]string{
		"":               "arn:aws:kms:us-east-1:111122223333:key/x",
		"eu-central-1":   "arn:aws:kms:eu-central-1:111122223333:key/x",
		"cn-north-1":     "arn:aws-cn:kms:cn-north-1:111122223333:key/x",
		"us-gov-west-1":  "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/x",
		"eusc-de-east-1": "arn:aws-eusc:kms:eusc-de-east-1:111122223333:key/x",
		"us-iso-east-1":  "arn:aws-iso:kms:us-iso-east-1:111122223333:key/x",
		"us-isob-east-1": "arn:aws-iso-b:kms:us-isob-east-1:111122223333:key/x",
		"eu-isoe-west-1": "arn:aws-iso-e:kms:eu-isoe-west-1:111122223333:key/x",
		"us-isof-east-1": "arn:aws-iso-f:kms:us-isof-east-1:111122223333:key/x",
	} {
		k := New(func(o *Options) { o.Region = region })
		if got := k.arn("key/x"); got != want {
			t.Errorf("Region %q: %s, want %s", region, got, want)
		}
		if _, err := k.ListKeys(t.Context(), nil); err != nil { // the SDK finds an endpoint
			t.Errorf("Region %q: %v", region, err)
		}
	}
	got := New(func(o *Options) { o.Partition, o.AccountID = "aws-x", "000000000001" }).arn("key/x")
	if want := "arn:aws-x:kms:us-east-1:000000000001:key/x"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// inRegion returns a client of s for a Region.
func inRegion(s *Server, region string) *kms.Client {
	cfg := s.Config()
	cfg.Region = region
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return kms.NewFromConfig(cfg)
}

// TestServerRegions reaches a replica through the server of the primary key's
// Region, and the other way round.
func TestServerRegions(t *testing.T) {
	k := New()
	s := NewServer(k)
	defer s.Close()
	here := fake{s.Client(), k, t}
	id := here.multiRegion(p256, signVerify)
	if _, err := replicate(here, id, "eu-west-1"); err != nil {
		t.Fatal(err)
	}
	there := fake{inRegion(s, "eu-west-1"), k.Region("eu-west-1"), t}
	sig := there.mustSign(signInput(id, []byte("m"), es256))
	if _, err := here.Verify(t.Context(), &kms.VerifyInput{KeyId: &id, Message: []byte("m"), Signature: sig, SigningAlgorithm: es256}); err != nil {
		t.Error(err)
	}
	if got := *there.describe(id).Arn; got != "arn:aws:kms:eu-west-1:111122223333:key/"+id {
		t.Error(got)
	}
	// A Region that nothing is in is served too.
	if list, err := inRegion(s, "ap-southeast-2").ListKeys(t.Context(), nil); err != nil || len(list.Keys) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	// A Region fails without the others.
	revive := k.Inject(Match{}, Throttle())
	if _, err := here.ListKeys(t.Context(), nil); err == nil {
		t.Error("the fault does not apply")
	}
	there.describe(id)
	revive()
	// The server of another Region serves the first.
	eu := NewServer(k.Region("eu-west-1"))
	defer eu.Close()
	if _, err := inRegion(eu, "us-east-1").DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id}); err != nil {
		t.Error(err)
	}
}

// TestServedRegions makes up names of Regions. Their number is bounded, and
// requests that are refused make none.
func TestServedRegions(t *testing.T) {
	k := New()
	s := NewServer(k)
	defer s.Close()
	for i := range 3 * maxServedRegions {
		r := to(k, "ListKeys", "{}")
		r.region = fmt.Sprintf("eu-x-%d", i)
		if i < maxServedRegions {
			r.creds.SecretAccessKey = "wrong"
		}
		status, body, _ := r.send(t, s)
		if i < maxServedRegions && status != 400 || i == maxServedRegions && status != 200 {
			t.Errorf("%d: %d %s", i, status, body)
		}
		if i == 3*maxServedRegions-1 && !strings.Contains(body, "Credential should be scoped to a valid region. ") {
			t.Errorf("the last: %d %s", status, body)
		}
	}
	if n := len(k.regions); n != maxServedRegions {
		t.Errorf("%d Regions", n)
	}
}

// TestAnyCredentials serves any access key, in any Region.
func TestAnyCredentials(t *testing.T) {
	k := New(func(o *Options) { o.AnyCredentials = true })
	s := NewServer(k)
	defer s.Close()
	for _, creds := range []aws.Credentials{
		{AccessKeyID: "test", SecretAccessKey: "test"},
		{AccessKeyID: "ASIA", SecretAccessKey: "x", SessionToken: "left by SSO"},
	} {
		r := to(k, "ListKeys", "{}")
		r.creds, r.region = creds, "eu-north-1"
		if status, body, _ := r.send(t, s); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	r := to(k, "ListKeys", "{}")
	r.unsigned = true
	if status, body, _ := r.send(t, s); status != 400 || !strings.Contains(body, "MissingAuthenticationToken") {
		t.Errorf("unsigned: %d %s", status, body)
	}
}
