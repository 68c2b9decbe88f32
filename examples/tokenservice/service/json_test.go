package service_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Claims that are near to what is refused.
func TestClaimsAccepted(t *testing.T) {
	f := newFixture(t, types.KeySpecEccNistP256)
	for _, scope := range []string{
		`"\ud83d\ude00"`, `"\uD83D\uDE00\uD83D\uDE00"`, `"\\ud800"`, `"\\\\ud800"`, `"\ufffd"`, `"\"[[[{{{"`, `"\u005c\u0022"`,
		strings.Repeat("[", 32) + strings.Repeat("]", 32),
		strings.Repeat(`{"a":[`, 16) + strings.Repeat("]}", 16),
		"[" + strings.Repeat("[],", 100) + "{}]",
		`"` + strings.Repeat("[", 100) + `"`,
	} {
		got := payload(t, f.token(t, `{"sub":"alice","scope":`+scope+`}`))
		var in, out struct{ Scope any }
		if err := json.Unmarshal([]byte(`{"scope":`+scope+`}`), &in); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(got), &out); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(in.Scope)
		b, _ := json.Marshal(out.Scope)
		if string(a) != string(b) {
			t.Errorf("scope %s became %s", scope, b)
		}
	}
}
