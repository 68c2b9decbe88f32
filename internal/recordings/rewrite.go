package recordings

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Rewrite returns a recording of what the target of rows answered, in the form
// of the table: the calls of r with the answers of rows where they differ. It
// names the source and the day. Accounts, key IDs, times and secrets are
// replaced, as in the table.
func (r *Recording) Rewrite(source, day string, rows []Row) string {
	lines := slices.Clone(r.lines)
	for _, row := range rows {
		if row.Problem != "" {
			lines[row.line] = row.record()
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "recording %s livecheck %s %s\n", source, day, r.Test)
	for _, name := range slices.Sorted(maps.Keys(r.vars)) {
		if slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "$"+name) }) && !isGlobal(name) {
			fmt.Fprintf(&b, "define %s %s\n", name, r.vars[name])
		}
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// isGlobal reports whether the table defines a variable before its recordings.
func isGlobal(name string) bool { return strings.Contains(table, "\ndefine "+name+" ") }

var keyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}`)

// plain replaces the account and the Region of a target by those of the table.
func (t Target) plain() *strings.Replacer {
	return strings.NewReplacer(t.Account, Account, t.Region, Region)
}

// record returns the answer of a row as a line of the table. A key ID becomes
// $key, which may not be the name that the recording has for the key.
func (r *Row) record() string {
	text := keyID.ReplaceAllString(r.target.plain().Replace(string(r.Got.Body)), "$$key")
	text = strings.ReplaceAll(text, "arn:aws:kms:"+Region+":"+Account+":key/$key", "$arn")
	if r.Got.Status != 200 {
		var body map[string]string
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			return fmt.Sprintf("no %d %s", r.Got.Status, text)
		}
		return strings.TrimSpace("no " + body["__type"] + " " + body["message"] + body["Message"])
	}
	if text == "" {
		return "ok"
	}
	v, err := decode([]byte(text))
	if err != nil {
		return "ok " + text
	}
	encoded, err := encode(hide(v))
	if err != nil {
		return "ok " + text
	}
	return "ok " + string(encoded)
}

// hide replaces times, and members that differ from call to call, by
// placeholders.
func hide(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			switch name {
			case "Signature", "Mac", "PublicKey", "ImportToken", "Plaintext":
				v[name] = "<blob>"
			case "CurrentKeyMaterialId", "KeyMaterialId", "GrantId", "GrantToken", "NextMarker":
				v[name] = "<any>"
			default:
				v[name] = hide(v[name])
			}
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i])
		}
	case json.Number:
		if timeForm.MatchString(string(v)) {
			return "<time>"
		}
	}
	return v
}
