// Package netgate makes the HTTP requests of WebAssembly guests, which have no
// network themselves, to the hosts that the operator has listed and to no other:
// an address of this machine or of a private network is refused after its name was
// resolved, whatever the name, at every connection and for every redirect.
package netgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"otelrunner/sandbox/wasm/wire"
)

// Bounds of one request.
const (
	MaxRequestBody  = 1 << 20
	MaxResponseBody = 16 << 20
	maxHeaders      = 64 << 10
	maxRedirects    = 5
	maxURL          = 8 << 10
	timeout         = 2 * time.Minute
)

// Gate makes requests. It is safe for concurrent use.
type Gate struct {
	rules  []rule
	client *http.Client
}

// rule is one entry of the list.
type rule struct {
	scheme, host, port string // the host without a leading *.
	below              bool   // and its subdomains; not the host itself
}

// Options change a Gate for tests; the zero value is what is used.
type Options struct {
	// Address decides about a resolved address; nil is Public.
	Address func(netip.Addr) bool
	// Transport is changed before it is used.
	Transport func(*http.Transport)
}

// New makes a gate for hosts: api.example.com, *.example.com for all below it,
// with :port for another port than 443, and with http:// before it for requests
// that are not encrypted. Its error names the entry that is none.
func New(allow []string, o Options) (*Gate, error) {
	g := &Gate{}
	for _, text := range allow {
		r, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		g.rules = append(g.rules, r)
	}
	if o.Address == nil {
		o.Address = Public
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ip, err := netip.ParseAddrPort(address)
		if err != nil || !o.Address(ip.Addr()) {
			return &refusedError{fmt.Sprintf("its name leads to %s, an address of this machine or of a private network", address)}
		}
		return nil
	}}
	transport := &http.Transport{
		// No proxy: the address that is checked is the one that is reached.
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConns: 16, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: time.Minute, MaxResponseHeaderBytes: maxHeaders,
	}
	if o.Transport != nil {
		o.Transport(transport)
	}
	g.client = &http.Client{Transport: transport, Timeout: timeout, CheckRedirect: g.redirect}
	return g, nil
}

// Check says what is wrong with an entry of the list.
func Check(entry string) error {
	_, err := parseRule(entry)
	return err
}

func parseRule(text string) (r rule, err error) {
	bad := fmt.Errorf("%q is no host: expected one like api.example.com, *.example.com, api.example.com:8443 or http://plain.example.com", text)
	r.scheme, r.port = "https", "443"
	rest := strings.ToLower(strings.TrimSpace(text))
	if after, ok := strings.CutPrefix(rest, "http://"); ok {
		r.scheme, r.port, rest = "http", "80", after
	} else {
		rest = strings.TrimPrefix(rest, "https://")
	}
	r.host = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		r.host, r.port = host, port
	}
	if after, ok := strings.CutPrefix(r.host, "*."); ok {
		r.host, r.below = after, true
	}
	if r.host == "" || strings.ContainsAny(r.host, "/*?#@ \\") || r.below && !strings.Contains(r.host, ".") || strings.Trim(r.port, "0123456789") != "" || r.port == "" {
		return rule{}, bad
	}
	return r, nil
}

// Close lets go of the connections.
func (g *Gate) Close() { g.client.CloseIdleConnections() }

// String lists the hosts.
func (g *Gate) String() string {
	var names []string
	for _, r := range g.rules {
		name := r.host
		if r.below {
			name = "*." + name
		}
		if r.scheme == "http" {
			name = "http://" + name
		}
		if r.port != "443" && r.port != "80" {
			name += ":" + r.port
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// refusedError is a request that is not allowed.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// allowed reports why an address may not be asked.
func (g *Gate) allowed(u *url.URL) error {
	host, port := strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if u.User != nil {
		return &refusedError{"its address has credentials in it: send them in a header"}
	}
	for _, r := range g.rules {
		if u.Scheme == r.scheme && port == r.port && (host == r.host && !r.below || r.below && strings.HasSuffix(host, "."+r.host)) {
			return nil
		}
	}
	return &refusedError{fmt.Sprintf("%s://%s is not among the hosts that the operator allows (sandbox.network_allow): %s", u.Scheme, u.Host, g)}
}

func (g *Gate) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &refusedError{fmt.Sprintf("it redirects more than %d times", maxRedirects)}
	}
	if err := g.allowed(req.URL); err != nil {
		return err
	}
	if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		req.Header = http.Header{} // they were for the other one
	}
	return nil
}

// notTheirs are headers that the connection's own ways depend on.
func notTheirs(name string) bool {
	name = http.CanonicalHeaderKey(name)
	return strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive", "Expect",
	}, name)
}

// Do makes a request for a guest. What goes wrong is in the response's Error;
// Denied says that it was not allowed.
func (g *Gate) Do(ctx context.Context, r *wire.HTTPRequest) *wire.HTTPResponse {
	resp, err := g.do(ctx, r)
	if err != nil {
		var refused *refusedError
		return &wire.HTTPResponse{Error: err.Error(), Denied: errors.As(err, &refused)}
	}
	return resp
}

func (g *Gate) do(ctx context.Context, r *wire.HTTPRequest) (*wire.HTTPResponse, error) {
	if len(r.URL) > maxURL || len(r.Body) > MaxRequestBody {
		return nil, &refusedError{fmt.Sprintf("its address or body is too long: at most %d bytes and %d bytes", maxURL, MaxRequestBody)}
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("it is no request: %w", err)
	}
	if err := g.allowed(req.URL); err != nil {
		return nil, err
	}
	for name, values := range r.Headers {
		if notTheirs(name) {
			return nil, &refusedError{fmt.Sprintf("the header %s is the runner's to set", name)}
		}
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "otelrunner-wasm")
	}
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names method and address
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxResponseBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > MaxResponseBody {
		return nil, &refusedError{fmt.Sprintf("its answer has more than %d MiB", MaxResponseBody>>20)}
	}
	return &wire.HTTPResponse{Status: resp.StatusCode, URL: resp.Request.URL.String(), Headers: resp.Header, Body: body}, nil
}

// Public reports whether an address belongs to the public network: none of this
// machine, of a private network, of a link, of documentation or translation (the
// registries of RFC 6890 and its successors).
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	return !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}

func special() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
