package report

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/gitea"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// sendRows sends one request of rows and settles what the answer means. It runs
// beside the sender, which waits for it with all but heartbeats.
func (r *Reporter) sendRows() {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logBusy = false
		r.notify()
	}()
	r.readBack()
	r.mu.Lock()
	index, rows := r.queue.take(r.chunk)
	if len(rows) == 0 && !r.queue.probe {
		r.mu.Unlock() // they were given up meanwhile
		return
	}
	req := &runnerv1.UpdateLogRequest{
		TaskId: r.o.TaskID,
		Index:  index,
		Rows:   rows,
		NoMore: r.phase == sealing && !r.queue.probe && index+int64(len(rows)) == r.queue.next(),
	}
	r.lastLog = time.Now()
	r.mu.Unlock()
	if j := r.o.Journal; j != nil {
		// A row that the server has and the journal does not would be one that
		// the next process does not know of. One that fails says so by Failed.
		_ = j.Flush()
	}

	start := time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, requestTimeout)
	res, err := r.o.Client.UpdateLog(ctx, req)
	cancel()
	if err != nil && r.ctx.Err() != nil {
		return // given up by the caller; that is no failure of the server
	}
	r.o.Instruments.ReportLog(r.ctx, err == nil, time.Since(start))
	if err != nil {
		r.o.Instruments.ClientError(r.ctx, otel.MethodUpdateLog)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.logFailed(err, len(rows))
	} else {
		r.logTaken(res.GetAckIndex())
	}
	r.measure()
	r.room.Broadcast()
}

// logTaken settles an acknowledgement; r.mu is held.
func (r *Reporter) logTaken(ack int64) {
	q := &r.queue
	switch {
	case ack < q.base && q.want >= q.base:
		r.o.Log.Warn("the server lost rows that it had acknowledged; empty rows take their place",
			"acknowledged", q.base, "wanted", ack)
	case ack > q.sent && ack > q.base:
		r.o.Log.Warn("the server has rows that this run did not send; rows go on after them",
			"sent", q.sent, "wanted", ack)
	}
	probed := q.probe
	q.probe = false
	if q.acked(ack) || probed {
		r.logRetry.succeeded()
		if j := r.o.Journal; j != nil {
			j.Ack(max(q.base-q.shift, 0), q.shift)
		}
		return
	}
	// The answer was good and nothing was taken: asking again at once would
	// go on for ever.
	r.logRetry.failed(time.Now(), nil)
}

// logFailed settles a failed UpdateLog of n rows; r.mu is held.
func (r *Reporter) logFailed(err error, n int) {
	q := &r.queue
	q.flight = 0
	now := time.Now()
	switch faultOf(err) {
	case temporary:
		r.logRetry.refused = 0
	case tooLarge:
		r.halve(n)
		return
	case sealed:
		// Rows that the server had are acknowledged after the seal: what is
		// left here is new to it. If this is only the seal's own row, the seal
		// has been taken and its answer was lost.
		if r.phase < sealing {
			r.logEnded("the server has sealed the log", err)
		}
		r.logOver = true
		q.discard()
		return
	case gone:
		r.giveUp(err)
		return
	case refused:
		if r.logRetry.refused++; r.logRetry.refused >= refusals {
			r.logEnded("the server refuses the log", err)
			return
		}
	}
	r.logRetry.failed(now, err)
	if r.logRetry.failures == 1 {
		r.o.Log.Warn("rows could not be sent; trying again", "error", err)
	}
}

// halve makes the next requests smaller after one of n rows was refused for its
// size. A single row that is still too large is replaced by a sentence.
func (r *Reporter) halve(n int) {
	if n > 1 {
		r.chunk = max(min(r.chunk, r.queue.flightBytes(n))/2, 1)
		r.o.Log.Warn("a request of log rows was too large for the server or a proxy before it; sending less at a time",
			"bytes", r.chunk)
		return
	}
	if len(r.queue.rows) == 0 {
		r.logRetry.failed(time.Now(), nil)
		return
	}
	size := len(r.queue.rows[0].GetContent())
	r.o.Log.Warn("a row was too large for the server or a proxy before it and is not in the log", "bytes", size)
	note := fmt.Sprintf("[row of %d bytes: too large for the server]", size)
	if size <= len(note) {
		// Not even a sentence passes: this is no matter of size.
		r.logRetry.failed(time.Now(), nil)
		note = ""
	}
	r.queue.shrink(note)
}

