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
	"sync/atomic"
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

// requestIDKey is the key of an *atomic.Pointer[string] in a context.
type requestIDKey struct{}

// collectRequestIDs makes a client store the request ID of each answer in the
// pointer that the context of the call carries.
func collectRequestIDs(o *kms.Options) {
	collect := middleware.DeserializeMiddlewareFunc("collectRequestIDs", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		answered, ok := awsmiddleware.GetRequestIDMetadata(metadata)
		if id, wanted := ctx.Value(requestIDKey{}).(*atomic.Pointer[string]); ok && wanted {
			id.Store(&answered)
		}
		return out, metadata, err
	})
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(collect, middleware.Before)
	})
}

func TestRequestIDs(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	key := fake.AddKey(types.KeySpecEccNistP256)
	signer, err := kmssigner.New(t.Context(), kms.NewFromConfig(server.Config(), collectRequestIDs), key)
	if err != nil {
		t.Fatal(err)
	}
	// sign returns what the snippet of the page logs.
	sign := func(ctx context.Context, message []byte) (string, error) {
		var logged bytes.Buffer
		log := log.New(&logged, "", 0)
		var id atomic.Pointer[string]
		signature, err := signer.WithContext(context.WithValue(ctx, requestIDKey{}, &id)).SignMessage(nil, message, crypto.SHA256)
		if requestID := id.Load(); requestID != nil { // nil if there was no answer
			log.Printf("KMS request %s", *requestID)
		}
		if err == nil && len(signature) == 0 {
			err = errors.New("no signature")
		}
		return strings.TrimSpace(logged.String()), err
	}
	// Each of many concurrent calls gets an ID of its own.
	var mu sync.Mutex
	ids := make(map[string]bool)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			line, err := sign(t.Context(), []byte("message"))
			mu.Lock()
			defer mu.Unlock()
			if id, ok := strings.CutPrefix(line, "KMS request "); err != nil || !ok || id == "" || ids[id] {
				t.Errorf("logged %q, %v", line, err)
			}
			ids[line] = true
		})
	}
	group.Wait()
	if len(ids) != 8 {
		t.Errorf("%d request IDs for 8 calls: %v", len(ids), ids)
	}

	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	line, err := sign(t.Context(), nil)
	var logged bytes.Buffer
	log := log.New(&logged, "", 0)
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		log.Printf("KMS request %s: %v", answer.ServiceRequestID(), err)
	}
	if line == "" || !strings.HasPrefix(logged.String(), line+": ") {
		t.Errorf("logged %q and %q", line, logged.String())
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
	var answer *smithyhttp.ResponseError // *awshttp.ResponseError is one too
	var sendError *smithyhttp.RequestSendError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, kmssigner.ErrAnswerTooLarge):
		return false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, kmssigner.ErrBadSignature):
		return true
	case errors.As(err, &answer) && answer.HTTPStatusCode() >= 500:
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

