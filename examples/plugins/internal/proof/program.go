package proof

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// packages are the Debian packages of the programs that judge.
var packages = map[string]string{
	"git":            "git",
	"openssl":        "openssl",
	"pdfsig":         "poppler-utils",
	"ssh":            "openssh-client",
	"ssh-keygen":     "openssh-client",
	"/usr/sbin/sshd": "openssh-server",
	"xmlsec1":        "xmlsec1",
}

// Need skips the test if a program is not installed.
func Need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install %s)", name, packages[name])
		}
	}
}

// Program runs a program and returns what it prints. Its error includes that.
func Program(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	return Output(t, exec.CommandContext(t.Context(), name, args...))
}

// Output is Program for a command with an environment or an input of its own.
func Output(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	Need(t, cmd.Args[0])
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Args[0]), err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

// File writes a file in a new directory and returns its path.
func File(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// PEM writes PEM blocks of one type to a file and returns its path.
func PEM(t *testing.T, kind string, ders ...[]byte) string {
	t.Helper()
	var data []byte
	for _, der := range ders {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return File(t, strings.ToLower(strings.ReplaceAll(kind, " ", "-"))+".pem", data)
}
