package kmssigner_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/internal/secp256k1"
	"github.com/kmssign/kmssign/internal/turns"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// canned is a Client that gives the same answer to every Sign call and does not
// allocate.
type canned struct {
	kmssigner.Client
	out *kms.SignOutput
}

func (c *canned) Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error) {
	return c.out, nil
}

// newCanned returns a Signer over a canned signature of costMessage.
func newCanned(tb testing.TB, spec types.KeySpec, opts crypto.SignerOpts, optFns ...func(*kmssigner.Options)) (*canned, *kmssigner.Signer) {
	tb.Helper()
	fake := kmstest.New()
	keyID := fake.AddKey(spec)
	client := &canned{Client: fake}
	recorder := &spy{Client: fake, editSign: func(out *kms.SignOutput) (*kms.SignOutput, error) {
		client.out = out
		return out, nil
	}}
	first, err := kmssigner.New(tb.Context(), recorder, keyID)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := first.SignMessage(nil, costMessage, opts); err != nil {
		tb.Fatal(err)
	}
	signer, err := kmssigner.New(tb.Context(), client, keyID, optFns...)
	if err != nil {
		tb.Fatal(err)
	}
	return client, signer
}

// costMessage is as long as the signing input of an ordinary token.
var costMessage = bytes.Repeat([]byte{'m'}, 300)

var costSchemes = []struct {
	spec types.KeySpec
	opts crypto.SignerOpts
}{
	{types.KeySpecEccNistP256, crypto.SHA256},
	{types.KeySpecEccNistP384, crypto.SHA384},
	{types.KeySpecEccNistP521, crypto.SHA512},
	{types.KeySpecEccSecgP256k1, crypto.SHA256},
	{types.KeySpecRsa2048, crypto.SHA256},
	{types.KeySpecRsa2048, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash}},
	{types.KeySpecEccNistEdwards25519, crypto.Hash(0)},
	{types.KeySpecMlDsa44, crypto.Hash(0)},
}

// fittedSchemes sign digests that do not go with the curve: padded, cut, and of
// the right length by another hash. Their signatures are always verified.
var fittedSchemes = []struct {
	spec types.KeySpec
	hash crypto.Hash
}{
	{types.KeySpecEccNistP384, crypto.SHA256},
	{types.KeySpecEccNistP521, crypto.SHA256},
	{types.KeySpecEccNistP521, crypto.SHA3_384},
	{types.KeySpecEccNistP256, crypto.SHA384},
	{types.KeySpecEccNistP256, crypto.SHA512},
	{types.KeySpecEccNistP256, crypto.SHA3_256},
	{types.KeySpecEccSecgP256k1, crypto.SHA512},
}

func skipVerification(o *kmssigner.Options) { o.SkipVerification = true }

// leastAllocs returns how often f allocates. It takes the least of several
// measurements, because crypto/ecdsa has a cache that the garbage collector
// empties.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(20, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(20, f))
	}
	return least
}

// TestAllocations holds a signature to two allocations beside those of the
// client and of verification: the request, and the digest of a message. The
// context has a deadline, because making one allocates.
func TestAllocations(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 1<<62)
	defer cancel()
	check := func(spec types.KeySpec, opts crypto.SignerOpts, verification func(pub crypto.PublicKey, digest, sig []byte)) {
		t.Helper()
		client, signer := newCanned(t, spec, opts, skipVerification)
		bound := signer.WithContext(ctx)
		digest := digestOf(opts, costMessage)
		limit := 2.0
		if verification != nil {
			limit += leastAllocs(func() { verification(signer.Public(), digest, client.out.Signature) })
		}
		for name, sign := range map[string]func() error{
			"Sign":        func() error { _, err := bound.Sign(nil, digest, opts); return err },
			"SignMessage": func() error { _, err := bound.SignMessage(nil, costMessage, opts); return err },
		} {
			allocs := leastAllocs(func() {
				if err := sign(); err != nil {
					t.Fatal(err)
				}
			})
			if allocs > limit {
				t.Errorf("%s, %v, %s: %v allocations, want at most %v", spec, opts, name, allocs, limit)
			}
		}
	}
	for _, s := range costSchemes {
		check(s.spec, s.opts, nil)
	}
	for _, s := range fittedSchemes {
		check(s.spec, s.hash, func(pub crypto.PublicKey, digest, sig []byte) {
			verifyASN1 := ecdsa.VerifyASN1
			if s.spec == types.KeySpecEccSecgP256k1 {
				verifyASN1 = secp256k1.VerifyASN1
			}
			if !verifyASN1(pub.(*ecdsa.PublicKey), digest, sig) {
				t.Fatal("the signature does not verify")
			}
		})
	}
}

