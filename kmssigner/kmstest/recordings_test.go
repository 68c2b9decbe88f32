package kmstest

import (
	"bytes"
	"crypto"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

//go:embed testdata/recordings.txt
var recordings string

// TestRecordings sends the calls of public recordings to the fake and compares
// its answers with those of KMS. It prints the number of answers and of those
// that agree. A difference fails the test, unless the recording argues it.
func TestRecordings(t *testing.T) {
	r := replay{t: t, rows: map[string]int{}}
	global := map[string]string{}
	var lines []string
	flush := func() {
		if len(lines) > 0 {
			r.recording(lines, global)
		}
		lines = nil
	}
	for line := range strings.Lines(recordings) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "recording "):
			flush()
			lines = []string{line}
		case len(lines) == 0:
			name, text, _ := strings.Cut(strings.TrimPrefix(line, "define "), " ")
			global[name] = text
		default:
			lines = append(lines, line)
		}
	}
	flush()
	total := 0
	for _, source := range slices.Sorted(maps.Keys(r.rows)) {
		t.Logf("%4d answers from %s", r.rows[source], source)
		total += r.rows[source]
	}
	t.Logf("%d answers: %d agree, %d differ for a reason that the recording gives, %d differ", total, total-r.argued-r.differ, r.argued, r.differ)
	if total < 240 {
		t.Error("answers are missing")
	}
}

// replay counts answers.
type replay struct {
	t              *testing.T
	rows           map[string]int // by source
	argued, differ int
}

// recording replays a recording, once for each of its "with" lines.
func (r *replay) recording(lines []string, global map[string]string) {
	var sets []map[string]string
	var rest []string
	for _, line := range lines[1:] {
		values, ok := strings.CutPrefix(line, "with ")
		if !ok {
			rest = append(rest, line)
			continue
		}
		set := map[string]string{}
		for _, pair := range strings.Fields(values) {
			name, value, _ := strings.Cut(pair, "=")
			set[name] = value
		}
		sets = append(sets, set)
	}
	if sets == nil {
		sets = []map[string]string{nil}
	}
	for _, set := range sets {
		vars := maps.Clone(global)
		maps.Copy(vars, set)
		head := strings.Fields((&run{vars: vars}).expand(lines[0]))
		x := &run{replay: r, k: New(func(o *Options) { o.AccountID = "111111111111" }), vars: vars,
			source: head[1], day: head[3], test: head[4]}
		for _, line := range rest {
			x.line(line)
		}
		x.judge()
	}
}

// run is one run of a recording.
type run struct {
	*replay
	k                 *KMS
	vars              map[string]string
	source, day, test string

	operation string
	answer    *response
	want      string // the line "ok" or "no", or empty if it is judged
	length    string
	reason    string // why the fake differs
}

func (x *run) line(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "define":
		x.judge()
		name, text, _ := strings.Cut(rest, " ")
		x.vars[name] = text
	case "set":
		x.judge()
		name, rest, _ := strings.Cut(rest, " ")
		i := strings.LastIndex(rest, " ")
		x.call(rest[:i])
		x.keep(name, rest[i+1:])
	case "call":
		x.judge()
		x.call(rest)
	case "keep":
		name, member, _ := strings.Cut(rest, " ")
		x.keep(name, member)
	case "ok", "no":
		x.want = x.expand(line)
	case "wrap":
		name, spec, _ := strings.Cut(x.expand(rest), " ")
		x.vars[name] = base64.StdEncoding.EncodeToString(wrapped(x.t, x.vars["public"], x.secret(types.KeySpec(spec)), crypto.SHA256))
	case "length":
		x.length = rest
	case "differs":
		x.reason = rest
	case "$50":
		for i := range maxAliases {
			x.call(fmt.Sprintf(`CreateAlias {"AliasName":"alias/%d","TargetKeyId":"$key"}`, i))
		}
	default:
		x.t.Fatalf("%s: unknown line %q", x.test, line)
	}
}

