package multiregion_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/kmssign/kmssign/internal/pipenet"
	"github.com/kmssign/kmssign/kmssigner"
	"github.com/kmssign/kmssign/kmssigner/kmstest"
	"github.com/kmssign/kmssign/kmssigner/multiregion"
)

// everyOption turns on all options of a Client.
func everyOption(o *multiregion.Options) {
	o.HedgeAfter, o.Spread, o.ProbeInterval = 20*time.Millisecond, true, 10*time.Millisecond
}

// TestWire checks a Signer over the SDK's client and loopback connections, and
// then without a server in one Region and in both.
func TestWire(t *testing.T) {
	w := ecWorld(t)
	var servers []*kmstest.Server
	var regions []multiregion.Region
	for _, k := range []*kmstest.KMS{w.a, w.b} {
		server := kmstest.NewServer(k)
		defer server.Close()
		cfg := server.Config()
		cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
		servers = append(servers, server)
		regions = append(regions, multiregion.Region{Client: kms.NewFromConfig(cfg)})
	}
	c, err := multiregion.New(regions, everyOption, func(o *multiregion.Options) {
		o.AttemptTimeout = time.Minute // this does not test the speed of the machine
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSigner(t, c, alias, func(o *kmssigner.Options) { o.Timeout = time.Minute })
	if err := kmstest.CheckSigner(s); err != nil {
		t.Error(err)
	}
	servers[0].Close()
	for range 10 {
		mustSign(t, s)
	}
	servers[1].Close()
	if err := sign(s); err == nil {
		t.Error("both servers are closed and there is no error")
	}
}

// TestWireFaults signs with many goroutines over the SDK's client and HTTP, on
// a fake clock, while one Region after the other fails in every way. Nothing is
// left running at the end, or the bubble would not end.
func TestWireFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}
		w := ecWorld(t, func(o *kmstest.Options) { o.Credentials = credentials })
		var regions []multiregion.Region
		for name, k := range map[string]*kmstest.KMS{regionA: w.a, regionB: w.b} {
			network := pipenet.Listen()
			server := &http.Server{Handler: k}
			go server.Serve(network)
			transport := awshttp.NewBuildableClient().GetTransport()
			transport.DialContext = network.DialContext
			t.Cleanup(func() {
				transport.CloseIdleConnections()
				server.Close()
			})
			regions = append(regions, multiregion.Region{Client: kms.New(kms.Options{
				Region:       name,
				BaseEndpoint: aws.String("http://127.0.0.1"),
				HTTPClient:   &http.Client{Transport: transport},
				Retryer:      aws.NopRetryer{},
				Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil }),
			})})
		}
		c, err := multiregion.New(regions, everyOption)
		if err != nil {
			t.Fatal(err)
		}
		s := newSigner(t, c, alias)
		for _, fault := range []kmstest.Effect{
			kmstest.Reset(), kmstest.Cut(), kmstest.Throttle(), kmstest.Hang(), kmstest.HangBody(),
			kmstest.Respond(403, ""), kmstest.Respond(200, "{}"), kmstest.Respond(307, ""), kmstest.Corrupt(),
		} {
			for _, k := range []*kmstest.KMS{w.a, w.b} {
				heal := k.Inject(signFault, fault)
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						for range 5 {
							if err := sign(s); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				heal()
				time.Sleep(time.Minute) // both are back
			}
		}
		if w.a.Calls("Sign") == 0 || w.b.Calls("Sign") == 0 {
			t.Error("the Regions were not both used")
		}
	})
}
