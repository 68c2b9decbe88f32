package recordings

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// compare returns how the answer differs from the recorded one, the line "ok"
// or "no". length is the recorded length of the body, or empty.
func (r *Row) compare(line, length string) (string, error) {
	verdict, want, _ := strings.Cut(line, " ")
	if verdict == "no" {
		return r.compareError(want), nil
	}
	body := r.Got.Body
	switch {
	case r.Got.Status != 200:
		return fmt.Sprintf("got %d %s, want 200 %s", r.Got.Status, body, want), nil
	case want == "" && len(body) > 0:
		return fmt.Sprintf("got %s, want no body", body), nil
	case want != "":
		recorded, err := decode([]byte(want))
		if err != nil {
			return "", err
		}
		got, err := decode(body)
		if err != nil {
			return err.Error(), nil
		}
		merged, err := r.merge(got, recorded, "")
		if err != nil {
			return fmt.Sprintf("%v in %s\nwant %s", err, body, want), nil
		}
		if body, err = encode(merged); err != nil {
			return "", err
		}
	}
	// The names of other Regions are not as long.
	body = []byte(r.target.plain().Replace(string(body)))
	if length != "" && length != strconv.Itoa(len(body)) {
		return fmt.Sprintf("%d bytes, want %s: %s", len(body), length, body), nil
	}
	return "", nil
}

// compareError compares the answer with a code and a text.
func (r *Row) compareError(want string) string {
	code, text, _ := strings.Cut(want, " ")
	var body map[string]string
	if err := json.Unmarshal(r.Got.Body, &body); err != nil {
		return fmt.Sprintf("got %d %s, want %s", r.Got.Status, r.Got.Body, want)
	}
	if text == "<any>" {
		text = body["message"]
	}
	recorded := map[string]string{"__type": code}
	if text != "" {
		recorded["message"] = text
	}
	if r.Got.Status != 400 || !maps.Equal(body, recorded) {
		return fmt.Sprintf("got %d %s\nwant 400 %s: %s", r.Got.Status, r.Got.Body, code, text)
	}
	return ""
}

// decode decodes JSON without a change to numbers.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w in %s", err, body)
	}
	return v, nil
}

// encode encodes JSON as KMS does, without the escapes for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

var timeForm = regexp.MustCompile(`^[1-9]\.[0-9]+E9$`)

// merge returns want with its placeholders replaced by what got has, or an
// error if got differs. Members of got that are newer than the recording are
// left out.
func (r *Row) merge(got, want any, path string) (any, error) {
	differ := func() error { return fmt.Errorf("%s is %v, want %v", path, got, want) }
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return nil, differ()
		}
		return r.mergeMembers(g, want, path)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return nil, differ()
		}
		merged := make([]any, len(want))
		for i := range want {
			var err error
			if merged[i], err = r.merge(g[i], want[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return merged, nil
	case json.Number:
		g, ok := got.(json.Number)
		isTime := timeForm.MatchString(string(want))
		if !ok || isTime != timeForm.MatchString(string(g)) || !isTime && g != want {
			return nil, differ()
		}
		return want, nil
	case string:
		if !standsFor(want, got) {
			return nil, differ()
		}
		return got, nil
	}
	if got != want {
		return nil, differ()
	}
	return got, nil
}

func (r *Row) mergeMembers(got, want map[string]any, path string) (any, error) {
	merged := map[string]any{}
	for name := range want {
		v, ok := got[name]
		if !ok {
			return nil, fmt.Errorf("no %s.%s", path, name)
		}
		var err error
		if merged[name], err = r.merge(v, want[name], path+"."+name); err != nil {
			return nil, err
		}
	}
	for name := range got {
		added := max(newer[name], newer[r.Operation+"."+name])
		if _, ok := want[name]; !ok && (added == "" || added < r.day) {
			return nil, fmt.Errorf("%s.%s, which is not recorded", path, name)
		}
	}
	return merged, nil
}

// standsFor reports whether a recorded string or placeholder stands for a
// value.
func standsFor(want string, got any) bool {
	text, isText := got.(string)
	if !strings.HasPrefix(want, "<") {
		return isText && text == want
	}
	switch kind, rest, _ := strings.Cut(strings.Trim(want, "<>"), " "); kind {
	case "any":
		return isText && text != ""
	case "time":
		n, isNumber := got.(json.Number)
		return isNumber && timeForm.MatchString(string(n))
	case "blob":
		b, err := base64.StdEncoding.DecodeString(text)
		return err == nil && len(b) > 0 && (rest == "" || rest == strconv.Itoa(len(text)))
	}
	return false
}