// logEnded gives up the log, and only that; r.mu is held.
func (r *Reporter) logEnded(why string, err error) {
	r.logOver = true
	n := r.queue.discard()
	level := slog.LevelError
	if r.reason == task.Failure { // the server has ended the task, which has been said
		level = slog.LevelInfo
	}
	r.o.Log.Log(r.ctx, level, why+": rows are lost", "rows", n, "error", err)
	r.room.Broadcast()
}

// giveUp ends the report for good: the server does not know the task any more;
// r.mu is held.
func (r *Reporter) giveUp(err error) {
	r.logOver = true
	n := r.queue.discard()
	r.room.Broadcast()
	if r.finalTried && gitea.IsUnauthenticated(err) {
		// An ephemeral runner is deleted by its final state; the answer to
		// that was lost.
		r.phase = finished
		return
	}
	r.o.Log.Error("the server does not know this task any more; what is left cannot be reported",
		"rows", n, "error", err)
	r.stop(task.Failure)
	r.over, r.err, r.gaveUp = true, err, r.phase
}

// sendState sends the state: a heartbeat, a change, outputs or the end. It runs
// beside the sender, as sendRows does, one at a time.
func (r *Reporter) sendState() {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.stateBusy = false
		r.notify()
	}()
	r.mu.Lock()
	final := r.phase == concluding && r.durable
	change, whole := r.change, r.queue.base >= r.flushTo || r.logOver
	req := &runnerv1.UpdateTaskRequest{State: r.state(final)}
	if r.phase == outputting {
		req.Outputs = r.outputs.take()
	}
	r.lastState = time.Now()
	r.finalTried = r.finalTried || final
	r.mu.Unlock()

	start := time.Now()
	ctx, cancel := context.WithTimeout(r.ctx, requestTimeout)
	res, err := r.o.Client.UpdateTask(ctx, req)
	cancel()
	if err != nil && r.ctx.Err() != nil {
		return
	}
	r.o.Instruments.ReportState(r.ctx, err == nil, time.Since(start))
	if err != nil {
		r.o.Instruments.ClientError(r.ctx, otel.MethodUpdateTask)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.stateFailed(err, req.GetOutputs())
		return
	}
	r.stateRetry.succeeded()
	if whole {
		r.told = change
		r.changed = time.Now()
	}
	answer := res.GetState().GetResult()
	if final {
		r.phase = finished
		if answer != req.GetState().GetResult() {
			r.judge(answer) // the server had ended the task before
		}
		return
	}
	r.judge(answer)
	if r.phase == outputting {
		for _, key := range r.outputs.taken(res.GetSentOutputs()) {
			r.o.Log.Warn("the server does not take an output; it is skipped", "output", r.masker.Mask(key))
		}
	}
}

// state is the task's state as the server may hear it now; r.mu is held.
func (r *Reporter) state(final bool) *runnerv1.TaskState {
	s := &runnerv1.TaskState{
		Id:        r.o.TaskID,
		StartedAt: timestamp(r.o.Started),
		Steps:     r.steps.states(r.queue.base),
	}
	if final {
		s.Result = gitea.ResultToWire(r.result)
		s.StoppedAt = timestamp(r.end)
	}
	return s
}

// judge ends the task if the server says so; r.mu is held.
func (r *Reporter) judge(result runnerv1.Result) {
	switch res := gitea.ResultFromWire(result); res {
	case task.Unspecified:
	case task.Cancelled:
		if r.stop(res) {
			r.o.Log.Info("the server cancelled the task")
		}
	default:
		if r.stop(task.Failure) {
			r.o.Log.Warn("the server has ended the task: its time limit, or a sweep because it did not hear of the task for too long",
				"result", res.String())
		}
	}
}

// stateFailed settles a failed UpdateTask; r.mu is held.
func (r *Reporter) stateFailed(err error, outputs map[string]string) {
	kind := faultOf(err)
	switch {
	case kind == gone:
		r.giveUp(err)
		return
	case (kind == tooLarge || kind == refused) && len(outputs) > 0:
		if key, skipped := r.outputs.halve(); skipped {
			r.o.Log.Warn("the server refuses an output; it is skipped", "output", r.masker.Mask(key), "error", err)
		}
		return
	case kind == refused || kind == tooLarge:
		if r.stateRetry.refused++; r.stateRetry.refused >= refusals {
			r.giveUp(err)
			return
		}
	default:
		r.stateRetry.refused = 0
	}
	r.stateRetry.failed(time.Now(), err)
	if r.stateRetry.failures == 1 {
		r.o.Log.Warn("the task's state could not be sent; trying again", "error", err)
	}
}
