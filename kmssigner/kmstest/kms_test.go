package kmstest

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// api is every operation of the fake, as the SDK spells it.
type api interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	Verify(context.Context, *kms.VerifyInput, ...func(*kms.Options)) (*kms.VerifyOutput, error)
	GenerateMac(context.Context, *kms.GenerateMacInput, ...func(*kms.Options)) (*kms.GenerateMacOutput, error)
	VerifyMac(context.Context, *kms.VerifyMacInput, ...func(*kms.Options)) (*kms.VerifyMacOutput, error)
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	CreateKey(context.Context, *kms.CreateKeyInput, ...func(*kms.Options)) (*kms.CreateKeyOutput, error)
	CreateAlias(context.Context, *kms.CreateAliasInput, ...func(*kms.Options)) (*kms.CreateAliasOutput, error)
	UpdateAlias(context.Context, *kms.UpdateAliasInput, ...func(*kms.Options)) (*kms.UpdateAliasOutput, error)
	DeleteAlias(context.Context, *kms.DeleteAliasInput, ...func(*kms.Options)) (*kms.DeleteAliasOutput, error)
	EnableKey(context.Context, *kms.EnableKeyInput, ...func(*kms.Options)) (*kms.EnableKeyOutput, error)
	DisableKey(context.Context, *kms.DisableKeyInput, ...func(*kms.Options)) (*kms.DisableKeyOutput, error)
	ScheduleKeyDeletion(context.Context, *kms.ScheduleKeyDeletionInput, ...func(*kms.Options)) (*kms.ScheduleKeyDeletionOutput, error)
	CancelKeyDeletion(context.Context, *kms.CancelKeyDeletionInput, ...func(*kms.Options)) (*kms.CancelKeyDeletionOutput, error)
	ListKeys(context.Context, *kms.ListKeysInput, ...func(*kms.Options)) (*kms.ListKeysOutput, error)
	ListAliases(context.Context, *kms.ListAliasesInput, ...func(*kms.Options)) (*kms.ListAliasesOutput, error)
	ReplicateKey(context.Context, *kms.ReplicateKeyInput, ...func(*kms.Options)) (*kms.ReplicateKeyOutput, error)
	TagResource(context.Context, *kms.TagResourceInput, ...func(*kms.Options)) (*kms.TagResourceOutput, error)
	UntagResource(context.Context, *kms.UntagResourceInput, ...func(*kms.Options)) (*kms.UntagResourceOutput, error)
	ListResourceTags(context.Context, *kms.ListResourceTagsInput, ...func(*kms.Options)) (*kms.ListResourceTagsOutput, error)
}

var (
	_ api = (*KMS)(nil)
	_ api = (*kms.Client)(nil)
)

// fake is one backend under test.
type fake struct {
	api
	kms *KMS
	t   *testing.T
}

// onBoth runs a test on a KMS as a value, and through the SDK's client and a
// Server.
func onBoth(t *testing.T, test func(t *testing.T, f fake), optFns ...func(*Options)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		k := New(optFns...)
		test(t, fake{k, k, t})
	})
	t.Run("wire", func(t *testing.T) {
		t.Parallel()
		k := New(optFns...)
		s := NewServer(k)
		t.Cleanup(s.Close)
		cfg := s.Config()
		cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} } // some refusals are retryable
		test(t, fake{kms.NewFromConfig(cfg), k, t})
	})
}

func (f fake) alias(name, target string) {
	f.t.Helper()
	if _, err := f.CreateAlias(f.t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &target}); err != nil {
		f.t.Fatal(err)
	}
}

func (f fake) disable(id string) {
	f.t.Helper()
	if _, err := f.DisableKey(f.t.Context(), &kms.DisableKeyInput{KeyId: &id}); err != nil {
		f.t.Fatal(err)
	}
}

func (f fake) scheduleDeletion(id string) {
	f.t.Helper()
	if _, err := f.ScheduleKeyDeletion(f.t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id}); err != nil {
		f.t.Fatal(err)
	}
}

// create makes a key that AddKey would not.
func (f fake) create(spec types.KeySpec, usage types.KeyUsageType) string {
	f.t.Helper()
	out, err := f.CreateKey(f.t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// check demands an error with a code and a text, in the chain that the SDK's
// client gives every error of the service.
func check(t *testing.T, err error, operation, code, message string) {
	t.Helper()
	var op *smithy.OperationError
	var resp *awshttp.ResponseError
	var apiErr smithy.APIError
	switch {
	case err == nil:
		t.Errorf("no error, want %s", code)
	case !errors.As(err, &op), op.ServiceID != "KMS", op.OperationName != operation:
		t.Errorf("not an error of operation %s: %v", operation, err)
	case !errors.As(err, &resp), resp.HTTPStatusCode() != http.StatusBadRequest, resp.ServiceRequestID() == "":
		t.Errorf("no HTTP status 400 with a request id in %v", err)
	case !errors.As(err, &apiErr), apiErr.ErrorCode() != code:
		t.Errorf("got %v, want code %s", err, code)
	case apiErr.ErrorMessage() != message:
		t.Errorf("%s says\n\t%q, want\n\t%q", code, apiErr.ErrorMessage(), message)
	}
}

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

func signInput(id string, msg []byte, alg types.SigningAlgorithmSpec) *kms.SignInput {
	return &kms.SignInput{KeyId: &id, Message: msg, SigningAlgorithm: alg}
}
