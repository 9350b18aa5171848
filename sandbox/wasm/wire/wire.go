// Package wire is what the runner and a WASM worker say to each other over the
// worker's stdin and stdout: frames of four bytes of length (big endian), one of
// kind, and a payload. The worker is hostile once a guest has run, so that the
// runner bounds every frame before it reads it, and believes nothing in it that
// the jail does not enforce.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"otelrunner/sandbox/wasm/rootfs"
)

// Kind is the kind of a frame.
type Kind byte

// The kinds; the runner sends the first five, the worker the others.
const (
	Init    Kind = iota + 1 // Setup: once, first
	Run                     // Step
	Stdin                   // bytes; none: the end. One for each WantStdin
	Module                  // Verdict: the answer to WantModule
	Compile                 // the bytes of a module; answered by Done

	Ready      // State: the answer to Init
	Stdout     // bytes
	Stderr     // bytes
	WantStdin  // nothing
	WantModule // the bytes of a module
	Done       // Outcome: the end of a Run or Compile
	WantHTTP   // HTTPRequest: answered by HTTP

	HTTP // HTTPResponse: the answer to WantHTTP, from the runner

	Tells // Progress: what a step has used until now, from the worker

	Loaded // nothing: the worker has read what the last Module told it of, or has given up
)

// MaxFrame bounds a payload: a module, and what belongs to it.
const MaxFrame = 256 << 20

// MaxOutput bounds the payload of Stdout and Stderr.
const MaxOutput = 64 << 10

// Bounds of the frames of HTTP: a body in base64, and what is beside it.
const (
	maxHTTPRequest  = 2 << 20
	maxHTTPResponse = 24 << 20
)

// MaxRun bounds the payload of Run: arguments and environment, as JSON.
const MaxRun = 4 << 20

// maxState bounds the other payloads, and maxTells that of Tells. MaxText bounds each
// text of an Outcome in which a guest chooses the words, so that it fits, whatever
// they are as JSON.
const (
	maxState = 1 << 20
	maxTells = 64 << 10
	MaxText  = 8 << 10
)

// Mount is a folder of this machine that guests see.
type Mount struct {
	Host     string `json:"host"`
	Guest    string `json:"guest"` // absolute and clean
	ReadOnly bool   `json:"readOnly"`
}

// Setup makes a worker ready: it jails itself before it answers.
type Setup struct {
	// Root is the guests' /.
	Root string `json:"root,omitempty"`
	// Mounts lie in it.
	Mounts []Mount `json:"mounts,omitempty"`
	// Cache is the folder of compiled modules. It is only read, except by a
	// worker that compiles.
	Cache string `json:"cache"`
	// Compile says that the worker compiles one module and runs none.
	Compile bool `json:"compile,omitempty"`
	// Preload is the file of a module in Cache that is loaded before the answer.
	Preload string `json:"preload,omitempty"`
	// Secure makes a jail that is not complete an error.
	Secure bool `json:"secure,omitempty"`
}

