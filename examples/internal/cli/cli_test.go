package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kmssign/kmssign/examples/internal/awsenv"
	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/kmssigner"
)

// greet is a program as the others are: its flags, its job, its error.
func greet(ctx context.Context, args []string, stdio cli.Stdio) error {
	var name string
	var timeout time.Duration
	flags := cli.NewFlags("greet", stdio)
	flags.About = "\nGreet greets.\n\n  greet -name alice\n"
	flags.StringVar(&name, "name", "", "who to greet; none: the world")
	flags.PositiveVar(&timeout, "timeout", time.Second, "give up after this `time`")
	flags.String("greeting", "hello", "what to say; this text is long enough that it has to be continued on another line, with the same indent")
	flags.Func("f", "a function", func(string) error { return nil })
	if err := flags.Parse(args); err != nil {
		return err
	}
	if name == "nobody" {
		return cli.Usage(errors.New("-name is nobody"))
	}
	if name == "eve" {
		return errors.Join(errors.New("first"), errors.New("second:\t\x1b[2Jred\r"))
	}
	_, err := fmt.Fprintf(stdio.Out, "hello %s\n", name)
	return err
}

// help is what greet -h prints to what is not a terminal.
const help = `Greet greets.

  greet -name alice

Usage of greet:
  -f value
        a function
  -greeting string
        what to say; this text is long enough that it has to be continued on
        another line, with the same indent (default "hello")
  -name string
        who to greet; none: the world
  -timeout time
        give up after this time (default 1s)
`

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		stdout string
		stderr string
	}{
		{[]string{"-name", "alice"}, 0, "hello alice\n", ""},
		{nil, 0, "hello \n", ""},
		{[]string{"-h"}, 0, help, ""},
		{[]string{"-nonsense"}, 2, "", "greet: flag provided but not defined: -nonsense; the flags are listed by -h\n"},
		{[]string{"-timeout", "soon"}, 2, "", "greet: invalid value \"soon\" for flag -timeout: parse error, want a time with its unit, such as 500ms, 15s or 1h30m; the flags are listed by -h\n"},
		{[]string{"alice"}, 2, "", "greet: unexpected argument \"alice\"; the flags are listed by -h\n"},
		{[]string{"-name", ""}, 2, "", "greet: -name is empty; leave it out for its default\n"},
		{[]string{"-greeting", ""}, 0, "hello \n", ""}, // which is not its default
		{[]string{"-f", ""}, 0, "hello \n", ""},        // which only the function can judge
		{[]string{"-timeout", "0"}, 2, "", "greet: -timeout is 0s, want more than 0\n"},
		{[]string{"-timeout", "-1s"}, 2, "", "greet: -timeout is -1s, want more than 0\n"},
		{[]string{"-name", "nobody"}, 2, "", "greet: -name is nobody\n"},
		{[]string{"-name", "eve"}, 1, "", "greet: first; second: \ufffd[2Jred\n"},
	} {
		var out, errs bytes.Buffer
		status := cli.Run(t.Context(), "greet", greet, tt.args, cli.Stdio{Out: &out, Err: &errs})
		if status != tt.status || out.String() != tt.stdout || errs.String() != tt.stderr {
			t.Errorf("%q: status %d, standard output %q, standard error %q; want %d, %q and %q",
				tt.args, status, &out, &errs, tt.status, tt.stdout, tt.stderr)
		}
	}
}

func TestLoadConfig(t *testing.T) {
	awsenv.Serve(t)
	cfg, err := cli.LoadConfig(t.Context(), "", "ask")
	if err != nil || cfg.Region != "us-east-1" {
		t.Errorf("the configured Region: %q, %v", cfg.Region, err)
	}
	const arn = "arn:aws:kms:eu-west-1:111122223333:alias/jwt"
	cfg, err = cli.LoadConfig(t.Context(), cli.RegionOf(arn), "ask")
	if err != nil || cfg.Region != "eu-west-1" {
		t.Errorf("the ARN's Region: %q, %v", cfg.Region, err)
	}

	t.Setenv("AWS_REGION", "")
	_, err = cli.LoadConfig(t.Context(), cli.RegionOf("alias/jwt"), "ask")
	if err == nil || !strings.HasSuffix(err.Error(), "or ask") {
		t.Errorf("no Region: %v", err)
	}
	awsenv.Isolate(t)
	_, err = cli.LoadConfig(t.Context(), "eu-west-1", "ask")
	if err == nil || !strings.HasPrefix(err.Error(), "no AWS credentials: set AWS_ACCESS_KEY_ID") {
		t.Errorf("no credentials: %v", err)
	}
}

func TestIsAlias(t *testing.T) {
	for key, want := range map[string]bool{
		"alias/jwt": true,
		"arn:aws:kms:eu-west-1:111122223333:alias/jwt":                                true,
		"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab": false,
		"1234abcd-12ab-34cd-56ef-1234567890ab":                                        false,
		"":                                                                            false,
	} {
		if got := cli.IsAlias(key); got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

func TestNewFake(t *testing.T) {
	fake, alias, err := cli.NewFake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kmssigner.New(t.Context(), fake, alias); err != nil {
		t.Error(err)
	}
}

// Each algorithm is found by its name and fits the key that is made for it.
func TestAlgorithms(t *testing.T) {
	fake, _, err := cli.NewFake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range cli.SignaturesAndMACs {
		method, err := cli.SignaturesAndMACs.Parse(alg.Method.Alg())
		if err != nil || method != alg.Method {
			t.Errorf("%s: %v, %v", alg.Method.Alg(), method, err)
		}
		key := fake.AddKey(cli.SignaturesAndMACs.SpecFor(method))
		var with any
		if strings.HasPrefix(method.Alg(), "HS") {
			with, err = kmssigner.NewHMAC(t.Context(), fake, key)
		} else {
			with, err = kmssigner.New(t.Context(), fake, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := method.Sign("header.payload", with); err != nil {
			t.Errorf("%s: %v", method.Alg(), err)
		}
	}
	if method, err := cli.Signatures.Parse(""); method != nil || err != nil {
		t.Errorf("no name: %v, %v", method, err)
	}
	if spec := cli.Signatures.SpecFor(nil); spec != "ECC_NIST_P256" {
		t.Errorf("no method: %s", spec)
	}
	_, err = cli.Signatures.Parse("HS256")
	if err == nil || err.Error() != `unknown -alg "HS256", want one of `+cli.Signatures.String() {
		t.Errorf("HS256 is not a signature: %v", err)
	}
}

// A program that cannot write says so.
func TestRunWriteError(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close()
	var errs bytes.Buffer
	if status := cli.Run(t.Context(), "greet", greet, nil, cli.Stdio{Out: writer, Err: &errs}); status != 1 || errs.String() != "greet: io: read/write on closed pipe\n" {
		t.Errorf("status %d, standard error %q", status, &errs)
	}
}
