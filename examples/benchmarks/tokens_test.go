package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/jwtkms"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// transport gives the same answer to every request of the SDK's client.
type transport struct{ body []byte }

func (t transport) Do(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:       io.NopCloser(bytes.NewReader(t.body)),
	}, nil
}

// BenchmarkTokens compares the modules that issue an ES256 token, in turns. All
// sign through the SDK's client on a transport that answers at once. The
// Signers do not verify, because the answer is always the same.
//
//	go -C examples test -run '^$' -bench Tokens -benchtime 5s ./benchmarks
func BenchmarkTokens(b *testing.B) {
	fake := kmstest.New()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	pinned, err := kmssigner.New(ctx, fake, fake.AddKey(types.KeySpecEccNistP256))
	if err != nil {
		b.Fatal(err)
	}
	arn := pinned.KeyARN()
	signature, err := pinned.Sign(nil, make([]byte, 32), crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"KeyId": arn, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_256"})
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
	s, err := kmssigner.New(ctx, client, arn, func(o *kmssigner.Options) { o.PublicKey, o.SkipVerification = pinned.Public(), true })
	if err != nil {
		b.Fatal(err)
	}
	signer := s.WithContext(ctx)

	claims := jwt.MapClaims{"iss": "https://issuer.example", "sub": "alice", "aud": "api", "iat": 1700000000, "exp": 1700003600}
	joseSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(signer)},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		b.Fatal(err)
	}
	jwx := jwxjwt.New()
	for name, value := range claims {
		if err := jwx.Set(name, value); err != nil {
			b.Fatal(err)
		}
	}
	variants := []turns.Variant{
		{Name: "golang-jwt with `jwtkms`", Run: func() error {
			_, err := jwt.NewWithClaims(jwtkms.ES256, claims).SignedString(signer)
			return err
		}},
		{Name: "golang-jwt, the client, `encoding/asn1` and `math/big`", Run: func() error {
			token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
			input, err := token.SigningString()
			if err != nil {
				return err
			}
			digest := sha256.Sum256([]byte(input))
			out, err := client.Sign(ctx, &kms.SignInput{
				KeyId: &arn, Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
			})
			if err != nil {
				return err
			}
			var sig struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(out.Signature, &sig); err != nil {
				return err
			}
			p1363 := make([]byte, 64)
			sig.R.FillBytes(p1363[:32])
			sig.S.FillBytes(p1363[32:])
			_ = input + "." + token.EncodeSegment(p1363)
			return nil
		}},
		{Name: "go-jose with `cryptosigner`, over the same Signer", Run: func() error {
			_, err := josejwt.Signed(joseSigner).Claims(map[string]any(claims)).Serialize()
			return err
		}},
		{Name: "jwx, over the same Signer", Run: func() error {
			_, err := jwxjwt.Sign(jwx, jwxjwt.WithKey(jwa.ES256(), signer))
			return err
		}},
	}
	times := turns.Measure(b, 5, variants...)
	table := turns.NewTable("", "time", "allocations")
	for _, v := range variants {
		table.Row(v.Name, times.Ratio(v.Name, variants[0].Name), fmt.Sprintf("%.0f", turns.Allocations(v.Run)))
	}
	table.Write(os.Stdout)
}
