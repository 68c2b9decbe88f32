package kmstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// stateVersion is the version of the format that this package writes and reads.
const stateVersion = 1

// A state file is a line of JSON, which is a header, and a body of JSON. The
// header has the version and the hash of the body.
type stateHeader struct {
	Format  string
	Version int
	SHA256  string
}

const stateFormat = "kmstest state"

func headerOf(body []byte) []byte {
	line, _ := json.Marshal(stateHeader{stateFormat, stateVersion, fmt.Sprintf("%x", sha256.Sum256(body))}) // strings and numbers always marshal
	return append(line, '\n')
}

// bodyOf returns the body of a state file after checking all of it.
func bodyOf(content []byte) ([]byte, error) {
	line, body, ok := bytes.Cut(content, []byte("\n"))
	var h stateHeader
	if err := json.Unmarshal(line, &h); err != nil || !ok || h.Format != stateFormat {
		return nil, fmt.Errorf("it is not a state file of kmstest, or it is damaged: it does not begin with {%q:%q", "Format", stateFormat)
	}
	if h.Version > stateVersion {
		return nil, fmt.Errorf("it has version %d of the format, and this program knows versions up to %d: use the newer program that wrote it", h.Version, stateVersion)
	}
	if !bytes.Equal(append(line, '\n'), headerOf(body)) {
		return nil, errors.New("it is damaged or was edited: the hash of its content differs from the one in its first line")
	}
	return body, nil
}

// unmarshalStrictly decodes JSON. It refuses unknown members, which a program
// that does not know them would lose.
func unmarshalStrictly(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is data after the end")
	}
	return nil
}

var errLocked = errors.New("it is in use by another process or another KMS of this one")

// stateFile is a state file that this process has locked. It is not safe for
// concurrent use.
type stateFile struct {
	name    string
	lock    io.Closer // nil after close
	written []byte    // the body that was read or written last
	unsure  bool      // whether the file may have another body than written
	syncDir func(string) error
}

// openStateFile locks a state file and returns it and its body, which is nil if
// the file does not exist.
func openStateFile(name string) (*stateFile, []byte, error) {
	// A link stays a link, and its target is replaced.
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	lock, err := lockFile(name + ".lock")
	if err != nil {
		return nil, nil, fmt.Errorf("lock state file %s: %w", name, err)
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &stateFile{name: name, lock: lock, syncDir: syncDir}, nil, nil
	}
	if err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("state file: %w", err)
	}
	body, err := bodyOf(content)
	if err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("state file %s: %w", name, err)
	}
	return &stateFile{name: name, lock: lock, written: body, syncDir: syncDir}, body, nil
}

func (f *stateFile) closed() bool { return f.lock == nil }

func (f *stateFile) close() error {
	if f.closed() {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// write replaces the content of the file, unless it has the body already. When
// write returns nil, the content survives a crash of the system. When it
// returns an error, the file has the old content, or the new one if only the
// last step failed.
func (f *stateFile) write(body []byte) error {
	if f.written != nil && !f.unsure && bytes.Equal(body, f.written) {
		return nil
	}
	// The lock makes this process the only writer, so the name can be fixed,
	// and one that a killed process left is overwritten.
	temp := f.name + ".new"
	if err := writeSynced(temp, headerOf(body), body); err != nil {
		os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, f.name); err != nil {
		os.Remove(temp)
		return err
	}
	f.unsure = true
	if err := f.syncDir(filepath.Dir(f.name)); err != nil {
		return err
	}
	f.written, f.unsure = body, false
	return nil
}

// writeSynced writes a new file of mode 0600 to the disk.
func writeSynced(name string, parts ...[]byte) (err error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, part := range parts {
		if _, err := file.Write(part); err != nil {
			return err
		}
	}
	return file.Sync()
}
