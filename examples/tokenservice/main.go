// Tokenservice issues JWTs over HTTP, signed by a KMS key behind an alias, and rotates
// along when the alias moves.
//
// Without -alias it signs with a fake KMS that runs inside the program: no AWS account
// is needed. With -alias it uses the ordinary AWS configuration: environment, profiles,
// roles, and AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./tokenservice
//	go -C examples run ./tokenservice -alias alias/jwt -issuer https://issuer.example
//
//	curl -d '{"sub":"alice","scope":"read"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/token
//	curl http://127.0.0.1:8080/.well-known/jwks.json
//
// POST /token asks nobody who they are: whoever reaches the port gets a token for any
// subject. That is why the program listens on a loopback address only, unless it is told
// otherwise with -allow-anyone. Put a gateway in front of it that authenticates its
// callers; package service, which does the work, can be built into one.
//
// To see a rotation, run the programs fakekms, tokenservice and rotate side by side, in
// this order, with what the first prints in the environment of the others.
//
// Logs are JSON lines on standard output. On SIGINT and SIGTERM the program finishes the
// requests under way and ends with exit status 0. A wrong command line is status 2, any
// other failure, such as an address in use or requests that would not end, status 1.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are what the command line asks for.
type settings struct {
	alias   string
	address *net.TCPAddr
	ring    keyring.Options
	service service.Options
	verbose bool
}

