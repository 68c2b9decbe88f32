//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package kmstest

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockFile creates a file unless it exists, and locks it until it is closed or
// the process ends. It does not wait for another lock.
func lockFile(name string) (io.Closer, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, os.NewSyscallError("flock", err)
	}
	return file, nil
}

// syncDir writes the entries of a directory to the disk, after a rename.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
