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

func TestErrorChain(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(types.KeySpecEccNistP256)
		f.disable(id)
		_, err := f.Sign(t.Context(), signInput(id, []byte("m"), types.SigningAlgorithmSpecEcdsaSha256))
		check(t, err, "Sign", "DisabledException", f.kms.arn("key/"+id)+" is disabled.")
		var disabled *types.DisabledException
		if !errors.As(err, &disabled) || disabled.ErrorFault() != smithy.FaultClient {
			t.Errorf("a modelled error has no type of its own: %v", err)
		}

		in := signInput(id, []byte("m"), "NONE")
		_, err = f.Sign(t.Context(), in)
		var generic *smithy.GenericAPIError
		if !errors.As(err, &generic) || generic.Code != "ValidationException" {
			t.Errorf("an error outside the model is not generic: %v", err)
		}

		_, err = f.Sign(t.Context(), nil)
		var params smithy.InvalidParamsError
		if !errors.As(err, &params) || params.Len() != 3 {
			t.Errorf("a nil input gives %v, want the SDK's own three complaints", err)
		}
	})
}

func TestContext(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		id := f.kms.AddKey(types.KeySpecEccNistP256)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := f.Sign(ctx, signInput(id, []byte("m"), types.SigningAlgorithmSpecEcdsaSha256))
		// The SDK looks at the context before it makes a request, so there is
		// no more in this chain.
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

// TestCancelInFlight: a context that ends while a request is made gives the
// error that net/http's failure gives.
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

func TestCallOptions(t *testing.T) {
	onBoth(t, func(t *testing.T, f fake) {
		called := false
		_, err := f.ListKeys(t.Context(), nil, func(o *kms.Options) { called = o.Region == "us-east-1" })
		if err != nil || !called {
			t.Errorf("per-call options are not applied: %v, %v", called, err)
		}
	})
}

func TestPanics(t *testing.T) {
	for name, slip := range map[string]func(){
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
			slip()
		}()
	}
}
