package kmstest

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// operation is an operation of KMS that the fake implements.
type operation struct {
	// input returns a pointer to a new input struct of the SDK.
	input func() any

	// run runs the operation with an input. It returns a pointer to an output
	// struct of the SDK, or nil if KMS answers with an empty body.
	run func(*KMS, any) (any, error)
}

// operations holds the operations by name.
var operations = map[string]operation{
	"GetPublicKey":        answering((*KMS).getPublicKey),
	"Sign":                answering((*KMS).sign),
	"Verify":              answering((*KMS).verify),
	"GenerateMac":         answering((*KMS).generateMac),
	"VerifyMac":           answering((*KMS).verifyMac),
	"DescribeKey":         answering((*KMS).describeKey),
	"CreateKey":           answering((*KMS).createKey),
	"ReplicateKey":        answering((*KMS).replicateKey),
	"CreateAlias":         acting((*KMS).createAlias),
	"UpdateAlias":         acting((*KMS).updateAlias),
	"DeleteAlias":         acting((*KMS).deleteAlias),
	"EnableKey":           acting((*KMS).enableKey),
	"DisableKey":          acting((*KMS).disableKey),
	"ScheduleKeyDeletion": answering((*KMS).scheduleKeyDeletion),
	"CancelKeyDeletion":   answering((*KMS).cancelKeyDeletion),
	"ListKeys":            answering((*KMS).listKeys),
	"ListAliases":         answering((*KMS).listAliases),
	"TagResource":         acting((*KMS).tagResource),
	"UntagResource":       acting((*KMS).untagResource),
	"ListResourceTags":    answering((*KMS).listResourceTags),
}

func answering[In, Out any](run func(*KMS, *In) (*Out, error)) operation {
	return operation{
		input: func() any { return new(In) },
		run: func(k *KMS, in any) (any, error) {
			out, err := run(k, in.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

func acting[In any](run func(*KMS, *In) error) operation {
	return operation{
		input: func() any { return new(In) },
		run:   func(k *KMS, in any) (any, error) { return nil, run(k, in.(*In)) },
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
		denied = refuse("UnknownOperationException", "kmstest: operation %q is not supported", target)
	}
	c := &call{k: k, operation: name}
	if denied == nil {
		c.in = op.input()
		if denied = decode(body, c.in); denied != nil {
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

// run runs the operation, applies the change functions of effects to its output
// and encodes it.
func (c *call) run(op operation, effects []Effect) ([]byte, error) {
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
	return json.Marshal(m)
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
