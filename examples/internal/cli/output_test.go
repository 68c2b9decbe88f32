package cli_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kmssign/kmssign/examples/internal/cli"
)

// A file is as it was until Commit, and has nothing beside it afterwards.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	old, link, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "link"), filepath.Join(dir, "new")
	if err := os.WriteFile(old, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(old, 0o666); err != nil { // more than the umask lets through
		t.Fatal(err)
	}
	if err := os.Symlink("old", link); err != nil {
		t.Fatal(err)
	}
	want := func(path, text string, mode fs.FileMode) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil || string(data) != text {
			t.Errorf("%s is %q, %v; want %q", path, data, err, text)
		}
		if info, err := os.Lstat(path); err != nil || mode != 0 && info.Mode() != mode {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode(), err, mode)
		}
	}
	for _, path := range []string{old, link, fresh} {
		out, err := cli.CreateOutput(path)
		if err != nil {
			t.Fatal(err)
		}
		want(old, "old", 0o666)
		out.Discard()
		out.Discard()
		want(old, "old", 0o666)
	}
	for _, path := range []string{link, fresh} {
		out, err := cli.CreateOutput(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Commit([]byte("text")); err != nil {
			t.Fatal(err)
		}
		out.Discard()
		want(path, "text", 0)
	}
	want(old, "text", 0o666)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v; want old, link and new", entries, err)
	}
	(*cli.Output)(nil).Discard()
}

// A device is written, not replaced.
func TestOutputDevice(t *testing.T) {
	out, err := cli.CreateOutput(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Commit([]byte("text")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestOutputRefused(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none", "file"), ""} {
		if out, err := cli.CreateOutput(path); err == nil {
			t.Errorf("%q: no error", path)
			out.Discard()
		} else if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".file.") {
			t.Errorf("%q: the error is %q, want one that names it and not a temporary file", path, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v; want nothing", entries, err)
	}
}

func TestIsOutput(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, tt := range []struct {
		path string
		out  io.Writer
		want bool
	}{
		{file.Name(), file, true},
		{other, file, false},
		{filepath.Join(dir, "none"), file, false},
		{os.DevNull, null, false},
		{file.Name(), io.Discard, false},
	} {
		if got := cli.IsOutput(tt.path, cli.Stdio{Out: tt.out}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.path, got, tt.want)
		}
	}
}
