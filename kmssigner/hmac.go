package kmssigner

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// HMACClient is the part of the KMS API that an [HMAC] calls. *kms.Client and
// *kmstest.KMS satisfy it. It must be safe for concurrent use, as they are.
type HMACClient interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	GenerateMac(context.Context, *kms.GenerateMacInput, ...func(*kms.Options)) (*kms.GenerateMacOutput, error)
	VerifyMac(context.Context, *kms.VerifyMacInput, ...func(*kms.Options)) (*kms.VerifyMacOutput, error)
}

var _ HMACClient = (*kms.Client)(nil)

// An HMAC makes and verifies message authentication codes (RFC 2104, FIPS 198-1)
// with one HMAC key in KMS. Both cost one call each: the key never leaves KMS, so
// nothing can be verified without it. Package jwtkms takes an HMAC as the key of
// its HS256, HS384 and HS512. It is safe for concurrent use. Make one with
// [NewHMAC]; the zero HMAC has no key.
type HMAC struct {
	key *hmacKey        // shared between copies, never changed
	ctx context.Context // nil means context.Background()
}

type hmacKey struct {
	target
	client HMACClient
	spec   hmacSpec
}

// An hmacSpec is the one algorithm of a key spec, and the length of its MACs.
type hmacSpec struct {
	algorithm types.MacAlgorithmSpec
	size      int
}

var hmacSpecs = map[types.KeySpec]hmacSpec{
	types.KeySpecHmac224: {types.MacAlgorithmSpecHmacSha224, 28},
	types.KeySpecHmac256: {types.MacAlgorithmSpecHmacSha256, 32},
	types.KeySpecHmac384: {types.MacAlgorithmSpecHmacSha384, 48},
	types.KeySpecHmac512: {types.MacAlgorithmSpecHmacSha512, 64},
}

