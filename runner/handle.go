package runner

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// engine runs one task; *job.Runner is one.
type engine interface {
	Run(ctx context.Context, cancel <-chan struct{}, t *task.Task, sink job.Sink) task.Result
}

// A handler brings tasks from the poller to their end. It is safe for concurrent
// use.
type handler struct {
	terms  func() (t *terms, release func()) // for a job that begins, until its end
	client report.Client
	in     *otel.Instruments
	log    *slog.Logger
	stop   *shutdown

	http     *http.Client // for summaries
	instance string
	summary  bool // the server takes them

	failed func(error) // takes the error of a report that was not delivered
	broken func(error) // is told that a journal has failed; nil: nobody is
	begun  func(id int64) begun
}

// handle runs and reports one task. A panic in the job is that task's failure.
func (h *handler) handle(t *task.Task) {
	began := time.Now()
	under, release := h.terms()
	defer release()
	masker := report.NewMasker(append(taskSecrets(t), under.secrets...)...)
	watched := under.telemetry.begin(h.stop.jobs, t, masker)
	defer watched.end()
	log := observe.Logger(watched.ctx, h.log.With("task", t.ID, "repository", t.String("repository"), "workflow", t.String("workflow"), "job", t.String("job"), "run", t.String("run_id")))
	log.Info("task taken")
	t = mirrored(under.cfg, t)

	var b begun
	if h.begun != nil {
		b = h.begun(t.ID)
	}
	options := h.reportOptions(under.cfg, t, b.steps(t), began)
	options.Journal, options.Masker, options.Log = b.log, masker, log
	watched.report(&options)
	if c := under.copies.begin(t, began); c != nil {
		options.Copy = c.row
		defer c.close()
	}
	rep := &reported{Reporter: report.New(watched.ctx, options)}
	var undelivered error
	defer func() { endJournal(b.log, rep.Reporter, undelivered, log) }()
	defer rep.remove()
	h.in.JobStarted()
	watched.runs()
	result := task.Failure
	if b.err != nil {
		h.refuse(rep.Reporter, b.err, log)
	} else {
		result = h.run(watched.ctx, under.engine, t, rep, b.log, log)
	}
	h.in.JobFinished(watched.ctx, result, time.Since(began))
	watched.ran(time.Since(began))

	ctx, cancel := h.stop.reporting()
	defer cancel()
	took := time.Since(began).Round(time.Millisecond)
	err := rep.Finish(ctx, result)
	if b.log != nil && b.log.Err() != nil && !rep.stopped {
		h.brokenJournal(b.log.Err(), log) // at the very end, when the job itself was done
	}
	if err != nil {
		undelivered = err
		log.Error("the end of the task could not be reported", "result", result, "took", took, "error", gitea.Explain(err))
		h.failed(err)
		return
	}
	log.Info("task done", "result", result, "took", took)
}

// run runs the job, which the server or a shutdown may cancel.
func (h *handler) run(ctx context.Context, e engine, t *task.Task, rep *reported, journal *journal.Log, log *slog.Logger) (result task.Result) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("run task: panic", "panic", v, "stack", string(debug.Stack()))
			rep.Note(time.Now(), job.RowError+"The runner failed while it ran this job (a panic); its log says more.")
			result = task.Failure
		}
	}()
	cancel := make(chan struct{})
	ended := make(chan struct{})
	watched := make(chan struct{})
	var failed <-chan struct{}
	if journal != nil {
		failed = journal.Failed()
	}
	stopped := func() {
		rep.stopped = true
		h.stopFor(rep.Reporter, journal.Err(), log)
	}
	go func() {
		defer close(watched)
		select {
		case <-h.stop.cancel:
			rep.Note(time.Now(), job.RowWarning+"This runner is being stopped and cancels the job; run it again.")
		case <-rep.Stopped(): // the report has logged why
		case <-failed:
			stopped()
		case <-ended:
			return
		}
		close(cancel)
	}()
	func() {
		defer func() { close(ended); <-watched }()
		result = e.Run(ctx, cancel, t, rep)
	}()
	if journal == nil || journal.Err() == nil {
		return result
	}
	if !rep.stopped { // the job was ending, or was being cancelled
		stopped()
	}
	return task.Failure
}

func (h *handler) reportOptions(cfg *config.Config, t *task.Task, steps int, began time.Time) report.Options {
	r := &cfg.Runner
	o := report.Options{
		Client: h.client, TaskID: t.ID, Steps: steps, Started: began,
		MaxLatency: r.LogReportMaxLatency, Interval: r.LogReportInterval,
		BatchSize: r.LogReportBatchSize, StateInterval: r.StateReportInterval,
		Instruments: h.in, Log: h.log,
	}
	if h.summary {
		s, err := report.NewSummaries(h.http, h.instance+"/api/actions_pipeline/", t.String("run_id"), t.String("gitea_runtime_token"))
		if err != nil {
			h.log.Warn("step summaries are not uploaded", "task", t.ID, "error", err)
			return o
		}
		o.Summaries = s
	}
	return o
}

// mirrored is t with the mirror in place of GitHub.
func mirrored(cfg *config.Config, t *task.Task) *task.Task {
	const key = "gitea_default_actions_url"
	mirror := cfg.Runner.GithubMirror
	if mirror == "" || strings.TrimSuffix(t.String(key), "/") != "https://github.com" {
		return t
	}
	clone := *t
	clone.Context = maps.Clone(t.Context)
	clone.Context[key] = mirror
	return &clone
}

// taskSecrets are the values that a task's log must not show.
func taskSecrets(t *task.Task) []string {
	secrets := []string{t.String("token"), t.String("gitea_runtime_token")}
	for _, value := range t.Secrets {
		secrets = append(secrets, value)
	}
	return secrets
}

// runnerSecrets are the values of the runner itself that no job's log must show:
// passwords of proxies, and what the operator gives to steps as a secret.
func runnerSecrets(cfg *config.Config, environ []string) []string {
	var secrets []string
	for name, value := range cfg.Runner.Envs {
		if config.SecretName(name) {
			secrets = append(secrets, value)
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			continue
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				secrets = append(secrets, password)
			}
		}
	}
	return secrets
}
