// Tokenservice issues JWTs over HTTP, signed by a KMS key behind an alias, and
// follows the alias when the key is rotated.
//
// Without -alias it signs with a fake KMS that runs inside the program, so no
// AWS account is needed. With -alias it uses the ordinary AWS configuration:
// environment, profiles, roles, and AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go -C examples run ./tokenservice
//	go -C examples run ./tokenservice -alias alias/jwt -issuer https://issuer.example
//
//	curl -d '{"sub":"alice","scope":"read"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/token
//	curl http://127.0.0.1:8080/.well-known/jwks.json
//
// POST /token does not authenticate its callers. Anyone who reaches the port
// gets a token for any subject. The program therefore listens on a loopback
// address only, unless -allow-anyone is given. Put a gateway in front of it
// that authenticates its callers, or build package service, which does the
// work, into one. The program refuses requests from web pages of another origin
// and requests that address it by an unknown name. If clients use a name other
// than that of -issuer, list it in -hosts.
//
// To see a rotation, start the program kmssigner/kmstest/fakekms. Then run
// tokenservice and rotate in the environment that it prints.
//
// Logs are JSON lines on standard output. With -otel OpenTelemetry traces and
// metrics go there too. A trace shows a request, the signing, and the KMS call
// with its request ID. On SIGINT and SIGTERM the program finishes the requests
// under way and ends. The exit status is then 0. It is 2 for a wrong command
// line, and 1 for any other failure, such as an address in use or requests that
// did not end in time.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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

const about = `
Tokenservice issues JWTs over HTTP, signed by a KMS key behind an alias, and follows the alias when the key is rotated. It does not authenticate its callers, so it listens on a loopback address unless -allow-anyone is given. Without -alias it signs with a new key on an embedded fake KMS, and needs no AWS account.

  tokenservice
  tokenservice -alias alias/jwt -issuer https://issuer.example -allow-anyone -listen :8080
`

// hint is a format that says what to try first. Its argument is the URL.
const hint = `tokenservice: signs with a fake KMS; try, in another terminal:
  curl -H 'Content-Type: application/json' -d '{"sub":"alice","scope":"read"}' %[1]s/token
  curl -d grant_type=client_credentials -d client_id=alice %[1]s/token
  curl -d grant_type=client_credentials -d client_id=alice -d resource=https://api.example '%[1]s/token?typ=at%%2Bjwt'
  curl %[1]s/.well-known/jwks.json
  curl %[1]s/.well-known/openid-configuration
`

// settings are what the command line asks for.
type settings struct {
	alias   string
	address *net.TCPAddr
	ring    keyring.Options
	service service.Options
	verbose bool
	otel    bool
}

func run(ctx context.Context, args []string, stdio cli.Stdio) error {
	set, err := parse(args, stdio)
	if err != nil {
		return err
	}
	return serve(ctx, set, stdio)
}

