package multiregion_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// foreignAnswers returns answers of proxies, captive portals, firewalls and
// wrong endpoints. They are not KMS's, so another Region is asked.
func foreignAnswers() map[string]kmstest.Effect {
	answers := map[string]kmstest.Effect{
		"400 of a gateway": kmstest.Respond(400, `{"code":400,"message":"Bad Request"}`),
		"403 of a gateway": kmstest.Respond(403, `{"code":"403","message":"Forbidden"}`),
		"200 HTML":         kmstest.Respond(200, "<html>Sign in to the network</html>"),
		"200 null":         kmstest.Respond(200, "null"),
		"200 other JSON":   kmstest.Respond(200, `{"status":"ok"}`),
		"200 too large":    kmstest.Respond(200, `{"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"403 too large":    kmstest.Respond(403, `{"message":"`+strings.Repeat("x", 1<<20)+`"}`),
	}
	for _, status := range []int{302, 307, 401, 403, 404, 405, 407, 413, 429, 500, 502, 503} {
		for _, body := range []string{"", "{}", `{"message":"Forbidden"}`, "<html>Forbidden</html>"} {
			answers[strings.TrimSpace(fmt.Sprint(status, " ", body))] = kmstest.Respond(status, body)
		}
	}
	for _, status := range []int{200, 201, 204} {
		for _, body := range []string{"", "{}"} {
			answers[strings.TrimSpace(fmt.Sprint(status, " ", body))] = kmstest.Respond(status, body)
		}
	}
	return answers
}

func TestForeignAnswer(t *testing.T) {
	for name, effect := range foreignAnswers() {
		for _, hedge := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprint(name, hedge), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := ecWorld(t)
					c := w.client(t, func(o *multiregion.Options) { o.HedgeAfter = hedge })
					s := newSigner(t, c, w.arn)
					w.a.Inject(kmstest.Match{}, effect)
					mustSign(t, s)
					w.signs(t, 1, 1)
					down(t, c, regionA)
					mustSign(t, s)
					w.signs(t, 1, 2) // the first is passed over

					// New and MACs too.
					newSigner(t, w.client(t), w.id)
					w = newWorld(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
					c = w.client(t, func(o *multiregion.Options) { o.HedgeAfter = hedge })
					before := w.a.Calls("") + w.b.Calls("")
					heal := w.a.Inject(kmstest.Match{}, effect)
					h, err := kmssigner.NewHMAC(t.Context(), c, w.arn)
					if err != nil {
						t.Fatal(err)
					}
					down(t, c, regionA)
					heal()
					w.a.Inject(kmstest.Match{Operation: "GenerateMac"}, effect)
					w.a.Inject(kmstest.Match{Operation: "VerifyMac"}, effect)
					time.Sleep(10 * time.Second) // and now it is asked again
					mac, err := h.Generate([]byte("message"))
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
					if ok, err := h.Verify([]byte("message"), mac); !ok || err != nil {
						t.Errorf("Verify: %v, %v", ok, err)
					}
					if n := w.a.Calls("") + w.b.Calls("") - before; n != 6 {
						t.Errorf("%d calls, want each Region's answer to each of three", n)
					}
				})
			})
		}
	}
}

// TestForeignError checks an error about an HTTP answer that has no error code,
// as middleware may return.
func TestForeignError(t *testing.T) {
	w := ecWorld(t)
	c, err := multiregion.New([]multiregion.Region{{Name: regionA, Client: failing{}}, {Name: regionB, Client: w.b}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sign(t.Context(), input(w)); err != nil {
		t.Error(err)
	}
	down(t, c, regionA)
}

// A failing client fails with an error about an HTTP answer.
type failing struct{ kmssigner.Client }

func (failing) Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error) {
	return nil, &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 403}}, Err: errors.New("blocked"),
	}
}

// TestForeignAnswerEverywhere checks the error if no answer is KMS's.
func TestForeignAnswerEverywhere(t *testing.T) {
	w := ecWorld(t)
	c := w.client(t)
	s := newSigner(t, c, w.arn)
	w.a.Inject(signFault, kmstest.Respond(403, `{"message":"Forbidden"}`))
	w.b.Inject(signFault, kmstest.Respond(200, "{}"))
	err := sign(s)
	if !errors.Is(err, kmssigner.ErrBadSignature) {
		t.Errorf("got %v, want ErrBadSignature for the empty success", err)
	}
	for _, part := range []string{regionA + ": ", "StatusCode: 403", "Forbidden", regionB + ": ", "no Signature"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not have %q", err, part)
		}
	}
	down(t, c, regionA, regionB)
}

// TestMissingMember checks that a success without one of the members that KMS
// always sends is not taken for KMS's.
func TestMissingMember(t *testing.T) {
	for operation, members := range map[string][]string{
		"Sign":         {"Signature", "KeyId", "SigningAlgorithm"},
		"GetPublicKey": {"PublicKey", "KeyId"},
		"GenerateMac":  {"Mac", "KeyId", "MacAlgorithm"},
		"VerifyMac":    {"KeyId", "MacAlgorithm"},
		"DescribeKey":  {"KeyMetadata"},
	} {
		for _, member := range members {
			t.Run(operation+" "+member, func(t *testing.T) {
				w, err := callOf(t, operation)
				w.a.Inject(kmstest.Match{Operation: operation}, kmstest.Set(member, nil))
				if err := err(w.client(t)); err != nil {
					t.Errorf("with the other Region: %v", err)
				}
				w.b.Inject(kmstest.Match{Operation: operation}, kmstest.Set(member, nil))
				if err := err(w.client(t)); err == nil || strings.Count(err.Error(), "the answer has no "+member) != 2 {
					t.Errorf("got %v, want both Regions and the name of the member", err)
				}
			})
		}
	}
}

// callOf returns a world and a function that makes one call of an operation.
func callOf(t *testing.T, operation string) (*world, func(*multiregion.Client) error) {
	ctx := t.Context()
	switch operation {
	case "Sign":
		w := ecWorld(t)
		return w, func(c *multiregion.Client) error { _, err := c.Sign(ctx, input(w)); return err }
	case "GetPublicKey":
		w := ecWorld(t)
		return w, func(c *multiregion.Client) error {
			_, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &w.arn})
			return err
		}
	}
	w := newWorld(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	out, err := w.a.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: &w.id, Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, map[string]func(*multiregion.Client) error{
		"GenerateMac": func(c *multiregion.Client) error {
			_, err := c.GenerateMac(ctx, &kms.GenerateMacInput{
				KeyId: &w.arn, Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256,
			})
			return err
		},
		"VerifyMac": func(c *multiregion.Client) error {
			_, err := c.VerifyMac(ctx, &kms.VerifyMacInput{
				KeyId: &w.arn, Message: []byte("m"), Mac: out.Mac, MacAlgorithm: types.MacAlgorithmSpecHmacSha256,
			})
			return err
		},
		"DescribeKey": func(c *multiregion.Client) error {
			_, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &w.arn})
			return err
		},
	}[operation]
}

// TestForeignAnswerOnTheWire checks that a redirect is not followed, and that a
// proxy that refuses to connect makes a Region unavailable.
func TestForeignAnswerOnTheWire(t *testing.T) {
	w := ecWorld(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer front.Close()
	frontURL, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := kmstest.NewServer(w.b)
	defer server.Close()
	for name, options := range map[string]kms.Options{
		"redirect": {BaseEndpoint: aws.String(front.URL)},
		"proxy": {HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
			tr.Proxy = http.ProxyURL(frontURL)
		})},
	} {
		options.Region = regionA
		options.Credentials = server.Config().Credentials
		options.Retryer = aws.NopRetryer{}
		c, err := multiregion.New([]multiregion.Region{{Client: kms.New(options)}, {Client: kms.NewFromConfig(server.Config())}},
			func(o *multiregion.Options) { o.AttemptTimeout = -1 }) // no test of the machine's speed
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Sign(t.Context(), input(w)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		down(t, c, regionA)
	}
}

// TestHiccup checks that a Region is not passed over after one moment in which
// all calls were slow.
func TestHiccup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Delay(150*time.Millisecond))
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { mustSign(t, s) })
		}
		wg.Wait()
		heal()
		down(t, c)
		mustSign(t, s)
		w.signs(t, 65, 64)
	})
}

// TestHedgeToSlow checks that a Region that is passed over for being slow is
// hedged to when the other is slow too.
func TestHedgeToSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ecWorld(t)
		c, _, _ := hedged(t, w)
		s := newSigner(t, c, w.arn)
		heal := w.a.Inject(signFault, kmstest.Hang())
		for range 2 {
			for range 32 {
				mustSign(t, s)
			}
		}
		heal()
		down(t, c, regionA)
		calls := w.a.Calls("Sign")
		w.b.Inject(signFault, kmstest.Hang())
		began := time.Now()
		mustSign(t, s)
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("it took %v, want HedgeAfter", took)
		}
		if w.a.Calls("Sign") != calls+1 {
			t.Error("the Region that was only slow was not hedged to")
		}
		down(t, c)
	})
}

// TestClockSkew checks that a Region is not passed over for the refusals that a
// wrong clock causes. The SDK corrects the clock with its next attempt, so only
// a client without retries sees them.
func TestClockSkew(t *testing.T) {
	w := ecWorld(t)
	c := w.client(t)
	s := newSigner(t, c, w.arn)
	skewed := kmstest.SkewDate(2 * time.Hour)
	w.a.Inject(kmstest.Match{Operation: "Sign", Times: 1}, kmstest.Fail(&smithy.GenericAPIError{Code: "InvalidSignatureException"}), skewed)
	err := sign(s)
	if code, ok := errors.AsType[smithy.APIError](err); !ok || code.ErrorCode() != "InvalidSignatureException" {
		t.Errorf("got %v, want InvalidSignatureException", err)
	}
	down(t, c)
	mustSign(t, s)
	w.signs(t, 2, 0)
}

// TestCredentials checks that no other Region is asked when the SDK has no
// credentials, because the others would have none either.
func TestCredentials(t *testing.T) {
	failing := func(err error) aws.CredentialsProvider {
		return aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, err
		}))
	}
	for name, err := range map[string]error{
		"none": errors.New("no credentials"),
		"refused by STS": &smithy.OperationError{ServiceID: "STS", OperationName: "AssumeRole",
			Err: &smithy.GenericAPIError{Code: "AccessDenied"}},
		"no answer of the metadata service": &smithy.OperationError{ServiceID: "ec2imds", OperationName: "GetMetadata",
			Err: &url.Error{Op: "Put", URL: "http://169.254.169.254", Err: errors.New("connection refused")}},
	} {
		w := ecWorld(t)
		client := kms.New(kms.Options{Region: regionA, Credentials: failing(err), Retryer: aws.NopRetryer{}})
		c, newErr := multiregion.New([]multiregion.Region{{Client: client}, {Name: regionB, Client: w.b}})
		if newErr != nil {
			t.Fatal(newErr)
		}
		_, got := c.Sign(t.Context(), input(w))
		if got == nil || !strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%s: got %v, want the cause", name, got)
		}
		down(t, c)
		w.signs(t, 0, 0)
	}
}
