package kmstest

import (
	"context"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// operation is an operation of KMS that the fake implements.
type operation struct {
	// input returns a pointer to a new input struct of the SDK.
	input func() any

	// required has the names of the members that an input must have.
	required []string

	// run runs the operation with an input. It returns a pointer to an output
	// struct of the SDK, or nil if KMS answers with an empty body.
	run func(*KMS, any) (any, error)
}

// operations holds the operations by name, with the members that they require.
var operations = map[string]operation{
	"GetPublicKey":        answering((*KMS).getPublicKey, "KeyId"),
	"Sign":                answering((*KMS).sign, "KeyId", "Message", "SigningAlgorithm"),
	"Verify":              answering((*KMS).verify, "KeyId", "Message", "Signature", "SigningAlgorithm"),
	"GenerateMac":         answering((*KMS).generateMac, "KeyId", "MacAlgorithm", "Message"),
	"VerifyMac":           answering((*KMS).verifyMac, "KeyId", "Mac", "MacAlgorithm", "Message"),
	"DescribeKey":         answering((*KMS).describeKey, "KeyId"),
	"CreateKey":           answering((*KMS).createKey),
	"ReplicateKey":        answering((*KMS).replicateKey, "KeyId", "ReplicaRegion"),
	"CreateAlias":         acting((*KMS).createAlias, "AliasName", "TargetKeyId"),
	"UpdateAlias":         acting((*KMS).updateAlias, "AliasName", "TargetKeyId"),
	"DeleteAlias":         acting((*KMS).deleteAlias, "AliasName"),
	"EnableKey":           acting((*KMS).enableKey, "KeyId"),
	"DisableKey":          acting((*KMS).disableKey, "KeyId"),
	"ScheduleKeyDeletion": answering((*KMS).scheduleKeyDeletion, "KeyId"),
	"CancelKeyDeletion":   answering((*KMS).cancelKeyDeletion, "KeyId"),
	"ListKeys":            answering((*KMS).listKeys),
	"ListAliases":         answering((*KMS).listAliases),
	"TagResource":         acting((*KMS).tagResource, "KeyId", "Tags"),
	"UntagResource":       acting((*KMS).untagResource, "KeyId", "TagKeys"),
	"ListResourceTags":    answering((*KMS).listResourceTags, "KeyId"),

	"GetKeyPolicy":         answering((*KMS).getKeyPolicy, "KeyId"),
	"PutKeyPolicy":         acting((*KMS).putKeyPolicy, "KeyId", "Policy"),
	"ListKeyPolicies":      answering((*KMS).listKeyPolicies, "KeyId"),
	"GetKeyRotationStatus": answering((*KMS).getKeyRotationStatus, "KeyId"),
	"EnableKeyRotation":    acting((*KMS).enableKeyRotation, "KeyId"),
	"DisableKeyRotation":   acting((*KMS).disableKeyRotation, "KeyId"),
	"UpdateKeyDescription": acting((*KMS).updateKeyDescription, "Description", "KeyId"),
	"UpdatePrimaryRegion":  acting((*KMS).updatePrimaryRegion, "KeyId", "PrimaryRegion"),
	"GenerateRandom":       answering((*KMS).generateRandom),

	"CreateGrant":         answering((*KMS).createGrant, "KeyId", "Operations"),
	"ListGrants":          answering((*KMS).listGrants, "KeyId"),
	"ListRetirableGrants": answering((*KMS).listRetirableGrants),
	"RevokeGrant":         acting((*KMS).revokeGrant, "GrantId", "KeyId"),
	"RetireGrant":         acting((*KMS).retireGrant),

	"GetParametersForImport":    answering((*KMS).getParametersForImport, "KeyId", "WrappingAlgorithm", "WrappingKeySpec"),
	"ImportKeyMaterial":         answering((*KMS).importKeyMaterial, "EncryptedKeyMaterial", "ImportToken", "KeyId"),
	"DeleteImportedKeyMaterial": answering((*KMS).deleteImportedKeyMaterial, "KeyId"),
}

func answering[In, Out any](run func(*KMS, *In) (*Out, error), required ...string) operation {
	return operation{
		input:    func() any { return new(In) },
		required: required,
		run: func(k *KMS, in any) (any, error) {
			out, err := run(k, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

func acting[In any](run func(*KMS, *In) error, required ...string) operation {
	return operation{
		input:    func() any { return new(In) },
		required: required,
		run:      func(k *KMS, in any) (any, error) { return nil, run(k, in.(*In)) },
	}
}

// outputs has the output structs of the operations whose members [Set] can
// change.
var outputs = map[string]reflect.Type{
	"GetPublicKey": reflect.TypeFor[kms.GetPublicKeyOutput](),
	"Sign":         reflect.TypeFor[kms.SignOutput](),
	"Verify":       reflect.TypeFor[kms.VerifyOutput](),
	"GenerateMac":  reflect.TypeFor[kms.GenerateMacOutput](),
	"VerifyMac":    reflect.TypeFor[kms.VerifyMacOutput](),
	"DescribeKey":  reflect.TypeFor[kms.DescribeKeyOutput](),
	"CreateKey":    reflect.TypeFor[kms.CreateKeyOutput](),
}

// handle serves and records a call. It runs the operation that target names
// with the input in body, with the faults that apply. If denied is not nil, the
// request was refused before, and denied is the answer. The returned error is
// that of ctx, if it ended first.
func (k *KMS) handle(ctx context.Context, target string, body []byte, denied error) (*response, error) {
	name, ok := strings.CutPrefix(target, targetPrefix)
	op, known := operations[name]
	if denied == nil && (!ok || !known) {
		denied = unknown(target)
	}
	c := &call{k: k, operation: name}
	if denied == nil {
		c.in = op.input()
		if c.empty, denied = decode(body, c.in); denied != nil {
			c.in = nil
		}
	}
	seen := &Request{Operation: name, Key: keyOf(c.in), Input: c.in}
	k.mu.Lock()
	k.seen.add(seen, len(body))
	k.mu.Unlock()

	a, err := c.serve(ctx, op, denied)
	if err == nil {
		k.mu.Lock()
		seen.Status, seen.Code = a.status, a.code
		k.mu.Unlock()
	}
	return a, err
}

// unknown returns the error for an operation that the fake does not have.
func unknown(target string) *refusal {
	reason := ""
	switch name, _ := strings.CutPrefix(target, targetPrefix); name {
	case "Encrypt", "Decrypt", "ReEncrypt", "DeriveSharedSecret", "Encapsulate", "Decapsulate",
		"GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext":
		reason = ": this fake signs and makes MACs, and does not encrypt or agree on keys"
	}
	return refuse("UnknownOperationException", "kmstest: operation %q is not supported%s", target, reason)
}

// serve runs the operation and applies the effects of the faults that match.
func (c *call) serve(ctx context.Context, op operation, denied error) (*response, error) {
	var effects []Effect
	if c.in != nil {
		effects = c.k.hits(c.operation, keyOf(c.in))
	}
	var a *response
	for _, e := range effects {
		if e.wait != nil {
			if err := e.wait(ctx); err != nil {
				return nil, err
			}
		}
		if e.replace != nil && a == nil {
			a = e.replace()
		}
	}
	switch {
	case a != nil:
	case denied != nil:
		a = answerTo(nil, denied)
	default:
		a = answerTo(c.run(op, effects))
	}
	for _, e := range effects {
		if e.finish != nil {
			e.finish(a)
		}
	}
	return a, nil
}

// run checks the form of the input, runs the operation, applies the change
// functions of effects to its output and encodes it.
func (c *call) run(op operation, effects []Effect) ([]byte, error) {
	if err := validate(c.in, op.required, c.empty); err != nil {
		return nil, err
	}
	out, err := c.k.durably(c.operation, func() (any, error) { return op.run(c.k, c.in) })
	if err != nil || out == nil {
		return nil, err
	}
	m := members(reflect.ValueOf(out).Elem())
	for _, e := range effects {
		if e.change != nil {
			if err := e.change(c, m); err != nil {
				return nil, refuse("KMSInternalException", "kmstest: a fault cannot be applied: %v", err)
			}
		}
	}
	return marshal(m)
}

// keyOf returns the identifier of the key in an input, as the caller wrote it,
// or an empty string.
func keyOf(in any) string {
	if in == nil {
		return ""
	}
	for _, name := range []string{"KeyId", "TargetKeyId", "AliasName"} {
		if f := reflect.ValueOf(in).Elem().FieldByName(name); f.IsValid() {
			id, _ := f.Interface().(*string)
			return aws.ToString(id)
		}
	}
	return ""
}