// TestWorthRetrying causes the errors of each row of the page's table, and
// compares worthRetrying with the row's last column.
func TestWorthRetrying(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	key := fake.AddKey(types.KeySpecEccNistP256)
	other := fake.AddKey(types.KeySpecEccNistP256)
	client := func(optFns ...func(*kms.Options)) *kms.Client {
		return kms.NewFromConfig(server.Config(), append(optFns, func(o *kms.Options) { o.Retryer = aws.NopRetryer{} })...)
	}
	signer, err := kmssigner.New(t.Context(), client(), key)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(s *kmssigner.Signer) error {
		_, err := s.SignMessage(nil, []byte("message"), crypto.SHA256)
		return err
	}
	// fault signs while KMS answers with a fault.
	fault := func(effect kmstest.Effect) error {
		defer fake.Inject(kmstest.Match{Operation: "Sign"}, effect)()
		return sign(signer)
	}
	code := func(status int, code string) error {
		return fault(kmstest.Respond(status, fmt.Sprintf(`{"__type":%q}`, code)))
	}
	// credentials signs with credentials that a provider does not have.
	credentials := func(provide func(context.Context) (aws.Credentials, error)) error {
		withProvider := func(o *kms.Options) { o.Credentials = aws.CredentialsProviderFunc(provide) }
		s, err := kmssigner.New(t.Context(), client(withProvider), signer.KeyARN(), func(o *kmssigner.Options) { o.PublicKey = signer.Public() })
		if err != nil {
			t.Fatal(err)
		}
		return sign(s)
	}
	// service calls a service that gives credentials, and has a fault.
	service := func(effect kmstest.Effect) func(context.Context) (aws.Credentials, error) {
		return func(ctx context.Context) (aws.Credentials, error) {
			defer fake.Inject(kmstest.Match{Operation: "DescribeKey"}, effect)()
			_, err := client().DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
			return aws.Credentials{}, err
		}
	}
	expired, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-expired.Done()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, badDigest := signer.Sign(nil, []byte("short"), crypto.SHA256)
	_, unsupported := kmssigner.New(t.Context(), client(), fake.AddKey(types.KeySpecHmac256))
	ed25519Signer, err := kmssigner.New(t.Context(), client(), fake.AddKey(types.KeySpecEccNistEdwards25519))
	if err != nil {
		t.Fatal(err)
	}
	_, tooLong := ed25519Signer.SignMessage(nil, make([]byte, 4097), crypto.Hash(0))

	// The errors by the first words of the row's first column.
	rows := map[string][]error{
		"`ThrottlingException`":                                 {fault(kmstest.Throttle())},
		"`KMSInternalException`":                                {code(500, "KMSInternalException"), code(503, "DependencyTimeoutException"), code(500, "KeyUnavailableException"), fault(kmstest.Fail(&types.KMSInternalException{}))},
		"HTTP status 5xx":                                       {code(500, "InternalFailure"), code(503, "ServiceUnavailableException"), fault(kmstest.Respond(500, "{}")), fault(kmstest.Respond(503, "<html>busy</html>")), fault(kmstest.Respond(502, ""))},
		"`context.DeadlineExceeded`":                            {sign(signer.WithContext(expired))},
		"`*smithyhttp.RequestSendError`":                        {fault(kmstest.Reset())},
		"`kmssigner.ErrBadSignature`":                           {fault(kmstest.Corrupt()), fault(kmstest.OtherKey(other))},
		"`kmssigner.ErrAnswerTooLarge`":                         {fault(kmstest.Respond(200, strings.Repeat(" ", 1<<17))), fault(kmstest.Respond(500, strings.Repeat(" ", 1<<17)))},
		"`kmssigner.ErrKeyChanged`":                             {fault(kmstest.Set("KeyId", other))},
		"`AccessDeniedException`":                               {code(400, "AccessDeniedException")},
		"`DisabledException`":                                   {fault(kmstest.Fail(&types.DisabledException{})), fault(kmstest.Fail(&types.KMSInvalidStateException{}))},
		"`NotFoundException`":                                   {fault(kmstest.Fail(&types.NotFoundException{}))},
		"`ExpiredTokenException`":                               {code(400, "ExpiredTokenException"), code(400, "UnrecognizedClientException")},
		"credentials cannot be obtained, because their service": {credentials(service(kmstest.Respond(503, ""))), credentials(service(kmstest.Reset()))},
		"credentials cannot be obtained, because none": {credentials(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no credentials")
		})},
		"`kmssigner.ErrMessageLength`":  {tooLong, badDigest},
		"`kmssigner.ErrUnsupportedKey`": {unsupported},
		"`context.Canceled`":            {sign(signer.WithContext(canceled))},
	}
	_, table, found := strings.Cut(pages(t)["docs/operations.md"], "| error | meaning | try again? |\n|---|---|---|\n")
	if !found {
		t.Fatal("the page has no table of errors")
	}
	for line := range strings.Lines(table) {
		columns := strings.Split(line, " | ")
		if len(columns) != 3 {
			break
		}
		row := strings.TrimPrefix(columns[0], "| ")
		known := false
		for name, errs := range rows {
			if !strings.HasPrefix(row, name) {
				continue
			}
			known = true
			delete(rows, name)
			for _, err := range errs {
				if want := !strings.HasPrefix(columns[2], "no"); err == nil || worthRetrying(err) != want {
					t.Errorf("%s: worth retrying: %t, want %t: %v", row, !want, want, err)
				}
			}
		}
		if !known {
			t.Errorf("no error is tested for the row %q", row)
		}
	}
	for name := range rows {
		t.Errorf("the table has no row that begins with %q", name)
	}
	for name, test := range map[string]struct{ got, want error }{
		"ErrBadSignature":   {fault(kmstest.Corrupt()), kmssigner.ErrBadSignature},
		"ErrKeyChanged":     {fault(kmstest.Set("KeyId", other)), kmssigner.ErrKeyChanged},
		"ErrAnswerTooLarge": {fault(kmstest.Respond(200, strings.Repeat(" ", 1<<17))), kmssigner.ErrAnswerTooLarge},
		"ErrMessageLength":  {tooLong, kmssigner.ErrMessageLength},
		"ErrUnsupportedKey": {unsupported, kmssigner.ErrUnsupportedKey},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v", name, test.got)
		}
	}
}
