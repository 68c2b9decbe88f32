package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width returns the number of columns of the terminal that w is. ok is false if
// w is not a terminal or does not know its size.
func Width(w io.Writer) (columns int, ok bool) {
	if !IsTerminal(w) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(w.(*os.File).Fd()))
	return columns, err == nil && columns > 0
}

// Progress returns a function that replaces the last line on the terminal w by
// another, cut to the terminal's width. It returns nil if w is not a terminal
// that can do that.
func Progress(w io.Writer) func(line string) {
	if kind := os.Getenv("TERM"); !IsTerminal(w) || kind == "" || kind == "dumb" {
		return nil
	}
	return func(line string) {
		columns, ok := Width(w) // which may have changed
		if !ok {
			columns = 80
		}
		fmt.Fprintf(w, "\r%s\x1b[K", cut(line, columns-1))
	}
}

// cut returns at most the first n runes of line.
func cut(line string, n int) string {
	if runes := []rune(line); len(runes) > n {
		return string(runes[:max(n, 0)])
	}
	return line
}
