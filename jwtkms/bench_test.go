package jwtkms_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
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

// transport answers every request of the SDK's client alike, without a network.
type transport struct{ body []byte }

func (t transport) Do(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:       io.NopCloser(bytes.NewReader(t.body)),
	}, nil
}

// BenchmarkToken compares, in one run and over the SDK's real client on a transport that
// answers at once, a token of golang-jwt whose method does nothing together with one bare
// client call, the same token by ES256 over a Signer that does not verify, and over one
// that does, as Signers do by default.
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

	b.Run("client", func(b *testing.B) {
		method := noop{make([]byte, 64)}
		b.ReportAllocs()
		for b.Loop() {
			call := in
			if _, err := client.Sign(ctx, &call); err != nil {
				b.Fatal(err)
			}
			if _, err := jwt.NewWithClaims(method, claims).SignedString(nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, variant := range []struct {
		name string
		skip bool
	}{{"token", true}, {"verifying", false}} {
		signer, err := kmssigner.New(ctx, client, arn, func(o *kmssigner.Options) {
			o.PublicKey, o.SkipVerification = pub.Public(), variant.skip
		})
		if err != nil {
			b.Fatal(err)
		}
		bound := signer.WithContext(ctx)
		b.Run(variant.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jwt.NewWithClaims(jwtkms.ES256, claims).SignedString(bound); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
