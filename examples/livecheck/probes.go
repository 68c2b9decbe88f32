package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/kmssign/kmssign/kmssigner"
)

// A subject is a key and a client of its KMS. It is the live key or its twin on
// the fake.
type subject struct {
	api *kms.Client
	key *types.KeyMetadata
}

// A probe is one request, whose answers are compared.
type probe struct {
	name string
	ask  func(ctx context.Context, s *subject) (any, error)
}

// An answer is the part of an answer of KMS that is compared.
type answer struct {
	code    string // of the error; empty for a success
	status  int
	text    string // of the error, with the key's names replaced
	members []string
}

func (a answer) same(b answer) bool {
	return a.code == b.code && a.status == b.status && slices.Equal(a.members, b.members)
}

func (a answer) String() string {
	if a.code != "" {
		return fmt.Sprintf("%s (%d) %s", a.code, a.status, a.text)
	}
	return strings.Join(a.members, " ")
}

func (p probe) on(ctx context.Context, s *subject) answer {
	out, err := p.ask(ctx, s)
	if err == nil {
		return answer{status: 200, members: members(out)}
	}
	a := answer{code: "error", text: err.Error()}
	if apiErr, ok := errors.AsType[smithy.APIError](err); ok {
		// The names of the two keys differ.
		names := strings.NewReplacer(aws.ToString(s.key.Arn), "KEY", aws.ToString(s.key.KeyId), "KEYID")
		a.code, a.text = apiErr.ErrorCode(), names.Replace(apiErr.ErrorMessage())
	}
	if respErr, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		a.status = respErr.HTTPStatusCode()
	}
	return a
}

// members returns the names of the members that are set in an answer, with
// those of its key metadata. It skips members that depend on the account or on
// how the key was made.
func members(out any) []string {
	var names []string
	v := reflect.Indirect(reflect.ValueOf(out))
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch value := v.Field(i); {
		case !field.IsExported() || field.Name == "ResultMetadata" || value.IsZero():
		case field.Name == "KeyMetadata":
			names = append(names, members(value.Interface())...)
		case slices.Contains([]string{"Description", "CurrentKeyMaterialId", "MultiRegionConfiguration", "MultiRegion"}, field.Name):
		default:
			names = append(names, field.Name)
		}
	}
	return names
}

// sign, verify, mac and verifyMac return requests of probes. A request names
// the key of its subject, because the two subjects have different keys.

func sign(msg []byte, t types.MessageType, alg types.SigningAlgorithmSpec, edit ...func(*kms.SignInput)) func(context.Context, *subject) (any, error) {
	return func(ctx context.Context, s *subject) (any, error) {
		in := &kms.SignInput{KeyId: s.key.Arn, Message: msg, MessageType: t, SigningAlgorithm: alg}
		for _, fn := range edit {
			fn(in)
		}
		return s.api.Sign(ctx, in)
	}
}

// verify returns a request that signs, applies edit to the Verify call, and
// verifies.
func verify(msg []byte, t types.MessageType, alg types.SigningAlgorithmSpec, edit func(*kms.VerifyInput)) func(context.Context, *subject) (any, error) {
	return func(ctx context.Context, s *subject) (any, error) {
		signed, err := s.api.Sign(ctx, &kms.SignInput{KeyId: s.key.Arn, Message: msg, MessageType: t, SigningAlgorithm: alg})
		if err != nil {
			return nil, err
		}
		in := &kms.VerifyInput{KeyId: s.key.Arn, Message: msg, MessageType: t, SigningAlgorithm: alg, Signature: signed.Signature}
		edit(in)
		return s.api.Verify(ctx, in)
	}
}

func mac(msg []byte, alg types.MacAlgorithmSpec, edit ...func(*kms.GenerateMacInput)) func(context.Context, *subject) (any, error) {
	return func(ctx context.Context, s *subject) (any, error) {
		in := &kms.GenerateMacInput{KeyId: s.key.Arn, Message: msg, MacAlgorithm: alg}
		for _, fn := range edit {
			fn(in)
		}
		return s.api.GenerateMac(ctx, in)
	}
}

