package report

import (
	"fmt"
	"maps"
	"slices"
)

// Bounds of an output, in bytes: Gitea leaves out what is larger.
const (
	maxOutputKey   = 255
	maxOutputValue = 1 << 20
)

// attempts is how often the server may answer without naming an output before
// that counts as a refusal.
const attempts = 3

// outputs are the job outputs that the server does not have. Its user locks it.
type outputs struct {
	waiting map[string]string
	tries   map[string]int
	taking  []string // keys of the request in flight
	limit   int      // keys in one request; 0: only bytes count
}

func (o *outputs) empty() bool { return len(o.waiting) == 0 }

// take returns the outputs of the next request: as many as fit in maxRequest,
// one if it is larger than that alone.
func (o *outputs) take() map[string]string {
	req := make(map[string]string)
	size := 0
	o.taking = o.taking[:0]
	for _, key := range slices.Sorted(maps.Keys(o.waiting)) {
		value := o.waiting[key]
		size += len(key) + len(value) + 16
		if len(req) > 0 && (size > maxRequest || o.limit > 0 && len(req) >= o.limit) {
			break
		}
		req[key] = value
		o.taking = append(o.taking, key)
	}
	return req
}

// taken drops what the server has, and what it was sent often enough without
// taking it, whose keys it returns.
func (o *outputs) taken(sent []string) (skipped []string) {
	for _, key := range sent {
		delete(o.waiting, key)
	}
	for _, key := range o.taking {
		if _, ok := o.waiting[key]; !ok {
			continue
		}
		if o.tries == nil {
			o.tries = make(map[string]int)
		}
		if o.tries[key]++; o.tries[key] >= attempts {
			delete(o.waiting, key)
			skipped = append(skipped, key)
		}
	}
	return skipped
}

// halve follows a refusal: half as many at a time, and none of a single one.
func (o *outputs) halve() (key string, skipped bool) {
	if n := len(o.taking); n > 1 {
		o.limit = n / 2
		return "", false
	}
	key = o.taking[0]
	delete(o.waiting, key)
	return key, true
}

// SetOutput sets an output of the job, for the jobs that need it. What the server
// would not take (a key over 255 bytes, a value over 1 MiB) and what contains a
// secret is left out with a warning in the log, written by Finish.
func (r *Reporter) SetOutput(key, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outputs.waiting == nil {
		r.outputs.waiting = make(map[string]string)
	}
	r.outputs.waiting[clean(key)] = clean(value)
}

// refuseOutputs takes away the outputs that must not or cannot be sent and returns
// the warnings for the log. It is called before the log is sealed, and after the
// last secret has become known; r.mu is held.
func (r *Reporter) refuseOutputs() (warnings []string) {
	for _, key := range slices.Sorted(maps.Keys(r.outputs.waiting)) {
		why := r.refuseOutput(key, r.outputs.waiting[key])
		if why == "" {
			continue
		}
		delete(r.outputs.waiting, key)
		name := key
		if len(name) > maxOutputKey {
			name = name[:maxOutputKey] + "…"
		}
		warnings = append(warnings, "##[warning]Skip output '"+name+"' "+why)
	}
	return warnings
}

func (r *Reporter) refuseOutput(key, value string) string {
	switch {
	case r.masker.Contains(value) || r.masker.Contains(key):
		return "since it may contain secret."
	case len(key) > maxOutputKey:
		return fmt.Sprintf("since its name has %d bytes; the server takes %d.", len(key), maxOutputKey)
	case len(value) > maxOutputValue:
		return fmt.Sprintf("since it has %d bytes; the server takes %d.", len(value), maxOutputValue)
	}
	return ""
}
