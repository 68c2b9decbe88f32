// K8ssigner signs the service account tokens of a Kubernetes cluster with a KMS
// key. It is the external signer of KEP-740: kube-apiserver calls it on a Unix
// socket, by the gRPC service ExternalJWTSigner of k8s.io/externaljwt v1.
//
// Without -alias it signs with a fake KMS that runs inside the program. With
// -alias it uses the ordinary AWS configuration: environment, profiles, roles,
// and AWS_ENDPOINT_URL_KMS for an emulator.
//
//	go run . -socket /run/k8ssigner/signer.sock
//	go run . -socket /run/k8ssigner/signer.sock -alias alias/cluster
//
// README.md beside this file says how to deploy it: the flags of
// kube-apiserver, permissions, quotas, rotation, and what happens while KMS is
// not available.
//
// Logs are JSON lines on standard output, without tokens and claims. On SIGINT
// and SIGTERM the program finishes the requests under way and ends with exit
// status 0. A wrong command line is status 2, any other failure status 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"google.golang.org/grpc"

	"github.com/kmssign/kmssign/examples/internal/cli"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmsclient"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

func main() { cli.Main("k8ssigner", run) }

const about = `
K8ssigner signs the service account tokens of a Kubernetes cluster with a KMS key, and follows its alias when the key is rotated. kube-apiserver calls it on a Unix socket (KEP-740). Without -alias it signs with a new key on an embedded fake KMS, and needs no AWS account.

  k8ssigner -socket /run/k8ssigner/signer.sock
  k8ssigner -socket /run/k8ssigner/signer.sock -alias alias/cluster
`

// settings are what the command line asks for.
type settings struct {
	socket   string
	mode     os.FileMode
	alias    string
	http     *net.TCPAddr // nil: no HTTP
	old      []oldKey
	ring     keyring.Options
	timeout  time.Duration
	shutdown time.Duration
	inFlight int
	verbose  bool
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
	flags := cli.NewFlags("k8ssigner", stdio)
	flags.About = about
	flags.StringVar(&set.socket, "socket", "", "`path` of the Unix socket, for kube-apiserver's -service-account-signing-endpoint")
	mode := flags.String("socket-mode", "0600", "permissions of the socket, in octal `digits`; everybody who can open it can have tokens for any service account signed")
	flags.StringVar(&set.alias, "alias", "", "`alias` name or alias ARN of the signing key; none: a key on the embedded fake KMS")
	flags.StringVar(&set.ring.Next, "next", "", "`alias` of the next key (default: that of -alias with -next appended)")
	flags.StringVar(&set.ring.Previous, "previous", "", "`alias` of the previous key (default: that of -alias with -prev appended)")
	old := flags.String("old-keys", "", "PEM `file` of public keys to publish too: those of kube-apiserver's former -service-account-key-file")
	listen := flags.String("http", "", "loopback `address` for /healthz, /metrics and /openid/v1/jwks; none: no HTTP")
	flags.PositiveVar(&set.ring.MaxLifetime, "max-lifetime", 24*time.Hour, "longest `time` that a token may live; kube-apiserver is told a minute less")
	flags.PositiveVar(&set.ring.RefreshInterval, "refresh-interval", 5*time.Minute, "`time` between two looks at the aliases; the same for all signers of the cluster")
	flags.PositiveVar(&set.ring.MaxAge, "max-age", 5*time.Minute, "`time` for which kube-apiserver, and verifiers that read its JWKS, keep the public keys")
	flags.DurationVar(&set.ring.PropagationDelay, "propagation-delay", 0, "`time` for which a key is published before it signs (default: -refresh-interval, -max-age and -slack together)")
	flags.PositiveVar(&set.ring.Slack, "slack", time.Minute, "`time` that KMS may be late, clocks may differ and a look may take")
	flags.IntVar(&set.inFlight, "max-in-flight", 64, "tokens that are signed at a time; others wait")
	flags.PositiveVar(&set.timeout, "request-timeout", 5*time.Second, "`time` that signing a token may take")
	flags.PositiveVar(&set.shutdown, "shutdown-timeout", 15*time.Second, "`time` for requests under way when the program is told to end")
	flags.BoolVar(&set.verbose, "v", false, "log each request")
	if err := flags.Parse(args); err != nil {
		return set, err
	}
	if err := set.complete(*mode, *old, *listen); err != nil {
		return set, cli.Usage(err)
	}
	return set, nil
}

// The lifetime that kube-apiserver is told is margin shorter than what the Ring
// allows, because kube-apiserver computes exp before it asks. kube-apiserver
// wants it to be at least leastLifetime.
const (
	margin        = time.Minute
	leastLifetime = 600 * time.Second
)

