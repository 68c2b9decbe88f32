package kmssigner_test

import (
	"context"
	"crypto"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// hashesTwice is an emulator that hashes a digest again, as moto does.
type hashesTwice struct{ *kmstest.KMS }

func (c hashesTwice) Sign(ctx context.Context, in *kms.SignInput, optFns ...func(*kms.Options)) (*kms.SignOutput, error) {
	again := *in
	again.MessageType = types.MessageTypeRaw
	return c.KMS.Sign(ctx, &again, optFns...)
}

// TestEmulatorThatHashesTwice says what to do about such an emulator, and what
// it says works.
func TestEmulatorThatHashesTwice(t *testing.T) {
	client := hashesTwice{kmstest.New()}
	const advice = "set Options.PreferRaw and call SignMessage"
	for _, spec := range []types.KeySpec{types.KeySpecEccNistP256, types.KeySpecEccNistP521, types.KeySpecEccSecgP256k1, types.KeySpecRsa2048} {
		keyID := client.AddKey(spec)
		for _, opts := range optsFor(spec) {
			msg := []byte("message")
			signer := newSigner(t, client, keyID)
			_, err := signer.SignMessage(nil, msg, opts)
			if !errors.Is(err, kmssigner.ErrBadSignature) || !strings.Contains(err.Error(), advice) {
				t.Errorf("%s, %v: SignMessage: %v, want ErrBadSignature and the advice", spec, opts, err)
			}
			_, err = signer.Sign(nil, digestOf(opts, msg), opts)
			if !errors.Is(err, kmssigner.ErrBadSignature) || !strings.Contains(err.Error(), advice) {
				t.Errorf("%s, %v: Sign: %v, want ErrBadSignature and the advice", spec, opts, err)
			}
			raw := newSigner(t, client, keyID, func(o *kmssigner.Options) { o.PreferRaw = true })
			sig, err := raw.SignMessage(nil, msg, opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(raw.Public(), msg, sig, opts); err != nil {
				t.Errorf("%s, %v: with PreferRaw: %v", spec, opts, err)
			}
		}
	}
	// A signature that is wrong in another way gets no such advice.
	fake := kmstest.New()
	fake.Inject(kmstest.Match{Operation: "Sign"}, kmstest.OtherMessage())
	_, err := newSigner(t, fake, fake.AddKey(types.KeySpecEccNistP256)).SignMessage(nil, nil, crypto.SHA256)
	if !errors.Is(err, kmssigner.ErrBadSignature) || strings.Contains(err.Error(), advice) {
		t.Errorf("signature of another message: %v", err)
	}
}

// TestOtherRegion names the Region of the client where KMS says "Invalid arn".
func TestOtherRegion(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	client := server.Client()
	keyID := fake.AddKey(types.KeySpecEccNistP256)
	signer := newSigner(t, fake, keyID)
	elsewhere := strings.Replace(signer.KeyARN(), "us-east-1", "eu-west-1", 1)
	const want = "the key is in Region eu-west-1, the client is for us-east-1"

	check := func(what string, err error) {
		t.Helper()
		var notFound *types.NotFoundException
		if !errors.As(err, &notFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a NotFoundException and %q", what, err, want)
		}
	}
	_, err := kmssigner.New(t.Context(), client, elsewhere)
	check("New", err)
	_, err = kmssigner.New(t.Context(), client, strings.Replace(elsewhere, "key/"+keyID, "alias/a", 1))
	check("New by alias ARN", err)
	_, err = kmssigner.NewHMAC(t.Context(), client, elsewhere)
	check("NewHMAC", err)
	offline := newSigner(t, client, elsewhere, func(o *kmssigner.Options) { o.PublicKey = signer.Public() })
	_, err = offline.SignMessage(nil, nil, crypto.SHA256)
	check("Sign", err)

	// The Region may be chosen for the call.
	_, err = kmssigner.New(t.Context(), client, signer.KeyARN(), func(o *kmssigner.Options) {
		o.ClientOptions = append(o.ClientOptions, func(o *kms.Options) { o.Region = "us-east-1" })
	})
	if err != nil {
		t.Error(err)
	}
	// A key that does not exist is not in another Region.
	_, err = kmssigner.New(t.Context(), client, strings.Replace(signer.KeyARN(), keyID, "00000000-0000-0000-0000-000000000000", 1))
	if err == nil || strings.Contains(err.Error(), "the client is for") {
		t.Errorf("a missing key: %v", err)
	}
}

// TestURIKeyID refuses a key ID as cosign and step write it, and makes no call.
func TestURIKeyID(t *testing.T) {
	fake := kmstest.New()
	for _, keyID := range []string{"awskms:///alias/x", "awskms://localhost:4566/alias/x", "awskms:key-id=x", "awskms:///arn:aws:kms:us-east-1:111122223333:key/x"} {
		for _, err := range []error{
			func() error { _, err := kmssigner.New(t.Context(), fake, keyID); return err }(),
			func() error { _, err := kmssigner.NewHMAC(t.Context(), fake, keyID); return err }(),
		} {
			if err == nil || !strings.Contains(err.Error(), keyID) || !strings.Contains(err.Error(), `without "awskms:"`) {
				t.Errorf("%s: %v", keyID, err)
			}
		}
	}
	if fake.Calls("") != 0 {
		t.Errorf("%d calls, want none", fake.Calls(""))
	}
}
