package jwtkms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// A transport gives the same answer to every request of the SDK's client,
// without a network.
type transport struct{ body []byte }

func (t transport) Do(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:       io.NopCloser(bytes.NewReader(t.body)),
	}, nil
}

// BenchmarkToken compares three ways to issue a token. All use the SDK's client
// on a transport that answers at once:
//
//   - client: a golang-jwt token whose method does nothing, and one Sign call
//     of the client
//   - token: an ES256 token signed by a Signer that does not verify
//   - verifying: an ES256 token signed by a Signer that verifies, the default
//
// in-turns reports the ratios of token and verifying to client, and of a Signer
// to the client's Sign call.
//
//	go test -run '^$' -bench Token ./jwtkms
func BenchmarkToken(b *testing.B) {
	fake := kmstest.New()
	pub, err := kmssigner.New(b.Context(), fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		b.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": "https://issuer.example", "sub": "alice", "aud": "api", "iat": 1700000000, "exp": 1700003600}
	header := jwt.NewWithClaims(jwtkms.ES256, claims)
	signingString, err := header.SigningString()
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte(signingString))
	arn := pub.KeyARN()
	in := kms.SignInput{
		KeyId: &arn, Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	}
	out, err := fake.Sign(b.Context(), &in)
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"KeyId": arn, "Signature": out.Signature, "SigningAlgorithm": "ECDSA_SHA_256"})
	if err != nil {
		b.Fatal(err)
	}
	client := kms.New(kms.Options{
		Region:     "us-east-1",
		HTTPClient: transport{body},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
		}),
	})
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()

	newSigner := func(skip bool) *kmssigner.Signer {
		signer, err := kmssigner.New(ctx, client, arn, func(o *kmssigner.Options) {
			o.PublicKey, o.SkipVerification = pub.Public(), skip
		})
		if err != nil {
			b.Fatal(err)
		}
		return signer.WithContext(ctx)
	}
	trusting, verifying := newSigner(true), newSigner(false)
	method := noop{make([]byte, 64)}

	// Each function makes one signature or one token.
	call := func() error {
		in := in
		_, err := client.Sign(ctx, &in)
		return err
	}
	signer := func() error { _, err := trusting.Sign(nil, digest[:], crypto.SHA256); return err }
	base := func() error {
		if err := call(); err != nil {
			return err
		}
		_, err := jwt.NewWithClaims(method, claims).SignedString(nil)
		return err
	}
	token := func() error { _, err := jwt.NewWithClaims(jwtkms.ES256, claims).SignedString(trusting); return err }
	verified := func() error { _, err := jwt.NewWithClaims(jwtkms.ES256, claims).SignedString(verifying); return err }

	for _, variant := range []struct {
		name string
		run  func() error
	}{{"client", base}, {"token", token}, {"verifying", verified}} {
		b.Run(variant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := variant.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// Other load on the machine changes over time. Taking turns spreads it
	// over all variants, so that differences of a few percent show.
	b.Run("in-turns", func(b *testing.B) {
		const each = 5
		variants := []func() error{call, signer, base, token, verified}
		times := make([][]time.Duration, len(variants))
		for b.Loop() {
			for i, run := range variants {
				start := time.Now()
				for range each {
					if err := run(); err != nil {
						b.Fatal(err)
					}
				}
				times[i] = append(times[i], time.Since(start))
			}
		}
		// The first quartile leaves out the rounds that other load
		// slowed down.
		quartile := func(i int) float64 {
			slices.Sort(times[i])
			return float64(times[i][len(times[i])/4])
		}
		b.ReportMetric(quartile(1)/quartile(0), "signer/call")
		b.ReportMetric(quartile(3)/quartile(2), "token/client")
		b.ReportMetric(quartile(4)/quartile(2), "verifying/client")
	})
}
