package service

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// kind is the reason why a request failed.
type kind int

const (
	badRequest     kind = iota // wrong claims or body
	tooLong                    // the body, or the claims for the key
	mediaTypeKind              // the body's type
	denied                     // by Authorize
	foreign                    // by the guard
	full                       // MaxInFlight
	throttled                  // by KMS
	timeout                    // RequestTimeout
	canceled                   // the client went away
	kmsUnavailable             // no answer, or an error of KMS's own
	kmsRefused                 // the key or the caller
	badSignature               // kmssigner.ErrBadSignature
	internal                   // anything else
	kinds
)

func (k kind) String() string {
	return [kinds]string{
		"bad_request", "too_long", "media_type", "denied", "foreign", "full", "throttled", "timeout",
		"canceled", "kms_unavailable", "kms_refused", "bad_signature", "internal",
	}[k]
}

// metrics counts events since the start.
type metrics struct {
	issued, throttles       atomic.Int64
	failures                [kinds]atomic.Int64
	refreshed, notRefreshed atomic.Int64
	healthy, unhealthy      atomic.Int64
}

// serveMetrics writes the text format of Prometheus, version 0.0.4.
func (s *Service) serveMetrics(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&b, "# HELP tokenservice_%s %s\n# TYPE tokenservice_%[1]s %[3]s\n", name, help, kind)
	}
	m := &s.metrics
	family("tokens_issued_total", "counter", "Tokens issued.")
	fmt.Fprintf(&b, "tokenservice_tokens_issued_total %d\n", m.issued.Load())
	family("failures_total", "counter", "Requests that were refused, by reason.")
	for k := range kinds {
		fmt.Fprintf(&b, "tokenservice_failures_total{kind=\"%s\"} %d\n", k, m.failures[k].Load())
	}
	family("kms_throttles_total", "counter", "Calls that KMS still throttled after the SDK's retries.")
	fmt.Fprintf(&b, "tokenservice_kms_throttles_total %d\n", m.throttles.Load())
	family("in_flight", "gauge", "Tokens that are being signed.")
	fmt.Fprintf(&b, "tokenservice_in_flight %d\n", len(s.signing))
	family("in_flight_limit", "gauge", "Tokens that can be signed at a time.")
	fmt.Fprintf(&b, "tokenservice_in_flight_limit %d\n", cap(s.signing))
	family("refreshes_total", "counter", "Refreshes of the keys.")
	fmt.Fprintf(&b, "tokenservice_refreshes_total{result=\"ok\"} %d\n", m.refreshed.Load())
	fmt.Fprintf(&b, "tokenservice_refreshes_total{result=\"failed\"} %d\n", m.notRefreshed.Load())
	family("health_checks_total", "counter", "Health checks that called KMS.")
	fmt.Fprintf(&b, "tokenservice_health_checks_total{result=\"ok\"} %d\n", m.healthy.Load())
	fmt.Fprintf(&b, "tokenservice_health_checks_total{result=\"failed\"} %d\n", m.unhealthy.Load())
	s.keys.writeTo(&b, family, s.ring)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte(b.String()))
}
