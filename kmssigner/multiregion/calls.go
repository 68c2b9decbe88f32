package multiregion

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner"
)

// Sign does what the method of *kms.Client does, in the first Region that is
// available. It makes one call, and one more for each Region that was not
// available, was hedged, or answered for another key than the caller named by
// its ID or ARN. The signature is not verified; see [Client.SignChecked].
func (c *Client) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	return c.SignChecked(ctx, in, nil, optFns...)
}

// SignChecked does what Sign does, and also asks the next Region after an
// answer that check rejects. check returns nil for the signature that was asked
// for, and otherwise an error that says what is wrong. It is called by the
// goroutine that called SignChecked, and not after SignChecked has returned. If
// check is nil, every answer is accepted.
//
// A [kmssigner.Signer] calls SignChecked in place of Sign, with a check that
// verifies the signature. A type that embeds *Client and overrides Sign must
// therefore override SignChecked as well. A type that wraps a Client must
// forward SignChecked, or its Signers do not ask another Region.
func (c *Client) SignChecked(ctx context.Context, in *kms.SignInput, check func(*kms.SignOutput) error,
	optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, signing, own.KeyId)
	if err != nil {
		return nil, err
	}
	c.keep(&own.Message)
	optFns = slices.Clip(optFns)
	req.check = check
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.SignOutput, error) {
		in := own
		in.KeyId = keyID
		return r.Client.Sign(ctx, &in, optFns...)
	}
	return do(ctx, c, req)
}

// GenerateMac does for HMAC keys what Sign does for other keys, except that an
// answer for another key is always an error. It fails if the client of the
// Region asked is not a [kmssigner.HMACClient].
func (c *Client) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, generatingMAC, own.KeyId)
	if err != nil {
		return nil, err
	}
	c.keep(&own.Message)
	optFns = slices.Clip(optFns)
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.GenerateMacOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		in := own
		in.KeyId = keyID
		return client.GenerateMac(ctx, &in, optFns...)
	}
	return do(ctx, c, req)
}

// VerifyMac does what the method of *kms.Client does, in the Regions that
// GenerateMac asks. KMSInvalidMacException is a refusal, so no other Region is
// asked.
func (c *Client) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, verifyingMAC, own.KeyId)
	if err != nil {
		return nil, err
	}
	c.keep(&own.Message)
	c.keep(&own.Mac)
	optFns = slices.Clip(optFns)
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.VerifyMacOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		in := own
		in.KeyId = keyID
		return client.VerifyMac(ctx, &in, optFns...)
	}
	return do(ctx, c, req)
}

// DescribeKey calls DescribeKey in the first Region that is available. It
// replaces the Region in the key's ARN with the caller's. The other members,
// such as the key's state, are those of the Region that answered.
func (c *Client) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, describingKey, own.KeyId)
	if err != nil {
		return nil, err
	}
	optFns = slices.Clip(optFns)
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.DescribeKeyOutput, error) {
		client, err := r.hmacClient()
		if err != nil {
			return nil, err
		}
		in := own
		in.KeyId = keyID
		return client.DescribeKey(ctx, &in, optFns...)
	}
	return do(ctx, c, req)
}

// valueOf returns a copy of *in, or the zero value if in is nil, as the SDK
// does.
func valueOf[In any](in *In) In {
	if in == nil {
		return *new(In)
	}
	return *in
}

// keep copies bytes that a hedge may still read when the caller has its answer
// and may change them.
func (c *Client) keep(b *[]byte) {
	if c.opts.HedgeAfter > 0 {
		*b = bytes.Clone(*b)
	}
}

func (r *region) hmacClient() (kmssigner.HMACClient, error) {
	client, ok := r.Client.(kmssigner.HMACClient)
	if !ok {
		return nil, fmt.Errorf("the client is a %T, want a kmssigner.HMACClient", r.Client)
	}
	return client, nil
}