func (x *run) call(line string) {
	operation, body, _ := strings.Cut(x.expand(line), " ")
	name, region, ok := strings.Cut(operation, "@")
	k := x.k
	if ok {
		k = k.Region(region)
	}
	var err error
	x.operation = name
	x.answer, err = k.handle(x.t.Context(), targetPrefix+name, []byte(body), nil)
	if err != nil {
		x.t.Fatal(err)
	}
}

// keep keeps a member of the answer.
func (x *run) keep(name, path string) {
	var v any
	if err := json.Unmarshal(x.answer.body, &v); err != nil {
		x.t.Fatalf("%s: %v in %s", x.test, err, x.answer.body)
	}
	for member := range strings.SplitSeq(path, ".") {
		v = v.(map[string]any)[member]
	}
	text, ok := v.(string)
	if !ok {
		x.t.Fatalf("%s: no %s in %s", x.test, path, x.answer.body)
	}
	x.vars[name] = text
}

var variable = regexp.MustCompile(`\$(quoted )?(51 tags|257 vs|129 as|[a-z][a-z0-9]*)`)

// expand replaces the names of variables by their values.
func (x *run) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(m string) string {
		name, quoted := strings.CutPrefix(m[1:], "quoted ")
		var value string
		switch name {
		case "51 tags":
			var tags []string
			for i := range maxTags + 1 {
				tags = append(tags, fmt.Sprintf(`{"TagKey":"tag%d","TagValue":""}`, i))
			}
			return strings.Join(tags, ",")
		case "257 vs":
			return strings.Repeat("v", 257)
		case "129 as":
			return strings.Repeat("a", 129)
		default:
			text, ok := x.vars[name]
			if !ok {
				if x.replay == nil {
					return m
				}
				x.t.Fatalf("%s: no value for %s in %s", x.test, m, s)
			}
			value = x.expand(text)
		}
		if quoted {
			return strconv.Quote(value)
		}
		return value
	})
}

// secret returns new material for a key spec, as ImportKeyMaterial takes it.
func (x *run) secret(spec types.KeySpec) []byte {
	m, err := specs[spec].generate()
	if err != nil {
		x.t.Fatal(err)
	}
	saved, err := saveMaterial(m)
	if err != nil {
		x.t.Fatal(err)
	}
	if spec == types.KeySpecSymmetricDefault {
		return make([]byte, 32)
	}
	return append(saved.Private, saved.Secret...)
}

// judge compares the last answer with the recorded one.
func (x *run) judge() {
	if x.want == "" {
		return
	}
	problem := x.compare()
	where := fmt.Sprintf("%s %s, %s", x.source, x.test, x.operation)
	x.rows[x.source]++
	switch {
	case problem != "" && x.reason != "":
		x.argued++
	case problem != "":
		x.differ++
		x.t.Errorf("%s: %s", where, problem)
	case x.reason != "":
		x.t.Errorf("%s agrees, although the recording says that it differs: %s", where, x.reason)
	}
	x.want, x.length, x.reason = "", "", ""
}

// compare returns how the last answer differs from the recorded one.
func (x *run) compare() string {
	verdict, want, _ := strings.Cut(x.want, " ")
	if verdict == "no" {
		code, text, _ := strings.Cut(want, " ")
		var body map[string]string
		if err := json.Unmarshal(x.answer.body, &body); err != nil {
			return fmt.Sprintf("got %s, want %s", x.answer.body, want)
		}
		recorded := map[string]string{"__type": code}
		if text == "<any>" {
			text = body["message"]
		}
		if text != "" {
			recorded["message"] = text
		}
		if x.answer.status != 400 || !maps.Equal(body, recorded) {
			return fmt.Sprintf("got %d %s\nwant 400 %s: %s", x.answer.status, x.answer.body, code, text)
		}
		return ""
	}
	if x.answer.status != 200 {
		return fmt.Sprintf("got %d %s, want 200", x.answer.status, x.answer.body)
	}
	body := x.answer.body
	if want != "" {
		got, err := x.merge(numbers(x.t, body), numbers(x.t, []byte(want)), "")
		if err != nil {
			return fmt.Sprintf("%v in %s\nwant %s", err, body, want)
		}
		if body, err = marshal(got); err != nil {
			return err.Error()
		}
	} else if len(body) > 0 {
		return fmt.Sprintf("got %s, want no body", body)
	}
	if x.length != "" && x.length != strconv.Itoa(len(body)) {
		return fmt.Sprintf("%d bytes, want %s: %s", len(body), x.length, body)
	}
	return ""
}

