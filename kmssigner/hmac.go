package kmssigner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// HMACClient is the part of the KMS API that an [HMAC] calls. *kms.Client,
// *multiregion.Client and *kmstest.KMS implement it. Implementations must be
// safe for concurrent use.
type HMACClient interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	GenerateMac(context.Context, *kms.GenerateMacInput, ...func(*kms.Options)) (*kms.GenerateMacOutput, error)
	VerifyMac(context.Context, *kms.VerifyMacInput, ...func(*kms.Options)) (*kms.VerifyMacOutput, error)
}

var _ HMACClient = (*kms.Client)(nil)

// HMACOptions configures [NewHMAC]. Its fields are those of [Options] that
// apply to an HMAC key. The zero value is the right choice for most callers.
type HMACOptions struct {
	// GrantTokens are sent with every request, as with [Options.GrantTokens].
	// Nil means none.
	GrantTokens []string

	// Timeout limits each call whose context has no deadline, as with
	// [Options.Timeout]. Zero means ten seconds. A negative Timeout means no
	// limit.
	Timeout time.Duration

	// KeepAlias makes every request name the key by the key ID that was given
	// to NewHMAC, as with [Options.KeepAlias]. KMS does not say which key
	// rejected a MAC, so Verify then makes a DescribeKey call for each rejected
	// MAC to find out whether the alias still names the pinned key.
	KeepAlias bool

	// ClientOptions are passed to every call of the client, as with
	// [Options.ClientOptions].
	ClientOptions []func(*kms.Options)
}

// An HMAC generates and verifies message authentication codes (RFC 2104, FIPS
// 198-1) with one HMAC key in KMS. The key never leaves KMS, so each operation
// costs one call. Package jwtkms accepts an HMAC as the key of its HS256, HS384
// and HS512. An HMAC is safe for concurrent use. Use [NewHMAC] to make an HMAC.
// Generate and Verify return an error for a nil or zero HMAC.
type HMAC struct {
	key *hmacKey        // shared between copies and immutable
	ctx context.Context // nil means context.Background()
}

// An hmacKey is what NewHMAC learned about a KMS key.
type hmacKey struct {
	target
	hmacSpec
	client HMACClient
}

// An hmacSpec is the algorithm of a key spec, and the size of its MACs in
// bytes.
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

// NewHMAC returns an HMAC for the KMS key that keyID names, in any form that
// [New] accepts. Like New it pins the key's ARN.
//
// NewHMAC makes one DescribeKey call. It returns [ErrUnsupportedKey] if the key
// is not an HMAC key, [ErrKeyChanged] if KMS answers for another key than the
// one asked for, and the SDK's error if KMS refuses.
//
// ctx is used only by NewHMAC. [HMAC.WithContext] sets the context of the HMAC.
func NewHMAC(ctx context.Context, client HMACClient, keyID string, optFns ...func(*HMACOptions)) (*HMAC, error) {
	var o HMACOptions
	for _, fn := range optFns {
		fn(&o)
	}
	k := &hmacKey{target: newTarget(client, keyID, callOptions(o)), client: client}
	err := checkArguments(client, keyID)
	if err == nil {
		err = k.fetch(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("kmssigner: new HMAC for %q: %w", keyID, forLog(err))
	}
	return &HMAC{key: k}, nil
}

// fetch gets the ARN to pin and the algorithm of the key from KMS.
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
		return fmt.Errorf("%w: its key spec is %s and its key usage is %q, want an HMAC key of usage %q (for a key that signs use New)",
			ErrUnsupportedKey, key.KeySpec, key.KeyUsage, types.KeyUsageTypeGenerateVerifyMac)
	}
	k.hmacSpec = spec
	return nil
}

// describe asks KMS about the key that the caller's key ID names.
func (k *hmacKey) describe(ctx context.Context) (*types.KeyMetadata, error) {
	ctx, cancel := k.withTimeout(ctx)
	defer cancel()
	out, err := k.client.DescribeKey(ctx, &kms.DescribeKeyInput{
		KeyId:       aws.String(k.givenID),
		GrantTokens: k.GrantTokens,
	}, k.ClientOptions...)
	if err != nil {
		return nil, k.callError(ctx, err)
	}
	if out == nil || out.KeyMetadata == nil {
		return nil, errors.New("KMS answered DescribeKey without the key's metadata")
	}
	return out.KeyMetadata, nil
}

// KeyARN returns the ARN of the key, as [Signer.KeyARN] does.
func (h *HMAC) KeyARN() string {
	if h == nil || h.key == nil {
		return ""
	}
	return h.key.arn
}

// Size returns the length of the key's MACs in bytes: 28, 32, 48 or 64 for a
// key of spec HMAC_224, HMAC_256, HMAC_384 or HMAC_512. The hash functions of
// these are SHA-224, SHA-256, SHA-384 and SHA-512. Size returns 0 for a nil or
// zero HMAC. It does not call KMS.
func (h *HMAC) Size() int {
	if h == nil || h.key == nil {
		return 0
	}
	return h.key.size
}

// WithContext returns a copy of h whose calls use ctx, as [Signer.WithContext]
// does.
func (h *HMAC) WithContext(ctx context.Context) *HMAC {
	if h == nil {
		return nil
	}
	return &HMAC{key: h.key, ctx: ctx}
}

