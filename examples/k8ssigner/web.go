package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kmssign/kmssign/jwtkms"
)

// web serves what operators look at.
func (s *signer) web() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /openid/v1/jwks", s.serveJWKS)
	return mux
}

// serveHealth is 200 if a key signs and the aliases were seen in time for its
// successor.
func (s *signer) serveHealth(w http.ResponseWriter, r *http.Request) {
	late := time.Since(*s.refreshed.Load()) - s.set.ring.RefreshInterval - s.set.ring.Slack
	switch {
	case s.ring.Current().KID == "":
		http.Error(w, "every key is revoked", http.StatusServiceUnavailable)
	case late > 0:
		http.Error(w, fmt.Sprintf("the last look at the aliases is %v late; tokens are signed", late.Round(time.Second)), http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// serveJWKS serves the keys of FetchKeys, for issuers whose JWKS is published
// elsewhere.
func (s *signer) serveJWKS(w http.ResponseWriter, r *http.Request) {
	refreshed := *s.refreshed.Load() // before the keys, which may be newer
	set := struct {
		Keys []jwtkms.JWK `json:"keys"`
	}{Keys: []jwtkms.JWK{}}
	add := func(public any, kid string) error {
		m, err := method(public)
		if err != nil {
			return err
		}
		jwk, err := m.JWK(public)
		jwk.Kid = kid
		set.Keys = append(set.Keys, jwk)
		return err
	}
	var err error
	for _, key := range s.ring.Keys() {
		err = errors.Join(err, add(key.Public, key.KID))
	}
	for _, key := range s.set.old {
		err = errors.Join(err, add(key.public, key.id))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(s.maxAge(refreshed)/time.Second)))
	json.NewEncoder(w).Encode(set)
}

// counts are the numbers of requests and refreshes.
type counts struct {
	mu        sync.Mutex
	requests  map[request]int
	refreshes map[bool]int
}

type request struct {
	method string
	code   codes.Code
}

func (c *counts) request(method string, code codes.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = map[request]int{}
	}
	c.requests[request{method, code}]++
}

func (c *counts) refresh(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refreshes == nil {
		c.refreshes = map[bool]int{}
	}
	c.refreshes[err == nil]++
}

// serveMetrics writes the text format of Prometheus, version 0.0.4.
func (s *signer) serveMetrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	family := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP k8ssigner_%s %s\n# TYPE k8ssigner_%[1]s %[3]s\n", name, help, kind)
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	family("requests_total", "counter", "Requests of kube-apiserver, by method and gRPC code.")
	all := slices.SortedFunc(maps.Keys(s.counts.requests), func(a, b request) int {
		return cmp.Or(cmp.Compare(a.method, b.method), cmp.Compare(a.code, b.code))
	})
	for _, q := range all {
		fmt.Fprintf(w, "k8ssigner_requests_total{method=%q,code=%q} %d\n", q.method, q.code.String(), s.counts.requests[q])
	}
	family("refreshes_total", "counter", "Looks at the aliases after the start, by result.")
	fmt.Fprintf(w, "k8ssigner_refreshes_total{result=\"ok\"} %d\n", s.counts.refreshes[true])
	fmt.Fprintf(w, "k8ssigner_refreshes_total{result=\"error\"} %d\n", s.counts.refreshes[false])
	family("refreshed_timestamp_seconds", "gauge", "When the aliases were last seen, in Unix time.")
	fmt.Fprintf(w, "k8ssigner_refreshed_timestamp_seconds %d\n", s.refreshed.Load().Unix())
	family("signing_key", "gauge", "1 for the key that signs.")
	if current := s.ring.Current(); current.KID != "" {
		fmt.Fprintf(w, "k8ssigner_signing_key{kid=%q,alg=%q} 1\n", current.KID, current.Alg)
	}
	family("published_keys", "gauge", "Keys that are published, old ones included.")
	fmt.Fprintf(w, "k8ssigner_published_keys %d\n", len(s.ring.Keys())+len(s.set.old))
}