// complete sets what needs more than one flag. It returns an error if the flags
// do not go together.
func (set *settings) complete(mode, old, listen string) error {
	bits, err := strconv.ParseUint(mode, 8, 32)
	ring := set.ring
	least := ring.RefreshInterval + ring.MaxAge + ring.Slack
	switch {
	case set.socket == "":
		return errors.New("no -socket: want the path at which kube-apiserver finds the signer")
	case strings.HasPrefix(set.socket, "@"):
		return fmt.Errorf("-socket is %q, want a path: an abstract socket has no permissions", set.socket)
	case err != nil || bits > 0o777:
		return fmt.Errorf("-socket-mode is %q, want octal permissions such as 0600", mode)
	case ring.MaxLifetime < leastLifetime+margin:
		return fmt.Errorf("-max-lifetime is %v, want at least %v: kube-apiserver needs %v and is told a minute less", ring.MaxLifetime, leastLifetime+margin, leastLifetime)
	case ring.MaxAge < time.Second:
		return fmt.Errorf("-max-age is %v, want at least 1s", ring.MaxAge)
	case ring.PropagationDelay < 0 || ring.PropagationDelay > 0 && ring.PropagationDelay < least:
		return fmt.Errorf("-propagation-delay is %v, want at least -refresh-interval, -max-age and -slack together, %v", ring.PropagationDelay, least)
	case set.inFlight <= 0:
		return fmt.Errorf("-max-in-flight is %d, want more than 0", set.inFlight)
	case set.alias == "" && (ring.Next != "" || ring.Previous != ""):
		return errors.New("-next and -previous are for -alias")
	case set.alias != "" && !cli.IsAlias(set.alias):
		return fmt.Errorf("-alias is %q, want an alias, such as alias/cluster: only an alias can move to another key", set.alias)
	}
	set.mode = os.FileMode(bits)
	if old != "" {
		if set.old, err = readOldKeys(old); err != nil {
			return fmt.Errorf("-old-keys: %w", err)
		}
	}
	if listen != "" {
		if set.http, err = net.ResolveTCPAddr("tcp", listen); err != nil {
			return fmt.Errorf("-http: %w", err)
		}
		if !set.http.IP.IsLoopback() {
			return fmt.Errorf("-http is %s, want a loopback address: the metrics are not for everybody", listen)
		}
	}
	return nil
}

// serve signs until ctx ends.
func serve(ctx context.Context, set settings, stdio cli.Stdio) error {
	level := slog.LevelInfo
	if set.verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewJSONHandler(stdio.Out, &slog.HandlerOptions{Level: level}))

	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, alias, closeClient, err := open(starting, set.alias, set.inFlight)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer closeClient()
	s, err := newSigner(starting, client, alias, set, logger)
	if err != nil {
		return unlessEnded(ctx, err)
	}
	listener, err := listenUnix(set.socket, set.mode)
	if err != nil {
		return err
	}
	defer listener.Close() // removes the socket
	server := grpc.NewServer(
		grpc.UnaryInterceptor(s.observe),
		grpc.MaxRecvMsgSize(1<<20),
		grpc.ConnectionTimeout(5*time.Second),
	)
	s.register(server)

	running, stop := context.WithCancel(ctx)
	refreshing := make(chan struct{})
	go func() {
		defer close(refreshing)
		s.ring.Run(running)
	}()
	defer func() { stop(); <-refreshing }()
	var web net.Listener
	if set.http != nil {
		if web, err = net.ListenTCP("tcp", set.http); err != nil {
			return err
		}
		defer web.Close()
		logger.LogAttrs(ctx, slog.LevelInfo, "serving HTTP", slog.String("address", web.Addr().String()))
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "serving", slog.String("socket", set.socket), slog.String("alias", alias),
		slog.Bool("fake", set.alias == ""), slog.String("key", s.ring.Current().KeyARN))
	failed := make(chan error, 1)
	if web != nil {
		server := &http.Server{Handler: s.web(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
		defer server.Close()
		go func() { failed <- server.Serve(web) }()
	}
	if err := untilEnd(ctx, server, listener, set.shutdown, failed); err != nil {
		return err
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "ended")
	return nil
}

// untilEnd serves until ctx ends or an error comes from failed, and then
// finishes the requests under way.
func untilEnd(ctx context.Context, server *grpc.Server, listener net.Listener, limit time.Duration, failed <-chan error) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	var err error
	select {
	case err := <-served:
		return err
	case err = <-failed:
	case <-ctx.Done():
	}
	drained := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(limit):
		server.Stop()
		<-drained
		err = errors.Join(err, fmt.Errorf("requests under way did not end within %v", limit))
	}
	return errors.Join(err, <-served)
}

// unlessEnded is nil if the program was told to end before it began.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// open returns a client and the alias to sign with. Without an alias they are
// those of a fake KMS, which listens on a loopback port until close is called.
func open(ctx context.Context, alias string, inFlight int) (client *kms.Client, signing string, close func(), err error) {
	httpClient := kmsclient.NewHTTP(inFlight)
	options := []func(*kms.Options){kmsclient.Limit(inFlight), func(o *kms.Options) {
		o.HTTPClient = httpClient
		// The default pauses do not fit into -request-timeout.
		o.Retryer = retry.AddWithMaxBackoffDelay(o.Retryer, 250*time.Millisecond)
	}}
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
