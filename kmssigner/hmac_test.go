package kmssigner_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func TestHMAC(t *testing.T) {
	fake := kmstest.New()
	server := kmstest.NewServer(fake)
	defer server.Close()
	sizes := map[types.KeySpec]int{types.KeySpecHmac224: 28, types.KeySpecHmac256: 32, types.KeySpecHmac384: 48, types.KeySpecHmac512: 64}
	for spec, size := range sizes {
		keyID := fake.AddKey(spec)
		alias := "alias/" + string(spec)
		createAlias(t, fake, alias, keyID)
		for _, client := range []kmssigner.HMACClient{fake, server.Client()} {
			for _, id := range []string{keyID, alias} {
				h, err := kmssigner.NewHMAC(t.Context(), client, id)
				if err != nil {
					t.Fatal(err)
				}
				if h.Size() != size || !strings.HasSuffix(h.KeyARN(), ":key/"+keyID) {
					t.Errorf("%s: Size() = %d, KeyARN() = %q", spec, h.Size(), h.KeyARN())
				}
				msg := []byte("message")
				mac, err := h.WithContext(t.Context()).Generate(msg)
				if err != nil || len(mac) != size {
					t.Fatalf("%s: Generate = %x, %v", spec, mac, err)
				}
				check := func(reason string, msg, mac []byte, want bool) {
					t.Helper()
					got, err := h.Verify(msg, mac)
					if got != want || err != nil {
						t.Errorf("%s: Verify with %s = %v, %v; want %v", spec, reason, got, err, want)
					}
				}
				check("the MAC", msg, mac, true)
				check("another message", []byte("massage"), mac, false)
				check("a flipped bit", msg, append([]byte{mac[0] ^ 1}, mac[1:]...), false)
				check("a MAC cut off", msg, mac[:size-1], false)
				check("no MAC", msg, nil, false)
				check("a MAC and more", msg, append(bytes.Clone(mac), 0), false)
				for _, size := range []int{0, 4097} {
					if _, err := h.Generate(make([]byte, size)); !errors.Is(err, kmssigner.ErrMessageLength) {
						t.Errorf("%s: Generate of %d bytes: %v, want ErrMessageLength", spec, size, err)
					}
					if _, err := h.Verify(make([]byte, size), mac); !errors.Is(err, kmssigner.ErrMessageLength) {
						t.Errorf("%s: Verify of %d bytes: %v, want ErrMessageLength", spec, size, err)
					}
				}
				if _, err := h.Generate(make([]byte, 4096)); err != nil {
					t.Errorf("%s: Generate of 4096 bytes: %v", spec, err)
				}
			}
		}
	}
}

// A macSpy is an HMACClient that counts calls and may change the answers.
type macSpy struct {
	kmssigner.HMACClient
	describe func(*kms.DescribeKeyOutput) *kms.DescribeKeyOutput
	generate func(*kms.GenerateMacOutput) *kms.GenerateMacOutput
	verify   func(*kms.VerifyMacOutput) *kms.VerifyMacOutput
	last     any // the last input
	calls    int
}

func (s *macSpy) DescribeKey(ctx context.Context, in *kms.DescribeKeyInput, optFns ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	s.last = in
	out, err := s.HMACClient.DescribeKey(ctx, in, optFns...)
	if err == nil && s.describe != nil {
		out = s.describe(out)
	}
	return out, err
}

func (s *macSpy) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, optFns ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	s.calls++
	s.last = in
	out, err := s.HMACClient.GenerateMac(ctx, in, optFns...)
	if err == nil && s.generate != nil {
		out = s.generate(out)
	}
	return out, err
}

func (s *macSpy) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, optFns ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	s.calls++
	s.last = in
	out, err := s.HMACClient.VerifyMac(ctx, in, optFns...)
	if err == nil && s.verify != nil {
		out = s.verify(out)
	}
	return out, err
}

