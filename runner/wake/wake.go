// Package wake takes Gitea's webhook for workflow jobs, so that a runner asks for
// a job in the moment in which there is one.
//
// The webhook carries no order: what comes of it is one fetch, which the server
// answers by its own rules. So whoever forges or replays one can cost the server
// a request and nothing else; the signature, the bounds and the memory of what has
// come keep even that small.
package wake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Options configure a Handler. Secret, Labels and Wake are required.
type Options struct {
	// Secret is the webhook's, with which Gitea signs each body (HMAC-SHA256, in
	// hex, in X-Gitea-Signature).
	Secret []byte
	// Labels are the names of the runner's labels now. A job that demands others
	// is not for it.
	Labels func() []string
	// Wake is called for each job that is. It must not block.
	Wake func()
	Log  *slog.Logger
}

const (
	// maxBody bounds a body in bytes; Gitea's are a few ten thousand.
	maxBody = 1 << 20
	// Requests a second that are looked at, and how many may come at once: a
	// matrix of jobs is that many webhooks.
	requestRate, requestBurst = 20, 300
	// remembered is how many deliveries are known again.
	remembered = 4096
)

// Handler is the webhook's endpoint. It answers 204 for a job that woke the
// runner, 200 for one that did not, and 4xx for what Gitea does not send.
type Handler struct {
	o     Options
	limit *rate.Limiter
	seen  memory
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{o: o, limit: rate.NewLimiter(requestRate, requestBurst)}
}

// event is what is read of a webhook's body (Gitea, modules/structs/hook.go:
// WorkflowJobPayload).
type event struct {
	Action string `json:"action"`
	Job    struct {
		ID     int64    `json:"id"`
		Labels []string `json:"labels"`
	} `json:"workflow_job"`
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "this is the webhook of a runner: POST only", http.StatusMethodNotAllowed)
		return
	}
	if !h.limit.Allow() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many webhooks", http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "read the webhook: "+err.Error(), status)
		return
	}
	sum, ok := h.signed(body, r.Header.Get("X-Gitea-Signature"))
	if !ok {
		h.o.Log.Warn("a webhook with a wrong signature was refused; is the secret in poll.wake_secret_file the webhook's?", "from", r.RemoteAddr)
		http.Error(w, "the signature is not that of this runner's secret", http.StatusUnauthorized)
		return
	}
	what := h.take(r, sum, body)
	h.o.Log.Debug("webhook", "event", r.Header.Get("X-Gitea-Event"), "delivery", r.Header.Get("X-Gitea-Delivery"), "what", what)
	if what == woken {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	_, _ = io.WriteString(w, what+"\n")
}

// signed checks the body's signature and returns it.
func (h *Handler) signed(body []byte, signature string) (sum [sha256.Size]byte, ok bool) {
	mac := hmac.New(sha256.New, h.o.Secret)
	_, _ = mac.Write(body)
	want := mac.Sum(nil)
	got, err := hex.DecodeString(signature)
	copy(sum[:], want)
	return sum, err == nil && hmac.Equal(got, want)
}

const woken = "woken"

// take wakes the runner, or says why not.
func (h *Handler) take(r *http.Request, sum [sha256.Size]byte, body []byte) string {
	if e := r.Header.Get("X-Gitea-Event"); e != "workflow_job" {
		return "not an event of a workflow job"
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		return "not the JSON of a workflow job; set the webhook's content type to application/json"
	}
	if e.Action != "queued" {
		return "the job is not queued"
	}
	have := h.o.Labels()
	if slices.ContainsFunc(e.Job.Labels, func(l string) bool {
		return !slices.ContainsFunc(have, func(o string) bool { return strings.EqualFold(l, o) })
	}) {
		return "the job's labels are not this runner's"
	}
	// The signature covers the body, not the delivery's id, which a replay could
	// change: both are remembered.
	if !h.seen.add(string(sum[:]), r.Header.Get("X-Gitea-Delivery")) {
		return "this delivery has come before"
	}
	h.o.Wake()
	return woken
}

// memory remembers the last deliveries.
type memory struct {
	mu    sync.Mutex
	known map[string]bool
	order []string
}

// add reports whether none of the keys was known, and remembers them.
func (m *memory) add(keys ...string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]bool{}
	}
	fresh := true
	for _, k := range keys {
		if len(k) > 64 {
			k = k[:64] // an id is a UUID
		}
		if k == "" || m.known[k] {
			fresh = fresh && k == ""
			continue
		}
		m.known[k] = true
		m.order = append(m.order, k)
	}
	for len(m.order) > 2*remembered {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	return fresh
}

// NewServer is an HTTP server for h with bounds on what a client may take.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