var (
	// errUsage stands for an error that the flag package has reported already.
	errUsage = errors.New("usage")
	// errOptions is an error of flags that only the service can judge.
	errOptions = errors.New("wrong flags")
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	set, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "tokenservice: %v\n", err)
		return 2
	}
	if err := serve(ctx, set, stdout); err != nil {
		// Joined errors span lines; here they share one.
		fmt.Fprintf(stderr, "tokenservice: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		if errors.Is(err, errOptions) {
			return 2
		}
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var set settings
	flags := flag.NewFlagSet("tokenservice", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	anyone := flags.Bool("allow-anyone", false, "listen on an address that is not loopback, where anyone who reaches it gets tokens")
	flags.StringVar(&set.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a key on the embedded fake KMS")
	flags.StringVar(&set.ring.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&set.ring.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	flags.StringVar(&set.service.Issuer, "issuer", "", "`URL` that the tokens name as their issuer (default: http:// and the loopback address)")
	claims := flags.String("claims", "aud,scope", "claims that requests may have besides sub, a comma-separated `list`")
	flags.DurationVar(&set.service.Lifetime, "lifetime", 15*time.Minute, "`time` from the issue of a token to its expiry")
	flags.DurationVar(&set.ring.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` between two looks at the aliases; the same for all issuers")
	flags.DurationVar(&set.ring.MaxAge, "max-age", 5*time.Minute, "`time` for which verifiers may cache the public keys")
	flags.DurationVar(&set.ring.MaxLifetime, "max-lifetime", time.Hour, "longest `time` from issue to expiry of any issuer's tokens")
	flags.DurationVar(&set.ring.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval and -max-age together)")
	flags.IntVar(&set.service.MaxInFlight, "max-in-flight", 64, "tokens that are signed at a time; beyond that the answer is 503")
	flags.DurationVar(&set.service.RequestTimeout, "request-timeout", 5*time.Second, "`time` that signing a token may take")
	flags.DurationVar(&set.service.ShutdownTimeout, "shutdown-timeout", 15*time.Second, "`time` for requests under way when the program is told to end")
	flags.BoolVar(&set.verbose, "v", false, "log health checks and reads of the metrics, too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return set, err
		}
		return set, errUsage
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("unexpected argument %q; the flags are listed by -h", flags.Arg(0))
	}
	for name, d := range map[string]time.Duration{
		"lifetime": set.service.Lifetime, "refresh-interval": set.ring.RefreshInterval, "max-age": set.ring.MaxAge,
		"max-lifetime": set.ring.MaxLifetime, "request-timeout": set.service.RequestTimeout, "shutdown-timeout": set.service.ShutdownTimeout,
	} {
		if d <= 0 {
			return set, fmt.Errorf("-%s is %v, want more than 0", name, d)
		}
	}
	switch {
	case set.ring.PropagationDelay < 0:
		return set, fmt.Errorf("-propagation-delay is %v, want 0 or more", set.ring.PropagationDelay)
	case set.service.Lifetime > set.ring.MaxLifetime:
		return set, fmt.Errorf("-lifetime is %v, want at most -max-lifetime, %v", set.service.Lifetime, set.ring.MaxLifetime)
	case set.service.MaxInFlight <= 0:
		return set, fmt.Errorf("-max-in-flight is %d, want more than 0", set.service.MaxInFlight)
	case set.alias != "" && !isAlias(set.alias):
		return set, fmt.Errorf("-alias is %q, want an alias, such as alias/jwt: only an alias can move to another key", set.alias)
	}
	set.service.Claims = []string{}
	for name := range strings.SplitSeq(*claims, ",") {
		if name = strings.TrimSpace(name); name != "" {
			set.service.Claims = append(set.service.Claims, name)
		}
	}
	var err error
	if set.address, err = net.ResolveTCPAddr("tcp", *listen); err != nil {
		return set, fmt.Errorf("-listen: %w", err)
	}
	if !set.address.IP.IsLoopback() && !*anyone {
		return set, fmt.Errorf("-listen is %s, want a loopback address: POST /token is not authenticated; see -allow-anyone", *listen)
	}
	if !set.address.IP.IsLoopback() && set.service.Issuer == "" {
		return set, errors.New("no -issuer: want the URL at which verifiers reach this")
	}
	return set, nil
}

func isAlias(id string) bool {
	if named, err := arn.Parse(id); err == nil {
		id = named.Resource
	}
	return strings.HasPrefix(id, "alias/")
}

// serve runs the service until ctx ends.
func serve(ctx context.Context, set settings, stdout io.Writer) error {
	level := slog.LevelInfo
	if set.verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewJSONHandler(stdout, &slog.HandlerOptions{Level: level}))
	listener, err := net.ListenTCP("tcp", set.address)
	if err != nil {
		return err
	}
	defer listener.Close()
	client, alias, closeClient, err := open(ctx, set.alias, set.service.MaxInFlight)
	if err != nil {
		return err
	}
	defer closeClient()

	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ring, err := keyring.New(starting, client, alias, func(o *keyring.Options) {
		*o = set.ring
		o.Logger = logger
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it began
		}
		return err
	}
	issuer := cmp.Or(set.service.Issuer, "http://"+listener.Addr().String())
	svc, err := service.New(ring, client, func(o *service.Options) {
		*o = set.service
		o.Issuer = issuer
		o.Logger = logger
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errOptions, err)
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("address", listener.Addr().String()), slog.String("issuer", issuer),
		slog.String("alias", alias), slog.Bool("fake", set.alias == ""), slog.String("key", ring.Current().KeyARN))
	if err := svc.Serve(ctx, listener); err != nil {
		return err
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "ended")
	return nil
}

// open returns a client and the alias to sign with: the user's, or that of a new key on
// a fake KMS that listens on a loopback port until close is called.
func open(ctx context.Context, alias string, maxInFlight int) (client *kms.Client, signing string, close func(), err error) {
	// The service signs maxInFlight tokens at a time: no connection is dialled twice.
	httpClient := kmsclient.NewHTTP(maxInFlight)
	tuned := func(o *kms.Options) { o.HTTPClient = httpClient }
	if alias == "" {
		fake := kmstest.New()
		signing = "alias/jwt"
		_, err := fake.CreateAlias(ctx, &kms.CreateAliasInput{
			AliasName:   &signing,
			TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256)),
		})
		if err != nil {
			return nil, "", nil, err
		}
		server := kmstest.NewServer(fake)
		return kms.NewFromConfig(server.Config(), tuned, quickly), signing, server.Close, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, "", nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		// KMS finds a key in its own Region only, and an ARN names it.
		named, err := arn.Parse(alias)
		if err != nil {
			return nil, "", nil, errors.New("no AWS Region: set AWS_REGION, choose a profile that has one, or give -alias an ARN")
		}
		cfg.Region = named.Region
	}
	return kms.NewFromConfig(cfg, tuned, quickly), alias, func() {}, nil
}

// quickly makes the SDK's retries ones that fit into a request: by itself it would wait
// up to six seconds before it says that KMS throttles, and keep a place all the while.
func quickly(o *kms.Options) {
	o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, 250*time.Millisecond)
}
