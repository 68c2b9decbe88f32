package kmstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/internal/recordings"
)

// elsewhere has texts from recordings of KMS that neither the table of
// recordings nor the matrix has.
var elsewhere = []string{
	"%d validation %s detected: %s",
	"%s contains invalid characters for an alias",
	"%s is not pending deletion.",
	"Alias %s cannot be changed from key %s to key %s: they must have the same type and the same key usage.",
	"Aliases must refer to keys. Not aliases",
	"An alias with the name %s already exists",
	"Invalid arn %s",
	"Invalid identifier",
	"Invalid keyId %s",
	"Invalid marker",
	"KeySpec SM2 is not supported in this Region",
	"PendingWindowInDays must be between 7 and 30",
	"The request would have succeeded, but the DryRun option is set.",
	"User: arn:%s:iam::%s:user/kmstest is not authorized to perform: kms:%s on resource: %s because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
	"You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
}

// TestRecordedTexts checks that the text of every refuse in this package is one
// of the fake's own, or is in a recording. Other texts must be marked with
// unrecorded.
func TestRecordedTexts(t *testing.T) {
	known := recordings.Texts()
	for row := range strings.Lines(matrix) {
		known = append(known, row)
	}
	used := map[string]bool{}
	checked := 0
	for pos, text := range refusals(t) {
		if strings.HasPrefix(text, "kmstest:") || text == "%s" || text == "" {
			continue
		}
		checked++
		if slices.Contains(elsewhere, text) {
			used[text] = true
			continue
		}
		form := regexp.QuoteMeta(text)
		form = regexp.MustCompile(`%[sdv]`).ReplaceAllString(form, `\S+`)
		if !slices.ContainsFunc(known, regexp.MustCompile(form).MatchString) {
			t.Errorf("%s: no recording has %q", pos, text)
		}
	}
	if checked < 30 {
		t.Errorf("only %d texts", checked)
	}
	for _, text := range elsewhere {
		if !used[text] {
			t.Errorf("no refuse has %q", text)
		}
	}
}

// refusals returns the texts of the calls of refuse and notFound in this
// package by their position.
func refusals(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	texts := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, ok := call.Fun.(*ast.Ident)
			argument := map[string]int{"refuse": 1, "notFound": 0, "malformed": 0, "invalid": 0}
			if !ok {
				return true
			}
			if i, ok := argument[name.Name]; ok && i < len(call.Args) {
				if text, ok := literal(call.Args[i]); ok {
					texts[files.Position(call.Pos()).String()] = text
				}
			}
			return true
		})
	}
	return texts
}

// literal returns the value of a string literal or of a sum of them.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil
	case *ast.BinaryExpr:
		x, okX := literal(e.X)
		y, okY := literal(e.Y)
		return x + y, okX && okY
	}
	return "", false
}
