package report

import (
	"sync"
	"time"
)

// phase is how far a report has come. Each phase ends when there is nothing left
// to deliver in it.
type phase uint8

const (
	running     phase = iota // the job runs
	draining                 // its last rows
	sealing                  // the row after which the log takes no more
	summarizing              // step summaries
	outputting               // job outputs
	concluding               // the final state
	finished
)

var phaseNames = [...]string{
	"the job was running", "sending rows", "sealing the log", "uploading summaries",
	"sending outputs", "sending the final state", "finished",
}

func (p phase) String() string { return phaseNames[p] }

// action is what the sender does next.
type action uint8

const (
	wait action = iota
	sendRows
	sendState
	sendSummary
	syncJournal
	end
)

// run is the sender.
func (r *Reporter) run() {
	defer close(r.done)
	var calls sync.WaitGroup
	defer func() { r.cancel(); calls.Wait() }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for r.ctx.Err() == nil {
		do, at := r.next(time.Now())
		switch do {
		case sendRows:
			calls.Go(r.sendRows)
		case sendState:
			calls.Go(r.sendState)
		case sendSummary:
			r.sendSummary()
		case syncJournal:
			calls.Go(r.syncJournal)
		case end:
			return
		default:
			timer.Reset(time.Until(at))
			select {
			case <-r.wake:
			case <-timer.C:
			case <-r.ctx.Done():
			}
		}
	}
}

// next decides what to do at now, or until when to wait. The order is that of
// what the server must not miss: a heartbeat goes before rows that never end, and
// rows go before a state that speaks of them. A heartbeat does not wait for rows
// that are on their way, nor do rows wait for a state's answer: a server that hangs over
// one of them would think the task dead, or show an old log.
func (r *Reporter) next(now time.Time) (do action, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.measure()
	r.advance()
	if r.phase == finished {
		return end, now
	}
	at = now.Add(time.Hour)
	if r.over {
		return wait, at
	}
	due := func(t time.Time) bool {
		if t.After(now) {
			at = earlier(at, t)
			return false
		}
		return true
	}
	if !r.stateBusy && due(later(r.lastState.Add(r.o.StateInterval), r.stateRetry.at)) {
		r.stateBusy = true
		return sendState, now
	}
	if r.phase != running && !r.durable && !r.syncing {
		r.syncing = true
		return syncJournal, now
	}
	if r.logBusy {
		return wait, at // rows go one request after the other, states after rows
	}
	if t, ok := r.rowsDue(); ok && due(later(t, r.logRetry.at)) {
		r.logBusy = true
		return sendRows, now
	}
	if t, ok := r.stateDue(); ok && !r.stateBusy && due(later(t, r.stateRetry.at)) {
		r.stateBusy = true
		return sendState, now
	}
	if r.phase == summarizing && due(r.summaries.retry.at) {
		return sendSummary, now
	}
	return wait, at
}

// rowsDue is when waiting rows are to be sent.
func (r *Reporter) rowsDue() (time.Time, bool) {
	q := &r.queue
	if r.logOver {
		return time.Time{}, false
	}
	switch n := len(q.rows); {
	case q.want < q.base, q.probe, q.spilled > 0:
		return time.Time{}, true
	case n == 0:
		return time.Time{}, false
	case r.phase != running, q.bytes >= maxRequest:
		return time.Time{}, true
	}
	t := q.oldest.Add(r.latency())
	if q.base < r.flushTo {
		t = earlier(t, r.changed.Add(settle))
	}
	if len(q.rows) >= r.o.BatchSize {
		t = earlier(t, r.lastLog.Add(batchPause))
	}
	return t, true
}

// latency is how long a row is held back: less than MaxLatency by what the request
// may take, so that the row is with the server in time. The sweep is the same
// clock with a period of its own: it counts from the oldest row, too, since a
// sweep between two of the latency's would only add requests.
func (r *Reporter) latency() time.Duration {
	l := r.o.MaxLatency
	return min(l-min(l/60, 50*time.Millisecond), r.o.Interval)
}

// stateDue is when the state is to be sent for a reason of its own.
func (r *Reporter) stateDue() (time.Time, bool) {
	switch r.phase {
	case running:
		return r.changed.Add(settle), r.change != r.told && (r.queue.base >= r.flushTo || r.logOver)
	case outputting:
		return time.Time{}, true
	case concluding:
		return time.Time{}, r.durable
	}
	return time.Time{}, false
}

// advance leaves phases in which nothing is left to do.
func (r *Reporter) advance() {
	if r.over && r.phase != running {
		r.phase = finished
	}
	empty := r.logOver || r.queue.waiting() == 0 && r.queue.want >= r.queue.base && !r.queue.probe
	if r.phase == draining && empty {
		r.phase = sealing
		if !r.logOver {
			// Some servers ignore no_more in a request without rows.
			r.queue.add(r.end, "", time.Now)
			empty = false
		}
	}
	if r.phase == sealing && empty {
		r.phase = summarizing
	}
	if r.phase == summarizing && r.summaries.empty() {
		r.phase = outputting
	}
	if r.phase == outputting && r.outputs.empty() {
		r.phase = concluding
	}
}

// measure brings the gauges of what waits up to date.
func (r *Reporter) measure() {
	var disk int64
	if r.o.Journal != nil {
		disk = r.o.Journal.Size()
	}
	r.measureBytes(r.queue.cost, disk)
	if n := int(r.queue.waiting()); n != r.gauge {
		r.o.Instruments.BufferRows(n - r.gauge)
		r.gauge = n
	}
}

func (r *Reporter) measureBytes(memory int, disk int64) {
	if n := memory - r.gaugeBytes; n != 0 {
		r.o.Instruments.BufferBytes(n)
	}
	if n := disk - r.gaugeDisk; n != 0 {
		r.o.Instruments.JournalBytes(n)
	}
	r.gaugeBytes, r.gaugeDisk = memory, disk
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
