// Package kmsclient configures the SDK's KMS client for many calls at once.
//
// NewHTTP returns the SDK's HTTP client, but with more idle connections and a
// lower limit on the size of headers. [Limit] is an option of the SDK's KMS
// client that bounds the number of concurrent requests. A program that makes at
// most ten signatures at a time does not need them. NewHTTP also protects a
// program that does not trust its endpoint from large headers.
//
// # Attempts and deadlines
//
// A signature ends at the deadline of its context, or after
// kmssigner.Options.Timeout, whatever the SDK is doing at that time. When calls
// fail, the SDK spends most of the time between attempts. Its default retryer
// makes up to three attempts, and pauses for a random time of up to two seconds
// after the first and of up to four seconds after the second. These numbers are
// for the SDK's default mode. The environment variable AWS_NEW_RETRIES_2026
// changes them. If the deadline is one second, half of the calls whose first
// attempt fails at once get no second attempt. All three attempts are certain
// to fit only if the deadline is more than six seconds.
//
// Each retry costs 5 of the 500 retry tokens that a client has, or 10 after a
// timeout. A retry that succeeds returns its tokens. Each successful call also
// returns one. During an outage a client makes about 100 retries, after which
// each call fails with its first error.
//
// The SDK does not retry a request whose answer breaks off after the headers.
//
// A service with shorter deadlines should shorten the pauses. In the SDK's
// default mode, a MaxBackoff of less than a second makes every pause exactly
// that long:
//
//	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
//		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
//			o.MaxBackoff = 100 * time.Millisecond
//		})
//	})
//
// Short pauses help when a connection is lost. When KMS throttles, they make
// things worse unless something else bounds the rate, such as [Limit] or the
// SDK's adaptive mode. The documentation of Limit compares the two.
package kmsclient

import (
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// maxHeaders is the size in bytes of the largest headers of an answer.
const maxHeaders = 64 << 10

// NewHTTP returns the SDK's default HTTP client, except that it keeps up to
// concurrency idle connections to each host and any number in total, and
// accepts at most 64 KiB of headers in an answer. Proxies, TLS, timeouts and
// HTTP/2 are those of the SDK. The With methods of the result return copies
// with other settings.
//
//	httpClient := kmsclient.NewHTTP(128)
//	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(httpClient))
//
// or, for KMS only,
//
//	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
//		o.HTTPClient = httpClient
//	})
//
// concurrency is the number of concurrent calls at busy times, such as the n
// given to [Limit]. The SDK's default client keeps 10 idle connections to a
// host. If 128 calls over HTTP/1.1 end together it closes 118 connections, and
// the next 118 calls each start with a new TCP connection and TLS handshake.
// NewHTTP(128) keeps nearly all of them; docs/benchmarks.md has what that
// saves. The idle connections make no difference if there are at most 10 calls
// at once, or over HTTP/2, where one connection carries many calls. The limit
// on headers always applies. If concurrency is less than 10 the result keeps 10
// idle connections.
//
// Idle connections are closed after 90 seconds, so a concurrency that is too
// high costs little. At most 2048 connections to a host are open at once; calls
// beyond that wait. Both are the SDK's defaults.
//
// KMS's headers are much smaller than 64 KiB. The SDK's default limit is 10 MB.
// If an endpoint exceeds the limit, the call fails as if the connection were
// lost: the SDK retries it, and the error wraps a *smithyhttp.RequestSendError.
//
// Each result has connections of its own, so make one and share it. It is safe
// for concurrent use.
func NewHTTP(concurrency int) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
		tr.MaxResponseHeaderBytes = maxHeaders
		if concurrency > tr.MaxIdleConnsPerHost {
			tr.MaxIdleConnsPerHost = concurrency
			// Zero means no limit. A limit would apply to all hosts together,
			// and a client may serve several Regions.
			tr.MaxIdleConns = 0
		}
	})
}
