package kmstest

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// AWS JSON 1.1: a POST whose header X-Amz-Target names the operation and whose
// body is a JSON object of its members.
const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// operations holds what the fake imitates, by name.
var operations = map[string]func(*KMS, []byte) ([]byte, error){
	"GetPublicKey":        answering((*KMS).getPublicKey),
	"Sign":                answering((*KMS).sign),
	"Verify":              answering((*KMS).verify),
	"GenerateMac":         answering((*KMS).generateMac),
	"VerifyMac":           answering((*KMS).verifyMac),
	"DescribeKey":         answering((*KMS).describeKey),
	"CreateKey":           answering((*KMS).createKey),
	"CreateAlias":         acting((*KMS).createAlias),
	"UpdateAlias":         acting((*KMS).updateAlias),
	"DeleteAlias":         acting((*KMS).deleteAlias),
	"EnableKey":           acting((*KMS).enableKey),
	"DisableKey":          acting((*KMS).disableKey),
	"ScheduleKeyDeletion": answering((*KMS).scheduleKeyDeletion),
	"CancelKeyDeletion":   answering((*KMS).cancelKeyDeletion),
	"ListKeys":            answering((*KMS).listKeys),
	"ListAliases":         answering((*KMS).listAliases),
}

// answering adapts an operation that returns members.
func answering[In, Out any](run func(*KMS, *In) (*Out, error)) func(*KMS, []byte) ([]byte, error) {
	return func(k *KMS, body []byte) ([]byte, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		out, err := run(k, in)
		if err != nil {
			return nil, err
		}
		return encode(out)
	}
}

// acting adapts an operation whose success has no members: KMS then answers with
// an empty body.
func acting[In any](run func(*KMS, *In) error) func(*KMS, []byte) ([]byte, error) {
	return func(k *KMS, body []byte) ([]byte, error) {
		in := new(In)
		if err := decode(body, in); err != nil {
			return nil, err
		}
		return nil, run(k, in)
	}
}

// reply is one HTTP answer.
type reply struct {
	status    int
	requestID string
	body      []byte
}

func (r reply) header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate, private")
	h.Set("X-Amzn-Requestid", r.requestID)
	return h
}

// serve runs the operation that target names.
func (k *KMS) serve(target string, body []byte) reply {
	name, ok := strings.CutPrefix(target, targetPrefix)
	run := operations[name]
	if !ok || run == nil {
		return answerTo(nil, refuse("UnknownOperationException", "kmstest does not imitate the operation %q", target))
	}
	return answerTo(run(k, body))
}

// answerTo puts the outcome of an operation into an HTTP answer.
func answerTo(body []byte, err error) reply {
	r := reply{status: http.StatusOK, requestID: newUUID(), body: body}
	if err == nil {
		return r
	}
	var no *refusal
	if !errors.As(err, &no) {
		// Nothing in the fake should fail otherwise; if it does, it is as
		// much a fault of the service as it would be in KMS.
		no = refuse("KMSInternalException", "kmstest: %v", err)
	}
	r.status, r.body = no.status(), no.body()
	return r
}

// decode fills in, a pointer to one of the SDK's input structs, from a JSON
// object. As in KMS, member names are case-sensitive (which encoding/json's own
// matching is not), unknown members are ignored and null is as good as absent.
func decode(body []byte, in any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	if members == nil { // the body was null
		return refuse("SerializationException", "the body is not a JSON object")
	}
	v := reflect.ValueOf(in).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		raw, ok := members[field.Name]
		if !ok || !field.IsExported() {
			continue
		}
		if _, isBlob := v.Field(i).Interface().([]byte); isBlob && raw[0] != '"' && string(raw) != "null" {
			// encoding/json would take an array of numbers too.
			return refuse("SerializationException", "%s: a blob is a string", field.Name)
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return refuse("SerializationException", "%s: %v", field.Name, err)
		}
	}
	return nil
}

// encode turns one of the SDK's output structs into a JSON object. (The SDK's own
// Serialize methods are made for requests: they leave out what is false, and
// clients of other languages rely on a "Truncated" that is there.)
func encode(out any) ([]byte, error) {
	return json.Marshal(members(reflect.ValueOf(out).Elem()))
}

func members(v reflect.Value) map[string]any {
	m := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Name == "ResultMetadata" {
			continue
		}
		if x := value(v.Field(i)); x != nil {
			m[field.Name] = x
		}
	}
	return m
}

// value returns v as encoding/json wants it, or nil if it is absent: a nil
// pointer or slice, or an empty enum.
func value(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case []byte:
		if x == nil {
			return nil
		}
		return x // base64
	case time.Time:
		return float64(x.UnixMilli()) / 1000
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if s, ok := v.Interface().(*string); ok {
			return *s // present even if empty
		}
		return value(v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = value(v.Index(i))
		}
		return list
	case reflect.Struct:
		return members(v)
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
	}
	return v.Interface()
}
