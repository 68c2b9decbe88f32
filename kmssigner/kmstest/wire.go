package kmstest

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// AWS JSON 1.1: a POST whose header X-Amz-Target names the operation and whose
// body is a JSON object of its members.
const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

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
	var empty violations
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
		// Once decoded, an enum that is empty looks as if it were not there.
		if string(raw) == `""` {
			switch e := v.Field(i).Interface().(type) {
			case types.MessageType:
				outsideEnum(&empty, "messageType", e)
			case types.SigningAlgorithmSpec:
				outsideEnum(&empty, "signingAlgorithm", e)
			case types.MacAlgorithmSpec:
				outsideEnum(&empty, "macAlgorithm", e)
			case types.KeySpec:
				outsideEnum(&empty, "keySpec", e)
			case types.KeyUsageType:
				outsideEnum(&empty, "keyUsage", e)
			}
		}
	}
	return empty.err()
}

// members turns one of the SDK's output structs into a JSON object. (The SDK's own
// Serialize methods are made for requests: they leave out what is false, and
// clients of other languages rely on a "Truncated" that is there.)
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
