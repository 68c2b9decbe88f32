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
// To see a rotation, run the programs kmssigner/kmstest/fakekms, tokenservice and rotate
// side by side, in this order, with what the first prints in the environment of the others.
//
// Logs are JSON lines on standard output. On SIGINT and SIGTERM the program finishes the
// requests under way and ends with exit status 0. A wrong command line is status 2, any
// other failure, such as an address in use or requests that would not end, status 1.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/examples/tokenservice/service"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() { cli.Main("tokenservice", run) }

// settings are what the command line asks for.
type settings struct {
	alias   string
	address *net.TCPAddr
	ring    keyring.Options
	service service.Options
	verbose bool
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	set, err := parse(args, stdio)
	if err != nil {
		return err
	}
	return serve(ctx, set, stdio.Out)
}

func parse(args []string, stdio cli.Stdio) (settings, error) {
	var set settings
	flags := cli.NewFlags("tokenservice", stdio)
	listen := flags.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	anyone := flags.Bool("allow-anyone", false, "listen on an address that is not loopback, where anyone who reaches it gets tokens")
	flags.StringVar(&set.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a key on the embedded fake KMS")
	flags.StringVar(&set.ring.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&set.ring.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	flags.StringVar(&set.service.Issuer, "issuer", "", "`URL` that the tokens name as their issuer (default: http:// and the loopback address)")
	claims := flags.String("claims", "aud,scope", "claims that requests may have besides sub, a comma-separated `list`")
	flags.PositiveVar(&set.service.Lifetime, "lifetime", 15*time.Minute, "`time` from the issue of a token to its expiry")
	flags.PositiveVar(&set.ring.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` between two looks at the aliases; the same for all issuers")
	flags.PositiveVar(&set.ring.MaxAge, "max-age", 5*time.Minute, "`time` for which verifiers may cache the public keys")
	flags.PositiveVar(&set.ring.MaxLifetime, "max-lifetime", time.Hour, "longest `time` from issue to expiry of any issuer's tokens")
	flags.DurationVar(&set.ring.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval, -max-age and -slack together)")
	flags.PositiveVar(&set.ring.Slack, "slack", time.Minute, "`time` that KMS may be late, clocks may differ and a look may take; the same for all issuers")
	flags.IntVar(&set.service.MaxInFlight, "max-in-flight", 64, "tokens that are signed at a time; beyond that the answer is 503")
	flags.PositiveVar(&set.service.RequestTimeout, "request-timeout", 5*time.Second, "`time` that signing a token may take")
	flags.PositiveVar(&set.service.ShutdownTimeout, "shutdown-timeout", 15*time.Second, "`time` for requests under way when the program is told to end")
	flags.BoolVar(&set.verbose, "v", false, "log health checks and reads of the metrics, too")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if err := set.complete(*listen, *anyone, *claims); err != nil {
		return set, cli.Usage(err)
	}
	return set, nil
}

// complete sets what needs more than one flag, or returns an error if the flags
// do not go together.
func (set *settings) complete(listen string, anyone bool, claims string) error {
	switch {
	case set.ring.PropagationDelay < 0:
		return fmt.Errorf("-propagation-delay is %v, want 0 or more", set.ring.PropagationDelay)
	case set.service.Lifetime > set.ring.MaxLifetime:
		return fmt.Errorf("-lifetime is %v, want at most -max-lifetime, %v", set.service.Lifetime, set.ring.MaxLifetime)
	case set.service.MaxInFlight <= 0:
		return fmt.Errorf("-max-in-flight is %d, want more than 0", set.service.MaxInFlight)
	case set.alias != "" && !cli.IsAlias(set.alias):
		return fmt.Errorf("-alias is %q, want an alias, such as alias/jwt: only an alias can move to another key", set.alias)
	}
	set.service.Claims = []string{}
	for name := range strings.SplitSeq(claims, ",") {
		if name = strings.TrimSpace(name); name != "" {
			set.service.Claims = append(set.service.Claims, name)
		}
	}
	var err error
	if set.address, err = net.ResolveTCPAddr("tcp", listen); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if !set.address.IP.IsLoopback() && !anyone {
		return fmt.Errorf("-listen is %s, want a loopback address: POST /token is not authenticated; see -allow-anyone", listen)
	}
	if !set.address.IP.IsLoopback() && set.service.Issuer == "" {
		return errors.New("no -issuer: want the URL at which verifiers reach this")
	}
	return nil
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

	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, alias, closeClient, err := open(starting, set.alias, set.service.MaxInFlight)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it began
		}
		return err
	}
	defer closeClient()
	var svc *service.Service
	ring, err := keyring.New(starting, client, alias, func(o *keyring.Options) {
		*o = set.ring
		o.Logger = logger
		o.OnRefresh = func(err error) { svc.Refreshed(err) } // of refreshes after New's
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end before it began
		}
		return err
	}
	issuer := cmp.Or(set.service.Issuer, "http://"+listener.Addr().String())
	svc, err = service.New(ring, client, func(o *service.Options) {
		*o = set.service
		o.Issuer = issuer
		o.Logger = logger
	})
	if err != nil {
		return cli.Usage(err)
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
		fake, signing, err := cli.NewFake(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		server := kmstest.NewServer(fake)
		return kms.NewFromConfig(server.Config(), tuned, quickly), signing, server.Close, nil
	}
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(alias), "give -alias an ARN")
	if err != nil {
		return nil, "", nil, err
	}
	return kms.NewFromConfig(cfg, tuned, quickly), alias, func() {}, nil
}

// quickly makes the SDK's retries ones that fit into a request: by itself it would wait
// up to six seconds before it says that KMS throttles, and keep a place all the while.
func quickly(o *kms.Options) {
	o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, 250*time.Millisecond)
}
