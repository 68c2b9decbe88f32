// Package readme holds the Go snippets of the README, so that they compile and
// run, and compares the two.
package readme

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// squeeze leaves of each line its words: indentation depends on where a
// snippet stands.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestSnippets(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("snippets_test.go")
	if err != nil {
		t.Fatal(err)
	}
	compiled := squeeze(string(source))
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(snippets) == 0 {
		t.Fatal("no Go snippets in the README")
	}
	for _, snippet := range snippets {
		if !strings.Contains(compiled, strings.TrimSpace(squeeze(snippet[1]))) {
			t.Errorf("snippets_test.go does not hold this snippet of the README:\n%s", snippet[1])
		}
	}
}
