package cli

import (
	"os"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"\n", "\n"},
		{"short\n", "short\n"},
		{"  one two three\n", "  one two\n  three\n"},
		{"unbreakable-word\n", "unbreakable-word\n"},
		{"a unbreakable-word b\n", "a\nunbreakable-word\nb\n"},
		{"éé éé éé éé\n", "éé éé éé\néé\n"}, // runes, not bytes
	} {
		if got := wrap(tt.line, 10); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want string
	}{{-1, ""}, {0, ""}, {2, "éé"}, {4, "éééé"}, {5, "éééé"}} {
		if got := cut("éééé", tt.n); got != tt.want {
			t.Errorf("%d runes: %q, want %q", tt.n, got, tt.want)
		}
	}
}

// There is no progress on what is not a terminal.
func TestNoProgress(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("TERM", "xterm")
	if Progress(null) != nil || Progress(&strings.Builder{}) != nil {
		t.Error("progress on what is not a terminal")
	}
	if _, ok := Width(null); ok {
		t.Errorf("%s has a width", os.DevNull)
	}
}
