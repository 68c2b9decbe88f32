// Package cli has what the programs under examples share, so that each main.go
// begins with its job:
//
//   - [Main] ends a program on a signal and makes its error an exit status.
//   - [Flags] is the flag package's FlagSet with a few checks and more help.
//   - [Output] is a file that is written completely or not at all.
//   - [Progress] shows a line on a terminal.
//   - [LoadConfig] is the SDK's LoadDefaultConfig with a Region and credentials.
//   - [NewFake] is the KMS of a program that runs without an AWS account.
//   - [Algorithms] has the JWT algorithms and the KMS keys that they need.
//
// A service of your own does not need this package, because it has a
// configuration and a way to report errors already.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/kmssign/kmssign/examples/internal/advice"
)

// Stdio is the standard input and output of a program.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Main runs a program and exits with the status of [Run]. The first SIGINT or
// SIGTERM ends the context of run, the second ends the program at once.
func Main(name string, run func(context.Context, []string, Stdio) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Run(ctx, name, run, os.Args[1:], Stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// Run runs a program and returns its exit status: 0 without an error and for
// -h, 2 for an error of [Usage], and 1 for any other. It writes the error to
// stdio.Err, with the result of [advice.For], in one line that begins with the
// name of the program.
func Run(ctx context.Context, name string, run func(context.Context, []string, Stdio) error, args []string, stdio Stdio) int {
	err := run(ctx, args, stdio)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	text := err.Error()
	if what := advice.For(err); what != "" {
		text = strings.TrimSuffix(strings.TrimSpace(text), ".") + "; " + what
	}
	fmt.Fprintf(stdio.Err, "%s: %s\n", name, oneLine(text))
	if _, ok := errors.AsType[*usageError](err); ok {
		return 2
	}
	return 1
}

// Usage marks err, which is not nil, as an error in the command line.
func Usage(err error) error { return &usageError{err} }

type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// oneLine joins the lines of text, which joined errors have, and replaces what
// a terminal might obey, because parts of an error come from elsewhere.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
