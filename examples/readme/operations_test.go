package readme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// Each test runs a snippet of docs/operations.md or docs/fips.md as it stands.

func TestFIPSEndpoint(t *testing.T) {
	load := func(ctx context.Context) (aws.Config, error) {
		cfg, err := config.LoadDefaultConfig(ctx, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
		return cfg, err
	}
	t.Setenv("AWS_REGION", "us-gov-west-1")
	cfg, err := load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options := kms.NewFromConfig(cfg).Options()
	endpoint, err := options.EndpointResolverV2.ResolveEndpoint(t.Context(), kms.EndpointParameters{
		Region:  aws.String(options.Region),
		UseFIPS: aws.Bool(options.EndpointOptions.GetUseFIPSEndpoint() == aws.FIPSEndpointStateEnabled),
	})
	if err != nil || endpoint.URI.Host != "kms-fips.us-gov-west-1.amazonaws.com" {
		t.Errorf("endpoint %v, %v", endpoint.URI, err)
	}
}

func TestGrantToken(t *testing.T) {
	ctx, client := t.Context(), kmstest.New()
	keyARN, grantToken := client.AddKey(types.KeySpecEccNistP256), "token"
	signer, err := kmssigner.New(ctx, client, keyARN, func(o *kmssigner.Options) {
		o.GrantTokens = []string{grantToken}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Error(err)
	}
}

// requestID makes a client's calls store the request ID of each answer in id.
func requestID(id *string) func(*kms.Options) {
	collect := middleware.DeserializeMiddlewareFunc("collectRequestID", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		*id, _ = awsmiddleware.GetRequestIDMetadata(metadata)
		return out, metadata, err
	})
	return func(o *kms.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Deserialize.Add(collect, middleware.Before)
		})
	}
}

func TestRequestIDs(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	key := fake.AddKey(types.KeySpecEccNistP256)
	var id string
	signer, err := kmssigner.New(t.Context(), kms.NewFromConfig(server.Config()), key, func(o *kmssigner.Options) {
		o.ClientOptions = append(o.ClientOptions, requestID(&id))
	})
	if err != nil {
		t.Fatal(err)
	}
	ofNew := id
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil || id == "" || id == ofNew {
		t.Errorf("request ID %q after %q, %v", id, ofNew, err)
	}

	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	_, err = signer.SignMessage(nil, nil, crypto.SHA256)
	var logged bytes.Buffer
	log := log.New(&logged, "", 0)
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		log.Printf("KMS request %s: %v", answer.ServiceRequestID(), err)
	}
	if !strings.HasPrefix(logged.String(), fmt.Sprintf("KMS request %s: ", id)) {
		t.Errorf("logged %q, want request %s", logged.String(), id)
	}
}

// spans records the names of spans and the values of their contexts.
type spans struct {
	sync.Mutex
	names []string
}

type requestKey struct{}

func (s *spans) Tracer(string, ...tracing.TracerOption) tracing.Tracer { return s }

func (s *spans) StartSpan(ctx context.Context, name string, _ ...tracing.SpanOption) (context.Context, tracing.Span) {
	s.Lock()
	defer s.Unlock()
	s.names = append(s.names, fmt.Sprint(name, " in ", ctx.Value(requestKey{})))
	return (tracing.NopTracerProvider{}).Tracer("").StartSpan(ctx, name)
}

func TestTelemetry(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	cfg, tracerProvider, meterProvider := server.Config(), &spans{}, metrics.NopMeterProvider{}
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.TracerProvider = tracerProvider
		o.MeterProvider = meterProvider
	})
	signer, err := kmssigner.New(t.Context(), client, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), requestKey{}, "request 7")
	if _, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(tracerProvider.names, "KMS.Sign in request 7") {
		t.Errorf("spans %q", tracerProvider.names)
	}
}

func TestShortPauses(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	cfg := server.Config()
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff = 100 * time.Millisecond
		})
	})
	signer, err := kmssigner.New(t.Context(), client, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		t.Fatal(err)
	}
	fake.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Throttle())
	if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
		t.Error(err)
	}
}

func TestSpread(t *testing.T) {
	fake := kmstest.New()
	regions := []multiregion.Region{{Name: "us-east-1", Client: fake}, {Name: "eu-west-1", Client: fake.Region("eu-west-1")}}
	build := func() (*multiregion.Client, error) {
		client, err := multiregion.New(regions, func(o *multiregion.Options) {
			o.Spread = true // the Regions take turns
		})
		return client, err
	}
	if _, err := build(); err != nil {
		t.Error(err)
	}
}

func TestCertifiedKey(t *testing.T) {
	fake := kmstest.New()
	signer, err := kmssigner.New(t.Context(), fake, fake.AddKey(types.KeySpecEccNistP384))
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: "issuer"}
	issuer := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := x509.CreateCertificate(rand.Reader, issuer, issuer, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour)}
	certify := func() ([]byte, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		certificate, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
		return certificate, err
	}
	// The same two lines as on the page.
	_ = func() {
		//lint:ignore SA4006 The page leaves the check of err out.
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		certificate, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
		_, _ = certificate, err
	}
	certificate, err := certify()
	if err != nil {
		t.Fatal(err)
	}
	parsedRoot, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := parsed.CheckSignatureFrom(parsedRoot); err != nil {
		t.Error(err)
	}
}

// worthRetrying reports whether the same call may succeed later.
func worthRetrying(err error) bool {
	var apiError smithy.APIError
	var sendError *smithyhttp.RequestSendError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, kmssigner.ErrBadSignature):
		return true
	case errors.As(err, &apiError):
		switch apiError.ErrorCode() {
		case "ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException":
			return true
		}
		return false
	}
	return errors.As(err, &sendError)
}

func TestWorthRetrying(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })
	key := fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(t.Context(), client, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		fault kmstest.Effect
		want  bool
	}{
		"throttled":          {kmstest.Throttle(), true},
		"connection reset":   {kmstest.Reset(), true},
		"corrupt signature":  {kmstest.Corrupt(), true},
		"no answer in time":  {kmstest.Hang(), true},
		"KMSInternal":        {kmstest.Fail(&types.KMSInternalException{}), true},
		"disabled":           {kmstest.Fail(&types.DisabledException{}), false},
		"key does not exist": {kmstest.Fail(&types.NotFoundException{}), false},
	} {
		t.Run(name, func(t *testing.T) {
			undo := fake.Inject(kmstest.Match{Operation: "Sign"}, test.fault)
			defer undo()
			ctx := t.Context()
			if name == "no answer in time" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			_, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256)
			if err == nil || worthRetrying(err) != test.want {
				t.Errorf("worth retrying: %t, want %t: %v", !test.want, test.want, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256); err == nil || worthRetrying(err) {
		t.Errorf("worth retrying after a cancellation: %v", err)
	}
	if _, err := signer.Sign(nil, []byte("short"), crypto.SHA256); err == nil || worthRetrying(err) {
		t.Errorf("worth retrying with a digest of the wrong length: %v", err)
	}
}
