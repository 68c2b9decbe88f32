// Fakekms serves a fake AWS KMS on a loopback address, for the AWS CLI and for
// programs in any language that take an endpoint. It prints the environment with
// which they find it. Everything is in memory and gone when it ends.
//
//	go -C examples run ./fakekms -listen 127.0.0.1:4599 -key alias/jwt=ECC_NIST_P256
//
// It ends on SIGINT and SIGTERM with exit status 0. A wrong command line is status 2,
// any other failure, such as an address in use, status 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The credentials of AWS's documentation: they open nothing but this program.
const (
	accessKeyID     = "AKIAIOSFODNN7EXAMPLE"
	secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// newKey is one -key: a spec, with an alias or without.
type newKey struct {
	alias string
	spec  types.KeySpec
}

func parseKey(text string) (newKey, error) {
	alias, spec, ok := strings.Cut(text, "=")
	if !ok {
		alias, spec = "", text
	}
	k := newKey{alias: alias, spec: types.KeySpec(spec)}
	switch {
	case !slices.Contains(k.spec.Values(), k.spec):
		return k, fmt.Errorf("unknown key spec %q, want one of %s", spec, k.spec.Values())
	case ok && !strings.HasPrefix(alias, "alias/"):
		return k, fmt.Errorf("alias %q, want one that begins with alias/", alias)
	}
	return k, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var keys []newKey
	flags := flag.NewFlagSet("fakekms", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:4599", "`address` to listen on; port 0 takes a free one")
	region := flags.String("region", "us-east-1", "AWS `Region` to be")
	account := flags.String("account", "111122223333", "AWS `account` to be")
	verbose := flags.Bool("v", false, "log each request")
	flags.Func("key", "`alias/name=KEY_SPEC` or KEY_SPEC of a key to make at start; may be repeated", func(text string) error {
		k, err := parseKey(text)
		keys = append(keys, k)
		return err
	})
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "fakekms: unexpected argument %q; the flags are listed by -h\n", flags.Arg(0))
		return 2
	case len(*account) != 12 || strings.Trim(*account, "0123456789") != "":
		fmt.Fprintf(stderr, "fakekms: -account is %q, want twelve digits\n", *account)
		return 2
	}
	err := serve(ctx, *listen, *region, *account, keys, *verbose, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "fakekms: %v\n", err)
		return 1
	}
	return 0
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, listen, region, account string, keys []newKey, verbose bool, stdout, stderr io.Writer) error {
	fake := kmstest.New(func(o *kmstest.Options) {
		o.Region, o.AccountID = region, account
		o.Credentials = aws.Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey}
	})
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	var made strings.Builder
	for _, k := range keys {
		arn, err := makeKey(ctx, fake, k)
		if err != nil {
			return err
		}
		fmt.Fprintf(&made, "# %s %s %s\n", arn, k.spec, k.alias)
	}
	// AWS_DEFAULT_REGION is what version 1 of the AWS CLI and boto3 look at.
	fmt.Fprintf(stdout, `# A fake AWS KMS for tests. Everything is in memory. Paste this where you want to use it:
export AWS_ENDPOINT_URL_KMS=http://%[1]s
export AWS_REGION=%[2]s
export AWS_DEFAULT_REGION=%[2]s
export AWS_ACCESS_KEY_ID=%[3]s
export AWS_SECRET_ACCESS_KEY=%[4]s
%[5]s`, listener.Addr(), region, accessKeyID, secretAccessKey, &made)

	server := &http.Server{
		Handler:           fake,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(stderr, "fakekms: ", 0),
	}
	if verbose {
		server.Handler = logged(fake, log.New(stderr, "", log.Ltime))
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// Requests under way get a moment; one that a client never finishes does not
	// keep the program.
	shutdown, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		server.Close()
	}
	return nil
}

func makeKey(ctx context.Context, fake *kmstest.KMS, k newKey) (arn string, err error) {
	out, err := fake.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: k.spec, KeyUsage: usage(k.spec)})
	if err != nil {
		return "", fmt.Errorf("-key %s: %w", k.spec, err)
	}
	if k.alias != "" {
		if _, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &k.alias, TargetKeyId: out.KeyMetadata.KeyId}); err != nil {
			return "", fmt.Errorf("-key %s=%s: %w", k.alias, k.spec, err)
		}
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}

// usage is what a key of the spec is most likely wanted for.
func usage(spec types.KeySpec) types.KeyUsageType {
	switch {
	case strings.HasPrefix(string(spec), "HMAC_"):
		return types.KeyUsageTypeGenerateVerifyMac
	case strings.HasPrefix(string(spec), "ML_KEM_"):
		return types.KeyUsageTypeEncapsulateDecapsulate
	case spec == types.KeySpecSymmetricDefault:
		return types.KeyUsageTypeEncryptDecrypt
	}
	return types.KeyUsageTypeSignVerify
}

// logged logs the operation and the status of each request.
func logged(next http.Handler, logger *log.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		logger.Printf("%s %d", strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."), seen.status)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
