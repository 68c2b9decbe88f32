package main

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"

	"github.com/kmssign/kmssign/examples/internal/cli"
)

// maxRaw is the size in bytes of the longest message that KMS takes.
const maxRaw = 4096

// input is what is signed. It has the name of its file, for messages.
type input struct {
	io.ReadCloser
	name string
}

// openInput opens the file, or standard input if path is empty.
func openInput(path string, stdio cli.Stdio) (input, error) {
	if path == "" {
		if cli.IsTerminal(stdio.In) {
			fmt.Fprintln(stdio.Err, "sign: reads standard input; -in names a file")
		}
		return input{io.NopCloser(stdio.In), "standard input"}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return input{}, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return input{}, fmt.Errorf("%s is a directory", path)
	}
	return input{f, path}, nil
}

// readSignature reads the file of -verify, or nothing if path is empty.
func readSignature(ctx context.Context, path string, stdin io.Reader) ([]byte, error) {
	const most = 64 << 10 // ten times what any signature has, for text with line breaks
	var f io.ReadCloser
	switch path {
	case "":
		return nil, nil
	case "-":
		f = io.NopCloser(stdin)
	default:
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	defer f.Close()
	data, err := readAll(ctx, io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > most:
		return nil, fmt.Errorf("%s has more than %d bytes, which is not a signature", path, most)
	case len(data) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	}
	return data, nil
}

// sum returns the hash of the input, which may have any size.
func (in input) sum(ctx context.Context, hash crypto.Hash) ([]byte, error) {
	h := hash.New()
	_, err := await(ctx, func() (int64, error) { return io.Copy(h, in) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	return h.Sum(nil), nil
}

// digest returns the input, which must be a digest by the hash.
func (in input) digest(ctx context.Context, hash crypto.Hash) ([]byte, error) {
	size := hash.Size()
	data, err := readAll(ctx, io.LimitReader(in, maxRaw+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	if len(data) == size {
		return data, nil
	}
	has := fmt.Sprintf("%d bytes", len(data))
	if len(data) > maxRaw {
		has = fmt.Sprintf("more than %d bytes", maxRaw)
	}
	hint := ""
	if len(data) > 2*size {
		// sha256sum writes the name of the file after the digest.
		data = data[:2*size]
	}
	if _, err := hex.DecodeString(string(data)); err == nil && len(data) == 2*size {
		hint = "; it begins like one in hex, and must be binary, as xxd -r -p makes it"
	}
	return nil, fmt.Errorf("-digest: %s has %s, want %d, the length of %v%s", in.name, has, size, hash, hint)
}

// short returns the input if it has 1 to 4096 bytes. what needs that, and ends
// the message if it has not.
func (in input) short(ctx context.Context, what string) ([]byte, error) {
	data, err := readAll(ctx, io.LimitReader(in, maxRaw+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", in.name, err)
	case len(data) == 0:
		return nil, fmt.Errorf("%s is empty, want 1 to %d bytes %s", in.name, maxRaw, what)
	case len(data) > maxRaw:
		return nil, fmt.Errorf("%s has more than %d bytes, want 1 to %[2]d %s", in.name, maxRaw, what)
	}
	return data, nil
}

// whole returns the input, whatever its size.
func (in input) whole(ctx context.Context) ([]byte, error) {
	data, err := readAll(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	return data, nil
}

func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	return await(ctx, func() ([]byte, error) { return io.ReadAll(r) })
}

// await returns what f returns, or an error once ctx ends. An interrupt thus
// ends the program while it waits for standard input.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case got := <-done:
		return got.value, got.err
	case <-ctx.Done():
		var zero T
		return zero, errors.New("interrupted")
	}
}