func verifyMac(msg []byte, alg types.MacAlgorithmSpec, edit func(*kms.VerifyMacInput)) func(context.Context, *subject) (any, error) {
	return func(ctx context.Context, s *subject) (any, error) {
		made, err := s.api.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: s.key.Arn, Message: msg, MacAlgorithm: alg})
		if err != nil {
			return nil, err
		}
		in := &kms.VerifyMacInput{KeyId: s.key.Arn, Message: msg, MacAlgorithm: alg, Mac: made.Mac}
		edit(in)
		return s.api.VerifyMac(ctx, in)
	}
}

// signerWith returns a request that signs with a Signer and a hash that KMS may
// not offer for the curve. The Signer verifies the signature.
func signerWith(hash crypto.Hash) func(context.Context, *subject) (any, error) {
	return func(ctx context.Context, s *subject) (any, error) {
		signer, err := kmssigner.New(ctx, s.api, aws.ToString(s.key.Arn))
		if err != nil {
			return nil, err
		}
		_, err = signer.WithContext(ctx).SignMessage(nil, bytesOf(1), hash)
		return struct{ Verified bool }{err == nil}, err
	}
}

func bytesOf(n int) []byte { return bytes.Repeat([]byte{'m'}, n) }

// probes returns the probes that change nothing.
func probes(key *types.KeyMetadata) []probe {
	all := []probe{
		{"DescribeKey", func(ctx context.Context, s *subject) (any, error) {
			return s.api.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: s.key.Arn})
		}},
		{"GetPublicKey", func(ctx context.Context, s *subject) (any, error) {
			return s.api.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: s.key.Arn})
		}},
	}
	const message = types.MessageTypeRaw
	for _, alg := range types.SigningAlgorithmSpec("").Values() {
		for _, size := range []int{0, 1, 32, 48, 64, 4096, 4097} {
			for _, t := range types.MessageType("").Values() {
				own := slices.Contains(key.SigningAlgorithms, alg)
				if !own && (size != 1 || t != message) {
					continue
				}
				all = append(all, probe{fmt.Sprintf("Sign %s %s %d bytes", alg, t, size), sign(bytesOf(size), t, alg)})
			}
		}
	}
	dry := func(in *kms.SignInput) { in.DryRun = aws.Bool(true) }
	to := func(id string) func(*kms.SignInput) { return func(in *kms.SignInput) { in.KeyId = aws.String(id) } }
	foreign := "ap-southeast-2"
	if strings.Contains(aws.ToString(key.Arn), ":"+foreign+":") {
		foreign = "us-east-1"
	}
	alg := types.SigningAlgorithmSpecEcdsaSha256
	if len(key.SigningAlgorithms) > 0 {
		alg = key.SigningAlgorithms[len(key.SigningAlgorithms)-1]
	}
	elsewhere := func(in *kms.SignInput) {
		parts := strings.Split(aws.ToString(in.KeyId), ":")
		parts[3] = foreign
		in.KeyId = aws.String(strings.Join(parts, ":"))
	}
	all = append(all,
		probe{"Sign, an unknown algorithm", sign(bytesOf(1), message, "ROT13")},
		probe{"Sign, an unknown message type", sign(bytesOf(1), "COOKED", alg)},
		probe{"Sign, a dry run", sign(bytesOf(1), message, alg, dry)},
		probe{"Sign, a dry run of a message too long", sign(bytesOf(4097), message, alg, dry)},
		probe{"Sign, a dry run with another key's algorithm", sign(bytesOf(1), message, types.SigningAlgorithmSpecSm2dsa, dry)},
		probe{"Sign, an alias that does not exist", sign(bytesOf(1), message, alg, to("alias/livecheck-does-not-exist"))},
		probe{"Sign, a key that does not exist", sign(bytesOf(1), message, alg, to("00000000-0000-4000-8000-000000000000"))},
		probe{"Sign, an invalid key ID", sign(bytesOf(1), message, alg, to("nonsense"))},
		probe{"Sign, an ARN of another Region", sign(bytesOf(1), message, alg, elsewhere)},
	)
	if len(key.SigningAlgorithms) > 0 && key.KeySpec != types.KeySpecSm2 {
		keep := func(*kms.VerifyInput) {}
		all = append(all,
			probe{"Verify", verify(bytesOf(1), message, alg, keep)},
			probe{"Verify, another message", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Message = bytesOf(2) })},
			probe{"Verify, a flipped bit", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Signature[len(in.Signature)-1] ^= 1 })},
			probe{"Verify, a signature cut off", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Signature = in.Signature[:len(in.Signature)-1] })},
			probe{"Verify, a byte too many", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Signature = append(in.Signature, 0) })},
			probe{"Verify, an empty signature", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Signature = []byte{} })},
			probe{"Verify, a dry run", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.DryRun = aws.Bool(true) })},
			probe{"Verify, a dry run with another message", verify(bytesOf(1), message, alg, func(in *kms.VerifyInput) { in.Message, in.DryRun = bytesOf(2), aws.Bool(true) })},
		)
	}
	if slices.Contains([]types.KeySpec{types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521, types.KeySpecEccSecgP256k1}, key.KeySpec) {
		for _, hash := range []crypto.Hash{
			crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA512_224, crypto.SHA512_256,
			crypto.SHA3_224, crypto.SHA3_256, crypto.SHA3_384, crypto.SHA3_512,
		} {
			all = append(all, probe{"Signer with " + hash.String(), signerWith(hash)})
		}
	}
	for _, alg := range types.MacAlgorithmSpec("").Values() {
		for _, size := range []int{0, 1, 4096, 4097} {
			if slices.Contains(key.MacAlgorithms, alg) || size == 1 {
				all = append(all, probe{fmt.Sprintf("GenerateMac %s %d bytes", alg, size), mac(bytesOf(size), alg)})
			}
		}
	}
	if len(key.MacAlgorithms) > 0 {
		alg := key.MacAlgorithms[0]
		all = append(all,
			probe{"GenerateMac, a dry run", mac(bytesOf(1), alg, func(in *kms.GenerateMacInput) { in.DryRun = aws.Bool(true) })},
			probe{"VerifyMac", verifyMac(bytesOf(1), alg, func(*kms.VerifyMacInput) {})},
			probe{"VerifyMac, another message", verifyMac(bytesOf(1), alg, func(in *kms.VerifyMacInput) { in.Message = bytesOf(2) })},
			probe{"VerifyMac, a MAC cut off", verifyMac(bytesOf(1), alg, func(in *kms.VerifyMacInput) { in.Mac = in.Mac[:len(in.Mac)-1] })},
			probe{"VerifyMac, a dry run", verifyMac(bytesOf(1), alg, func(in *kms.VerifyMacInput) { in.DryRun = aws.Bool(true) })},
			probe{"VerifyMac, a dry run with another message", verifyMac(bytesOf(1), alg, func(in *kms.VerifyMacInput) { in.Message, in.DryRun = bytesOf(2), aws.Bool(true) })},
		)
	}
	return all
}

