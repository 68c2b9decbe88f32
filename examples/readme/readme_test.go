// Package readme holds the Go snippets of README.md, SECURITY.md and docs, so
// that they compile and run, and checks the pages: each snippet is the one that
// runs, each JSON policy names actions that exist, and each link to a file has a
// file.
package readme

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

// pages returns the text of each page by its path below the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("pages in docs: %q, %v", paths, err)
	}
	paths = append(paths, filepath.Join(root, "README.md"), filepath.Join(root, "SECURITY.md"))
	texts := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.ToSlash(name)] = string(text)
	}
	return texts
}

// blocks returns the fenced code blocks of a page in a language.
func blocks(page, language string) []string {
	var texts []string
	for _, match := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(page, -1) {
		texts = append(texts, match[1])
	}
	return texts
}

// squeeze leaves of each line its words, because indentation depends on where a
// snippet stands.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// TestSnippets compares the Go snippets of the pages with the tests that run
// them, which are in this directory and, for docs/plugins.md, in ../plugins.
func TestSnippets(t *testing.T) {
	var compiled strings.Builder
	for _, pattern := range []string{"*_test.go", "../plugins/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			compiled.WriteString(squeeze(string(source)))
			compiled.WriteString("\n")
		}
	}
	found := 0
	for name, page := range pages(t) {
		for _, snippet := range blocks(page, "go") {
			found++
			if !strings.Contains(compiled.String(), strings.TrimSpace(squeeze(snippet))) {
				t.Errorf("no test holds this snippet of %s:\n%s", name, snippet)
			}
		}
	}
	if found == 0 {
		t.Fatal("no Go snippets in the pages")
	}
}

// TestLength checks that the README is short. Details belong in docs.
func TestLength(t *testing.T) {
	if words := len(strings.Fields(pages(t)["README.md"])); words >= 1200 {
		t.Errorf("README.md has %d words, want fewer than 1200", words)
	}
}

// TestLinks checks that the files and headings exist to which the pages link.
func TestLinks(t *testing.T) {
	texts := pages(t)
	found := 0
	for name, page := range texts {
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(page, -1) {
			target, heading, _ := strings.Cut(link[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			found++
			file := name
			if target != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s: %v", name, link[1], err)
			} else if text, isPage := texts[file]; heading != "" && isPage && !anchors(text)[heading] {
				t.Errorf("%s links to %s, but %s has no such heading", name, link[1], file)
			}
		}
	}
	if found == 0 {
		t.Fatal("no links in the pages")
	}
}

// TestCommands checks that the programs, packages and scripts exist that the
// commands of the pages name.
func TestCommands(t *testing.T) {
	command := regexp.MustCompile(`\bgo( -C (\S+))? (run|test|build|vet|install)\b([^\n|&` + "`" + `]*)`)
	script := regexp.MustCompile(`\.ci/[a-z0-9]+`)
	found := 0
	for name, page := range pages(t) {
		for _, match := range command.FindAllStringSubmatch(page, -1) {
			dir := filepath.Join(root, match[2])
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
				t.Errorf("%s: %q: %v", name, match[0], err)
			}
			for _, arg := range strings.Fields(match[4]) {
				if local, ok := strings.CutPrefix(arg, "github.com/kmssign/kmssign/"); ok {
					// The rest of the path is below the root, up to the version.
					local, _, _ = strings.Cut(local, "@")
					dir, arg = root, "./"+local
				}
				if !strings.HasPrefix(arg, "./") {
					continue
				}
				found++
				pkg := filepath.Join(dir, strings.TrimSuffix(arg, "..."))
				if files, _ := filepath.Glob(filepath.Join(pkg, "*.go")); len(files) == 0 && !strings.HasSuffix(arg, "...") {
					t.Errorf("%s: %q: there is no package in %s", name, match[0], pkg)
				}
			}
		}
		for _, file := range script.FindAllString(page, -1) {
			found++
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s names %s: %v", name, file, err)
			}
		}
	}
	// The table of programs in README.md has the argument of go -C examples run.
	for _, program := range regexp.MustCompile("(?m)^\\| \\[`(\\./[a-z]+)`\\]").FindAllStringSubmatch(pages(t)["README.md"], -1) {
		found++
		if _, err := os.Stat(filepath.Join(root, "examples", program[1], "main.go")); err != nil {
			t.Errorf("README.md: %v", err)
		}
	}
	if found < 20 {
		t.Errorf("found %d commands in the pages", found)
	}
}

// TestAgainstAWS checks that the pages say the same about what was run against
// AWS KMS.
func TestAgainstAWS(t *testing.T) {
	const sentence = "The project has not run this module against AWS KMS; " +
		"it compared its fake with public recordings of answers of AWS KMS."
	texts := pages(t)
	for _, name := range []string{"docs/fake.md", "docs/keys.md", "docs/operations.md", "docs/stability.md"} {
		if !strings.Contains(strings.Join(strings.Fields(texts[name]), " "), sentence) {
			t.Errorf("%s does not say: %s", name, sentence)
		}
	}
}

// anchors returns the anchors that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	found := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		anchor := strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")
		found[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(anchor, "")] = true
	}
	return found
}
