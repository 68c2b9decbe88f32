package kmstest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
)

// Match selects the calls that a fault applies to. The zero value selects all
// calls.
type Match struct {
	// Operation is the name of an operation, such as "Sign". If empty, calls of
	// all operations match.
	Operation string

	// Key identifies a key by its key ID, key ARN, alias name or alias ARN.
	// Calls for that key match, whichever identifier they use. If Key is empty,
	// all calls match, including those that do not name a key.
	Key string

	// Skip is the number of matching calls before the first one that the fault
	// applies to.
	Skip int

	// Times is the number of calls that the fault applies to. If zero, it
	// applies to all matching calls after those of Skip. Each attempt of a
	// client that retries is a call.
	Times int
}

// An Effect is one way in which a call fails. The comment of each function that
// returns one describes what the Effect does to a call. The effects of all
// faults that match a call apply to it, in the order of the calls of
// [KMS.Inject]: for example, a delay and then an error. If several effects
// replace the operation ([Fail], [Throttle], [Respond], [Reset]), the first one
// applies and the operation does not run.
type Effect struct {
	wait    func(context.Context) error                 // runs first
	replace func() *response                            // runs instead of the operation
	change  func(c *call, members map[string]any) error // edits a successful answer
	finish  func(*response)                             // edits any answer
}

// fault holds the arguments of a call of Inject.
type fault struct {
	Match
	effects []Effect
	matched int // number of calls that have matched
}

// Inject applies effects to the calls that m selects, until remove is called.
// Inject panics if m.Operation is not an operation of the fake. Calling remove
// more than once has no further effect.
//
//	fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, kmstest.Throttle())
//	fake.Inject(kmstest.Match{Key: "alias/tokens"},
//		kmstest.Delay(time.Second), kmstest.Respond(503, ""))
//
// The fault applies to calls of the KMS and to requests to its servers after
// their signature has been verified. It does not apply to other Regions of the
// account.
func (k *KMS) Inject(m Match, effects ...Effect) (remove func()) {
	if _, ok := operations[m.Operation]; !ok && m.Operation != "" {
		panic(fmt.Sprintf("kmstest: Inject: unknown operation %q", m.Operation))
	}
	f := &fault{Match: m, effects: slices.Clone(effects)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = append(k.faults, f)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.faults = slices.DeleteFunc(k.faults, func(g *fault) bool { return f == g })
	}
}

// hits counts a call and returns the effects that apply to it.
func (k *KMS) hits(operation, key string) []Effect {
	k.mu.Lock()
	defer k.mu.Unlock()
	var effects []Effect
	for _, f := range k.faults {
		if f.Operation != "" && f.Operation != operation || f.Key != "" && !k.same(f.Key, key) {
			continue
		}
		f.matched++
		if f.matched > f.Skip && (f.Times == 0 || f.matched <= f.Skip+f.Times) {
			effects = append(effects, f.effects...)
		}
	}
	k.faults = slices.DeleteFunc(k.faults, func(f *fault) bool { return f.Times != 0 && f.matched >= f.Skip+f.Times })
	return effects
}

// same reports whether a and b identify the same key, or are equal. The caller
// must hold k.mu.
func (k *KMS) same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := k.find("", a)
	y, errY := k.find("", b)
	return errX == nil && errY == nil && x == y
}

// call is a call that is being served.
type call struct {
	k         *KMS
	operation string
	in        any
	empty     []string // enum members of in that are present but empty
}

// Fail answers with err and the HTTP status of its code. It takes the error
// types of the SDK, and a [smithy.GenericAPIError] for a code that has no type.
// It can imitate key states that the fake does not have, such as Creating.
//
//	kmstest.Fail(&types.KeyUnavailableException{})
//	kmstest.Fail(&types.KMSInvalidStateException{
//		Message: aws.String(arn + " is creating."),
//	})
//	kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException"})
func Fail(err smithy.APIError) Effect {
	no := &refusal{err.ErrorCode(), err.ErrorMessage()}
	return Effect{replace: func() *response { return answerTo(nil, no) }}
}

// Throttle answers as KMS does when an account makes too many requests, with
// ThrottlingException and status 400. The SDK retries such a call.
func Throttle() Effect {
	return Fail(&smithy.GenericAPIError{
		Code:    "ThrottlingException",
		Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
	})
}

// Respond answers with the given status and body:
//
//	kmstest.Respond(200, "")                  // to the SDK, a success
//	kmstest.Respond(200, "{}")                // likewise
//	kmstest.Respond(502, "<html>Bad Gateway") // a proxy
//	kmstest.Respond(503, "")                  // a front end
//
// The content type is text/html if the body begins with <, and otherwise that
// of KMS.
func Respond(status int, body string) Effect {
	return Effect{replace: func() *response {
		r := answerTo([]byte(body), nil)
		r.status = status
		if strings.HasPrefix(body, "<") {
			r.header.Set("Content-Type", "text/html")
		}
		return r
	}}
}

// Status changes the HTTP status of the answer. The SDK retries some errors of
// KMS only because of their status.
func Status(code int) Effect {
	return Effect{finish: func(r *response) { r.status = code }}
}

