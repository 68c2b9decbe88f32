package kmstest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestConstraints sends each operation each of its members too short, too long
// and, if it has a pattern, with a character that does not match, all for a key
// that does not exist. KMS checks the form of a request before the key.
func TestConstraints(t *testing.T) {
	k := New()
	refused := 0
	try := func(operation, member string, value any, reason string) {
		t.Helper()
		members := map[string]any{}
		for _, name := range operations[operation].required {
			members[name] = usual(operations[operation].input(), name)
		}
		members[member] = value
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		a, err := k.handle(t.Context(), targetPrefix+operation, body, nil)
		if err != nil {
			t.Fatal(err)
		}
		path := strings.ToLower(member[:1]) + member[1:]
		if a.code != "ValidationException" || !strings.Contains(string(a.body), "at '"+path) {
			t.Errorf("%s, %s %s: %.300s", operation, member, reason, a.body)
		}
		refused++
	}
	for name, op := range operations {
		in := reflect.TypeOf(op.input()).Elem()
		for i := range in.NumField() {
			f := in.Field(i)
			c, ok := constraints[f.Name]
			switch f.Type {
			case reflect.TypeFor[*string]():
				if !ok {
					t.Errorf("%s: %s has no constraint", name, f.Name)
					continue
				}
				if c.min > 0 {
					try(name, f.Name, strings.Repeat("a", c.min-1), "too short")
				}
				try(name, f.Name, strings.Repeat("a", c.max+1), "too long")
				if c.pattern != nil {
					try(name, f.Name, strings.Repeat("a", c.min)+"日", "outside the pattern")
				}
			case reflect.TypeFor[[]byte]():
				if !ok {
					t.Errorf("%s: %s has no constraint", name, f.Name)
					continue
				}
				try(name, f.Name, make([]byte, c.min-1), "too short")
				try(name, f.Name, make([]byte, c.max+1), "too long")
			case reflect.TypeFor[*int32]():
				if !ok {
					t.Errorf("%s: %s has no constraint", name, f.Name)
					continue
				}
				try(name, f.Name, c.min-1, "too small")
				try(name, f.Name, c.max+1, "too large")
			case reflect.TypeFor[[]string]():
				element := constraints[strings.TrimSuffix(f.Name, "s")]
				if element.max == 0 {
					t.Errorf("%s: the elements of %s have no constraint", name, f.Name)
				}
				try(name, f.Name, []string{strings.Repeat("a", element.max+1)}, "too long")
				if ok {
					try(name, f.Name, slices.Repeat([]string{"a"}, c.max+1), "too many")
				}
			}
			if f.Type.Kind() == reflect.String {
				try(name, f.Name, "NONE", "outside the enum")
				try(name, f.Name, "", "empty")
			}
		}
		for _, name2 := range op.required {
			try(name, name2, nil, "absent")
		}
	}
	t.Logf("%d requests refused", refused)
	if refused < 250 {
		t.Errorf("only %d requests", refused)
	}

	for name := range constraints {
		used := slices.Contains([]string{"AttestationDocument", "GrantToken", "TagKey", "TagValue"}, name)
		for _, op := range operations {
			_, ok := reflect.TypeOf(op.input()).Elem().FieldByName(name)
			used = used || ok
		}
		if !used {
			t.Errorf("no operation has the member %s", name)
		}
	}
}

// usual returns a value with a valid form for a member of an input.
func usual(in any, name string) any {
	f, _ := reflect.TypeOf(in).Elem().FieldByName(name)
	switch {
	case name == "KeyId" || name == "TargetKeyId":
		return noKey
	case strings.HasSuffix(name, "Region"):
		return "us-east-1"
	case name == "Tags":
		return []map[string]string{{"TagKey": "a", "TagValue": "b"}}
	case name == "Operations":
		return []string{"Sign"}
	case f.Type == reflect.TypeFor[[]byte]():
		return []byte("m")
	case f.Type == reflect.TypeFor[[]string]():
		return []string{"a"}
	case f.Type.Kind() == reflect.String:
		return reflect.Zero(f.Type).MethodByName("Values").Call(nil)[0].Index(0).String()
	}
	return strings.Repeat("a", max(1, constraints[name].min))
}

// TestRequired checks the members that operations require against the SDK,
// which does not send a request without them.
func TestRequired(t *testing.T) {
	client := reflect.ValueOf(New().client)
	for name, op := range operations {
		for _, missing := range op.required {
			in := reflect.ValueOf(op.input())
			for _, other := range op.required {
				if other != missing {
					b, err := json.Marshal(usual(in.Interface(), other))
					if err != nil {
						t.Fatal(err)
					}
					if err := json.Unmarshal(b, in.Elem().FieldByName(other).Addr().Interface()); err != nil {
						t.Fatal(err)
					}
				}
			}
			out := client.MethodByName(name).Call([]reflect.Value{reflect.ValueOf(t.Context()), in})
			err, _ := out[1].Interface().(error)
			if want := fmt.Sprintf("missing required field, %sInput.%s.", name, missing); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("without %s, %s returns %v", missing, name, err)
			}
		}
	}
	// Nothing else is required.
	for name, op := range operations {
		if len(op.required) > 0 || name == "ListRetirableGrants" || name == "RetireGrant" {
			continue
		}
		out := client.MethodByName(name).Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(op.input())})
		if err, _ := out[1].Interface().(error); err != nil && strings.Contains(err.Error(), "missing required field") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