func TestHMACChecksTheAnswer(t *testing.T) {
	fake := kmstest.New()
	keyID, otherID := fake.AddKey(types.KeySpecHmac256), fake.AddKey(types.KeySpecHmac256)
	client := &macSpy{HMACClient: fake}
	h, err := kmssigner.NewHMAC(t.Context(), client, keyID)
	if err != nil {
		t.Fatal(err)
	}
	mac, err := h.Generate([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason string
		edit   func(*kms.GenerateMacOutput)
		is     error
	}{
		{"empty answer", func(o *kms.GenerateMacOutput) { *o = kms.GenerateMacOutput{} }, kmssigner.ErrBadSignature},
		{"MAC cut off", func(o *kms.GenerateMacOutput) { o.Mac = o.Mac[:31] }, kmssigner.ErrBadSignature},
		{"another algorithm", func(o *kms.GenerateMacOutput) { o.MacAlgorithm = types.MacAlgorithmSpecHmacSha512 }, kmssigner.ErrBadSignature},
		{"another key", func(o *kms.GenerateMacOutput) { o.KeyId = &otherID }, kmssigner.ErrKeyChanged},
		{"no key", func(o *kms.GenerateMacOutput) { o.KeyId = nil }, kmssigner.ErrBadSignature},
	} {
		client.generate = func(o *kms.GenerateMacOutput) *kms.GenerateMacOutput { tt.edit(o); return o }
		if got, err := h.Generate([]byte("message")); got != nil || !errors.Is(err, tt.is) {
			t.Errorf("Generate, %s: %x, %v; want %v", tt.reason, got, err, tt.is)
		}
	}
	client.generate = func(*kms.GenerateMacOutput) *kms.GenerateMacOutput { return nil }
	if _, err := h.Generate([]byte("message")); !errors.Is(err, kmssigner.ErrBadSignature) {
		t.Errorf("Generate, neither an answer nor an error: %v", err)
	}
	for _, tt := range []struct {
		reason string
		edit   func(*kms.VerifyMacOutput) *kms.VerifyMacOutput
		is     error // nil: a plain false
	}{
		{"empty answer", func(*kms.VerifyMacOutput) *kms.VerifyMacOutput { return &kms.VerifyMacOutput{} }, kmssigner.ErrBadSignature},
		{"another key", func(o *kms.VerifyMacOutput) *kms.VerifyMacOutput { o.KeyId = &otherID; return o }, kmssigner.ErrKeyChanged},
		{"no key", func(o *kms.VerifyMacOutput) *kms.VerifyMacOutput { o.KeyId = nil; return o }, kmssigner.ErrBadSignature},
		{"another algorithm", func(o *kms.VerifyMacOutput) *kms.VerifyMacOutput {
			o.MacAlgorithm = types.MacAlgorithmSpecHmacSha512
			return o
		}, kmssigner.ErrBadSignature},
		{"a no without an exception, as an emulator's", func(o *kms.VerifyMacOutput) *kms.VerifyMacOutput { o.MacValid = false; return o }, nil},
		{"neither an answer nor an error", func(*kms.VerifyMacOutput) *kms.VerifyMacOutput { return nil }, kmssigner.ErrBadSignature},
	} {
		client.verify = tt.edit
		if got, err := h.Verify([]byte("message"), mac); got || !errors.Is(err, tt.is) {
			t.Errorf("Verify, %s: %v, %v; want %v", tt.reason, got, err, tt.is)
		}
	}
}

func TestNewHMACRefuses(t *testing.T) {
	fake := kmstest.New()
	keyID, otherID := fake.AddKey(types.KeySpecHmac256), fake.AddKey(types.KeySpecHmac256)
	answer := func(edit func(*kms.DescribeKeyOutput) *kms.DescribeKeyOutput) kmssigner.HMACClient {
		return &macSpy{HMACClient: fake, describe: edit}
	}
	for _, tt := range []struct {
		reason string
		client kmssigner.HMACClient
		keyID  string
		is     error
		want   string
	}{
		{"nil client", nil, keyID, nil, "client is nil"},
		{"no key ID", fake, "", nil, "key ID is empty"},
		{"no metadata", answer(func(*kms.DescribeKeyOutput) *kms.DescribeKeyOutput { return &kms.DescribeKeyOutput{} }), keyID, nil, "without the key's metadata"},
		{"no answer", answer(func(*kms.DescribeKeyOutput) *kms.DescribeKeyOutput { return nil }), keyID, nil, "without the key's metadata"},
		{"another key", answer(func(o *kms.DescribeKeyOutput) *kms.DescribeKeyOutput { o.KeyMetadata.Arn = &otherID; return o }), keyID, kmssigner.ErrKeyChanged, otherID},
		{"another usage", answer(func(o *kms.DescribeKeyOutput) *kms.DescribeKeyOutput {
			o.KeyMetadata.KeyUsage = types.KeyUsageTypeEncryptDecrypt
			return o
		}), keyID, kmssigner.ErrUnsupportedKey, "ENCRYPT_DECRYPT"},
		{"no ARN", answer(func(o *kms.DescribeKeyOutput) *kms.DescribeKeyOutput { o.KeyMetadata.Arn = nil; return o }), keyID, nil, "want a key ARN"},
	} {
		_, err := kmssigner.NewHMAC(t.Context(), tt.client, tt.keyID)
		if err == nil || !strings.HasPrefix(err.Error(), "kmssigner: new HMAC for ") || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want it to say %q", tt.reason, err, tt.want)
		}
	}
}