// Delay waits for d before the operation runs. The wait ends early if the
// context or the connection of the caller ends.
func Delay(d time.Duration) Effect {
	return Effect{wait: func(ctx context.Context) error { return sleep(ctx, d) }}
}

// Hang does not answer. It waits until the context or the connection of the
// caller ends, or the server is closed.
func Hang() Effect {
	return Effect{wait: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

// HangBody answers with the headers and half of the body and then hangs as
// [Hang] does. Over HTTP, the error of the caller does not always wrap that of
// its context, because net/http may report [net.ErrClosed] for the connection
// that it closed.
func HangBody() Effect { return Effect{finish: func(r *response) { r.end = hangs }} }

// Drip answers with the headers at once and then with the body, one byte at a
// time with a pause before each. It stops early if the context or the
// connection of the caller ends.
func Drip(pause time.Duration) Effect {
	return Effect{finish: func(r *response) { r.end, r.pause = drips, pause }}
}

// Reset resets the connection instead of answering.
func Reset() Effect {
	return Effect{replace: func() *response { return &response{end: resets, header: http.Header{}} }}
}

// Cut closes the connection after the headers and half of the body.
func Cut() Effect { return Effect{finish: func(r *response) { r.end = cuts }} }

// Truncate answers with a complete HTTP response whose body is half of the
// JSON.
func Truncate() Effect {
	return Effect{finish: func(r *response) { r.body = r.body[:len(r.body)/2] }}
}

// SkewDate adds d to the Date header of the answer. The SDK corrects its clock
// by that header.
func SkewDate(d time.Duration) Effect {
	return Effect{finish: func(r *response) { r.header.Set("Date", httpDate(time.Now().Add(d))) }}
}

// Set sets a member of a successful answer, or removes it if value is nil:
//
//	kmstest.Set("KeyId", otherARN)
//	kmstest.Set("SigningAlgorithm", types.SigningAlgorithmSpecEcdsaSha384)
//	kmstest.Set("Signature", []byte("not DER"))
//	kmstest.Set("PublicKey", nil)
//
// If the operation has no such member, the call fails with a
// KMSInternalException that names it. A misspelled name is therefore not
// mistaken for a fault.
func Set(member string, value any) Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		out, ok := outputs[c.operation]
		if ok {
			_, ok = out.FieldByName(member)
		}
		if !ok {
			return fmt.Errorf("Set: the output of %s has no member %q", c.operation, member)
		}
		if value == nil {
			delete(members, member)
		} else {
			members[member] = value
		}
		return nil
	}}
}

// Corrupt flips one bit of the signature, MAC or public key in the answer. An
// ECDSA signature stays well-formed.
func Corrupt() Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		for _, name := range []string{"Signature", "Mac", "PublicKey"} {
			if b, ok := members[name].([]byte); ok && len(b) > 0 {
				b = bytes.Clone(b)
				b[len(b)-1] ^= 1
				members[name] = b
				return nil
			}
		}
		return fmt.Errorf("Corrupt: the output of %s has no signature, MAC or public key", c.operation)
	}}
}

// OtherKey answers with the signature, MAC or public key of another key of the
// same KMS. The KeyId in the answer stays that of the requested key. The other
// key must support the request.
func OtherKey(key string) Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		return c.again(members, func(in reflect.Value) {
			in.FieldByName("KeyId").Set(reflect.ValueOf(aws.String(key)))
		})
	}}
}

// OtherMessage answers with the signature or MAC of another message by the same
// key, as if two answers had been swapped.
func OtherMessage() Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		if _, ok := reflect.TypeOf(c.in).Elem().FieldByName("Message"); !ok {
			return fmt.Errorf("OtherMessage: the input of %s has no message", c.operation)
		}
		return c.again(members, func(in reflect.Value) {
			f := in.FieldByName("Message")
			other := bytes.Clone(f.Bytes()) // f is part of a recorded request
			other[0] ^= 1
			f.SetBytes(other)
		})
	}}
}

// again runs the operation with a changed copy of the input and sets the
// signature, MAC or public key in members to the result.
func (c *call) again(members map[string]any, change func(in reflect.Value)) error {
	in := reflect.New(reflect.TypeOf(c.in).Elem())
	in.Elem().Set(reflect.ValueOf(c.in).Elem())
	var err error
	switch req := in.Interface().(type) {
	case *kms.SignInput:
		change(in.Elem())
		var out *kms.SignOutput
		if out, err = c.k.sign(req); err == nil {
			members["Signature"] = out.Signature
		}
	case *kms.GenerateMacInput:
		change(in.Elem())
		var out *kms.GenerateMacOutput
		if out, err = c.k.generateMac(req); err == nil {
			members["Mac"] = out.Mac
		}
	case *kms.GetPublicKeyInput:
		change(in.Elem())
		var out *kms.GetPublicKeyOutput
		if out, err = c.k.getPublicKey(req); err == nil {
			members["PublicKey"] = out.PublicKey
		}
	default:
		err = fmt.Errorf("the output of %s has no signature, MAC or public key", c.operation)
	}
	return err
}
