package host

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"otelrunner/sandbox"
)

// job is the sandbox of one job.
type job struct {
	provider  *Provider
	id        string
	folder    string // everything that the job may leave behind
	workspace string
	temp      string
	lock      *lock
	env       environment
	tree      jobTree
	info      sandbox.Info

	// retired says that Retire was called, and resisted is its error.
	retired  bool
	resisted error

	// user does the work on files as the user that commands run as; nil where
	// that is this process's.
	user func(work func())

	// lingering are the pipes that background processes hold open, and those
	// whose Writer was stuck when its command was killed. It belongs to the
	// goroutine that calls Run, and Close, as do the spares.
	lingering []*pump
	spares    spares

	buffers buffers

	mu     sync.Mutex
	staged map[string]*stagedTree
}

var _ sandbox.Retirer = (*job)(nil)

func (j *job) Info() sandbox.Info { return j.info }

// as does work as the commands' user. It must not be called in itself.
func (j *job) as(work func()) {
	if j.user == nil {
		work()
		return
	}
	j.user(work)
}

// path makes a path of the interface absolute.
func (j *job) path(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(j.workspace, name)
}

// Retire kills what still runs. The folder, whose removal takes seconds where a
// build has left much in it, stays for Close.
func (j *job) Retire(ctx context.Context) error {
	if !j.retired {
		j.retired = true
		j.resisted = j.endProcesses(ctx)
	}
	return j.resisted
}

// Close kills what still runs, removes the job's folder and gives its name
// free. What resists is named in the error, and left for the sweep of the next
// start.
func (j *job) Close(ctx context.Context) error {
	if err := errors.Join(j.Retire(ctx), j.removeFolder(ctx)); err != nil {
		j.lock.abandon()
		return err
	}
	return j.release()
}

// endProcesses kills what still runs, and lets go of its pipes.
func (j *job) endProcesses(ctx context.Context) error {
	err := j.tree.destroy(ctx)
	for _, p := range j.lingering {
		p.end()
	}
	return err
}

func (j *job) release() error { return j.lock.release() }
