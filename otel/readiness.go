package otel

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Readiness knows whether the runner can take a job, for /readyz. Its methods
// may be called from any goroutine.
type Readiness struct {
	mu       sync.Mutex
	grace    time.Duration
	seen     time.Time
	draining bool
	gates    map[string]string
}

// NewReadiness returns the readiness of a runner that has not reached its
// server yet, and so is not ready. Once it has, it is taken for reachable until
// grace has passed without another contact; grace should be longer than the
// longest interval between two fetches.
func NewReadiness(grace time.Duration) *Readiness {
	return &Readiness{grace: grace, gates: map[string]string{}}
}

// SetGrace changes the grace of NewReadiness.
func (r *Readiness) SetGrace(grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.grace = grace
}

// ServerSeen says that the server answered at t.
func (r *Readiness) ServerSeen(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.After(r.seen) {
		r.seen = t
	}
}

// Draining says that the runner takes no further job. There is no way back.
func (r *Readiness) Draining() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
}

// Gate keeps the runner from being ready for a reason of its own, which is shown
// to whoever asks; "" opens the gate of that name.
func (r *Readiness) Gate(name, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reason == "" {
		delete(r.gates, name)
	} else {
		r.gates[name] = reason
	}
}

// Reasons says why the runner is not ready at now, one sentence each; none when
// it is ready.
func (r *Readiness) Reasons(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reasons []string
	if r.draining {
		reasons = append(reasons, "draining: no further job is taken")
	}
	if r.seen.IsZero() {
		reasons = append(reasons, "server: not reached yet")
	} else if silent := now.Sub(r.seen); silent > r.grace {
		reasons = append(reasons, fmt.Sprintf("server: not reached for %s", silent.Round(time.Second)))
	}
	var gates []string
	for name, reason := range r.gates {
		gates = append(gates, name+": "+reason)
	}
	slices.SortFunc(gates, strings.Compare)
	return append(reasons, gates...)
}