// stateProbes returns probes that take a key through its states, and ask in
// each of them. The last state is pending deletion.
func stateProbes(key *types.KeyMetadata) []probe {
	var all []probe
	in := func(state string, change func(context.Context, *subject) (any, error)) {
		all = append(all, probe{state, change})
		for _, p := range probes(key) {
			// One request of each kind is enough to compare a state.
			switch p.name {
			case "DescribeKey", "GetPublicKey", "Sign, a dry run", "Sign, an unknown algorithm", "Verify", "GenerateMac, a dry run", "VerifyMac",
				"Sign, a dry run with another key's algorithm", "Sign, a dry run of a message too long":
				all = append(all, probe{state + ": " + p.name, p.ask})
			}
		}
	}
	in("DisableKey", func(ctx context.Context, s *subject) (any, error) {
		return s.api.DisableKey(ctx, &kms.DisableKeyInput{KeyId: s.key.Arn})
	})
	in("EnableKey", func(ctx context.Context, s *subject) (any, error) {
		return s.api.EnableKey(ctx, &kms.EnableKeyInput{KeyId: s.key.Arn})
	})
	in("ScheduleKeyDeletion", func(ctx context.Context, s *subject) (any, error) {
		return s.api.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: s.key.Arn, PendingWindowInDays: aws.Int32(7)})
	})
	return all
}
