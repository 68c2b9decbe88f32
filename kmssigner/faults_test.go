package kmssigner_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// eachBackendOnce is eachBackend with clients that do not retry.
func eachBackendOnce(t *testing.T, test func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client)) {
	t.Run("memory", func(t *testing.T) {
		fake := kmstest.New()
		test(t, fake, fake)
	})
	t.Run("wire", func(t *testing.T) {
		fake := kmstest.New()
		server := kmstest.NewServer(fake)
		t.Cleanup(server.Close)
		test(t, fake, kms.NewFromConfig(server.Config(), func(o *kms.Options) { o.Retryer = aws.NopRetryer{} }))
	})
}

// TestSignFaults has a fault in one Sign call. No signature is returned, the
// error is the one that callers test for, and the next call succeeds.
func TestSignFaults(t *testing.T) {
	eachBackendOnce(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		for _, spec := range specs {
			keyID, other := fake.AddKey(spec), fake.AddKey(spec)
			otherARN := newSigner(t, fake, other).KeyARN()
			signer := newSigner(t, client, keyID)
			is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
			code := func(code string) func(error) bool {
				return func(err error) bool {
					apiErr, ok := errors.AsType[smithy.APIError](err)
					return ok && apiErr.ErrorCode() == code
				}
			}
			status := func(status int) func(error) bool {
				return func(err error) bool {
					respErr, ok := errors.AsType[*awshttp.ResponseError](err)
					return ok && respErr.HTTPStatusCode() == status
				}
			}
			some := func(err error) bool { return true }
			bad, changed := is(kmssigner.ErrBadSignature), is(kmssigner.ErrKeyChanged)
			for _, tt := range []struct {
				reason string
				effect kmstest.Effect
				want   func(error) bool
			}{
				{"an empty answer that the SDK takes for a success", kmstest.Respond(http.StatusOK, ""), bad},
				{"an empty object likewise", kmstest.Respond(http.StatusOK, "{}"), bad},
				{"a proxy's page", kmstest.Respond(http.StatusOK, "<html>welcome</html>"), some},
				{"half of the JSON", kmstest.Truncate(), some},
				{"a connection closed in the middle", kmstest.Cut(), some},
				{"a connection reset", kmstest.Reset(), some},
				{"a front end's 503", kmstest.Respond(http.StatusServiceUnavailable, ""), status(http.StatusServiceUnavailable)},
				{"a proxy's 502", kmstest.Respond(http.StatusBadGateway, "<html>Bad Gateway</html>"), status(http.StatusBadGateway)},
				{"no signature", kmstest.Set("Signature", nil), bad},
				{"bytes that are no signature", kmstest.Set("Signature", []byte("garbage")), bad},
				{"a flipped bit", kmstest.Corrupt(), bad},
				{"another key's signature under this key's name", kmstest.OtherKey(other), bad},
				{"another message's signature", kmstest.OtherMessage(), bad},
				{"another key", kmstest.Set("KeyId", otherARN), changed},
				{"another key, by its bare ID", kmstest.Set("KeyId", other), changed},
				{"no key", kmstest.Set("KeyId", nil), bad},
				{"another algorithm", kmstest.Set("SigningAlgorithm", types.SigningAlgorithmSpecSm2dsa), bad},
				{"no algorithm", kmstest.Set("SigningAlgorithm", nil), bad},
				{"a throttle", kmstest.Throttle(), code("ThrottlingException")},
				{"a key in the wrong state", kmstest.Fail(&types.KMSInvalidStateException{}), code("KMSInvalidStateException")},
				{"an internal error", kmstest.Fail(&types.KMSInternalException{}), code("KMSInternalException")},
				{"no permission", kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}), code("AccessDeniedException")},
			} {
				fake.Inject(kmstest.Match{Operation: "Sign", Key: keyID, Times: 1}, tt.effect)
				opts := optsFor(spec)[0]
				before := fake.Calls("Sign")
				sig, err := signer.SignMessage(nil, []byte("message"), opts)
				if sig != nil || err == nil || !tt.want(err) || !strings.Contains(err.Error(), signer.KeyARN()) {
					t.Errorf("%s: %s: %x, %v", spec, tt.reason, sig, err)
				}
				if sig, err = signer.SignMessage(nil, []byte("message"), opts); err != nil {
					t.Errorf("%s: after %s: %v", spec, tt.reason, err)
				} else if err := verify(signer.Public(), []byte("message"), sig, opts); err != nil {
					t.Errorf("%s: after %s: %v", spec, tt.reason, err)
				}
				// OtherKey and OtherMessage make a second signature in the
				// fake.
				if calls := fake.Calls("Sign") - before; calls != 2 {
					t.Errorf("%s: %s: %d calls, want one each time", spec, tt.reason, calls)
				}
			}
		}
	})
}

