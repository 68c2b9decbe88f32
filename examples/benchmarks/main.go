// Benchmarks measures the tables of docs/benchmarks.md anew. It runs each
// command of the page and replaces the table below the command with the one
// that the command prints. With arguments, it runs only the commands that
// contain one of them.
//
//	go -C examples run ./benchmarks
//	go -C examples run ./benchmarks Token Connections
//
// The tests of this directory compare the library with other modules, and
// programs with the library with programs without it.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const page = "../docs/benchmarks.md"

func main() {
	log.SetFlags(0)
	log.SetPrefix("benchmarks: ")
	data, err := os.ReadFile(page)
	if err != nil {
		log.Fatal(err)
	}
	text, err := update(string(data), func(command string) (string, error) {
		if !selected(command, os.Args[1:]) {
			return "", nil
		}
		log.Print(command)
		shell := exec.Command("sh", "-c", command)
		shell.Dir = ".."
		shell.Stderr = os.Stderr
		out, err := shell.Output()
		os.Stderr.Write(out)
		return string(out), err
	})
	// After an error, the tables above the command that failed are new.
	if err := errors.Join(err, os.WriteFile(page, []byte(text), 0o666)); err != nil {
		log.Fatal(err)
	}
}

func selected(command string, words []string) bool {
	return len(words) == 0 || slices.ContainsFunc(words, func(word string) bool { return strings.Contains(command, word) })
}

// update returns the page with new tables. run returns what a command prints,
// or nothing to leave its table as it is. After an error, the rest of the page
// is as it was.
func update(page string, run func(command string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(page, "```sh\n")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		command, rest, _ := strings.Cut(rest, "\n```\n")
		b.WriteString("```sh\n" + command + "\n```\n")
		page = rest
		// The table must follow at once. Other commands have none.
		old, isTable := firstTable(rest)
		if !isTable {
			continue
		}
		out, err := run(command)
		if err != nil {
			return b.String() + rest, fmt.Errorf("%s: %w", command, err)
		}
		if out == "" {
			continue
		}
		table := tables(out)
		if table == "" {
			return b.String() + rest, fmt.Errorf("%s printed no table", command)
		}
		b.WriteString("\n" + table)
		page = rest[len(old):]
	}
}

// firstTable returns the blank line and the table at the start of text.
func firstTable(text string) (string, bool) {
	n := 1
	if !strings.HasPrefix(text, "\n|") {
		return "", false
	}
	for line := range strings.Lines(text[1:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		n += len(line)
	}
	return text[:n], true
}

// tables returns the rows of all tables in a text. There must be one table.
func tables(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			b.WriteString(line)
		}
	}
	return b.String()
}
