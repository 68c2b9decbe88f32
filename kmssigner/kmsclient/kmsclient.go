// Package kmsclient prepares the SDK's KMS client for many calls at once.
//
// Nothing here is needed for a handful of signatures at a time, and nothing here
// replaces a part of the SDK: [NewHTTP] is the SDK's own HTTP client with room for more
// idle connections, and [Limit] is an option of the SDK's client that bounds the requests
// under way.
//
// # Attempts and deadlines
//
// A signature ends at the deadline of its context, or after kmssigner.Options.Timeout,
// whatever the SDK is doing then. What it is doing, most of the time, is waiting: its
// default retryer makes up to three attempts, with a pause of up to two seconds after the
// first and of up to four after the second, each drawn evenly. So a deadline of one
// second leaves half of the calls that fail at once no second attempt, and it takes
// more than six seconds for all three to fit in surely. A retry also costs 5 of 500
// tokens that a client has, 10 after a timeout, which come back with success: where
// KMS stays away, about 100 retries are made, and then each call fails at its first
// error. An answer that breaks off after the headers is not tried again.
//
// For shorter deadlines shorten the pauses. Below a second the retryer's MaxBackoff is
// the pause itself, the same each time:
//
//	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
//		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 100 * time.Millisecond })
//	})
//
// That is good against a lost connection. Against throttling it makes things worse, unless
// something else keeps the rate down: see [Limit], and there the SDK's adaptive mode.
package kmsclient

import (
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// NewHTTP returns the SDK's default HTTP client, changed in one point: it keeps up to
// concurrency idle connections to each host, and any number in all. Proxies, TLS,
// timeouts and HTTP/2 are as before, and more can be changed with the methods of the
// result.
//
//	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(kmsclient.NewHTTP(128)))
//
// or for KMS alone
//
//	httpClient := kmsclient.NewHTTP(128)
//	client := kms.NewFromConfig(cfg, func(o *kms.Options) { o.HTTPClient = httpClient })
//
// Concurrency is the number of calls that are under way at once at busy times. It
// matters from 11 upwards, over HTTP/1.1: the default client keeps 10 idle connections
// to a host, so of 128 calls that end together 118 close theirs, and the next 118 calls
// each begin with a new TCP connection and TLS handshake. In five runs of
// "go test -run '^$' -bench Connections -benchtime 10x ./kmssigner/kmsclient" 128 signers
// came to 3.1 to 3.7 times as many signatures with NewHTTP(128), and opened no connection
// where the default client opened 363 to 424 for 1,000 calls. Up to 10, and over HTTP/2, where
// one connection carries many calls, nothing changes. A number below the SDK's own
// leaves the default.
//
// Idle connections are closed after 90 seconds as before, so a number that is too high
// costs little. At most 2048 connections to a host are open at a time, which is the
// SDK's limit too; further calls wait for one.
//
// Each result has its own connections: make one, and share it.
func NewHTTP(concurrency int) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		if concurrency > tr.MaxIdleConnsPerHost {
			tr.MaxIdleConnsPerHost = concurrency
			// No limit: it would be one for all hosts together, and a client may serve
			// several Regions.
			tr.MaxIdleConns = 0
		}
	})
}
