package main

import (
	"archive/zip"
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	modulePath  = "github.com/kmssign/kmssign"
	testVersion = "v0.0.1-test"
)

// moduleProxy serves the module of this repository as a version of it, by the
// GOPROXY protocol, in a directory.
func moduleProxy(t *testing.T, root string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	versions := filepath.Join(dir, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(versions, 0o700); err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"list":                testVersion + "\n",
		testVersion + ".info": fmt.Sprintf(`{"Version":%q}`, testVersion),
		testVersion + ".mod":  string(gomod),
	} {
		if err := os.WriteFile(filepath.Join(versions, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(versions, testVersion+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := zip.NewWriter(file)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root {
			// A module does not have the modules below it.
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
		}
		if !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		entry, err := w.Create(modulePath + "@" + testVersion + "/" + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = entry.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestInstall installs and runs the program as somebody does who has no clone,
// from an empty directory, with a module cache that has nothing. The module
// comes from a proxy of this test, its requirements from the module cache of
// this machine, or the usual proxy.
func TestInstall(t *testing.T) {
	env := func(name string) string {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	root := filepath.Dir(env("GOMOD"))
	fileURL := func(dir string) string { return "file://" + filepath.ToSlash(dir) }
	goCommand := func(args ...string) *exec.Cmd {
		cmd := exec.Command("go", args...)
		cmd.Dir = t.TempDir()
		return cmd
	}
	gobin, cache := t.TempDir(), t.TempDir()
	environment := append(os.Environ(),
		"GOPROXY="+fileURL(moduleProxy(t, root))+","+fileURL(filepath.Join(env("GOMODCACHE"), "cache", "download"))+","+env("GOPROXY"),
		"GOSUMDB=off", "GOWORK=off", "GOBIN="+gobin, "GOMODCACHE="+cache,
		"GOFLAGS=-modcacherw -trimpath", // to be removed, and to share the build cache
		"GOTOOLCHAIN="+env("GOVERSION"),
	)

	install := goCommand("install", modulePath+"/kmssigner/kmstest/fakekms@"+testVersion)
	install.Env = environment
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", install, err, out)
	}
	info, err := buildinfo.ReadFile(filepath.Join(gobin, "fakekms"))
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Main.Path != modulePath || info.Main.Version != testVersion || len(info.Deps) == 0 {
		t.Errorf("built from %+v, with %d requirements", info.Main, len(info.Deps))
	}
	for _, dep := range info.Deps {
		if !strings.Contains(string(gomod), "\t"+dep.Path+" "+dep.Version) {
			t.Errorf("the program needs %s %s, which is not in go.mod", dep.Path, dep.Version)
		}
	}

	run := goCommand("run", modulePath+"/kmssigner/kmstest/fakekms@"+testVersion, "-h")
	run.Env = environment
	if out, err := run.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "Fakekms serves a fake AWS KMS") {
		t.Errorf("%v: %v\n%s", run, err, out)
	}
	p := spawnCommand(t, exec.Command(filepath.Join(gobin, "fakekms"), "-listen", "127.0.0.1:0", "-key", stateKey), 1)
	sign(t, p.client(""), "alias/jwt", es256)
}