func parse(args []string, stdio cli.Stdio) (settings, error) {
	var set settings
	flags := cli.NewFlags("tokenservice", stdio)
	flags.About = about
	listen := flags.String("listen", "127.0.0.1:8080", "`address` to listen on; port 0 takes a free one")
	anyone := flags.Bool("allow-anyone", false, "allow a -listen address that is not loopback, where anyone who reaches it gets tokens")
	flags.StringVar(&set.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a key on the embedded fake KMS")
	flags.StringVar(&set.ring.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&set.ring.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	flags.StringVar(&set.service.Issuer, "issuer", "", "`URL` of the issuer, which the tokens name (default: http:// and the loopback address)")
	claims := flags.String("claims", "aud,scope", "comma-separated `list` of the claims that requests may have besides sub")
	flags.StringVar(&set.service.Type, "typ", "JWT", "`type` of tokens: JWT, or at+jwt for access tokens of RFC 9068, which require aud and client_id; a request overrides it with /token?typ=JWT or /token?typ=at%2Bjwt")
	flags.PositiveVar(&set.service.Lifetime, "lifetime", 15*time.Minute, "`time` from the issue of a token to its expiry")
	flags.PositiveVar(&set.ring.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` after which the aliases are read again; the same for all issuers")
	flags.PositiveVar(&set.ring.MaxAge, "max-age", 5*time.Minute, "`time` for which verifiers may cache the public keys")
	flags.PositiveVar(&set.ring.MaxLifetime, "max-lifetime", time.Hour, "longest `time` from issue to expiry of any issuer's tokens")
	flags.DurationVar(&set.ring.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval, -max-age and -slack together)")
	flags.PositiveVar(&set.ring.Slack, "slack", time.Minute, "`time` to allow for delays of KMS, differences of clocks and the reading of the aliases; the same for all issuers")
	flags.IntVar(&set.service.MaxInFlight, "max-in-flight", 64, "`number` of tokens that are signed at a time; beyond it the answer is 503")
	flags.PositiveVar(&set.service.RequestTimeout, "request-timeout", 5*time.Second, "`time` that signing a token may take")
	flags.PositiveVar(&set.service.ShutdownTimeout, "shutdown-timeout", 15*time.Second, "`time` to wait at the end for requests under way")
	hosts := flags.String("hosts", "", "comma-separated `list` of names by which clients may address the service, besides the host of -issuer, localhost and IP addresses")
	flags.IntVar(&set.service.MaxIdle, "max-idle", 1024, "`number` of connections to keep open between requests")
	flags.BoolVar(&set.otel, "otel", false, "write OpenTelemetry traces and metrics to standard output, as JSON")
	flags.BoolVar(&set.verbose, "v", false, "log health checks and reads of the metrics, too")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if err := set.complete(*listen, *anyone, *claims, *hosts); err != nil {
		return set, cli.Usage(err)
	}
	return set, nil
}

// complete sets the settings that depend on several flags. It returns an error
// if the flags do not go together.
func (set *settings) complete(listen string, anyone bool, claims, hosts string) error {
	switch {
	case set.ring.PropagationDelay < 0:
		return fmt.Errorf("-propagation-delay is %v, want 0 or more", set.ring.PropagationDelay)
	case set.service.Lifetime < time.Second || set.service.Lifetime%time.Second != 0:
		return fmt.Errorf("-lifetime is %v, want whole seconds", set.service.Lifetime)
	case set.ring.PropagationDelay != 0 && set.ring.PropagationDelay < set.ring.RefreshInterval+set.ring.MaxAge+set.ring.Slack:
		return fmt.Errorf("-propagation-delay is %v, want at least -refresh-interval, -max-age and -slack together, %v",
			set.ring.PropagationDelay, set.ring.RefreshInterval+set.ring.MaxAge+set.ring.Slack)
	case set.service.Lifetime > set.ring.MaxLifetime:
		return fmt.Errorf("-lifetime is %v, want at most -max-lifetime, %v", set.service.Lifetime, set.ring.MaxLifetime)
	case set.service.MaxInFlight <= 0:
		return fmt.Errorf("-max-in-flight is %d, want more than 0", set.service.MaxInFlight)
	case set.service.MaxIdle <= 0:
		return fmt.Errorf("-max-idle is %d, want more than 0", set.service.MaxIdle)
	case set.service.Type == "":
		return errors.New("-typ is empty, want JWT or at+jwt")
	case set.alias == "" && (set.ring.Next != "" || set.ring.Previous != ""):
		return errors.New("-next and -previous are for -alias")
	case set.alias != "" && !cli.IsAlias(set.alias):
		return fmt.Errorf("-alias is %q, want an alias, such as alias/jwt, because only an alias can be pointed to another key", set.alias)
	}
	set.service.Claims, set.service.Hosts = split(claims), split(hosts)
	for _, name := range set.service.Claims {
		if service.SetsClaim(name) {
			return fmt.Errorf("-claims has %q, which the service sets, want other claims", name)
		}
	}
	checked := set.service
	checked.Issuer = cmp.Or(checked.Issuer, "http://127.0.0.1")
	if err := checked.Check(); err != nil {
		return err
	}
	var err error
	if set.address, err = net.ResolveTCPAddr("tcp", listen); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	loopback := set.address.IP.IsLoopback()
	switch {
	case !loopback && !anyone:
		return fmt.Errorf("-listen is %s, want a loopback address, because POST /token does not authenticate callers; -allow-anyone allows others", listen)
	case loopback && anyone:
		return fmt.Errorf("-allow-anyone is given, but -listen is %s, a loopback address, which does not need it", listen)
	case !loopback && set.service.Issuer == "":
		return errors.New("-allow-anyone is given without -issuer, want the URL at which verifiers reach the service")
	}
	return nil
}

// split returns the elements of a comma-separated list. It is not nil.
func split(list string) []string {
	names := []string{}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// serve runs the service until ctx ends.
func serve(ctx context.Context, set settings, stdio cli.Stdio) (err error) {
	level := slog.LevelInfo
	if set.verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewJSONHandler(stdio.Out, &slog.HandlerOptions{Level: level}))
	listener, err := net.ListenTCP("tcp", set.address)
	if err != nil {
		return err
	}
	defer listener.Close()

	var options []func(*kms.Options)
	traced := func(*service.Options) {}
	if set.otel {
		telemetry, err := newTelemetry(stdio.Out)
		if err != nil {
			return err
		}
		defer func() {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			err = errors.Join(err, telemetry.close(ending))
		}()
		options, traced = append(options, telemetry.client), telemetry.service
	}

	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, alias, closeClient, err := open(starting, set.alias, set.service.MaxInFlight, options...)
	if err != nil {
		if ctx.Err() != nil {
			return nil // the program was told to end
		}
		return err
	}
	defer closeClient()
	var svc *service.Service
	ring, err := keyring.New(starting, client, alias, func(o *keyring.Options) {
		*o = set.ring
		o.Logger = logger
		o.OnRefresh = func(err error) { svc.Refreshed(err) } // of refreshes after New's
		o.OnChange = func(from, to keyring.Key) { svc.Changed(from, to) }
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil // the program was told to end
		}
		return err
	}
	issuer := cmp.Or(set.service.Issuer, "http://"+listener.Addr().String())
	svc, err = service.New(ring, client, func(o *service.Options) {
		*o = set.service
		o.Issuer = issuer
		o.MaxAge = set.ring.MaxAge
		o.Logger = logger
		traced(o)
	})
	if err != nil {
		return cli.Usage(err)
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("address", listener.Addr().String()), slog.String("issuer", issuer),
		slog.String("alias", alias), slog.Bool("fake", set.alias == ""), slog.String("key", ring.Current().KeyARN))
	if set.alias == "" {
		fmt.Fprintf(stdio.Err, hint, "http://"+listener.Addr().String())
	}
	if err := svc.Serve(ctx, listener); err != nil {
		return err
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "ended")
	return nil
}

// open returns a client and the alias to sign with. Without an alias they are
// those of a fake KMS, which listens on a loopback port until close is called.
func open(ctx context.Context, alias string, maxInFlight int, options ...func(*kms.Options)) (client *kms.Client, signing string, close func(), err error) {
	// Keep one connection for each token that is being signed.
	httpClient := kmsclient.NewHTTP(maxInFlight)
	options = append(options, quickly, func(o *kms.Options) { o.HTTPClient = httpClient })
	if alias == "" {
		fake, signing, err := cli.NewFake(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		server := kmstest.NewServer(fake)
		return kms.NewFromConfig(server.Config(), options...), signing, server.Close, nil
	}
	cfg, err := cli.LoadConfig(ctx, cli.RegionOf(alias), "give -alias an ARN")
	if err != nil {
		return nil, "", nil, err
	}
	return kms.NewFromConfig(cfg, options...), alias, func() {}, nil
}

// quickly shortens the pauses between the SDK's retries, so that they fit into
// a request. By default they can take several seconds when KMS throttles, and
// the request would count against -max-in-flight for all that time.
func quickly(o *kms.Options) {
	o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, 250*time.Millisecond)
}