// Generate returns the MAC of msg, which has Size bytes. It makes one
// GenerateMac call, for which AWS charges.
//
// Generate returns [ErrMessageLength], without a call, if msg is empty or
// longer than 4096 bytes. It returns [ErrKeyChanged] if the answer is from
// another key, [ErrBadSignature] if the MAC is of another algorithm or size,
// and the SDK's error if KMS refuses.
//
// Only KMS knows the key, so Generate checks the length of the MAC and not its
// bytes. An endpoint that is not KMS, or one that confuses its answers, can
// make Generate return a MAC of another message. Only TLS protects against
// that.
func (h *HMAC) Generate(msg []byte) ([]byte, error) {
	if h == nil || h.key == nil {
		return nil, errors.New("kmssigner: generate MAC: the HMAC has no key, want one made by NewHMAC")
	}
	mac, err := h.key.generate(h.ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("kmssigner: generate MAC with %q: %w", h.key.arn, forLog(err))
	}
	return mac, nil
}

func (k *hmacKey) generate(ctx context.Context, msg []byte) ([]byte, error) {
	if err := checkMACMessage(msg); err != nil {
		return nil, err
	}
	ctx, cancel := k.withTimeout(ctx)
	defer cancel()
	out, err := k.client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId:        aws.String(k.requestID),
		Message:      msg,
		MacAlgorithm: k.algorithm,
		GrantTokens:  k.GrantTokens,
	}, k.ClientOptions...)
	if err != nil {
		return nil, k.callError(ctx, err)
	}
	if out == nil {
		return nil, errNoAnswer
	}
	err = k.checkAnswer(answer{
		empty:     len(out.Mac) == 0,
		keyID:     out.KeyId,
		algorithm: string(out.MacAlgorithm),
		metadata:  out.ResultMetadata,
	}, string(k.algorithm))
	if err != nil {
		return nil, err
	}
	if err := checkLength(out.Mac, k.size); err != nil {
		return nil, answerError(ErrBadSignature, out.ResultMetadata, "%w", err)
	}
	return out.Mac, nil
}

// Verify reports whether mac is the MAC of msg. If err is nil, the result is
// KMS's answer. If err is not nil, mac may or may not be valid.
//
// Verify makes one VerifyMac call, for which AWS charges. If the length of mac
// is not Size, Verify returns false without a call. It returns
// [ErrMessageLength], without a call, if msg is empty or longer than 4096
// bytes. It returns [ErrKeyChanged] if the answer is from another key,
// [ErrBadSignature] if it is for another algorithm, and the SDK's error if KMS
// refuses or cannot be reached.
//
// Only KMS knows the key, so Verify cannot check the answer. An endpoint that
// is not KMS, or one that confuses its answers, can make Verify return true for
// any mac of the right length. Only TLS protects against that. KMS reports an
// invalid MAC as a KMSInvalidMacException, for which Verify returns false and a
// nil error. It does the same if KMS answers without an error but does not say
// that mac is valid.
func (h *HMAC) Verify(msg, mac []byte) (bool, error) {
	if h == nil || h.key == nil {
		return false, errors.New("kmssigner: verify MAC: the HMAC has no key, want one made by NewHMAC")
	}
	valid, err := h.key.verify(h.ctx, msg, mac)
	if err != nil {
		return false, fmt.Errorf("kmssigner: verify MAC with %q: %w", h.key.arn, forLog(err))
	}
	return valid, nil
}

func (k *hmacKey) verify(ctx context.Context, msg, mac []byte) (bool, error) {
	if err := checkMACMessage(msg); err != nil {
		return false, err
	}
	if len(mac) != k.size {
		return false, nil
	}
	ctx, cancel := k.withTimeout(ctx)
	defer cancel()
	out, err := k.client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId:        aws.String(k.requestID),
		Message:      msg,
		Mac:          mac,
		MacAlgorithm: k.algorithm,
		GrantTokens:  k.GrantTokens,
	}, k.ClientOptions...)
	if err != nil {
		// This exception is KMS's only way to reject a MAC.
		if _, ok := errors.AsType[*types.KMSInvalidMacException](err); ok {
			return false, k.checkStillPinned(ctx)
		}
		return false, k.callError(ctx, err)
	}
	if out == nil {
		return false, errNoAnswer
	}
	err = k.checkAnswer(answer{
		keyID:     out.KeyId,
		algorithm: string(out.MacAlgorithm),
		metadata:  out.ResultMetadata,
	}, string(k.algorithm))
	return err == nil && out.MacValid, err
}

// checkStillPinned returns an error if the alias in the requests no longer
// names the pinned key. KMS does not say which key rejected a MAC.
func (k *hmacKey) checkStillPinned(ctx context.Context) error {
	if !isAlias(k.requestID) {
		return nil
	}
	key, err := k.describe(ctx)
	if err != nil {
		return err
	}
	if answered := aws.ToString(key.Arn); !sameKey(k.arn, answered) {
		return fmt.Errorf("%w: %s names %q", ErrKeyChanged, k.requestID, answered)
	}
	return nil
}

func checkMACMessage(msg []byte) error {
	if !fits(msg) {
		return fmt.Errorf("%w: message has %d bytes, KMS takes 1 to %d for a MAC", ErrMessageLength, len(msg), maxMessage)
	}
	return nil
}
