package cli

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// An Output is a file that a program writes at its end, or not at all.
type Output struct {
	f    *os.File
	path string // to rename f to; empty if f is the file itself
}

// CreateOutput makes sure that the file can be written, and leaves it as it is
// until [Output.Commit]. It returns an error if the file is a directory or if
// there is no permission.
func CreateOutput(path string) (*Output, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", path)
	}
	exists, mode := err == nil, fs.FileMode(0o666)
	if exists {
		// O_WRONLY alone does not truncate.
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return &Output{f: f}, nil // a device or a pipe, such as /dev/stdout
		}
		f.Close()
		mode = info.Mode().Perm()
		// Replace what a symbolic link points to, not the link.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	dir, name := filepath.Split(path)
	if name == "" {
		return nil, fmt.Errorf("%q is not the name of a file", path)
	}
	f, err := os.OpenFile(filepath.Join(dir, "."+name+"."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		pathErr.Path = path // not the temporary file, which the user does not know
	}
	if err != nil {
		return nil, err
	}
	if exists {
		if err := f.Chmod(mode); err != nil { // whatever the umask is
			return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}
	return &Output{f: f, path: path}, nil
}

// Commit writes the file. On failure the file is as it was before, unless it is
// a device or a pipe.
func (o *Output) Commit(data []byte) error {
	_, err := o.f.Write(data)
	if err = errors.Join(err, o.f.Close()); err == nil && o.path != "" {
		err = os.Rename(o.f.Name(), o.path)
	}
	if err != nil {
		o.Discard()
	}
	o.path = ""
	return err
}

// Discard leaves the file as it was. It does nothing after Commit, and nothing
// for a nil Output.
func (o *Output) Discard() {
	if o == nil {
		return
	}
	o.f.Close()
	if o.path != "" {
		os.Remove(o.f.Name())
	}
}

// IsOutput reports whether path names the file, pipe or terminal that is the
// standard output, as /dev/stdout does. It is false for the null device, to
// which anything may be written.
func IsOutput(path string, stdio Stdio) bool {
	stdout, ok := stdio.Out.(*os.File)
	if !ok {
		return false
	}
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(named, null) {
		return false
	}
	info, err := stdout.Stat()
	return err == nil && os.SameFile(named, info)
}

// SameFile reports whether two names are those of one regular file. A file that
// does not exist has one name only.
func SameFile(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return a != "" && b != ""
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && infoA.Mode().IsRegular() && os.SameFile(infoA, infoB)
}
