package readme

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

var update = flag.Bool("update", false, "write docs/api.txt")

// packages are those with an API that docs/stability.md is about.
var packages = []string{
	"derconv",
	"kmssigner",
	"kmssigner/kmsclient",
	"kmssigner/kmstest",
	"kmssigner/multiregion",
	"jwtkms",
	"jwtkms/keyring",
}

// pkg is a parsed package.
type pkg struct {
	path     string
	fset     *token.FileSet
	doc      *doc.Package
	examples []*ast.File // the test files that have an example
}

// load parses a package as it is built here.
func load(t *testing.T, name string) pkg {
	t.Helper()
	dir := filepath.Join(root, name)
	built, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := pkg{path: "github.com/kmssign/kmssign/" + name, fset: token.NewFileSet()}
	parse := func(file string) *ast.File {
		parsed, err := parser.ParseFile(p.fset, filepath.Join(dir, file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	var files []*ast.File
	for _, file := range built.GoFiles {
		files = append(files, parse(file))
	}
	for _, file := range slices.Concat(built.TestGoFiles, built.XTestGoFiles) {
		parsed := parse(file)
		if len(doc.Examples(parsed)) > 0 {
			p.examples = append(p.examples, parsed)
		}
	}
	if p.doc, err = doc.NewFromFiles(p.fset, files, p.path); err != nil {
		t.Fatal(err)
	}
	return p
}

// declaration returns the source of a declaration without comments, and without
// values where there is a type.
func (p pkg) declaration(t *testing.T, node ast.Node) string {
	t.Helper()
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			n.Doc, n.Body = nil, nil
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
			if n.Type != nil {
				n.Values = nil
			}
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.StructType:
			n.Incomplete = false // else it says that fields are left out
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var text bytes.Buffer
	config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
	// A new file set forgets the positions of the comments that are gone.
	if err := config.Fprint(&text, token.NewFileSet(), node); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestAPI compares the exported names of the library, with their types, with
// docs/api.txt, so that a change of them is made on purpose. After such a change
// run
//
//	go -C examples test ./readme -run TestAPI -update
func TestAPI(t *testing.T) {
	var api strings.Builder
	for _, name := range packages {
		p := load(t, name)
		fmt.Fprintf(&api, "package %s // import %q\n\n", p.doc.Name, p.path)
		values := func(all []*doc.Value) {
			for _, value := range all {
				fmt.Fprintf(&api, "%s\n\n", p.declaration(t, value.Decl))
			}
		}
		functions := func(all []*doc.Func) {
			for _, function := range all {
				fmt.Fprintf(&api, "%s\n\n", p.declaration(t, function.Decl))
			}
		}
		values(p.doc.Consts)
		values(p.doc.Vars)
		functions(p.doc.Funcs)
		for _, typ := range p.doc.Types {
			fmt.Fprintf(&api, "%s\n\n", p.declaration(t, typ.Decl))
			values(typ.Consts)
			values(typ.Vars)
			functions(typ.Funcs)
			functions(typ.Methods)
		}
	}
	file := filepath.Join(root, "docs/api.txt")
	if *update {
		if err := os.WriteFile(file, []byte(api.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, got := strings.Split(string(golden), "\n"), strings.Split(api.String(), "\n")
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("- %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("+ %s", line)
		}
	}
	if t.Failed() || !slices.Equal(want, got) {
		t.Error("the API differs from docs/api.txt; see docs/stability.md, and the comment of this test")
	}
}

// exported returns the exported names of a package, and those of methods as
// Type.Method.
func (p pkg) exported() []string {
	var names []string
	values := func(all []*doc.Value) {
		for _, value := range all {
			names = append(names, value.Names...)
		}
	}
	functions := func(all []*doc.Func, prefix string) {
		for _, function := range all {
			names = append(names, prefix+function.Name)
		}
	}
	values(p.doc.Consts)
	values(p.doc.Vars)
	functions(p.doc.Funcs, "")
	for _, typ := range p.doc.Types {
		names = append(names, typ.Name)
		values(typ.Consts)
		values(typ.Vars)
		functions(typ.Funcs, "")
		functions(typ.Methods, typ.Name+".")
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !ast.IsExported(path.Base(strings.ReplaceAll(name, ".", "/")))
	})
}

// TestExamples checks that each exported name has an example or occurs in one, in
// its own package or in another. A type is shown by a function that makes it, or
// by a constant of it. The operations of KMS, which the SDK documents, need no
// example.
func TestExamples(t *testing.T) {
	all := make(map[string]pkg)
	for _, name := range packages {
		all[name] = load(t, name)
	}
	for _, name := range packages {
		p := all[name]
		shown := make(map[string]bool)
		for _, other := range all {
			for _, file := range other.examples {
				local := imported(file, p.path)
				if local == "" {
					continue
				}
				if other.path == p.path {
					for _, example := range doc.Examples(file) {
						// Example names are X, T_M and X_suffix.
						parts := strings.Split(example.Name, "_")
						shown[parts[0]] = true
						if len(parts) > 1 {
							shown[parts[0]+"."+parts[1]] = true
						}
					}
				}
				ast.Inspect(file, func(n ast.Node) bool {
					if selector, ok := n.(*ast.SelectorExpr); ok {
						if x, ok := selector.X.(*ast.Ident); ok && x.Name == local {
							shown[selector.Sel.Name] = true
						}
						shown["."+selector.Sel.Name] = true // a method, of some type
					}
					return true
				})
			}
		}
		for _, typ := range p.doc.Types {
			for _, function := range typ.Funcs {
				shown[typ.Name] = shown[typ.Name] || shown[function.Name]
			}
			for _, constants := range typ.Consts {
				shown[typ.Name] = shown[typ.Name] || shown[constants.Names[0]]
			}
		}
		var missing []string
		for _, name := range p.exported() {
			_, method, isMethod := strings.Cut(name, ".")
			if isMethod {
				_, isOperation := reflect.TypeFor[*kms.Client]().MethodByName(method)
				shown[name] = shown[name] || shown["."+method] || isOperation
			}
			if !shown[name] {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s: no example shows %s", name, strings.Join(missing, ", "))
		}
	}
}

// imported returns the name under which a file imports a package, or "".
func imported(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		if strings.Trim(spec.Path.Value, `"`) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}
