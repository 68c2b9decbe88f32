package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
	"github.com/kmssign/kmssign/internal/sigv4"
	"github.com/kmssign/kmssign/jwtkms/keyring"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
)

// The stage and the Region of the gateway inside the program, and its caller.
const (
	stage     = "prod"
	region    = "us-east-1"
	accessKey = "ASIAIOSFODNN7EXAMPLE"
	callerARN = "arn:aws:sts::111122223333:assumed-role/token-client/example"
)

// openInProcess starts a gateway, and a token service unless -service names
// one.
func openInProcess(ctx context.Context, req request) (_ *endpoint, err error) {
	var stops []func()
	stop := func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	to := req.service
	if to == nil {
		var stopService func()
		if to, stopService, err = startService(ctx); err != nil {
			return nil, err
		}
		stops = append(stops, stopService)
	}
	// Only this gateway accepts the credentials, while it runs.
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: rand.Text(), SessionToken: rand.Text()}
	verifier := sigv4.Verifier{Service: "execute-api", Region: region, Credentials: creds}
	address, stopGateway, err := serve(newGateway(verifier, stage, callerARN, to, http.DefaultTransport))
	if err != nil {
		return nil, err
	}
	stops = append(stops, stopGateway)
	return &endpoint{
		url: "http://" + address + "/" + stage + "/token",
		transport: &SigV4Transport{
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return creds, nil }),
			Region:      region,
		},
		accessKey: accessKey,
		keys:      strings.TrimSuffix(to.String(), "/") + "/.well-known/jwks.json",
		close:     stop,
	}, nil
}

// serve serves handler on a loopback port.
func serve(handler http.Handler) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: integrationTimeout}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	return listener.Addr().String(), func() {
		server.Close()
		<-served
	}, nil
}

// startService starts the token service with a new key on a fake KMS.
func startService(ctx context.Context) (at *url.URL, stop func(), err error) {
	fake := kmstest.New()
	alias := "alias/jwt"
	_, err = fake.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: aws.String(fake.AddKey(types.KeySpecEccNistP256))})
	if err != nil {
		return nil, nil, err
	}
	logger := slog.New(slog.DiscardHandler)
	ring, err := keyring.New(ctx, fake, alias, func(o *keyring.Options) { o.Logger = logger })
	if err != nil {
		return nil, nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	at = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	svc, err := service.New(ring, fake, func(o *service.Options) {
		o.Issuer = at.String()
		o.Logger = logger
		o.ShutdownTimeout = time.Second
	})
	if err != nil {
		listener.Close()
		return nil, nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx)) // stop ends it
	served := make(chan struct{})
	go func() {
		defer close(served)
		svc.Serve(running, listener)
	}()
	return at, func() {
		cancel()
		<-served
	}, nil
}
