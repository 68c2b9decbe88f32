package kmstest

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// The protocol of KMS is AWS JSON 1.1. A request is a POST whose X-Amz-Target
// header names the operation and whose body is a JSON object of the members of
// the input.
const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// decode decodes a JSON object into in, a pointer to an input struct of the
// SDK. As in KMS, member names are case-sensitive, unknown members are ignored,
// and null means that the member is absent.
func decode(body []byte, in any) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	if members == nil { // the body was null
		return refuse("SerializationException", "got null, want a JSON object")
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
			// encoding/json also decodes an array of numbers into a []byte.
			return refuse("SerializationException", "%s: got %.20q, want a string of base64", field.Name, raw)
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil {
			return refuse("SerializationException", "%s: %v", field.Name, err)
		}
		// An empty enum value cannot be told from an absent one once it is
		// decoded.
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

// members returns the members of an output struct of the SDK. The Serialize
// methods of the SDK cannot be used, because they omit false, and clients in
// other languages expect Truncated to be present.
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

// value returns v in a form that encoding/json encodes as KMS does. It returns
// nil if v is absent, which is to say a nil pointer or slice or an empty enum
// value.
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
			return *s // present, even if empty
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