// numbers decodes JSON without a change to numbers.
func numbers(t *testing.T, body []byte) any {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// newer has the days on which KMS added members to answers that older
// recordings have, to the month or so.
var newer = map[string]string{
	"CustomerMasterKeySpec":                     "2019-11-25",
	"EncryptionAlgorithms":                      "2019-11-25",
	"MultiRegion":                               "2021-06-16",
	"KeySpec":                                   "2021-09-01",
	"CurrentKeyMaterialId":                      "2025-06-06",
	"ScheduleKeyDeletion.KeyState":              "2020-12-01",
	"ScheduleKeyDeletion.PendingWindowInDays":   "2020-12-01",
	"GetKeyPolicy.PolicyName":                   "2023-12-01",
	"GetKeyRotationStatus.KeyId":                "2024-04-12",
	"GetKeyRotationStatus.RotationPeriodInDays": "2024-04-12",
	"GetKeyRotationStatus.NextRotationDate":     "2024-04-12",
}

var timeForm = regexp.MustCompile(`^[1-9]\.[0-9]+E9$`)

// merge returns want with its placeholders replaced by what got has, or an
// error if got differs. Members of got that are newer than the recording are
// left out.
func (x *run) merge(got, want any, path string) (any, error) {
	differ := func() error { return fmt.Errorf("%s is %v, want %v", path, got, want) }
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return nil, differ()
		}
		merged := map[string]any{}
		for name := range want {
			v, ok := g[name]
			if !ok {
				return nil, fmt.Errorf("no %s.%s", path, name)
			}
			var err error
			if merged[name], err = x.merge(v, want[name], path+"."+name); err != nil {
				return nil, err
			}
		}
		for name := range g {
			added := max(newer[name], newer[x.operation+"."+name])
			if _, ok := want[name]; !ok && (added == "" || added < x.day) {
				return nil, fmt.Errorf("%s.%s, which is not recorded", path, name)
			}
		}
		return merged, nil
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return nil, differ()
		}
		merged := make([]any, len(want))
		for i := range want {
			var err error
			if merged[i], err = x.merge(g[i], want[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return merged, nil
	case json.Number:
		g, ok := got.(json.Number)
		if !ok || timeForm.MatchString(string(want)) != timeForm.MatchString(string(g)) || !timeForm.MatchString(string(want)) && g != want {
			return nil, differ()
		}
		return want, nil
	case string:
		return got, x.placeholder(got, want, differ)
	}
	if got != want {
		return nil, differ()
	}
	return got, nil
}

// placeholder compares a value with a string or with what its placeholder stands
// for.
func (x *run) placeholder(got any, want string, differ func() error) error {
	text, isText := got.(string)
	ok := isText && text == want
	switch kind, rest, _ := strings.Cut(strings.Trim(want, "<>"), " "); {
	case !strings.HasPrefix(want, "<"):
	case kind == "any":
		ok = isText && text != ""
	case kind == "time":
		n, isNumber := got.(json.Number)
		ok = isNumber && timeForm.MatchString(string(n))
	case kind == "blob":
		b, err := base64.StdEncoding.DecodeString(text)
		ok = err == nil && len(b) > 0 && (rest == "" || rest == strconv.Itoa(len(text)))
	}
	if !ok {
		return differ()
	}
	return nil
}
