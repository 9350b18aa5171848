package runner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// sweepPatience is how long the failure of a task whose process died waits for the
// removal of what it left on this machine, so that its log can say that.
const sweepPatience = 20 * time.Second

// usedContainers marks in the journal that this runner has used the container
// engine: what it left there is looked for even if no label says so.
const usedContainers = "containers"

// recovery reports the tasks that a process before this one has left unfinished. It
// begins before anything that the start of a runner may have to wait for (the
// container engine, a server that is to take its labels), and goes on beside that.
type recovery struct {
	handler *handler
	logs    []*journal.Log
	left    leftovers

	reports context.Context //nolint:containedctx // of all tasks; what has not got through at its end is for the next start
	giveUp  context.CancelFunc

	// unregistered says that the server does not know this runner any more.
	unregistered atomic.Bool

	running  sync.WaitGroup // tasks
	watching sync.WaitGroup
}

// leftovers is the removal of what dead processes have left on this machine.
type leftovers struct {
	once sync.Once
	done chan struct{} // closed when it has ended
	err  error         // what is left all the same; read after done

	local atomic.Bool // it has ended but for the container engine
}

// row says what is known of it, for the log of a job that was cut off.
func (l *leftovers) row() string {
	select {
	case <-l.done:
		if l.err == nil {
			return "What the job had left on the runner's machine is removed."
		}
		return job.RowWarning + "Not all that jobs had left on the runner's machine could be removed; the runner's log says what."
	default:
	}
	if l.local.Load() {
		return job.RowWarning + "The container engine does not answer: what the job had left there is removed when it is back."
	}
	return job.RowWarning + "What the job had left on the runner's machine is still being removed."
}

func (l *leftovers) removed(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
	})
}

// newRecovery finds what is to be recovered, if there is a journal. Its end has to
// be called.
func newRecovery(h *handler, j *journal.Journal) *recovery {
	r := &recovery{handler: h, left: leftovers{done: make(chan struct{})}}
	r.reports, r.giveUp = context.WithCancel(context.Background())
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
	return r
}

// start begins to report them; wait waits for the end of that.
func (r *recovery) start() {
	for _, l := range r.logs {
		r.running.Go(func() { r.task(l) })
	}
}

func (r *recovery) wait() { r.running.Wait() }

// errNoStart is why nothing was removed.
var errNoStart = errors.New("the runner has ended before it could look for that")

// end waits for what is under way, but for reportGrace only where the server does not
// answer.
func (r *recovery) end() {
	r.left.removed(errNoStart)
	timer := time.AfterFunc(reportGrace, r.giveUp)
	defer timer.Stop()
	r.wait()
	r.giveUp()
	r.watching.Wait()
}

// removing says that what was left here is removed, but for what err says, and that
// engine will get what is left on the container engine.
func (r *recovery) removing(engine <-chan error, err error) {
	r.left.local.Store(true)
	r.watching.Go(func() {
		select {
		case e := <-engine:
			r.left.removed(errors.Join(err, e))
		case <-r.reports.Done():
		}
	})
}

// task brings one task to its end.
func (r *recovery) task(l *journal.Log) {
	h, s := r.handler, l.State()
	log := h.log.With("task", s.Task, "repository", s.Repository, "workflow", s.Workflow, "job", s.Job, "run", s.Run)
	ran := s.Result == task.Unspecified
	log.Warn("a task of a process before this one is unfinished", "job_ended", !ran, "rows_to_send", s.Next-s.Acked)

	under, release := h.terms()
	defer release()
	rep := report.Resume(h.stop.jobs, h.resumeOptions(under.cfg, l))
	result := s.Result
	if ran {
		h.in.JobStarted()
		result = r.explain(rep)
	}
	err := r.finish(rep, result)
	if ran {
		h.in.JobFinished(h.stop.jobs, result, time.Since(s.Started))
	}
	if l.Err() != nil {
		h.brokenJournal(l.Err(), log)
	}
	if err != nil && gitea.IsUnauthenticated(err) {
		// The registration is what is wrong, and not the task.
		r.unregistered.Store(true)
		log.Error("the server does not know this runner: the task stays in the journal", "error", gitea.Explain(err))
		if err := l.Close(); err != nil {
			log.Warn("journal", "error", err)
		}
		return
	}
	endJournal(l, rep, err, log)
	if err != nil {
		log.Error("the end of a task of a process before this one could not be reported", "result", result, "error", gitea.Explain(err))
		if !rep.GivenUp() {
			h.failed(err)
		}
		return
	}
	log.Info("a task of a process before this one is reported", "result", result)
}

func (r *recovery) finish(rep *report.Reporter, result task.Result) error {
	ctx, cancel := r.handler.stop.reporting()
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(r.reports, func() { stop(errStopping) })()
	return rep.Finish(ctx, result)
}

// explain adds to the log of a task that was cut off what became of it, and
// returns its result.
func (r *recovery) explain(rep *report.Reporter) task.Result {
	rep.Note(time.Now(), job.RowError+"The runner died in the middle of this job: its process was killed, or its machine failed. Run the job again.")
	timer := time.NewTimer(sweepPatience)
	defer timer.Stop()
	select {
	case <-r.left.done:
	case <-timer.C:
	case <-r.handler.stop.jobs.Done():
	}
	rep.Note(time.Now(), r.left.row())
	if rep.StopReason() == task.Cancelled {
		return task.Cancelled
	}
	return task.Failure
}

// resumeOptions are those of the report of a task whose process died.
func (h *handler) resumeOptions(cfg *config.Config, l *journal.Log) report.Options {
	r := &cfg.Runner
	return report.Options{
		Client: h.client, Journal: l,
		MaxLatency: r.LogReportMaxLatency, Interval: r.LogReportInterval,
		BatchSize: r.LogReportBatchSize, StateInterval: r.StateReportInterval,
		Instruments: h.in, Log: h.log,
	}
}
