package multiregion

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// GetPublicKey asks every Region that is not passed over, concurrently, and
// compares their public keys. It returns the answer of the most preferred
// Region. If none of them is available it asks the others.
//
// It fails with [ErrKeyMismatch] if the public keys or key IDs differ between
// the Regions, or from what a Region answered before. It returns the refusal if
// any Region refuses, because that Region would also refuse when the others are
// not available. A Region that is not available, or that answers for another
// key than the caller named by its ID or ARN, is left out of the comparison.
// GetPublicKey waits for each Region for at most [Options.AttemptTimeout], or
// for half of the time that ctx leaves if that is shorter.
func (c *Client) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, optFns ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	own := valueOf(in)
	req, err := prepare(c, gettingPublicKey, own.KeyId)
	if err != nil {
		return nil, err
	}
	optFns = slices.Clip(optFns)
	req.send = func(ctx context.Context, r *region, keyID *string) (*kms.GetPublicKeyOutput, error) {
		in := own
		in.KeyId = keyID
		return r.Client.GetPublicKey(ctx, &in, optFns...)
	}
	answers, err := everywhere(ctx, c, req)
	if err != nil {
		return nil, err
	}
	if err := c.compare(answers); err != nil {
		return nil, fmt.Errorf("multiregion: %s: %w", req.name, err)
	}
	return answers[0].out, nil
}

// compare reports the first difference between the Regions' keys, now or since
// the Client was made. The public key of a key ID never changes.
func (c *Client) compare(answers []answer[kms.GetPublicKeyOutput]) error {
	first := answers[0]
	for _, a := range answers[1:] {
		if x, y := aws.ToString(first.out.KeyId), aws.ToString(a.out.KeyId); x != y {
			return fmt.Errorf("%w: %s answered for %q and %s for %q", ErrKeyMismatch, first.Name, x, a.Name, y)
		}
		if !bytes.Equal(first.out.PublicKey, a.out.PublicKey) {
			return fmt.Errorf("%w: the public keys of %s and %s differ", ErrKeyMismatch, first.Name, a.Name)
		}
	}
	id := aws.ToString(first.out.KeyId)
	c.mu.Lock()
	defer c.mu.Unlock()
	before, ok := c.publicKeys[id]
	if ok && !bytes.Equal(before, first.out.PublicKey) {
		return fmt.Errorf("%w: the public key of %s is not the one that was answered before", ErrKeyMismatch, first.Name)
	}
	c.publicKeys[id] = bytes.Clone(first.out.PublicKey)
	return nil
}
