package jwtkms_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/golang-jwt/jwt/v5"

	"github.com/kmssign/kmssign/internal/turns"
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

// BenchmarkToken compares ways to issue a token. All use the SDK's client on a
// transport that answers at once, and take turns:
//
//   - call: one Sign call of the client
//   - signer: a signature of a Signer that does not verify
//   - base: a Sign call, and a golang-jwt token whose method does nothing
//   - token: an ES256 token signed by a Signer that does not verify
//   - verified: an ES256 token signed by a Signer that verifies, the default
//
// Its command:
//
//	go test -run '^$' -bench Token -benchtime 5s ./jwtkms
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

	times := turns.Measure(b, 5,
		turns.Variant{Name: "call", Run: call},
		turns.Variant{Name: "signer", Run: signer},
		turns.Variant{Name: "base", Run: base},
		turns.Variant{Name: "token", Run: token},
		turns.Variant{Name: "verified", Run: verified},
	)
	const bare, whole = "the client call", "the client call, and golang-jwt with a method that does nothing"
	table := turns.NewTable("", "compared with", "time", "allocations")
	allocations := func(f, base func() error) string {
		return fmt.Sprintf("%.0f and %.0f", turns.Allocations(f), turns.Allocations(base))
	}
	table.Row("`Signer.Sign`, not verifying", bare, times.Ratio("signer", "call"), allocations(signer, call))
	table.Row("an ES256 token, not verifying", whole, times.Ratio("token", "base"), allocations(token, base))
	table.Row("an ES256 token, verifying, the default", whole, times.Ratio("verified", "base"), allocations(verified, base))
	table.Write(os.Stdout)
	fmt.Printf("The client call takes %s microseconds.\n", times.Microseconds("call"))
}