// NewHMAC returns an HMAC for the KMS key named by keyID, in any form that KMS
// takes. It makes one DescribeKey call and fails with [ErrUnsupportedKey] if the
// key is not an HMAC key, with [ErrKeyChanged] if KMS answers for another key
// than the one asked for, and with the SDK's error if KMS refuses. Like [New] it
// pins the key's ARN, and ctx serves NewHMAC alone.
//
// Of the [Options] PreferRaw and SkipVerification mean nothing here, and a
// PublicKey is an error: HMAC keys have none.
func NewHMAC(ctx context.Context, client HMACClient, keyID string, optFns ...func(*Options)) (*HMAC, error) {
	k := &hmacKey{target: newTarget(keyID, optFns), client: client}
	var err error
	switch {
	case client == nil:
		err = errors.New("client is nil")
	case keyID == "":
		err = errNoKeyID
	case k.opts.PublicKey != nil:
		err = errors.New("Options.PublicKey is set, and an HMAC key has no public key")
	default:
		err = k.fetch(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("kmssigner: new HMAC for %q: %w", keyID, err)
	}
	return &HMAC{key: k}, nil
}

func (k *hmacKey) fetch(ctx context.Context) error {
	key, err := k.describe(ctx)
	if err != nil {
		return err
	}
	if err := k.pin(aws.ToString(key.Arn)); err != nil {
		return err
	}
	spec, ok := hmacSpecs[key.KeySpec]
	if !ok || key.KeyUsage != types.KeyUsageTypeGenerateVerifyMac {
		return fmt.Errorf("%w: its key spec is %s and its key usage is %q, want an HMAC key of usage %q: for a key that signs see New",
			ErrUnsupportedKey, key.KeySpec, key.KeyUsage, types.KeyUsageTypeGenerateVerifyMac)
	}
	k.spec = spec
	return nil
}

// describe asks KMS for the key that the caller's key ID names.
func (k *hmacKey) describe(ctx context.Context) (*types.KeyMetadata, error) {
	ctx, cancel := k.bound(ctx)
	defer cancel()
	out, err := k.client.DescribeKey(ctx, &kms.DescribeKeyInput{
		KeyId:       aws.String(k.asked),
		GrantTokens: k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if out == nil || out.KeyMetadata == nil {
		return nil, errors.New("KMS answered DescribeKey without the key's metadata")
	}
	return out.KeyMetadata, nil
}

// KeyARN returns the ARN of the key, as [Signer.KeyARN] does.
func (h *HMAC) KeyARN() string { return h.key.arn }

// Size returns the length of the key's MACs in bytes: 28, 32, 48 or 64 for a key
// of spec HMAC_224, HMAC_256, HMAC_384 or HMAC_512, which go with SHA-224,
// SHA-256, SHA-384 and SHA-512. It is 0 of a nil or zero HMAC. It makes no call.
func (h *HMAC) Size() int {
	if h == nil || h.key == nil {
		return 0
	}
	return h.key.spec.size
}

// WithContext returns a copy of h whose calls use ctx, as [Signer.WithContext]
// does.
func (h *HMAC) WithContext(ctx context.Context) *HMAC {
	return &HMAC{key: h.key, ctx: ctx}
}

// Generate returns the MAC of msg, Size bytes. It makes one GenerateMac call,
// charged by AWS, and none if msg is empty or has more than 4096 bytes, which is
// [ErrMessageLength]. If KMS's answer is not for the pinned key and its
// algorithm, or not of that length, it fails with [ErrKeyChanged] or
// [ErrBadSignature]; only KMS could tell whether the MAC is right.
func (h *HMAC) Generate(msg []byte) ([]byte, error) {
	mac, err := h.generate(msg)
	if err != nil {
		return nil, fmt.Errorf("kmssigner: generate MAC with %q: %w", h.key.arn, err)
	}
	return mac, nil
}

func (h *HMAC) generate(msg []byte) ([]byte, error) {
	k := h.key
	if err := checkMACMessage(msg); err != nil {
		return nil, err
	}
	ctx, cancel := k.bound(h.ctx)
	defer cancel()
	out, err := k.client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId:        aws.String(k.request),
		Message:      msg,
		MacAlgorithm: k.spec.algorithm,
		GrantTokens:  k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	if err != nil {
		return nil, explain(ctx, err)
	}
	if out == nil {
		return nil, fmt.Errorf("%w: the client answered with neither an output nor an error", ErrBadSignature)
	}
	if len(out.Mac) != k.spec.size {
		return nil, answerError(ErrBadSignature, out.ResultMetadata, "the MAC has %d bytes, want %d", len(out.Mac), k.spec.size)
	}
	switch answered := aws.ToString(out.KeyId); {
	case answered == "":
		return nil, answerError(ErrBadSignature, out.ResultMetadata, "KMS does not say with which key it made the MAC")
	case !sameKey(k.arn, answered):
		return nil, answerError(ErrKeyChanged, out.ResultMetadata, "KMS made the MAC with %q", answered)
	}
	if out.MacAlgorithm != k.spec.algorithm {
		return nil, answerError(ErrBadSignature, out.ResultMetadata, "it is by the algorithm %q, want %q",
			out.MacAlgorithm, k.spec.algorithm)
	}
	return out.Mac, nil
}

// Verify reports whether mac is the MAC of msg. False without an error is KMS's
// word that it is not; an error says nothing about mac: KMS could not be asked, its
// answer was not for the pinned key and its algorithm ([ErrKeyChanged],
// [ErrBadSignature]), or msg is empty or over 4096 bytes ([ErrMessageLength]). A
// mac of another length than Size is false without a call; otherwise Verify makes
// one VerifyMac call, charged by AWS.
func (h *HMAC) Verify(msg, mac []byte) (bool, error) {
	valid, err := h.verify(msg, mac)
	if err != nil {
		return false, fmt.Errorf("kmssigner: verify MAC with %q: %w", h.key.arn, err)
	}
	return valid, nil
}

func (h *HMAC) verify(msg, mac []byte) (bool, error) {
	k := h.key
	if err := checkMACMessage(msg); err != nil {
		return false, err
	}
	if len(mac) != k.spec.size {
		return false, nil
	}
	ctx, cancel := k.bound(h.ctx)
	defer cancel()
	out, err := k.client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId:        aws.String(k.request),
		Message:      msg,
		Mac:          mac,
		MacAlgorithm: k.spec.algorithm,
		GrantTokens:  k.opts.GrantTokens,
	}, k.opts.ClientOptions...)
	if err != nil {
		// KMS has no other way to say no.
		if _, ok := errors.AsType[*types.KMSInvalidMacException](err); ok {
			return false, k.stillPinned(ctx)
		}
		return false, explain(ctx, err)
	}
	if out == nil {
		return false, fmt.Errorf("%w: the client answered with neither an output nor an error", ErrBadSignature)
	}
	if out.MacAlgorithm != k.spec.algorithm {
		return false, answerError(ErrBadSignature, out.ResultMetadata, "the verdict is by the algorithm %q, want %q",
			out.MacAlgorithm, k.spec.algorithm)
	}
	if answered := aws.ToString(out.KeyId); !sameKey(k.arn, answered) {
		return false, answerError(ErrKeyChanged, out.ResultMetadata, "KMS verified with %q", answered)
	}
	return out.MacValid, nil
}

// stillPinned makes sure that a no of KMS, which does not name the key, was the no of
// the pinned key and not of one that the alias in the request names by now.
func (k *hmacKey) stillPinned(ctx context.Context) error {
	if !isAlias(k.request) {
		return nil
	}
	key, err := k.describe(ctx)
	if err != nil {
		return err
	}
	if answered := aws.ToString(key.Arn); !sameKey(k.arn, answered) {
		return fmt.Errorf("%w: %s names %q", ErrKeyChanged, k.request, answered)
	}
	return nil
}

func checkMACMessage(msg []byte) error {
	if !fits(msg) {
		return fmt.Errorf("%w: message has %d bytes, KMS takes 1 to %d for a MAC", ErrMessageLength, len(msg), maxMessage)
	}
	return nil
}
