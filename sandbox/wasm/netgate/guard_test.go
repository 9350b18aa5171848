package netgate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"otelrunner/sandbox/wasm/netgate"
)

// TestGuard asks a server of this machine by its names, with and without leave.
func TestGuard(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = fmt.Fprint(w, "it answers")
	}))
	t.Cleanup(server.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the other server is asked")
	}))
	t.Cleanup(other.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "by the proxy")
	}))
	t.Cleanup(proxy.Close)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	proxyURL, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	byProxy := &http.Transport{Proxy: http.ProxyURL(proxyURL)}
	const refused = "an address of this machine or of a private network"
	for _, c := range []struct {
		name  string
		base  http.RoundTripper
		allow []string
		trust string
		url   string
		says  string // "" is that it answers
	}{
		{name: "an address", url: server.URL, says: refused},
		{name: "a name", url: "http://localhost:" + port, says: refused},
		{name: "version 6", url: "http://[::ffff:127.0.0.1]:" + port, says: refused},
		{name: "a listed one", allow: []string{"http://127.0.0.1:" + port}, url: server.URL},
		{name: "a listed one, whose scheme is not", allow: []string{"127.0.0.1:" + port}, url: server.URL},
		{name: "a listed name", allow: []string{"localhost:" + port}, url: "http://LOCALHOST:" + port},
		{name: "another port", allow: []string{"127.0.0.1:1"}, url: server.URL, says: refused},
		{name: "the address of a listed name", allow: []string{"localhost:" + port}, url: server.URL, says: refused},
		{name: "the Gitea server", trust: server.URL + "/some/path", url: server.URL},
		{name: "another one than the Gitea server", trust: server.URL, url: other.URL, says: refused},
		{name: "a redirect", trust: server.URL, url: server.URL + "/?to=" + url.QueryEscape(other.URL), says: refused},
		{name: "no address to trust", trust: "::", url: server.URL, says: refused},
		{name: "by a proxy", base: byProxy, url: server.URL, says: refused},
		{name: "by a proxy, a name that only it may know", base: byProxy, url: "http://only..there"},
		{name: "another transport", base: plain{}, url: server.URL, says: refused},
		{name: "another transport, listed", base: plain{}, allow: []string{"127.0.0.1:" + port}, url: server.URL},
	} {
		t.Run(c.name, func(t *testing.T) {
			guard, err := netgate.NewGuard(c.base, c.allow, netgate.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(guard.CloseIdleConnections)
			guard.Trust(c.trust)
			before := asked.Load()
			resp, err := (&http.Client{Transport: guard}).Get(c.url)
			if err == nil {
				_ = resp.Body.Close()
			}
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v, want %q", err, c.says)
			}
			if c.says != "" && c.trust == "" && asked.Load() != before {
				t.Error("the server is asked")
			}
		})
	}
	if _, err := netgate.NewGuard(nil, []string{"a/b"}, netgate.Options{}); err == nil {
		t.Error("a/b is taken for a host")
	}
}

// plain is a transport of another kind.
type plain struct{}

func (plain) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r)
}
