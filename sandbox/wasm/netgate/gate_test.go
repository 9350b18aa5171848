package netgate_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"otelrunner/sandbox/wasm/netgate"
	"otelrunner/sandbox/wasm/wire"
)

func TestPublic(t *testing.T) {
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:9.9.9.9"} {
		if !netgate.Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is refused", text)
		}
	}
	for _, text := range []string{
		"127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.100.100.200",
		"192.0.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
		"fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1", "2001:db8::1", "fec0::1", "2001:0:1::1",
	} {
		if netgate.Public(netip.MustParseAddr(text)) {
			t.Errorf("%s is allowed", text)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, text := range []string{"api.example.com", "*.example.com", "a.example:8443", "http://plain.example", "https://a.example", "[2606:4700::1]:443"} {
		if err := netgate.Check(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"", "*", "*.com", "a/b", "a b", "ftp://a", "a:x", "user@host", "http://", "a.*.b"} {
		if err := netgate.Check(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// gate is one that may reach this machine, under names that all lead to it.
func gate(t *testing.T, server *httptest.Server, loopback bool, allow ...string) *netgate.Gate {
	t.Helper()
	o := netgate.Options{Transport: func(tr *http.Transport) {
		tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	}}
	if loopback {
		o.Address = func(netip.Addr) bool { return true }
	}
	g, err := netgate.New(allow, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func TestDo(t *testing.T) {
	var seen []string
	var elsewhere string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, fmt.Sprintf("%s %s %s %s", r.Method, r.Host, r.URL, r.Header.Get("X-Token")))
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/away":
			http.Redirect(w, r, elsewhere, http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, netgate.MaxResponseBody+1))
		default:
			w.Header().Set("X-Answer", "yes")
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprintf(w, "body of %s", r.URL.Path)
		}
	})
	server := httptest.NewTLSServer(handler)
	defer server.Close()
	other := httptest.NewTLSServer(handler)
	defer other.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	ask := func(g *netgate.Gate, url string, headers map[string][]string) *wire.HTTPResponse {
		return g.Do(context.Background(), &wire.HTTPRequest{Method: "POST", URL: url, Headers: headers, Body: []byte("in")})
	}
	g := gate(t, server, true, host)
	got := ask(g, server.URL+"/ok", map[string][]string{"X-Token": {"t"}})
	if got.Error != "" || got.Status != http.StatusTeapot || string(got.Body) != "body of /ok" || got.Headers["X-Answer"][0] != "yes" {
		t.Errorf("%+v", got)
	}
	if got = ask(g, server.URL+"/moved", nil); got.Error != "" || got.URL != server.URL+"/ok" {
		t.Errorf("redirect: %+v", got)
	}
	elsewhere = other.URL + "/ok"
	for _, c := range []struct {
		name, url string
		headers   map[string][]string
		want      string
	}{
		{"a redirect to another host", server.URL + "/away", nil, "is not among the hosts"},
		{"another host", other.URL + "/ok", nil, "is not among the hosts"},
		{"not encrypted", "http://" + host + "/ok", nil, "is not among the hosts"},
		{"another port", "https://127.0.0.1/ok", nil, "is not among the hosts"},
		{"a file", "file:///etc/passwd", nil, "is not among the hosts"},
		{"credentials", "https://u:p@" + host + "/ok", nil, "has credentials"},
		{"the header Host", server.URL + "/ok", map[string][]string{"host": {"x"}}, "the runner's to set"},
		{"a circle", server.URL + "/circle", nil, "redirects more than"},
		{"a large answer", server.URL + "/large", nil, "more than 16 MiB"},
		{"a long address", server.URL + "/" + strings.Repeat("x", 9000), nil, "too long"},
	} {
		if got := ask(g, c.url, c.headers); !strings.Contains(got.Error, c.want) || !got.Denied || got.Body != nil {
			t.Errorf("%s: %+v, want %q", c.name, got.Error, c.want)
		}
	}
	seen = nil
	// Without the change for this test, this machine is not reached, by no name.
	g = gate(t, server, false, host, "localhost:"+host[strings.LastIndex(host, ":")+1:])
	for _, url := range []string{server.URL + "/ok", "https://localhost:" + host[strings.LastIndex(host, ":")+1:] + "/ok"} {
		if got := ask(g, url, nil); !got.Denied || !strings.Contains(got.Error, "private network") {
			t.Errorf("%s: %+v", url, got)
		}
	}
	if len(seen) > 0 {
		t.Errorf("the server was asked: %q", seen)
	}
	// A token is not sent on to another host.
	g = gate(t, server, true, host, strings.TrimPrefix(other.URL, "https://"))
	ask(g, server.URL+"/away", map[string][]string{"X-Token": {"secret"}})
	if len(seen) != 2 || !strings.HasSuffix(seen[0], "secret") || strings.Contains(seen[1], "secret") {
		t.Errorf("%q", seen)
	}
}
