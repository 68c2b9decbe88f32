package kmstest

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// full reports whether tests run in their full scope, which is slow. It is a
// function, because the go command does not see what an initializer reads of
// the environment, and would use a cached result.
func full() bool { return os.Getenv("KMSSIGN_FULL") == "1" }

// api has all operations of the fake.
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
	GetKeyPolicy(context.Context, *kms.GetKeyPolicyInput, ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error)
	PutKeyPolicy(context.Context, *kms.PutKeyPolicyInput, ...func(*kms.Options)) (*kms.PutKeyPolicyOutput, error)
	ListKeyPolicies(context.Context, *kms.ListKeyPoliciesInput, ...func(*kms.Options)) (*kms.ListKeyPoliciesOutput, error)
	GetKeyRotationStatus(context.Context, *kms.GetKeyRotationStatusInput, ...func(*kms.Options)) (*kms.GetKeyRotationStatusOutput, error)
	EnableKeyRotation(context.Context, *kms.EnableKeyRotationInput, ...func(*kms.Options)) (*kms.EnableKeyRotationOutput, error)
	DisableKeyRotation(context.Context, *kms.DisableKeyRotationInput, ...func(*kms.Options)) (*kms.DisableKeyRotationOutput, error)
	UpdateKeyDescription(context.Context, *kms.UpdateKeyDescriptionInput, ...func(*kms.Options)) (*kms.UpdateKeyDescriptionOutput, error)
	UpdatePrimaryRegion(context.Context, *kms.UpdatePrimaryRegionInput, ...func(*kms.Options)) (*kms.UpdatePrimaryRegionOutput, error)
	GenerateRandom(context.Context, *kms.GenerateRandomInput, ...func(*kms.Options)) (*kms.GenerateRandomOutput, error)
	CreateGrant(context.Context, *kms.CreateGrantInput, ...func(*kms.Options)) (*kms.CreateGrantOutput, error)
	ListGrants(context.Context, *kms.ListGrantsInput, ...func(*kms.Options)) (*kms.ListGrantsOutput, error)
	ListRetirableGrants(context.Context, *kms.ListRetirableGrantsInput, ...func(*kms.Options)) (*kms.ListRetirableGrantsOutput, error)
	RevokeGrant(context.Context, *kms.RevokeGrantInput, ...func(*kms.Options)) (*kms.RevokeGrantOutput, error)
	RetireGrant(context.Context, *kms.RetireGrantInput, ...func(*kms.Options)) (*kms.RetireGrantOutput, error)
	GetParametersForImport(context.Context, *kms.GetParametersForImportInput, ...func(*kms.Options)) (*kms.GetParametersForImportOutput, error)
	ImportKeyMaterial(context.Context, *kms.ImportKeyMaterialInput, ...func(*kms.Options)) (*kms.ImportKeyMaterialOutput, error)
	DeleteImportedKeyMaterial(context.Context, *kms.DeleteImportedKeyMaterialInput, ...func(*kms.Options)) (*kms.DeleteImportedKeyMaterialOutput, error)
}

var (
	_ api = (*KMS)(nil)
	_ api = (*kms.Client)(nil)
)

// fake is a backend under test.
type fake struct {
	api
	kms *KMS
	t   *testing.T
}

// onBoth runs a test on a KMS, and on a client of the SDK for a Server.
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

