package wasm_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/netgate"
	w "otelrunner/sandbox/wasm/wasmtest"
)

func TestNetwork(t *testing.T) {
	data, err := w.BuildProbe()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 10)
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked <- r.URL.String() + " " + r.Header.Get("X-From")
		switch r.URL.Path {
		case "/stuck":
			select {
			case <-r.Context().Done():
			case <-stuck:
			}
		case "/big":
			_, _ = rw.Write(bytes.Repeat([]byte("0123456789"), 300_000))
		default:
			_, _ = fmt.Fprint(rw, "hello guest")
		}
	}))
	defer server.Close()
	defer close(stuck)
	host := strings.TrimPrefix(server.URL, "http://")
	gate := func(o netgate.Options, allow ...string) *netgate.Gate {
		g, err := netgate.New(allow, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		return g
	}
	anywhere := netgate.Options{Address: func(netip.Addr) bool { return true }}
	run := func(n wasm.Network, args ...string) (string, *job, error) {
		j := open(t, newProvider(t, func(o *wasm.Options) {
			if o.Limits.Memory, o.Limits.Wall = 256<<20, 20*time.Second; n != nil {
				o.Network = n
			}
			if len(args) > 0 && strings.HasSuffix(args[0], "/stuck") {
				o.Limits.Wall = 3 * time.Second
			}
		}))
		c := j.put(data)
		c.Args = append(c.Args, args...)
		var out bytes.Buffer
		c.Stdout = &out
		_, err := j.Run(t.Context(), c)
		return out.String(), j, err
	}

	out, j, err := run(gate(anywhere, "http://"+host), "get:"+server.URL+"/a?token=secret", "get:"+server.URL+"/big", "get:https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"status":200`, "body hello guest\n11 bytes\n", "3000000 bytes\n", "get:https://example.com/: errno 2: http_request: https://example.com is not among the hosts"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in\n%s", part, out)
		}
	}
	want(t, "what was asked", <-asked, "/a?token=secret guest")
	for _, part := range []string{"Network: GET " + server.URL + "/a → 200, 11 bytes", "The sandbox has denied: GET https://example.com/: https"} {
		if !strings.Contains(j.log.String(), part) {
			t.Errorf("%q is not in\n%s", part, j.log)
		}
	}
	if strings.Contains(j.log.String(), "secret") {
		t.Errorf("the query is in the log:\n%s", j.log)
	}
	if details := strings.Join(j.Info().Details, "\n"); !strings.Contains(details, "Network: HTTP to http://"+host) {
		t.Error(details)
	}

	// This machine is not reached without the change for this test.
	out, _, err = run(gate(netgate.Options{}, "http://"+host), "get:"+server.URL)
	if err != nil || !strings.Contains(out, "errno 2") || !strings.Contains(out, "private network") {
		t.Errorf("%v: %s", err, out)
	}
	// Without hosts there is no network.
	out, _, err = run(nil, "get:"+server.URL)
	if err != nil || !strings.Contains(out, "errno 2: http_request: this sandbox has no network") {
		t.Errorf("%v: %s", err, out)
	}
	// The limit of time holds while a server is waited for.
	began := time.Now()
	_, _, err = run(gate(anywhere, "http://"+host), "get:"+server.URL+"/stuck")
	if err == nil || !strings.Contains(err.Error(), "time limit of 3s reached") || time.Since(began) > 15*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
