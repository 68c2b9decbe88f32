package proof

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/plugins.md")

// checkPage compares what is between two marks of the page with want, or writes
// it.
func checkPage(t *testing.T, page, section, want string) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+section+" -->\n", "<!-- end "+section+" -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", page, begin, end)
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s, section %q, differs from the tests (-update writes it). Want:\n%s", page, section, want)
		return
	}
	if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tables are those of the recipes and of the keys that they refuse.
func tables(t *testing.T, page string, recipes []Recipe) string {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Dir(page))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Rel(root, here)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| job | whose code takes the key | glue | keys that work | judged by | recipe |\n|---|---|---|---|---|---|\n")
	for _, r := range recipes {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | [%s](%s) |\n",
			r.Job, r.Consumer, cmp.Or(r.Glue, "none"), r.working(), r.Judge, r.File, filepath.ToSlash(filepath.Join(dir, r.File)))
	}
	b.WriteString("\nThe other keys, whose limit it is, and the error that you see:\n\n")
	b.WriteString("| key | job | limit of | error |\n|---|---|---|---|\n")
	// One row for all jobs that refuse the same keys in the same way.
	type row struct {
		keys []Key
		jobs []string
		rest string
	}
	var rows []*row
	for _, r := range recipes {
		for _, refusal := range r.Refusals {
			rest := fmt.Sprintf("%s | `%s`", refusal.Limit, refusal.Error)
			if refusal.Go != All {
				rest += " (" + string(refusal.Go) + ")"
			}
			i := slices.IndexFunc(rows, func(w *row) bool { return w.rest == rest && names(w.keys) == names(refusal.Keys) })
			if i < 0 {
				i = len(rows)
				rows = append(rows, &row{keys: refusal.Keys, rest: rest})
			}
			rows[i].jobs = append(rows[i].jobs, r.Job)
		}
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return order(a.keys[0]) - order(b.keys[0]) })
	for _, w := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", names(w.keys), strings.Join(w.jobs, "; "), w.rest)
	}
	return b.String()
}

// working lists the keys that no refusal holds for, in any release of Go.
func (r *Recipe) working() string {
	var works []string
	for _, key := range Keys {
		name := key.Name
		refused := map[Releases]bool{}
		for _, refusal := range r.Refusals {
			for _, k := range refusal.Keys {
				if k.Name == key.Name {
					refused[refusal.Go] = true
				}
			}
		}
		switch {
		case refused[All], refused[Before1_27] && refused[From1_27]:
			continue
		case refused[Before1_27]:
			name += " (" + string(From1_27) + ")"
		case refused[From1_27]:
			name += " (" + string(Before1_27) + ")"
		}
		works = append(works, name)
	}
	return strings.Join(works, ", ")
}

func names(keys []Key) string {
	var s []string
	for _, key := range keys {
		s = append(s, key.Name)
	}
	return strings.Join(s, ", ")
}

// order is the place of a key in Keys.
func order(key Key) int {
	return slices.IndexFunc(Keys, func(k Key) bool { return k.Name == key.Name })
}

// maxLines is the length of an Example, and of each function beside it, from its
// first line to its last.
const maxLines = 30

// checkLength checks that each recipe file has one Example, and that no function
// in it has more than maxLines lines.
func checkLength(t *testing.T, recipes []Recipe) {
	files := token.NewFileSet()
	for _, r := range recipes {
		parsed, err := parser.ParseFile(files, r.File, nil, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		examples := 0
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if strings.HasPrefix(f.Name.Name, "Example") {
				examples++
			}
			if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > maxLines {
				t.Errorf("%s: %s has %d lines, want at most %d", r.File, f.Name.Name, n, maxLines)
			}
		}
		if examples != 1 {
			t.Errorf("%s has %d examples, want 1", r.File, examples)
		}
	}
}
