package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"otelrunner/sandbox"
)

const (
	// killTime bounds what Run waits for after it has killed a tree: the
	// contract leaves 1 s for all of it.
	killTime = 700 * time.Millisecond

	// busyRetries and busyDelay are for a program that another process still
	// has open for writing: a child that was forked while this runner wrote
	// the file, and has not reached its exec.
	busyRetries = 20
	busyDelay   = 5 * time.Millisecond
)

// Run runs one command to its end.
func (j *job) Run(ctx context.Context, c *sandbox.Command) (res sandbox.Result, err error) {
	res.ExitCode = -1
	defer func() {
		// The files are the step's results however it ended.
		collected, cerr := j.collect(c)
		res.Collected = collected
		if err == nil {
			err = cerr
		}
		if rerr := j.removeFiles(c); err == nil {
			err = rerr
		}
	}()
	if ctx.Err() != nil {
		return res, context.Cause(ctx)
	}
	if len(c.Args) == 0 {
		return res, errors.New("run a command: it has no program")
	}
	if err := j.writeOwnFiles(ctx, c); err != nil {
		return res, err
	}
	return j.run(ctx, c)
}

func (j *job) run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error) {
	res := sandbox.Result{ExitCode: -1}
	var cmd *exec.Cmd
	var err error
	j.as(func() { cmd, err = j.command(c) })
	if err != nil {
		return res, err
	}
	streams, err := openStreams(cmd, c, &j.buffers)
	if err != nil {
		return res, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	path := cmd.Path
	cmd, tree, err := j.start(cmd)
	streams.started()
	if err != nil {
		streams.abandon()
		return res, startError(c.Args[0], path, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()

	var cancelled bool
	var waitErr error
	select {
	case waitErr = <-exited:
		j.lingering = append(j.lingering, streams.settle()...)
		tree.release()
	case <-ctx.Done():
		cancelled = true
		waitErr = j.stop(tree, exited, c.Grace)
		j.lingering = append(j.lingering, streams.cut(killTime/2)...)
	}
	res.ExitCode = exitCode(cmd.ProcessState)
	res.Usage = usage(cmd.ProcessState)
	if cancelled {
		return res, context.Cause(ctx)
	}
	if _, ok := errors.AsType[*exec.ExitError](waitErr); waitErr != nil && !ok {
		return res, fmt.Errorf("wait for %s: %w", c.Args[0], waitErr)
	}
	return res, nil
}

// stop ends a tree, with grace, and returns how its first process ended.
func (j *job) stop(tree commandTree, exited <-chan error, grace time.Duration) error {
	if grace > 0 && tree.terminate() {
		deadline := time.Now().Add(grace)
		for wait := time.Millisecond; tree.alive() && time.Now().Before(deadline); wait = min(2*wait, 50*time.Millisecond) {
			time.Sleep(min(wait, time.Until(deadline)))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	// What resists here (a process of another user) is named by Close.
	_ = tree.kill(ctx)
	select {
	case err := <-exited:
		return err
	case <-ctx.Done():
		return errors.New("its first process cannot be killed")
	}
}

// command prepares the process.
func (j *job) command(c *sandbox.Command) (*exec.Cmd, error) {
	dir := j.workspace
	if c.Dir != "" {
		dir = j.path(c.Dir)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, &sandbox.DirError{Dir: dir}
	}
	env := j.env.clone()
	env.setAll(c.Env)
	env.prependPath(c.Path)
	env.set("PWD", dir)
	program, err := j.lookPath(c.Args[0], dir, env)
	if err != nil {
		return nil, err
	}
	env.set(trackingVariable, j.tree.tracking())
	return &exec.Cmd{Path: program, Args: c.Args, Dir: dir, Env: env.list()}, nil
}

// start starts the process in a tree of its own.
func (j *job) start(plan *exec.Cmd) (*exec.Cmd, commandTree, error) {
	fresh := func() *exec.Cmd {
		return &exec.Cmd{Path: plan.Path, Args: plan.Args, Dir: plan.Dir, Env: plan.Env,
			Stdin: plan.Stdin, Stdout: plan.Stdout, Stderr: plan.Stderr}
	}
	for try := 0; ; try++ {
		cmd, tree, err := j.tree.start(fresh)
		if err == nil || try == busyRetries || !isBusy(err) {
			return cmd, tree, err
		}
		time.Sleep(busyDelay)
	}
}

// startError puts what the system said of a program that would not start into
// the words of the person who wrote the workflow.
func startError(name, path string, err error) error {
	var hint string
	switch {
	case isTooLong(err):
		return fmt.Errorf("start %s: its arguments and environment are longer than this system allows: pass large values in files", name)
	case errors.Is(err, fs.ErrNotExist):
		hint = path + " is there, but the interpreter that its first line names is not"
	case errors.Is(err, fs.ErrPermission):
		hint = "this user may not execute " + path
	case isNoProgram(err):
		hint = noProgram(path)
	default:
		return fmt.Errorf("start %s: %w", name, err)
	}
	return &sandbox.NotFoundError{Name: name, Hint: hint}
}

// exitCode is the exit status, 128 + n after signal n.
func exitCode(state *os.ProcessState) int {
	if state == nil {
		return -1
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