// State is what a worker has set up.
type State struct {
	// Jail are the features in force, and Missing those that are not there.
	Jail    []string `json:"jail,omitempty"`
	Missing []string `json:"missing,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Step is one program to run.
type Step struct {
	// Module is the module's path as guests see it; "" is the preloaded one.
	Module string   `json:"module,omitempty"`
	Args   []string `json:"args"`
	Env    []string `json:"env"`
	Dir    string   `json:"dir"`
	Limits Limits   `json:"limits"`
	// Holds is what is in the guests' / when the step starts.
	Holds rootfs.Holding `json:"holds"`
	// Deterministic gives the guest a clock and randomness that are the same
	// in every run.
	Deterministic bool `json:"deterministic,omitempty"`
	// Network says that WantHTTP is answered by more than a refusal.
	Network bool `json:"network,omitempty"`
}

// Limits are those that a worker keeps itself; the runner and the kernel keep the
// others.
type Limits struct {
	Memory     int64         `json:"memory"` // of all instances together, bytes
	ModuleSize int64         `json:"moduleSize"`
	Children   int           `json:"children"`
	Fuel       int64         `json:"fuel,omitempty"`
	Disk       rootfs.Limits `json:"disk"`
}

// Progress is what a step has used until now: all that is known of it where its
// worker is killed.
type Progress struct {
	PeakMemory int64          `json:"peakMemory"`
	Written    rootfs.Written `json:"written"`
	Denied     []string       `json:"denied,omitempty"`
}

// Verdict is the runner's answer to a module that a worker wants to run: its
// file in the cache, or why it does not run.
type Verdict struct {
	File  string `json:"file,omitempty"`
	Sum   string `json:"sum,omitempty"`
	Error string `json:"error,omitempty"`
}

// HTTPRequest is what a guest wants to ask a server.
type HTTPRequest struct {
	Method  string              `json:"method"`
	URL     string              `json:"url"`
	Headers map[string][]string `json:"headers,omitempty"`
	Body    []byte              `json:"body,omitempty"`
}

// HTTPResponse is the server's answer, or why there is none.
type HTTPResponse struct {
	Status  int                 `json:"status"`
	URL     string              `json:"url"` // after redirects
	Headers map[string][]string `json:"headers,omitempty"`
	Body    []byte              `json:"body,omitempty"`
	Error   string              `json:"error,omitempty"`
	Denied  bool                `json:"denied,omitempty"` // it was not allowed
}

// Outcome is how a program ended.
type Outcome struct {
	Exit int `json:"exit"`
	// Refused is why the module did not run.
	Refused string `json:"refused,omitempty"`
	// Trap is the trap's text as the engine gave it: a guest's words.
	Trap string `json:"trap,omitempty"`
	// Limit and LimitText name the limit that was hit.
	Limit     string `json:"limit,omitempty"`
	LimitText string `json:"limitText,omitempty"`

	CPU         time.Duration  `json:"cpu"`
	Instantiate time.Duration  `json:"instantiate,omitempty"` // of the program, before it began to run
	PeakMemory  int64          `json:"peakMemory"`
	Written     rootfs.Written `json:"written"`
	Denied      []string       `json:"denied,omitempty"`
	// Holds is what is in the guests' / after the step; nil where that was not
	// told.
	Holds *rootfs.Holding `json:"holds,omitempty"`
	// Used says that something runs on, so that the worker must be ended.
	Used bool `json:"used,omitempty"`
}

// Conn is one end. Send is safe for concurrent use; Receive is for one goroutine.
type Conn struct {
	r  io.Reader
	mu sync.Mutex
	w  io.Writer
}

// NewConn makes an end of two pipes.
func NewConn(r io.Reader, w io.Writer) *Conn { return &Conn{r: r, w: w} }

// Send writes a frame.
func (c *Conn) Send(kind Kind, payload []byte) error {
	frame := make([]byte, 5, 5+len(payload))
	binary.BigEndian.PutUint32(frame, uint32(len(payload))) //nolint:gosec // at most MaxFrame
	frame[4] = byte(kind)
	frame = append(frame, payload...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.w.Write(frame); err != nil {
		return fmt.Errorf("send to the other end of the WASM worker's pipe: %w", err)
	}
	return nil
}

// SendJSON writes a frame with a message.
func (c *Conn) SendJSON(kind Kind, message any) error {
	payload, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message of a WASM worker: %w", err)
	}
	return c.Send(kind, payload)
}

// Receive reads a frame. module bounds the payload of WantModule; it is io.EOF
// where the other end has closed between two frames.
func (c *Conn) Receive(module int64) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err //nolint:wrapcheck // io.EOF is part of the contract
	}
	kind, size := Kind(head[4]), int64(binary.BigEndian.Uint32(head[:]))
	limit := int64(maxState)
	switch kind {
	case Run:
		limit = MaxRun
	case Tells:
		limit = maxTells
	case Loaded:
		limit = 0
	case Stdout, Stderr, Stdin:
		limit = MaxOutput
	case WantModule:
		limit = min(module, MaxFrame)
	case Compile:
		limit = MaxFrame
	case WantHTTP:
		limit = maxHTTPRequest
	case HTTP:
		limit = maxHTTPResponse
	}
	if size > limit {
		return 0, nil, fmt.Errorf("a WASM worker's frame of kind %d has %d bytes, more than %d", kind, size, limit)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		return 0, nil, fmt.Errorf("read from a WASM worker: %w", err)
	}
	return kind, payload, nil
}