// TestNewFaults has faults in the GetPublicKey call. New fails, except for the
// public key of another key, with which the first signature fails.
func TestNewFaults(t *testing.T) {
	eachBackendOnce(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		keyID, other := fake.AddKey(types.KeySpecEccNistP256), fake.AddKey(types.KeySpecEccNistP256)
		for reason, effect := range map[string]kmstest.Effect{
			"an empty answer":        kmstest.Respond(http.StatusOK, ""),
			"an empty object":        kmstest.Respond(http.StatusOK, "{}"),
			"a proxy's page":         kmstest.Respond(http.StatusOK, "<html>welcome</html>"),
			"half of the JSON":       kmstest.Truncate(),
			"a reset":                kmstest.Reset(),
			"a point off the curve":  kmstest.Corrupt(),
			"no public key":          kmstest.Set("PublicKey", nil),
			"no key":                 kmstest.Set("KeyId", nil),
			"another key":            kmstest.Set("KeyId", other),
			"another usage":          kmstest.Set("KeyUsage", types.KeyUsageTypeKeyAgreement),
			"another spec":           kmstest.Set("KeySpec", types.KeySpecEccNistP384),
			"no algorithms":          kmstest.Set("SigningAlgorithms", nil),
			"a throttle":             kmstest.Throttle(),
			"a key of no public key": kmstest.Fail(&types.UnsupportedOperationException{}),
		} {
			fake.Inject(kmstest.Match{Operation: "GetPublicKey", Times: 1}, effect)
			if signer, err := kmssigner.New(t.Context(), client, keyID); err == nil {
				t.Errorf("%s: New = %v, want an error", reason, signer)
			}
		}
		fake.Inject(kmstest.Match{Operation: "GetPublicKey", Times: 1}, kmstest.OtherKey(other))
		signer := newSigner(t, client, keyID)
		if sig, err := signer.SignMessage(nil, nil, crypto.SHA256); sig != nil || !errors.Is(err, kmssigner.ErrBadSignature) {
			t.Errorf("with another key's public key: %x, %v, want ErrBadSignature", sig, err)
		}
	})
}

// TestHang has calls that hang, before the headers or in the middle of the
// body. Each ends with its own context, and other calls go on.
func TestHang(t *testing.T) {
	eachBackendOnce(t, func(t *testing.T, fake *kmstest.KMS, client kmssigner.Client) {
		keyID := fake.AddKey(types.KeySpecEccNistP256)
		signer := newSigner(t, client, keyID, func(o *kmssigner.Options) { o.Timeout = time.Hour })
		for reason, effect := range map[string]kmstest.Effect{"headers": kmstest.Hang(), "body": kmstest.HangBody()} {
			// The SDK closes the body of a request when the headers of the
			// answer arrive. If net/http is still reading the body, it drops
			// the connection, which would end a slow answer. That happens only
			// on a loopback.
			fake.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Delay(50*time.Millisecond), effect)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			before := fake.Calls("Sign")
			go func() {
				_, err := signer.WithContext(ctx).SignMessage(nil, nil, crypto.SHA256)
				done <- err
			}()
			for fake.Calls("Sign") == before { // until the call hangs
				select {
				case err := <-done:
					t.Fatalf("%s: ended by itself: %v", reason, err)
				case <-time.After(time.Millisecond):
				}
			}
			if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
				t.Errorf("%s: another call meanwhile: %v", reason, err)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", reason, err)
			}
		}
		fake.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Hang())
		impatient := newSigner(t, client, keyID, func(o *kmssigner.Options) { o.Timeout = 20 * time.Millisecond })
		if _, err := impatient.SignMessage(nil, nil, crypto.SHA256); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a default deadline: %v, want context.DeadlineExceeded", err)
		}
	})
}

// TestTheSDKRetries finds that the SDK retries throttled calls and server
// errors.
func TestTheSDKRetries(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := kms.NewFromConfig(server.Config(), func(o *kms.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
	})
	signer := newSigner(t, client, fake.AddKey(types.KeySpecEccNistP256))
	for reason, effect := range map[string]kmstest.Effect{
		"throttle": kmstest.Throttle(),
		"503":      kmstest.Respond(http.StatusServiceUnavailable, ""),
		"reset":    kmstest.Reset(),
	} {
		before := fake.Calls("Sign")
		fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, effect)
		if _, err := signer.SignMessage(nil, nil, crypto.SHA256); err != nil {
			t.Errorf("%s twice: %v", reason, err)
		}
		if got := fake.Calls("Sign") - before; got != 3 {
			t.Errorf("%s twice: %d attempts, want 3", reason, got)
		}
	}
}
