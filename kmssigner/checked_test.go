package kmssigner_test

import (
	"context"
	"crypto"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A checker is a client with a second place to sign, as *multiregion.Client is.
type checker struct {
	kmssigner.Client
	second kmssigner.Client
	mode   string
	checks int
}

func (c *checker) SignChecked(ctx context.Context, in *kms.SignInput, check func(*kms.SignOutput) error,
	optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	out, err := c.Sign(ctx, in, optFns...)
	switch c.mode {
	case "ignores check":
		return out, err
	case "returns nothing":
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.checks++
	bad := check(out)
	if bad == nil {
		return out, nil
	}
	if c.mode == "returns what was refused" {
		return out, nil
	}
	if out, err = c.second.Sign(ctx, in, optFns...); err != nil {
		return nil, err
	}
	c.checks++
	if err := check(out); err != nil {
		return nil, errors.Join(bad, err)
	}
	if c.mode == "returns another" {
		changed := *out
		changed.Signature = []byte("another")
		return &changed, nil
	}
	return out, nil
}

// TestChecker signs with a client that has a second place to sign. A wrong
// signature is made there, and none is returned that was not checked.
func TestChecker(t *testing.T) {
	for _, test := range []struct {
		mode         string
		wrong, worse bool // the first and the second signature
		want         error
		checks       int
	}{
		{mode: "", checks: 1},
		{mode: "", wrong: true, checks: 2},
		{mode: "", wrong: true, worse: true, want: kmssigner.ErrBadSignature, checks: 2},
		{mode: "ignores check"},
		{mode: "ignores check", wrong: true, want: kmssigner.ErrBadSignature},
		{mode: "returns nothing", want: kmssigner.ErrBadSignature},
		{mode: "returns what was refused", wrong: true, want: kmssigner.ErrBadSignature, checks: 1},
		{mode: "returns another", wrong: true, want: kmssigner.ErrBadSignature, checks: 2},
	} {
		fake := kmstest.New()
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		first, second := &spy{Client: fake}, &spy{Client: fake}
		corrupt := func(out *kms.SignOutput) (*kms.SignOutput, error) {
			out.Signature[len(out.Signature)-1] ^= 1
			return out, nil
		}
		if test.wrong {
			first.editSign = corrupt
		}
		if test.worse {
			second.editSign = corrupt
		}
		client := &checker{Client: first, second: second, mode: test.mode}
		signer := newSigner(t, client, keyID)
		_, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
		if !errors.Is(err, test.want) || client.checks != test.checks {
			t.Errorf("%+v: got %v after %d checks", test, err, client.checks)
		}
	}
}

// TestOneCall signs with a client that has no second place. A wrong signature
// is an error after one call.
func TestOneCall(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.Corrupt())
	_, err := signer.SignMessage(nil, []byte("message"), crypto.SHA256)
	if !errors.Is(err, kmssigner.ErrBadSignature) || fake.Calls("Sign") != 1 {
		t.Errorf("got %v after %d calls, want ErrBadSignature after one", err, fake.Calls("Sign"))
	}
}
