package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// pty opens a pseudo-terminal with a number of columns. read closes it and
// returns what was written to it.
func pty(t *testing.T, columns int) (terminal *os.File, read func() string) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil { // unlocks it
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	resize(t, terminal, columns)
	// Without this, the terminal writes a line feed as two characters.
	settings, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	settings.Oflag &^= unix.OPOST
	if err := unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, settings); err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() {
		data, err := io.ReadAll(control)
		if err != nil && !errors.Is(err, syscall.EIO) { // which is the end
			t.Error(err)
		}
		text <- string(data)
	}()
	return terminal, func() string {
		terminal.Close()
		return <-text
	}
}

func resize(t *testing.T, terminal *os.File, columns int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
}

// A line of progress is cut to one column less than the terminal has, as wide
// as the terminal is at the time.
func TestProgress(t *testing.T) {
	t.Setenv("TERM", "xterm")
	terminal, read := pty(t, 20)
	if columns, ok := Width(terminal); !ok || columns != 20 {
		t.Errorf("the width is %d, %v; want 20", columns, ok)
	}
	show := Progress(terminal)
	if show == nil {
		t.Fatal("no progress on a terminal")
	}
	show(strings.Repeat("é", 30))
	show("short")
	resize(t, terminal, 10)
	show(strings.Repeat("a", 30))
	resize(t, terminal, 0) // a terminal that does not know its size
	show(strings.Repeat("b", 100))
	const clear = "\x1b[K" // to the end of the line
	want := "\r" + strings.Repeat("é", 19) + clear + "\rshort" + clear + "\r" + strings.Repeat("a", 9) + clear + "\r" + strings.Repeat("b", 79) + clear
	if got := read(); got != want {
		t.Errorf("the terminal got %q, want %q", got, want)
	}
}

// A terminal that cannot move its cursor gets no progress.
func TestNoProgressOnDumbTerminal(t *testing.T) {
	for _, kind := range []string{"dumb", ""} {
		t.Setenv("TERM", kind)
		terminal, read := pty(t, 80)
		if Progress(terminal) != nil {
			t.Errorf("progress with TERM=%q", kind)
		}
		if got := read(); got != "" {
			t.Errorf("TERM=%q: the terminal got %q", kind, got)
		}
	}
}

// The help fills the terminal, with no control characters on any terminal.
func TestHelpOnTerminal(t *testing.T) {
	help := func(ctx context.Context, args []string, stdio Stdio) error {
		flags := NewFlags("program", stdio)
		flags.About = strings.Repeat("about ", 40)
		flags.Duration("interval", time.Second, strings.Repeat("usage ", 40))
		return flags.Parse(args)
	}
	for _, kind := range []string{"xterm", "dumb"} {
		t.Setenv("TERM", kind)
		for _, columns := range []int{40, 120} {
			terminal, read := pty(t, columns)
			if status := Run(t.Context(), "program", help, []string{"-h"}, Stdio{Out: terminal, Err: io.Discard}); status != 0 {
				t.Errorf("status %d", status)
			}
			longest := 0
			got := read()
			for line := range strings.Lines(got) {
				longest = max(longest, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
			}
			if longest > columns || longest < columns-len("about ") {
				t.Errorf("the longest of the lines is %d, want at most %d and not much less:\n%s", longest, columns, got)
			}
			if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && r < ' ' }) {
				t.Errorf("control characters in %q", got)
			}
		}
	}
}

// An error from elsewhere cannot move the cursor of the terminal.
func TestErrorOnTerminal(t *testing.T) {
	terminal, read := pty(t, 80)
	hostile := func(context.Context, []string, Stdio) error { return errors.New("\x1b[2Jcleared\rover\x07") }
	Run(t.Context(), "program", hostile, nil, Stdio{Out: io.Discard, Err: terminal})
	if got := read(); strings.ContainsAny(got, "\x1b\r\x07") || !strings.HasPrefix(got, "program: ") {
		t.Errorf("the terminal got %q", got)
	}
}
