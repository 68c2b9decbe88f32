package kmstest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestServers checks several servers of one KMS, and a closed server.
func TestServers(t *testing.T) {
	k := New()
	id := k.AddKey(p256)
	a, b := NewServer(k), NewServer(k)
	defer b.Close()
	f := fake{a.Client(), k, t}
	f.alias("alias/x", id)
	f = fake{b.Client(), k, t}
	f.mustSign(signInput("alias/x", []byte("m"), es256))
	a.Close()
	_, err := a.Client().ListKeys(t.Context(), nil, func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
	if err == nil {
		t.Error("a closed server answers")
	}
}
