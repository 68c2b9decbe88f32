package kmstest

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// operation is one that the fake imitates: it makes an empty input, which is one
// of the SDK's input structs, and runs it. The output is a pointer to one of the
// SDK's output structs, or nil for the operations that KMS answers with an empty
// body.
type operation struct {
	input func() any
	run   func(*KMS, any) (any, error)
}

// operations holds what the fake imitates, by name.
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

// outputs has the types of the answers that faults change one by one.
var outputs = map[string]reflect.Type{
	"GetPublicKey": reflect.TypeFor[kms.GetPublicKeyOutput](),
	"Sign":         reflect.TypeFor[kms.SignOutput](),
	"Verify":       reflect.TypeFor[kms.VerifyOutput](),
	"GenerateMac":  reflect.TypeFor[kms.GenerateMacOutput](),
	"VerifyMac":    reflect.TypeFor[kms.VerifyMacOutput](),
	"DescribeKey":  reflect.TypeFor[kms.DescribeKeyOutput](),
	"CreateKey":    reflect.TypeFor[kms.CreateKeyOutput](),
}

// handle serves one call: it runs the operation that target names on body, with
// the faults that hit it, and records it. denied is what is wrong with the
// request before that. The error is that of ctx, which ended first.
func (k *KMS) handle(ctx context.Context, target string, body []byte, denied error) (*response, error) {
	name, ok := strings.CutPrefix(target, targetPrefix)
	op, known := operations[name]
	if denied == nil && (!ok || !known) {
		denied = refuse("UnknownOperationException", "kmstest does not imitate the operation %q", target)
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
	k.seen.add(seen)
	k.mu.Unlock()

	a, err := c.serve(ctx, op, denied)
	if err == nil {
		k.mu.Lock()
		seen.Status, seen.Code = a.status, a.code
		k.mu.Unlock()
	}
	return a, err
}

// serve applies the effects of faults, in their four steps.
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

// run runs the operation and encodes its answer, with the changes of effects.
func (c *call) run(op operation, effects []Effect) ([]byte, error) {
	out, err := op.run(c.k, c.in)
	if err != nil || out == nil {
		return nil, err
	}
	m := members(reflect.ValueOf(out).Elem())
	for _, e := range effects {
		if e.change != nil {
			if err := e.change(c, m); err != nil {
				// In full, and never as a refusal of KMS's own.
				return nil, refuse("KMSInternalException", "kmstest: a fault does not fit: %v", err)
			}
		}
	}
	return json.Marshal(m)
}

// keyOf returns the key that a request asks for, as the caller spelled it.
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
