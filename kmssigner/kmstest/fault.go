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

// Match says which calls a fault hits. The zero value is every call.
type Match struct {
	// Operation is the name of an operation, "Sign" for one. Empty means any.
	Operation string

	// Key is the key that is asked for, in any form: a key id, a key ARN, an
	// alias or an alias ARN hits calls by every name of the same key. Empty
	// means any key, and calls that name none.
	Key string

	// Skip is how many calls that match pass before the fault begins.
	Skip int

	// Times is how many calls it hits. Zero means all from then on. Each
	// attempt counts: a client that retries makes several.
	Times int
}

// An Effect is one way in which a call goes wrong. Several make one fault, and a
// call is hit by the effects of every fault that matches it, in the order of
// Inject: a delay and then an error, say. Of those that take the place of the
// operation (Fail, Throttle, Respond, Reset) the first wins, and the operation
// does not run.
type Effect struct {
	wait    func(context.Context) error                 // before all else
	replace func() *response                            // instead of the operation
	change  func(c *call, members map[string]any) error // of a successful answer
	finish  func(*response)                             // of any answer
}

// fault is an Inject.
type fault struct {
	Match
	effects []Effect
	matched int // calls so far
}

// Inject makes the calls that m describes go wrong, until remove is called. It
// panics if m names no operation of the fake.
//
//	fake.Inject(kmstest.Match{Operation: "Sign", Times: 2}, kmstest.Throttle())
//	fake.Inject(kmstest.Match{Key: "alias/tokens"}, kmstest.Delay(time.Second), kmstest.Respond(503, ""))
//
// It hits calls of a KMS value and of its servers alike, after their signature
// has been checked; it does not hit calls in another [KMS.Region].
func (k *KMS) Inject(m Match, effects ...Effect) (remove func()) {
	if _, ok := operations[m.Operation]; !ok && m.Operation != "" {
		panic(fmt.Sprintf("kmstest: Inject: there is no operation %q", m.Operation))
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

// hits counts a call and returns the effects that it suffers.
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

// same reports whether two identifiers name the same key, or are the same name
// of none. The caller holds k.mu.
func (k *KMS) same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := k.find("", a)
	y, errY := k.find("", b)
	return errX == nil && errY == nil && x == y
}

// call is one call while it is served.
type call struct {
	k         *KMS
	operation string
	in        any
}

// Fail answers with an error of KMS and the HTTP status that goes with its code:
// one of the SDK's types, or a *smithy.GenericAPIError for a code that has none.
// So it makes the states that keys of the fake never have, too.
//
//	kmstest.Fail(&types.KeyUnavailableException{})
//	kmstest.Fail(&types.KMSInvalidStateException{Message: aws.String(arn + " is creating.")})
//	kmstest.Fail(&smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"})
func Fail(err smithy.APIError) Effect {
	no := &refusal{err.ErrorCode(), err.ErrorMessage()}
	return Effect{replace: func() *response { return answerTo(nil, no) }}
}

// Throttle answers as KMS does when there are too many requests: with
// ThrottlingException and status 400, which the SDK retries.
func Throttle() Effect {
	return Fail(&smithy.GenericAPIError{
		Code:    "ThrottlingException",
		Message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
	})
}

// Respond answers with a status and a body as they are, and not with KMS's JSON:
//
//	kmstest.Respond(200, "")                    // which the SDK takes for a success
//	kmstest.Respond(200, "{}")                  // so here
//	kmstest.Respond(502, "<html>Bad Gateway")   // a proxy
//	kmstest.Respond(503, "")                    // a front end
//
// The content type is text/html if the body begins with <, and otherwise KMS's.
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

// Status changes the HTTP status of the answer and nothing else: some of KMS's
// errors are retried only because of theirs.
func Status(code int) Effect {
	return Effect{finish: func(r *response) { r.status = code }}
}

// Delay waits before the operation runs, or until the caller's context or
// connection ends.
func Delay(d time.Duration) Effect {
	return Effect{wait: func(ctx context.Context) error { return sleep(ctx, d) }}
}

// Hang never answers: it waits until the caller's context or connection ends, or
// the server is closed.
func Hang() Effect {
	return Effect{wait: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

// HangBody answers with headers and half of the body, then hangs as Hang does. On
// the wire, the caller's error is then not always that of its context: net/http
// may report the connection that it has closed itself.
func HangBody() Effect { return Effect{finish: func(r *response) { r.end = hangs }} }

// Drip answers with headers at once and then with the body, a byte at a time and with a
// pause before each, until it is whole or the caller's context or connection ends.
func Drip(pause time.Duration) Effect {
	return Effect{finish: func(r *response) { r.end, r.pause = drips, pause }}
}

// Reset resets the connection before there is an answer.
func Reset() Effect {
	return Effect{replace: func() *response { return &response{end: resets, header: http.Header{}} }}
}

// Cut closes the connection after half of the body.
func Cut() Effect { return Effect{finish: func(r *response) { r.end = cuts }} }

// Truncate answers with half of the JSON, and an HTTP response that is in order.
func Truncate() Effect {
	return Effect{finish: func(r *response) { r.body = r.body[:len(r.body)/2] }}
}

// SkewDate moves the Date of the answer from the true time. The SDK believes it:
// see clock skew in the documentation of the SDK's retries.
func SkewDate(d time.Duration) Effect {
	return Effect{finish: func(r *response) { r.header.Set("Date", httpDate(time.Now().Add(d))) }}
}

// Set changes a member of a successful answer, or removes it if value is nil:
//
//	kmstest.Set("KeyId", otherARN)
//	kmstest.Set("SigningAlgorithm", types.SigningAlgorithmSpecEcdsaSha384)
//	kmstest.Set("Signature", []byte("not DER"))
//	kmstest.Set("PublicKey", nil)
//
// An answer that cannot have the member becomes a KMSInternalException that says
// so, lest a slip of the pen pass for a fault that was survived.
func Set(member string, value any) Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		out, ok := outputs[c.operation]
		if ok {
			_, ok = out.FieldByName(member)
		}
		if !ok {
			return fmt.Errorf("Set: an answer of %s has no member %q", c.operation, member)
		}
		if value == nil {
			delete(members, member)
		} else {
			members[member] = value
		}
		return nil
	}}
}

// Corrupt changes one bit of the signature, MAC or public key that is answered.
// An ECDSA signature stays well-formed.
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
		return fmt.Errorf("Corrupt: an answer of %s has nothing to corrupt", c.operation)
	}}
}

// OtherKey answers with the signature, MAC or public key of another key of the
// same KMS, and changes nothing else: the KeyId stays that of the key asked for.
// The other key must be able to do what is asked.
func OtherKey(key string) Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		return c.again(members, func(in reflect.Value) {
			in.FieldByName("KeyId").Set(reflect.ValueOf(aws.String(key)))
		})
	}}
}

// OtherMessage answers with the key's signature or MAC of another message, as if
// two answers had been swapped.
func OtherMessage() Effect {
	return Effect{change: func(c *call, members map[string]any) error {
		if _, ok := reflect.TypeOf(c.in).Elem().FieldByName("Message"); !ok {
			return fmt.Errorf("OtherMessage: a request of %s has no message", c.operation)
		}
		return c.again(members, func(in reflect.Value) {
			f := in.FieldByName("Message")
			other := bytes.Clone(f.Bytes()) // the request is in the record
			other[0] ^= 1
			f.SetBytes(other)
		})
	}}
}

// again runs the operation on a changed copy of the request, and takes over its
// result.
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
		err = fmt.Errorf("%s has no signature, MAC or public key", c.operation)
	}
	return err
}
