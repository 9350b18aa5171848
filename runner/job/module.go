package job

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"otelrunner/runner/action"
	"otelrunner/runner/action/wasmmodule"
	"otelrunner/runner/workflow"
	"otelrunner/sandbox"
)

// Modules finds the modules that `uses: wasm://…` and `wasm+https://…` name;
// *wasmmodule.Fetcher is one. It is safe for concurrent use.
type Modules interface {
	Fetch(ctx context.Context, ref wasmmodule.Reference) (*wasmmodule.Module, error)
}

// moduleFetches are a job's modules by their references. It is safe for concurrent
// use.
type moduleFetches struct {
	mu   sync.Mutex
	byID map[string]*fetchedModule
}

// of returns the one of a reference, the same each time until it is forgotten.
func (f *moduleFetches) of(id string) *fetchedModule {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID == nil {
		f.byID = map[string]*fetchedModule{}
	}
	if f.byID[id] == nil {
		f.byID[id] = &fetchedModule{}
	}
	return f.byID[id]
}

func (f *moduleFetches) forget(id string, m *fetchedModule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byID[id] == m {
		delete(f.byID, id)
	}
}

// fetchedModule is a module of a job, fetched once whatever asks for it.
type fetchedModule struct {
	once   sync.Once
	module *wasmmodule.Module
	err    error
}

// moduleProgram plans one program of an action that is a WebAssembly module: its
// main, pre or post.
func (j *jobRun) moduleProgram(r *stepRun, a *loaded, u *use, s stage) (program, error) {
	env, args, err := j.envAndArgs(r, a, u)
	if err != nil {
		return program{}, err
	}
	p := program{
		env:    j.environment(merge(env, r.env), r.action, u.ownVariables()),
		path:   j.state.path,
		module: true,
	}
	file := j.inAction(a, programOf(&a.meta.Runs, s))
	if a.module != nil {
		// What was verified is written right before it runs: no step before
		// this one can have put something else there.
		data, err := a.module.module.Read()
		if err != nil {
			return program{}, fmt.Errorf("%s: %w", a.ref, err)
		}
		file = j.join(j.info.Temp, "_modules", a.module.module.Hex()+".wasm")
		p.files = []sandbox.File{{Path: file, Data: data}}
		p.remove = []string{file}
	}
	p.args = append([]string{file}, args...)
	return p, nil
}

// loadModule is load for a step that names a module itself.
func (j *jobRun) loadModule(ctx context.Context, ref action.Reference) (*loaded, error) {
	m, err := wasmmodule.Parse(ref.Target)
	if err != nil {
		return nil, err
	}
	a := &loaded{ref: ref, root: j.info.Workspace, dir: j.info.Workspace, meta: &action.Metadata{
		File: ref.String(),
		Runs: action.Runs{Using: action.WASMModule, Main: m.Path, Env: workflow.Vars{}},
	}}
	if m.Path != "" {
		return a, nil
	}
	if !j.canRun(action.WASMModule) {
		return a, nil // load says so
	}
	if a.module, err = j.fetchModule(ctx, m); err != nil {
		return nil, err
	}
	a.meta.Runs.Main = path.Base(m.String())
	return a, nil
}

// fetchModule fetches a module once for the job. What failed because its context
// ended is forgotten, so that cleanup steps can ask again.
func (j *jobRun) fetchModule(ctx context.Context, ref wasmmodule.Reference) (*fetchedModule, error) {
	if j.opts.Modules == nil {
		return nil, fmt.Errorf("the module %s lies elsewhere, and this runner fetches none", ref)
	}
	m := j.modules.of(ref.String())
	m.once.Do(func() {
		if m.module, m.err = j.opts.Modules.Fetch(ctx, ref); m.err == nil {
			j.rows.printf("%s", m.module)
		}
	})
	if m.err != nil && ctx.Err() != nil {
		j.modules.forget(ref.String(), m)
	}
	return m, m.err
}

// prepareModules fetches the modules that steps name, at once.
func (j *jobRun) prepareModules(ctx context.Context, uses []string) error {
	if !j.canRun(action.WASMModule) {
		return nil // the steps say so, if they run
	}
	errs := make([]error, len(uses))
	var wg sync.WaitGroup
	for i, text := range uses {
		ref, err := j.parseUses(text)
		if err != nil || ref.Kind != action.WASM {
			continue // what does not parse is told where it is used
		}
		m, err := wasmmodule.Parse(ref.Target)
		if err != nil || m.Path != "" {
			errs[i] = err
			continue
		}
		wg.Go(func() { _, errs[i] = j.fetchModule(ctx, m) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
