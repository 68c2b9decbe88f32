// Fakekms serves a fake AWS KMS over HTTP, for development and tests of
// programs in any language that sign with KMS. It makes real keys and real
// signatures, and refuses what KMS refuses, as package kmstest describes.
//
//	go run github.com/kmssign/kmssign/kmssigner/kmstest/fakekms@latest -key alias/jwt=ECC_NIST_P256
//
// It prints the environment with which the AWS SDKs and the AWS CLI find it.
// docs/fake.md in the repository has setups for docker-compose, CI and SDKs.
//
// # Keys
//
// Each -key makes a key at the start, or takes a given one:
//
//	-key alias/jwt=ECC_NIST_P256          a new key of that spec, with an alias
//	-key alias/jwt=jwt.pem                the key in a file, with an alias
//	-key alias/jwt=jwt.pem,id=1234abcd-12ab-34cd-56ef-1234567890ab
//
// The file has a private key in PKCS #8, of any spec that signs, or the raw
// bytes of an HMAC key. Without id, the key ID is derived from the key, so it
// is the same at each start.
//
// # State
//
// With -state, keys and aliases of all Regions are kept in a file. A change is
// in the file before it is answered, and a process that is killed at any moment
// leaves a valid file. What is in the file wins over -key: an alias that it has
// keeps its key. It is an error if the file has another key under the ID of a
// given key, or has the alias but not the given key.
//
// # Access
//
// Without -credentials, fakekms accepts one pair of access key ID and secret,
// which it prints, and verifies signatures with it. The pair is public, and the
// private keys are in memory and in the state file, so fakekms listens on a
// loopback address unless -closed-network is given.
//
// GET / and GET /health answer 200 with a line of text.
//
// # Exit status
//
// Fakekms ends on SIGINT and SIGTERM with status 0. A wrong command line is
// status 2, any other failure, such as an address in use, status 1.
package main

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

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The credentials of AWS's documentation. They open nothing but this program.
const (
	accessKeyID     = "AKIAIOSFODNN7EXAMPLE"
	secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// config is a parsed command line.
type config struct {
	listen         string
	closedNetwork  bool
	region         string
	account        string
	state          string
	credentials    aws.Credentials
	anyCredentials bool
	keys           []keyFlag
	verbose        bool
}

const help = `Fakekms serves a fake AWS KMS over HTTP, for development and tests of programs
that sign with KMS. It makes real keys and real signatures, refuses what KMS
refuses, and serves every Region on one port. It prints the environment with
which the AWS SDKs and the AWS CLI find it.

usage: fakekms [flags]

`

// run runs the program and returns its exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if h, ok := errors.AsType[helpError](err); ok {
		fmt.Fprint(stdout, help+h.flags)
		return 0
	}
	if err == nil {
		err = serve(ctx, c, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "fakekms: %v\n", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}

// usageError is an error in the command line.
type usageError struct{ error }

// helpError is returned for -h.
type helpError struct{ flags string }

func (helpError) Error() string { return flag.ErrHelp.Error() }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func parse(args []string, stderr io.Writer) (config, error) {
	c := config{credentials: aws.Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey}}
	flags := flag.NewFlagSet("fakekms", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.listen, "listen", "127.0.0.1:4599", "`address` to listen on; port 0 takes a free one")
	flags.BoolVar(&c.closedNetwork, "closed-network", false, "allow a -listen address that is not loopback; everybody who reaches it can use the keys, so only in a closed network, such as that of docker-compose")
	flags.StringVar(&c.region, "region", "us-east-1", "`Region` in which -key makes keys, and which is printed; requests may be for any other in its partition")
	flags.StringVar(&c.account, "account", "111122223333", "AWS `account` to be, twelve digits")
	flags.StringVar(&c.state, "state", "", "`file` that keeps keys and aliases, made with mode 0600; none: in memory")
	flags.BoolVar(&c.verbose, "v", false, "log each request")
	flags.Func("credentials", "`ID:SECRET` to accept, or any, which accepts all and verifies no signature; default: a pair that is printed", func(text string) error {
		id, secret, ok := strings.Cut(text, ":")
		switch {
		case text == "any":
			c.anyCredentials = true
			c.credentials = aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}
			return nil
		case !ok || id == "" || secret == "" || strings.ContainsAny(id, "/,= \t"):
			return errors.New("want ID:SECRET or any")
		}
		c.anyCredentials = false
		c.credentials = aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
		return nil
	})
	flags.Func("key", "key to make at start, `[alias/NAME=]SPEC`, or to take, [alias/NAME=]FILE[,id=KEY_ID], with a private key in PKCS #8 or the bytes of an HMAC key; may be repeated", func(text string) error {
		k, err := parseKey(text)
		c.keys = append(c.keys, k)
		return err
	})
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		var text strings.Builder
		flags.SetOutput(&text)
		flags.PrintDefaults()
		return c, helpError{text.String()}
	} else if err != nil {
		return c, usagef("%w; the flags are listed by -h", err)
	}
	switch {
	case flags.NArg() > 0:
		return c, usagef("unexpected argument %q; the flags are listed by -h", flags.Arg(0))
	case len(c.account) != 12 || strings.Trim(c.account, "0123456789") != "":
		return c, usagef("-account is %q, want twelve digits", c.account)
	case c.region == "":
		return c, usagef("-region is empty, want a Region such as us-east-1")
	}
	return c, checkKeys(c.keys, c.state != "")
}

// newFake returns the KMS that the command line asks for.
func newFake(c config) (*kmstest.KMS, error) {
	options := func(o *kmstest.Options) {
		o.Region, o.AccountID = c.region, c.account
		o.Credentials, o.AnyCredentials = c.credentials, c.anyCredentials
	}
	if c.state == "" {
		return kmstest.New(options), nil
	}
	return kmstest.Open(c.state, options)
}
