package kmssigner

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// A signChecker is a [Client] that can have a signature made elsewhere if the
// first one is wrong. *multiregion.Client is one. Its SignChecked does what
// Sign does and returns an answer for which check has returned nil, or an
// error.
type signChecker interface {
	SignChecked(ctx context.Context, in *kms.SignInput, check func(*kms.SignOutput) error,
		optFns ...func(*kms.Options)) (*kms.SignOutput, error)
}

// askChecked does what ask does, with a signChecker. It is a function of its
// own, because the one that makes check moves r to the heap.
func (k *key) askChecked(ctx context.Context, r request, in *kms.SignInput) (*kms.SignOutput, error) {
	var good *kms.SignOutput
	out, err := k.checker.SignChecked(ctx, in, func(out *kms.SignOutput) error {
		err := k.checkSignature(r, out)
		if err == nil {
			good = out
		}
		return err
	}, k.ClientOptions...)
	switch {
	case err != nil:
		return nil, k.callError(ctx, err)
	case out == nil || out != good:
		return out, k.checkSignature(r, out) // a client that has not called check
	}
	return out, nil
}
