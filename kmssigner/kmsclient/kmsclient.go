// Package kmsclient prepares the SDK's KMS client for many calls at once.
//
// Nothing here is needed for a handful of signatures at a time, and nothing here
// replaces a part of the SDK: [NewHTTP] is the SDK's own HTTP client with room for more
// idle connections, and [Limit] is an option of the SDK's client that bounds the requests
// under way.
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
// each begin with a new TCP connection and TLS handshake. Up to 10, and over HTTP/2,
// where one connection carries all calls, nothing changes. A number below the SDK's
// own leaves the default.
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
