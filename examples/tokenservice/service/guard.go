package service

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A guard refuses requests that a web page may have caused. A page cannot read
// another origin's answers, but by DNS rebinding it becomes the same origin:
// its name then resolves to the service's address.
type guard struct {
	hosts       []string
	crossOrigin *http.CrossOriginProtection
}

func newGuard(opts Options) guard {
	g := guard{crossOrigin: http.NewCrossOriginProtection(), hosts: []string{"localhost"}}
	if issuer, err := url.Parse(opts.Issuer); err == nil {
		g.hosts = append(g.hosts, hostName(issuer.Host))
	}
	for _, host := range opts.Hosts {
		g.hosts = append(g.hosts, hostName(host))
	}
	return g
}

// check returns the refusal of a request that a web page may have caused, or
// nil.
func (g guard) check(r *http.Request) *refusal {
	name := hostName(r.Host)
	if _, err := netip.ParseAddr(name); err != nil && !slices.Contains(g.hosts, name) {
		return &refusal{kind: foreign, status: http.StatusMisdirectedRequest, text: fmt.Sprintf("the host %s is not known here", quote(name))}
	}
	if err := g.crossOrigin.Check(r); err != nil {
		return &refusal{kind: foreign, status: http.StatusForbidden, text: "the request comes from a web page of another origin"}
	}
	return nil
}

// hostName returns the name or address in a Host header, without the port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