// create makes a key with a usage that AddKey does not choose.
func (f fake) create(spec types.KeySpec, usage types.KeyUsageType) string {
	f.t.Helper()
	out, err := f.CreateKey(f.t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// check checks that err has a code and a text, and the error chain of the SDK.
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

func signInput(id string, msg []byte, alg types.SigningAlgorithmSpec) *kms.SignInput {
	return &kms.SignInput{KeyId: &id, Message: msg, SigningAlgorithm: alg}
}

// Short names for tables.
const (
	p256    = types.KeySpecEccNistP256
	p384    = types.KeySpecEccNistP384
	p521    = types.KeySpecEccNistP521
	rsa2048 = types.KeySpecRsa2048
	es256   = types.SigningAlgorithmSpecEcdsaSha256
	es384   = types.SigningAlgorithmSpecEcdsaSha384
	es512   = types.SigningAlgorithmSpecEcdsaSha512
	rs256   = types.SigningAlgorithmSpecRsassaPkcs1V15Sha256
	ps256   = types.SigningAlgorithmSpecRsassaPssSha256
	ps384   = types.SigningAlgorithmSpecRsassaPssSha384
	ps512   = types.SigningAlgorithmSpecRsassaPssSha512
	raw     = types.MessageTypeRaw
	predig  = types.MessageTypeDigest
	mu      = types.MessageTypeExternalMu
)

func (f fake) publicKey(id string) *kms.GetPublicKeyOutput {
	f.t.Helper()
	out, err := f.GetPublicKey(f.t.Context(), &kms.GetPublicKeyInput{KeyId: &id})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

func (f fake) mustSign(in *kms.SignInput) []byte {
	f.t.Helper()
	out, err := f.Sign(f.t.Context(), in)
	if err != nil {
		f.t.Fatal(err)
	}
	if got := aws.ToString(out.KeyId); !strings.HasPrefix(got, f.kms.arn("key/")) {
		f.t.Errorf("Sign answers KeyId %q, want a key ARN", got)
	}
	if out.SigningAlgorithm != in.SigningAlgorithm {
		f.t.Errorf("Sign answers algorithm %s, want %s", out.SigningAlgorithm, in.SigningAlgorithm)
	}
	return out.Signature
}

// checkPrefix is check with a text in which {op} stands for the operation and a
// star at the end for any text.
func checkPrefix(t *testing.T, err error, operation, code, message string) {
	t.Helper()
	message = strings.ReplaceAll(message, "{op}", operation)
	if start, ok := strings.CutSuffix(message, "*"); ok && err != nil && strings.Contains(err.Error(), start) {
		_, end, _ := strings.Cut(err.Error(), start)
		message = start + end
	}
	check(t, err, operation, code, message)
}

const (
	secp    = types.KeySpecEccSecgP256k1
	ed      = types.KeySpecEccNistEdwards25519
	ed512   = types.SigningAlgorithmSpecEd25519Sha512
	edPH    = types.SigningAlgorithmSpecEd25519PhSha512
	mldsa44 = types.KeySpecMlDsa44
	shake   = types.SigningAlgorithmSpecMlDsaShake256
)

func inChina(o *Options) { o.Region = "cn-north-1" }

// there returns f for another Region, in memory or over HTTP like f.
func (f fake) there(region string) fake {
	k := f.kms.Region(region)
	if f.api == api(f.kms) {
		return fake{k, k, f.t}
	}
	s := NewServer(k)
	f.t.Cleanup(s.Close)
	cfg := s.Config()
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return fake{kms.NewFromConfig(cfg), k, f.t}
}

func (f fake) multiRegion(spec types.KeySpec, usage types.KeyUsageType) string {
	f.t.Helper()
	out, err := f.CreateKey(f.t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage, MultiRegion: aws.Bool(true), Description: aws.String("here")})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

func (f fake) describe(id string) *types.KeyMetadata {
	f.t.Helper()
	out, err := f.DescribeKey(f.t.Context(), &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		f.t.Fatal(err)
	}
	return out.KeyMetadata
}

func replicate(f fake, id, region string) (*kms.ReplicateKeyOutput, error) {
	return f.ReplicateKey(f.t.Context(), &kms.ReplicateKeyInput{KeyId: &id, ReplicaRegion: &region})
}

// imported makes a key in the state PendingImport.
func (f fake) imported(spec types.KeySpec) string {
	f.t.Helper()
	out, err := f.CreateKey(f.t.Context(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: specs[spec].usages[0], Origin: types.OriginTypeExternal})
	if err != nil {
		f.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

const noKey = "01234567-89ab-cdef-0123-456789abcdef"
