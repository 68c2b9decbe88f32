package kmstest

import (
	"context"
	"errors"
	"net/http"
	"testing"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestErrorChain checks the error chain of errors of KMS and of the SDK.
func TestErrorChain(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(types.KeySpecEccNistP256)
		f.disable(id)
		_, err := f.Sign(t.Context(), signInput(id, []byte("m"), types.SigningAlgorithmSpecEcdsaSha256))
		check(t, err, "Sign", "DisabledException", f.kms.arn("key/"+id)+" is disabled.")
		var disabled *types.DisabledException
		if !errors.As(err, &disabled) || disabled.ErrorFault() != smithy.FaultClient {
			t.Errorf("got %v, want a DisabledException", err)
		}

		in := signInput(id, []byte("m"), "NONE")
		_, err = f.Sign(t.Context(), in)
		var generic *smithy.GenericAPIError
		if !errors.As(err, &generic) || generic.Code != "ValidationException" {
			t.Errorf("got %v, want a GenericAPIError", err)
		}

		_, err = f.Sign(t.Context(), nil)
		var params smithy.InvalidParamsError
		if !errors.As(err, &params) || params.Len() != 3 {
			t.Errorf("a nil input: got %v, want the three errors of the SDK", err)
		}
	})
}

// TestContext checks calls whose context has ended before.
func TestContext(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(types.KeySpecEccNistP256)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := f.Sign(ctx, signInput(id, []byte("m"), types.SigningAlgorithmSpecEcdsaSha256))
		// The SDK checks the context before it makes a request, so the chain
		// has no other error.
		var op *smithy.OperationError
		if !errors.As(err, &op) || op.Err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), -1)
		defer cancel()
		_, err = f.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &id})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past its deadline: %v", err)
		}
	})
}

// TestCancelInFlight checks the error chain if the context ends during the
// request.
func TestCancelInFlight(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := f.ListKeys(ctx, nil, func(o *kms.Options) {
			do := o.HTTPClient
			o.HTTPClient = smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
				cancel()
				return do.Do(r)
			})
		})
		var op *smithy.OperationError
		var resp *awshttp.ResponseError
		var canceled *smithy.CanceledError
		if !errors.As(err, &op) || !errors.As(err, &resp) || !errors.As(err, &canceled) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// TestRequestID checks that each answer has a request ID of its own.
func TestRequestID(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		seen := map[string]bool{}
		for range 3 {
			out, err := f.ListKeys(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
			if !keyIDForm.MatchString(id) || seen[id] {
				t.Errorf("request id %q is not a new UUID", id)
			}
			seen[id] = true
		}
	})
}

// TestCallOptions checks that per-call options apply.
func TestCallOptions(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		called := false
		_, err := f.ListKeys(t.Context(), nil, func(o *kms.Options) { called = o.Region == "us-east-1" })
		if err != nil || !called {
			t.Errorf("per-call options are not applied: %v, %v", called, err)
		}
	})
}

// TestPanics checks that New and AddKey panic on invalid arguments.
func TestPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"account id": func() { New(func(o *Options) { o.AccountID = "1234" }) },
		"key spec":   func() { New().AddKey("ROT_13") },
		"Region":     func() { New().AddKey(types.KeySpecSm2) }, // SM2 is for China
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic on a bad %s", name)
				}
			}()
			f()
		}()
	}
}
