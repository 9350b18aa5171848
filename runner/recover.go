package runner

import (
	"sync"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// sweepPatience is how long the failure of a task whose process died waits for the
// removal of what it left on the container engine, so that its log can say that.
const sweepPatience = 20 * time.Second

// usedContainers marks in the journal that this runner has used the container
// engine: what it left there is looked for even if no label says so.
const usedContainers = "containers"

// recovery reports the tasks that a process before this one has left unfinished.
type recovery struct {
	handler *handler
	logs    []*journal.Log

	// swept is closed when nothing of those tasks is left on this machine.
	swept <-chan struct{}

	running sync.WaitGroup
}

// newRecovery finds what is to be recovered. swept is asked for only if there is
// something: it begins the removal of what is left and returns the channel that is
// closed after it.
func newRecovery(h *handler, j *journal.Journal, swept func() <-chan struct{}) *recovery {
	r := &recovery{handler: h}
	if j == nil {
		return r
	}
	if began, was := j.WasFetching(); was {
		h.log.Warn("this runner was killed while it asked for work; if the server had just given it a job, nobody here knows which: it fails there ten minutes after it was given away", "at", began.Format(time.RFC3339))
	}
	logs, err := j.Unfinished()
	if err != nil {
		h.log.Error("tasks that were left unfinished cannot be recovered; the server will find them dead after its own time", "error", err)
	}
	r.logs = logs
	if len(logs) > 0 {
		r.swept = swept()
	}
	return r
}

// start begins to report them; wait waits for the end of that.
func (r *recovery) start() {
	for _, l := range r.logs {
		r.running.Go(func() { r.task(l) })
	}
}

func (r *recovery) wait() { r.running.Wait() }

// task brings one task to its end.
func (r *recovery) task(l *journal.Log) {
	h, s := r.handler, l.State()
	log := h.log.With("task", s.Task, "repository", s.Repository, "workflow", s.Workflow, "job", s.Job, "run", s.Run)
	ran := s.Result == task.Unspecified
	log.Warn("a task of a process before this one is unfinished", "job_ended", !ran, "rows_to_send", s.Next-s.Acked)

	rep := report.Resume(h.stop.jobs, h.resumeOptions(l))
	result := s.Result
	if ran {
		h.in.JobStarted()
		result = r.explain(rep)
	}
	ctx, cancel := h.stop.reporting()
	defer cancel()
	err := rep.Finish(ctx, result)
	endJournal(l, rep, err, log)
	if ran {
		h.in.JobFinished(h.stop.jobs, result, time.Since(s.Started))
	}
	if err != nil {
		log.Error("the end of a task of a process before this one could not be reported", "result", result, "error", gitea.Explain(err))
		if !rep.GivenUp() {
			h.failed(err)
		}
		return
	}
	log.Info("a task of a process before this one is reported", "result", result)
}

// explain adds to the log of a task that was cut off what became of it, and
// returns its result.
func (r *recovery) explain(rep *report.Reporter) task.Result {
	now := time.Now()
	rep.Note(now, job.RowError+"The runner died in the middle of this job: its process was killed, or its machine failed. Run the job again.")
	timer := time.NewTimer(sweepPatience)
	defer timer.Stop()
	select {
	case <-r.swept:
		rep.Note(time.Now(), "What the job had left on the runner's machine is removed.")
	case <-timer.C:
		rep.Note(time.Now(), job.RowWarning+"The container engine does not answer: what the job had left there is removed when it is back.")
	case <-r.handler.stop.jobs.Done():
	}
	if rep.StopReason() == task.Cancelled {
		return task.Cancelled
	}
	return task.Failure
}

// resumeOptions are those of the report of a task whose process died.
func (h *handler) resumeOptions(l *journal.Log) report.Options {
	r := &h.cfg().Runner
	return report.Options{
		Client: h.client, Journal: l,
		MaxLatency: r.LogReportMaxLatency, Interval: r.LogReportInterval,
		BatchSize: r.LogReportBatchSize, StateInterval: r.StateReportInterval,
		Instruments: h.in, Log: h.log,
	}
}
