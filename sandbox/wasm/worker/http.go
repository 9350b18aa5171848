package worker

import (
	"encoding/json"

	"github.com/tetratelabs/wazero/api"

	"otelrunner/sandbox/wasm/wire"
)

// The functions by which a guest asks servers that the operator allows. The worker
// has no network; the runner asks, after it has looked at the address. README.md in
// the folder guest has what guests see.
const (
	eAcces errno = 2
	eIO    errno = 29

	maxHTTPBody = 1 << 20
	maxHTTPHead = 64 << 10
	maxAnswers  = 4 // of an instance, at a time
)

// answer is a server's answer that a guest reads.
type answer struct {
	head []byte // JSON
	body []byte // what is left of it
}

// httpRequest makes a request: {"method", "url", "headers": {"name": ["value"]}}.
// It waits for the whole answer.
func (i *instance) httpRequest(mem api.Memory, req, reqLen, body, bodyLen, handle uint32) errno {
	if !i.run.step.Network {
		return i.failed(eAcces, "http_request: this sandbox has no network; an operator lists hosts in sandbox.network_allow")
	}
	data, ok := mem.Read(req, min(reqLen, maxHTTPHead+1))
	content, fits := mem.Read(body, min(bodyLen, maxHTTPBody+1))
	if _, place := mem.ReadUint32Le(handle); !ok || !fits || !place {
		return eFault
	}
	var r wire.HTTPRequest
	if err := json.Unmarshal(data, &r); err != nil || reqLen > maxHTTPHead || bodyLen > maxHTTPBody {
		return i.failed(eInval, "http_request: the request is not JSON of at most 64 KiB, or its body has more than 1 MiB")
	}
	i.mu.Lock()
	full := len(i.answers) >= maxAnswers
	i.mu.Unlock()
	if full {
		return i.failed(eMfile, "http_request: four answers are open; close one")
	}
	r.Body = append([]byte(nil), content...)
	got, err := i.run.w.ask(&r)
	switch {
	case err != nil:
		return i.failed(eIO, "http_request: "+err.Error())
	case got.Denied:
		return i.failed(eAcces, "http_request: "+got.Error)
	case got.Error != "":
		return i.failed(eIO, "http_request: "+got.Error)
	}
	a := &answer{body: got.Body}
	if a.head, err = json.Marshal(map[string]any{"status": got.Status, "url": got.URL, "headers": got.Headers}); err != nil {
		return i.failed(eIO, "http_request: "+err.Error())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answers == nil {
		i.answers = map[uint32]*answer{}
	}
	i.lastChild++
	i.answers[i.lastChild] = a
	mem.WriteUint32Le(handle, i.lastChild)
	return 0
}

// ask sends a request to the runner; one at a time.
func (w *worker) ask(r *wire.HTTPRequest) (*wire.HTTPResponse, error) {
	w.asking.Lock()
	defer w.asking.Unlock()
	if err := w.conn.SendJSON(wire.WantHTTP, r); err != nil {
		return nil, err
	}
	return <-w.answers, nil
}

func (i *instance) answer(handle uint32) *answer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.answers[handle]
}

// httpHead gives {"status", "url", "headers"}; n is how long it is, also where
// less fits.
func (i *instance) httpHead(mem api.Memory, handle, buf, size, n uint32) errno {
	a := i.answer(handle)
	if a == nil {
		return eBadf
	}
	if !mem.Write(buf, a.head[:min(len(a.head), int(size))]) || !mem.WriteUint32Le(n, uint32(len(a.head))) { //nolint:gosec // bounded
		return eFault
	}
	return 0
}

// httpRead gives the next piece of the body; n is 0 at its end.
func (i *instance) httpRead(mem api.Memory, handle, buf, size, n uint32) errno {
	a := i.answer(handle)
	if a == nil {
		return eBadf
	}
	piece := a.body[:min(len(a.body), int(size))]
	if !mem.Write(buf, piece) || !mem.WriteUint32Le(n, uint32(len(piece))) { //nolint:gosec // at most size
		return eFault
	}
	a.body = a.body[len(piece):]
	return 0
}

func (i *instance) httpClose(handle uint32) errno {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answers[handle] == nil {
		return eBadf
	}
	delete(i.answers, handle)
	return 0
}