// TestCalls counts one call for each signature and no others.
func TestCalls(t *testing.T) {
	fake := kmstest.New()
	signer := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256))
	for range 10 {
		if _, err := signer.SignMessage(nil, costMessage, crypto.SHA256); err != nil {
			t.Fatal(err)
		}
		signer.Public()
	}
	if fake.Calls("Sign") != 10 || fake.Calls("") != 11 {
		t.Errorf("%d Sign calls of %d, want 10 of 11", fake.Calls("Sign"), fake.Calls(""))
	}
}

// transport answers the SDK's client without a network.
type transport struct{ body []byte }

func (t transport) Do(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body:       io.NopCloser(bytes.NewReader(t.body)),
	}, nil
}

// captured returns the body of an answer to a Sign call.
func captured(b *testing.B, spec types.KeySpec, opts crypto.SignerOpts) (keyARN string, public crypto.PublicKey, body []byte) {
	b.Helper()
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	var mu sync.Mutex
	tap := &tap{mu: &mu, body: &body}
	signer, err := kmssigner.New(b.Context(), server.Client(), fake.AddKey(spec), func(o *kmssigner.Options) {
		o.ClientOptions = append(o.ClientOptions, func(o *kms.Options) { o.HTTPClient = tap })
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := signer.SignMessage(nil, costMessage, opts); err != nil {
		b.Fatal(err)
	}
	return signer.KeyARN(), signer.Public(), body
}

// A tap is an HTTPClient that keeps the last answer.
type tap struct {
	http.Client
	mu   *sync.Mutex
	body *[]byte
}

func (t *tap) Do(r *http.Request) (*http.Response, error) {
	resp, err := t.Client.Do(r)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	t.mu.Lock()
	*t.body = data
	t.mu.Unlock()
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, err
}

// BenchmarkSign compares the bare call of the SDK's client, a Signer that does
// not verify, and one that does, for each kind of key. They take turns, on a
// transport that answers at once.
//
//	go test -run '^$' -bench Sign -benchtime 2s ./kmssigner
func BenchmarkSign(b *testing.B) {
	table := turns.NewTable("key", "verifying adds, in microseconds", "`Sign`, verifying", "`Sign`, not verifying")
	for _, s := range costSchemes {
		name := string(s.spec)
		if _, ok := s.opts.(*rsa.PSSOptions); ok {
			name += " PSS"
		}
		b.Run(name, func(b *testing.B) {
			times := measureSign(b, s.spec, s.opts)
			table.Row(name, times.Difference("verifying", "trusting"), times.Ratio("verifying", "call"), times.Ratio("trusting", "call"))
		})
	}
	table.Write(os.Stdout)
}

func measureSign(b *testing.B, spec types.KeySpec, opts crypto.SignerOpts) *turns.Times {
	keyARN, public, body := captured(b, spec, opts)
	client := kms.New(kms.Options{
		Region:     "us-east-1",
		HTTPClient: transport{body},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
		}),
	})
	ctx, cancel := context.WithTimeout(b.Context(), 1<<62)
	b.Cleanup(cancel)
	digest := digestOf(opts, costMessage)
	signer := func(skip bool) func() error {
		signer, err := kmssigner.New(ctx, client, keyARN, func(o *kmssigner.Options) { o.PublicKey, o.SkipVerification = public, skip })
		if err != nil {
			b.Fatal(err)
		}
		bound := signer.WithContext(ctx)
		return func() error {
			_, err := bound.Sign(nil, digest, opts)
			return err
		}
	}
	call := func() error {
		_, err := client.Sign(ctx, &kms.SignInput{
			KeyId: &keyARN, Message: digest, MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
		})
		return err
	}
	return turns.Measure(b, 5,
		turns.Variant{Name: "call", Run: call},
		turns.Variant{Name: "trusting", Run: signer(true)},
		turns.Variant{Name: "verifying", Run: signer(false)},
	)
}