// TestHMACOptions finds the options in the requests, and the errors of KMS and
// of the context in the chain.
func TestHMACOptions(t *testing.T) {
	fake := kmstest.New()
	keyID, otherID := fake.AddKey(types.KeySpecHmac256), fake.AddKey(types.KeySpecHmac256)
	createAlias(t, fake, "alias/a", keyID)
	client := &macSpy{HMACClient: fake}
	h, err := kmssigner.NewHMAC(t.Context(), client, "alias/a", func(o *kmssigner.HMACOptions) {
		o.KeepAlias = true
		o.GrantTokens = []string{"token"}
	})
	if err != nil {
		t.Fatal(err)
	}
	mac, err := h.Generate([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if in := client.last.(*kms.GenerateMacInput); *in.KeyId != "alias/a" || len(in.GrantTokens) != 1 {
		t.Errorf("GenerateMac got key ID %q and grant tokens %q", *in.KeyId, in.GrantTokens)
	}
	if valid, err := h.Verify([]byte("message"), mac); !valid || err != nil {
		t.Errorf("Verify = %v, %v", valid, err)
	}
	if in := client.last.(*kms.VerifyMacInput); *in.KeyId != "alias/a" || len(in.GrantTokens) != 1 {
		t.Errorf("VerifyMac got key ID %q and grant tokens %q", *in.KeyId, in.GrantTokens)
	}

	// KMS does not say which key rejected a MAC. While the alias names the
	// pinned key, the rejection is an answer. Once the alias names another key,
	// it is not.
	forged := bytes.Clone(mac)
	forged[0] ^= 1
	if valid, err := h.Verify([]byte("message"), forged); valid || err != nil {
		t.Errorf("Verify of a forged MAC = %v, %v; want false", valid, err)
	}
	updateAlias(t, fake, "alias/a", otherID)
	if valid, err := h.Verify([]byte("message"), mac); valid || !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("Verify behind a re-pointed alias = %v, %v; want ErrKeyChanged", valid, err)
	}
	if _, err := h.Generate([]byte("message")); !errors.Is(err, kmssigner.ErrKeyChanged) {
		t.Errorf("Generate behind a re-pointed alias: %v, want ErrKeyChanged", err)
	}
	byID, err := kmssigner.NewHMAC(t.Context(), fake, keyID, func(o *kmssigner.HMACOptions) { o.KeepAlias = true })
	if err != nil {
		t.Fatal(err)
	}
	if valid, err := byID.Verify([]byte("message"), forged); valid || err != nil {
		t.Errorf("Verify by key ID of a forged MAC = %v, %v; want false", valid, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.WithContext(ctx).Generate([]byte("message")); !errors.Is(err, context.Canceled) {
		t.Errorf("Generate with a cancelled context: %v", err)
	}
	if _, err := h.WithContext(ctx).Verify([]byte("message"), mac); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify with a cancelled context: %v", err)
	}
	if _, err := fake.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String(otherID)}); err != nil {
		t.Fatal(err)
	}
	var disabled *types.DisabledException
	if _, err := h.Generate([]byte("message")); !errors.As(err, &disabled) {
		t.Errorf("Generate with a disabled key: %v", err)
	}
}

// TestHMACCalls finds the client options and a deadline in every call.
func TestHMACCalls(t *testing.T) {
	fake := kmstest.New()
	applied := 0
	h, err := kmssigner.NewHMAC(t.Context(), fake, fake.AddKey(types.KeySpecHmac256), func(o *kmssigner.HMACOptions) {
		o.ClientOptions = append(o.ClientOptions, func(*kms.Options) { applied++ })
		o.Timeout = 20 * time.Millisecond
	})
	if err != nil {
		t.Fatal(err)
	}
	mac, err := h.Generate([]byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if valid, err := h.Verify([]byte("message"), mac); !valid || err != nil {
		t.Errorf("Verify = %v, %v", valid, err)
	}
	if applied != 3 {
		t.Errorf("the client options were applied %d times, want 3", applied)
	}
	fake.Inject(kmstest.Match{}, kmstest.Hang())
	check := func(call string, err error) {
		t.Helper()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Options.Timeout, 20ms") {
			t.Errorf("%s of a KMS that hangs: %v, want context.DeadlineExceeded and its origin", call, err)
		}
	}
	_, err = h.Generate([]byte("message"))
	check("Generate", err)
	_, err = h.Verify([]byte("message"), mac)
	check("Verify", err)
	_, err = kmssigner.NewHMAC(context.Background(), fake, h.KeyARN(), func(o *kmssigner.HMACOptions) { o.Timeout = 20 * time.Millisecond })
	check("NewHMAC", err)
}
