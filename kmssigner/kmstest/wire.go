package kmstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The protocol of KMS is AWS JSON 1.1. A request is a POST whose X-Amz-Target
// header names the operation and whose body is a JSON object of the members of
// the input.
const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
)

// decode decodes a JSON object into in, a pointer to an input struct of the
// SDK. As in KMS, member names are case-sensitive, at every depth, unknown
// members are ignored, and null means that the member is absent. empty has the
// names of the enum members that are present but empty.
func decode(body []byte, in any) (empty []string, err error) {
	members, err := object(body)
	if err != nil {
		return nil, err
	}
	s := reflect.ValueOf(in).Elem()
	if err := decodeMembers(members, s, ""); err != nil {
		return nil, err
	}
	for name, raw := range members {
		if f := s.FieldByName(name); f.IsValid() && f.Kind() == reflect.String && string(raw) == `""` {
			empty = append(empty, name)
		}
	}
	return empty, nil
}

// object decodes a JSON object.
func object(raw []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, unrecorded("SerializationException", "%v", err)
	}
	if members == nil {
		return nil, unrecorded("SerializationException", "got null, want a JSON object")
	}
	return members, nil
}

// decodeMembers decodes members into a struct of the SDK. path is the way to it
// in the input, for the texts of errors.
func decodeMembers(members map[string]json.RawMessage, s reflect.Value, path string) error {
	for i := range s.NumField() {
		field := s.Type().Field(i)
		raw, ok := members[field.Name]
		if !ok || !field.IsExported() || string(raw) == "null" {
			continue
		}
		if err := decodeValue(raw, s.Field(i), path+field.Name); err != nil {
			return err
		}
	}
	return nil
}

// decodeValue decodes a JSON value other than null into v.
func decodeValue(raw json.RawMessage, v reflect.Value, path string) error {
	invalid := func(err error) error { return unrecorded("SerializationException", "%s: %v", path, err) }
	switch v.Interface().(type) {
	case []byte:
		if raw[0] != '"' { // encoding/json also decodes an array of numbers
			return unrecorded("SerializationException", "%s: got %.20q, want a string of base64", path, raw)
		}
	case *time.Time:
		var seconds float64
		if err := json.Unmarshal(raw, &seconds); err != nil {
			return invalid(err)
		}
		if seconds < 0 || seconds > maxTime {
			return unrecorded("SerializationException", "%s: got %.20q, want seconds from 0 to %d", path, raw, maxTime)
		}
		v.Set(reflect.ValueOf(aws.Time(time.UnixMilli(int64(math.Round(seconds * 1000))).UTC())))
		return nil
	}
	isStruct := func(t reflect.Type) bool { return t.Kind() == reflect.Struct }
	switch {
	case v.Kind() == reflect.Pointer && isStruct(v.Type().Elem()):
		members, err := object(raw)
		if err != nil {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return decodeMembers(members, v.Elem(), path+".")
	case v.Kind() == reflect.Slice && isStruct(v.Type().Elem()):
		var elements []json.RawMessage
		if err := json.Unmarshal(raw, &elements); err != nil {
			return invalid(err)
		}
		v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
		for i, raw := range elements {
			members, err := object(raw)
			if err != nil {
				return err
			}
			if err := decodeMembers(members, v.Index(i), fmt.Sprintf("%s.%d.", path, i+1)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		return invalid(err)
	}
	return nil
}

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

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
		return seconds(x)
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

// marshal encodes v as KMS does, which does not escape what HTML would need
// escaped.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// seconds returns a time as KMS writes it, in seconds with an exponent, such as
// 1.517434598475E9. The lengths of recorded bodies show it.
func seconds(t time.Time) json.RawMessage {
	s := strconv.FormatFloat(float64(t.UnixMilli())/1000, 'E', -1, 64)
	digits, exponent, _ := strings.Cut(s, "E")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	if exponent = strings.TrimLeft(exponent, "+0"); exponent == "" {
		return json.RawMessage(digits) // ten seconds after 1970 at most
	}
	return json.RawMessage(digits + "E" + exponent)
}
