package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/poll"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"

	"github.com/docker/go-units"
)

// openJournal opens the runner's journal, or returns nil where it is off.
func openJournal(cfg *config.Config, log *slog.Logger) (*journal.Journal, error) {
	if !cfg.Journal.Enabled {
		log.Warn("journal.enabled is false: if this process is killed, or the server is away for long, logs and results of jobs are lost")
		return nil, nil
	}
	dir := journalDir(cfg)
	size, err := units.RAMInBytes(cfg.Journal.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("journal.max_size: %w", err)
	}
	j, err := journal.Open(journal.Options{Dir: dir, MaxSize: size, Keep: journalKeep(cfg), Log: log})
	switch {
	case errors.Is(err, journal.ErrInUse):
		return nil, fmt.Errorf("%w: stop it first, or give this runner a folder of its own (journal.dir)", err)
	case err != nil:
		return nil, fmt.Errorf("journal: %w: set journal.dir to a folder that this user can write to and that outlives the process, or do without (journal.enabled: false)", err)
	}
	return j, nil
}

// journalKeep is how long what could not be delivered is kept; less than 0: not at
// all.
func journalKeep(cfg *config.Config) time.Duration {
	if cfg.Journal.Keep == 0 {
		return -1
	}
	return cfg.Journal.Keep
}

func journalDir(cfg *config.Config) string {
	if cfg.Journal.Dir != "" {
		return cfg.Journal.Dir
	}
	return filepath.Clean(cfg.Runner.File) + ".journal"
}

// journaled fetches tasks and begins the journal of each before anybody else sees
// it. Without a Journal it only fetches.
type journaled struct {
	poll.Fetcher
	journal *journal.Journal
	log     *slog.Logger

	mu    sync.Mutex
	begun map[int64]begun
}

// begun is the journal of a task, or why it has none.
type begun struct {
	log *journal.Log
	err error
}

// steps is how many steps the task has. To count them costs a reading of the whole
// workflow, which the journal has seen to already.
func (b begun) steps(t *task.Task) int {
	if b.log == nil {
		return workflow.CountSteps(t.Workflow)
	}
	return b.log.State().Steps
}

// FetchTask notes that it fetches: the server gives a task away before it answers,
// and if this process dies, or the answer is lost, nobody here knows of it.
func (f *journaled) FetchTask(ctx context.Context, version int64) (*task.Task, int64, error) {
	if f.journal != nil {
		if err := f.journal.Fetching(true); err != nil {
			f.log.Debug("journal", "error", err) // a task that comes now finds the journal broken, too
		}
		defer func() { _ = f.journal.Fetching(false) }()
	}
	t, v, err := f.Fetcher.FetchTask(ctx, version)
	if err != nil && gitea.IsReplyLost(err) {
		f.log.Warn("the answer to a fetch was lost: if the server has given this runner a task with it, it fails there after ten minutes of silence; newer servers give it to the next one who asks")
	}
	if t != nil && f.journal != nil {
		l, err := f.journal.Begin(journal.Meta{
			Task: t.ID, Started: time.Now(), Steps: workflow.CountSteps(t.Workflow),
			Repository: t.String("repository"), Workflow: t.String("workflow"), Job: t.String("job"), Run: t.String("run_id"),
		})
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.begun == nil {
			f.begun = map[int64]begun{}
		}
		f.begun[t.ID] = begun{l, err}
	}
	return t, v, err
}

// take returns the journal of a task that was fetched, once.
func (f *journaled) take(id int64) begun {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.begun[id]
	delete(f.begun, id)
	return b
}

// endJournal ends the journal of a task after its report has ended with err: it is
// removed when the server has everything, kept as text when the server will take
// no more, and left for the next start otherwise.
func endJournal(l *journal.Log, rep *report.Reporter, err error, log *slog.Logger) {
	if l == nil {
		return
	}
	var e error
	switch {
	case rep.GivenUp() || err == nil && rep.Undelivered() > 0:
		var file string
		file, e = l.Keep("The server takes no more of this task: it was silent for too long, reached the server's time limit, or was deleted.")
		if file != "" {
			log.Warn("rows that the server does not take any more are kept", "rows", rep.Undelivered(), "file", file)
		}
	case err == nil:
		e = l.Done()
	default:
		e = l.Close()
		log.Warn("what the server does not have yet is in the journal; the next start of this runner sends it")
	}
	if e != nil {
		log.Warn("journal", "error", e)
	}
}

// refuse says in the log of a task that it is not run, since it has no journal.
func (h *handler) refuse(rep *report.Reporter, err error, log *slog.Logger) {
	rep.Note(time.Now(), diskRow(err, "the job is not run"))
	h.brokenJournal(err, log)
}

// stopFor says in the log of a task why it is stopped: its journal has failed.
func (h *handler) stopFor(rep *report.Reporter, err error, log *slog.Logger) {
	rep.Note(time.Now(), diskRow(err, "the job is stopped"))
	h.brokenJournal(err, log)
}

// diskRow says in a job's log what is wrong with the runner's disk, what that does to
// the job, and what its administrator can do.
func diskRow(err error, so string) string {
	if journal.IsFull(err) {
		return job.RowError + "The runner's disk is full, and this job's log could be lost: " + so + ". Its administrator has to free space, or to set journal.dir to another disk (" + err.Error() + ")."
	}
	return job.RowError + "The runner's disk fails, and this job's log could be lost: " + so + ". Its administrator has to look at the disk, or to set journal.dir to another one (" + err.Error() + ")."
}

func (h *handler) brokenJournal(err error, log *slog.Logger) {
	log.Error("the journal cannot be written to; no task is taken until it can", "error", err)
	if h.broken != nil {
		h.broken(err)
	}
}
