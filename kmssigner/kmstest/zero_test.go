package kmstest_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// TestZeroKMS makes each call of the SDK on a nil and on a zero KMS. They
// return errors and do not panic.
func TestZeroKMS(t *testing.T) {
	for name, k := range map[string]*kmstest.KMS{"nil": nil, "zero": {}} {
		calls := 0
		for v, i := reflect.ValueOf(k), 0; i < v.NumMethod(); i++ {
			method := v.Type().Method(i)
			if method.Type.NumIn() != 4 || method.Type.In(3) != reflect.TypeFor[[]func(*kms.Options)]() {
				continue
			}
			calls++
			in := filled(method.Type.In(2).Elem())
			out := v.Method(i).Call([]reflect.Value{reflect.ValueOf(context.Context(t.Context())), in})
			err, _ := out[1].Interface().(error)
			if !out[0].IsNil() || err == nil || !strings.Contains(err.Error(), "the KMS is nil or zero") {
				t.Errorf("%s, %s: %v, %v", name, method.Name, out[0], err)
			}
		}
		if calls < 30 {
			t.Errorf("%s: %d calls, want all that KMS has", name, calls)
		}
	}
}

// filled returns a pointer to an input whose members are all present, so that
// the SDK sends it.
func filled(t reflect.Type) reflect.Value {
	in := reflect.New(t)
	for i := range t.NumField() {
		if !t.Field(i).IsExported() {
			continue
		}
		switch f := in.Elem().Field(i); f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		case reflect.String:
			f.SetString("x")
		}
	}
	return in
}
