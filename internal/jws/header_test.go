package jws_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/internal/jws"
)

func TestCheckHeader(t *testing.T) {
	for _, tt := range []struct {
		reason, header, want string
	}{
		{"an ordinary header", `{"alg":"ES256","kid":"1","typ":"at+jwt"}`, ""},
		{"an empty header", `{}`, ""},
		{"no header", `null`, ""},
		{"members are case-sensitive", `{"Crit":["exp"],"B64":false}`, ""},
		{"an unknown extension", `{"crit":["http://example.com/x"]}`, "crit"},
		{"b64 as RFC 7797 writes it", `{"b64":false,"crit":["b64"]}`, "crit"},
		{"b64 alone", `{"b64":false}`, "b64"},
		{"b64 that changes nothing", `{"b64":true}`, "b64"},
		{"an empty list, which crit must not be", `{"crit":[]}`, "crit"},
		{"null is present", `{"crit":null}`, "crit"},
		{"null is present", `{"b64":null}`, "b64"},
		{"not a list", `{"crit":"exp"}`, "crit"},
		{"the last of two members counts", `{"crit":["x"],"crit":null}`, "crit"},
		{"a huge value", `{"crit":["` + strings.Repeat("x", 1<<20) + `"]}`, "crit"},
	} {
		var header map[string]any
		if err := json.Unmarshal([]byte(tt.header), &header); err != nil {
			t.Fatal(err)
		}
		err := jws.CheckHeader(header)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), "has "+tt.want+" ") {
			t.Errorf("%s: %.80s: error %.200v, want one about %q", tt.reason, tt.header, err, tt.want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", tt.reason, len(err.Error()))
		}
	}
}
