package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
)

// ErrWorkflow is wrapped by the errors of Exec that are in the workflow file or
// in what it was given: nothing has run.
var ErrWorkflow = errors.New("workflow")

// ExecOptions configure Exec. Config, Log, File and Out are required.
type ExecOptions struct {
	Config  *config.Config
	Version string
	Environ []string // of the process, in the form of os.Environ
	Log     slog.Handler

	// File is the workflow; Dir is a folder: the jobs work on the repository
	// that it belongs to.
	File, Dir string
	// Exact makes the jobs work on Dir itself, also where it is a part of a
	// repository.
	Exact bool
	// Job runs only this job, and those that it needs; "" runs all.
	Job string
	// Labels are put before those of the configuration.
	Labels label.List
	// Parallel is how many jobs run at the same time; less than 1 is 1. With
	// more than one, each line of the log begins with its job's name.
	Parallel int

	// EventName and Event are the github context's; "" and nil are made up.
	EventName string
	Event     map[string]any

	Secrets, Vars, Inputs, Env map[string]string

	// Checkout leaves the workspaces empty and runs the workflow's
	// actions/checkout steps. Otherwise a job's workspace begins as a copy of
	// the repository's folder, and those steps are passed over.
	Checkout bool

	// Out takes the log, in colours if Color is set, with what the engine says
	// of each step (its script, shell and environment) if Verbose is set.
	Out     io.Writer
	Color   bool
	Verbose bool

	// Width is that of the terminal, in characters; 0 is none.
	Width int

	// Trace ends the output with what took how long; TraceOut is a file that
	// takes the same as OTLP in its JSON form, "" is none.
	Trace    bool
	TraceOut string

	// Stops cancels the run; a second one kills what runs.
	Stops <-chan struct{}

	seams execSeams
}

// execSeams are what tests put in the place of something.
type execSeams struct {
	name    string                                  // of the runner
	engine  engine                                  // what runs the jobs
	context map[string]any                          // over the github context
	watch   func(id, name string) watch             // told what the terminal is told
	wasm    func(*wasm.Options)                     // changes the WASM sandbox
	onWasm  func(sandbox.Provider) sandbox.Provider // stands before it
}

// watch is told what happens in one job: its log, and then its result.
type watch interface {
	job.Sink
	Ended(result task.Result)
}

// Exec runs a workflow file with no server: its jobs in the order of their
// needs, each combination of a matrix for itself, and the workflows of the
// repository that they call. The result is the worst of theirs. An error says
// why nothing could be run; one that wraps ErrWorkflow is the file's or the
// options' fault.
func Exec(ctx context.Context, o ExecOptions) (task.Result, error) {
	plan, err := newExecPlan(o)
	if err != nil {
		return task.Failure, err
	}
	if plan.repo.odd != "" {
		slog.New(o.Log).Warn(plan.repo.odd)
	}
	labels, err := execLabels(o)
	if err != nil {
		return task.Failure, err
	}
	stop := newShutdown(ctx, o.Stops, nil, 0, slog.New(slog.DiscardHandler))
	defer stop.end()
	tracing, err := newExecTrace(stop.jobs, &o)
	if err != nil {
		return task.Failure, err
	}
	engine := o.seams.engine
	if engine == nil {
		name := newExecName(o.Config, slog.New(o.Log))
		defer name.end()
		docker := newContainers(o.Config, name.name, labels, slog.New(o.Log))
		docker.keeps, docker.past = false, name.past() // a run is short
		defer docker.close()
		turns := wasm.NewTurns(o.Config.Sandbox.Compiles)
		wasms := newWasms(o.Config, nil, turns, o.seams.wasm, slog.New(o.Log))
		defer wasms.close()
		modules := newModuleRunner(o.Config, o.Env, turns, o.seams.wasm, slog.New(o.Log))
		defer modules.close()
		caches := newCaches(o.Config, slog.New(o.Log))
		defer caches.close()
		var inWasm sandbox.Provider = wasms
		if o.seams.onWasm != nil {
			inWasm = o.seams.onWasm(wasms)
		}
		if engine, err = execEngine(stop.fetching, o, plan.repo, labels, tidying{docker, docker, name}, inWasm, modules, caches); err != nil {
			return task.Failure, err
		}
	}
	x := &execution{
		ExecOptions: o, plan: plan, engine: engine, stop: stop, labels: labels,
		screen: newScreen(o.Out, o.Color, o.Verbose, o.Width), ended: make(chan legEnd), trace: tracing,
	}
	result := x.run()
	return result, tracing.end(&o, x.screen, result)
}

// execEngine is the engine of Serve, with workspaces that begin as a copy.
func execEngine(ctx context.Context, o ExecOptions, repo *repository, labels label.List, docker tidying, wasms sandbox.Provider, modules sandbox.ModuleRunner, caches *caches) (engine, error) {
	httpClient, err := gitea.NewHTTPClient(gitea.HTTPOptions{Insecure: o.Config.Runner.Insecure, CAFile: o.Config.Runner.CAFile})
	if err != nil {
		return nil, err
	}
	options := engineOptions{
		cfg: o.Config, env: o.Env, labels: labels, name: cmp.Or(o.seams.name, "exec"), version: o.Version, environ: o.Environ,
		owner: map[string]string{"runner": "exec"}, transport: httpClient.Transport, docker: docker, beside: docker, wasm: wasms, modules: modules, caches: caches, log: slog.New(o.Log),
	}
	if !o.Checkout {
		without := []string{actionsDir(o.Config)}
		options.onHost = func(p sandbox.Provider) sandbox.Provider { return newFilling(p, repo, without) }
		options.instead = checkouts{repo, putInto(newFilling(nil, repo, without), sending{nil, newFilling(nil, repo, without)})}
		options.docker = sending{docker, newFilling(nil, repo, without)}
		options.wasm = sending{wasms, newFilling(nil, repo, without)}
	}
	return newEngine(ctx, options)
}

// execLabels are the given ones, then those of the configuration, then the
// defaults. A name that is there already is left out.
func execLabels(o ExecOptions) (label.List, error) {
	labels := o.Labels
	for _, text := range append(o.Config.Runner.Labels, DefaultLabels()...) {
		l, err := label.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("runner.labels: %w", err)
		}
		if _, ok := labels.Find(l.Name); !ok {
			labels = append(labels, l)
		}
	}
	return labels, nil
}

// workflowError wraps what is the file's fault.
func workflowError(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &explained{fmt.Sprintf("read the workflow: %v", err), errors.Join(ErrWorkflow, err)}
	}
	return &explained{err.Error(), errors.Join(ErrWorkflow, err)}
}
