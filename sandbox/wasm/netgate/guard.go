package netgate

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Guard makes the requests that the runner itself makes for a workflow: of modules,
// actions and repositories, whose addresses the workflow chooses. What lies on this
// machine or in a private network is refused after its name was resolved, at every
// connection and for every redirect, but for the servers that are listed and those
// that the Gitea server names. It is an http.RoundTripper, safe for concurrent use.
type Guard struct {
	base, checked http.RoundTripper
	address       func(netip.Addr) bool
	proxy         func(*http.Request) (*url.URL, error)

	mu    sync.Mutex
	rules []rule
}

// maxTrusted bounds the servers that Trust adds: a Gitea server names two.
const maxTrusted = 1000

// NewGuard makes a guard before a transport; nil is http.DefaultTransport. allow
// lists servers as New does; http and https are the same here. Its error names the
// entry that is none.
func NewGuard(base http.RoundTripper, allow []string, o Options) (*Guard, error) {
	g := &Guard{base: base, address: o.Address}
	if g.base == nil {
		g.base = http.DefaultTransport
	}
	if g.address == nil {
		g.address = Public
	}
	for _, text := range allow {
		r, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		g.rules = append(g.rules, r)
	}
	if t, ok := g.base.(*http.Transport); ok {
		own := t.Clone()
		g.proxy, own.Proxy = t.Proxy, nil // the address that is checked is the one that is reached
		dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ip, err := netip.ParseAddrPort(address)
			if err != nil || !g.address(ip.Addr()) {
				return private(address)
			}
			return nil
		}}
		own.DialContext, own.DialTLSContext = dialer.DialContext, nil
		g.checked = own
	}
	return g, nil
}

func private(address string) error {
	return &refusedError{fmt.Sprintf("the name leads to %s, an address of this machine or of a private network, where this runner fetches nothing for a workflow: its operator can allow the server in sandbox.private_hosts", address)}
}

// Trust allows the server of an address, which has to come from the operator or from
// the Gitea server, never from a workflow. What is no address changes nothing.
func (g *Guard) Trust(address string) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return
	}
	r := rule{scheme: u.Scheme, host: hostOf(u), port: portOf(u)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.listed(r.host, r.port, r.scheme) && len(g.rules) < maxTrusted {
		g.rules = append(g.rules, r)
	}
}

func hostOf(u *url.URL) string { return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) }

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	return map[string]string{"http": "80", "https": "443"}[scheme]
}

// listed reports whether a server is among the rules. The lock is held.
func (g *Guard) listed(host, port, scheme string) bool {
	for _, r := range g.rules {
		same := port == r.port || port == defaultPort(scheme) && r.port == defaultPort(r.scheme)
		if same && (host == r.host && !r.below || r.below && strings.HasSuffix(host, "."+r.host)) {
			return true
		}
	}
	return false
}

// RoundTrip implements http.RoundTripper.
func (g *Guard) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	listed := g.listed(hostOf(req.URL), portOf(req.URL), req.URL.Scheme)
	g.mu.Unlock()
	if listed {
		return g.base.RoundTrip(req) //nolint:wrapcheck // a RoundTripper's errors
	}
	if g.checked != nil && !g.proxied(req) {
		return g.checked.RoundTrip(req) //nolint:wrapcheck // as above
	}
	// A proxy makes the connection: what can be known of the name before is looked at.
	if err := g.look(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper has to; nothing was sent
		}
		return nil, err
	}
	return g.base.RoundTrip(req) //nolint:wrapcheck // as above
}

func (g *Guard) proxied(req *http.Request) bool {
	if g.proxy == nil {
		return false
	}
	by, err := g.proxy(req)
	return err != nil || by != nil
}

// look resolves the name of a request that a proxy makes; one that only the proxy can
// resolve is its own to decide.
func (g *Guard) look(req *http.Request) error {
	addresses, err := net.DefaultResolver.LookupNetIP(req.Context(), "ip", hostOf(req.URL))
	if err != nil && req.Context().Err() != nil {
		return context.Cause(req.Context())
	}
	for _, a := range addresses {
		if !g.address(a) {
			return private(a.String())
		}
	}
	return nil
}

// CloseIdleConnections is what http.Client looks for.
func (g *Guard) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{g.base, g.checked} {
		if c, ok := t.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
		}
	}
}
