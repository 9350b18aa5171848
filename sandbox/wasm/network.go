package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// Network makes the HTTP requests of guests; *netgate.Gate is one. It is safe for
// concurrent use.
type Network interface {
	Do(ctx context.Context, r *wire.HTTPRequest) *wire.HTTPResponse
	// String lists the hosts that may be asked.
	String() string
}

// requests are the requests of one step, one at a time.
type requests struct {
	mu     sync.Mutex
	open   bool
	told   int
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// request has a guest's request made, aside from the reading of frames.
func (x *execution) request(payload []byte) error {
	var r wire.HTTPRequest
	if err := json.Unmarshal(payload, &r); err != nil {
		return fmt.Errorf("read a WASM worker's request: %w", err)
	}
	x.requests.mu.Lock()
	defer x.requests.mu.Unlock()
	if x.requests.open {
		return errors.New("a WASM worker made a request while another one was open")
	}
	x.requests.open = true
	ctx, cancel := context.WithCancel(x.serving)
	x.requests.cancel = cancel
	x.requests.wg.Go(func() {
		defer cancel()
		resp := &wire.HTTPResponse{Error: "this sandbox has no network", Denied: true}
		if n := x.box.provider.options.Network; n != nil {
			resp = n.Do(ctx, &r)
		}
		x.tellRequest(&r, resp)
		x.requests.mu.Lock()
		x.requests.open = false
		x.requests.mu.Unlock()
		_ = x.w.conn.SendJSON(wire.HTTP, resp) // a worker that is gone is noticed where it is read from
	})
	return nil
}

// endRequests ends the one that is open and waits for it.
func (x *execution) endRequests() {
	x.requests.mu.Lock()
	if x.requests.cancel != nil {
		x.requests.cancel()
	}
	x.requests.mu.Unlock()
	x.requests.wg.Wait()
}

// tellRequest says in the log what was asked, without the query, and what came.
func (x *execution) tellRequest(r *wire.HTTPRequest, resp *wire.HTTPResponse) {
	x.requests.mu.Lock()
	x.requests.told++
	told := x.requests.told
	x.requests.mu.Unlock()
	if told > maxDenied {
		return
	}
	where := "an address that is none"
	if u, err := url.Parse(r.URL); err == nil {
		where = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	}
	what := "Network: " + r.Method + " " + where
	switch {
	case resp.Denied:
		what = "The sandbox has denied: " + r.Method + " " + where + ": " + resp.Error
	case resp.Error != "":
		what += ": " + resp.Error
	default:
		what += fmt.Sprintf(" → %d, %s", resp.Status, rootfs.Size(int64(len(resp.Body))))
	}
	x.box.log(worker.Plain(what))
}

// network says which hosts guests may ask.
func (p *Provider) network() string {
	if p.options.Network == nil {
		return "none"
	}
	return "HTTP to " + p.options.Network.String()
}
