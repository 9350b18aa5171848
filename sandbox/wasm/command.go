package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/module"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/worker"
)

// ModuleRun is one run of a module of this machine.
type ModuleRun struct {
	File   string // the module
	Args   []string
	Env    map[string]string
	Mounts []Mount
	// Dir is where it starts, as the module sees it; "" is a folder of its own.
	Dir string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// RunModule runs a module of this machine in a sandbox of its own, as `runner wasm
// run` does, and returns its exit code. The error is a sentence for the terminal.
func (p *Provider) RunModule(ctx context.Context, r ModuleRun) (int, error) {
	data, err := readModule(r.File, p.options.Limits.ModuleSize)
	if err != nil {
		return -1, err
	}
	s, err := p.OpenMounts(ctx, sandbox.Spec{ID: "run", Repository: "run/work", Log: func(line string) {
		if r.Stderr != nil {
			_, _ = fmt.Fprintln(r.Stderr, line)
		}
	}}, r.Mounts)
	if err != nil {
		return -1, err
	}
	name := filepath.Base(r.File)
	c := &sandbox.Command{
		Args: append([]string{tempFolder + "/" + name}, r.Args...), Env: r.Env, Dir: r.Dir,
		Files: []sandbox.File{{Path: tempFolder + "/" + name, Data: data}},
		Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
	}
	res, err := s.Run(ctx, c)
	var refused *sandbox.NotFoundError
	if errors.As(err, &refused) && refused.Hint != "" {
		err = fmt.Errorf("%s: %s", r.File, refused.Hint)
	}
	return res.ExitCode, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// CompileModule has a module compiled into the cache, as `runner wasm compile`
// does. The error says why the module does not run.
func (p *Provider) CompileModule(ctx context.Context, file string) error {
	data, err := readModule(file, p.options.Limits.ModuleSize)
	if err != nil {
		return err
	}
	v, held, err := p.cache.ensure(ctx, data, p.options.Limits, asker{job: "compile", log: p.tell}, nil)
	held.end()
	if err == nil && v.Error != "" {
		err = fmt.Errorf("%s: %s", file, v.Error)
	}
	return err
}

// readModule reads a file of at most limit bytes.
func readModule(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read a WebAssembly module: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read a WebAssembly module: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: the module has more than %s", file, rootfs.Size(limit))
	}
	return data, nil
}

// InspectModule writes what a module imports, exports and asks for, and whether it
// would run in the sandbox, as `runner wasm inspect` does. It runs and compiles
// nothing. runs is false, and the last line says why, where it would not run.
func InspectModule(out io.Writer, file string, l Limits) (runs bool, err error) {
	l = l.Or(DefaultLimits())
	data, err := readModule(file, l.ModuleSize)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "module   %s\nsha256   %s\n", file, sumOf(data))
	info, err := module.Scan(data, module.Limits{Size: l.ModuleSize, Memory: l.Memory, TableElements: l.TableElements})
	if err == nil {
		describe(out, info)
		err = info.Runnable(worker.Functions())
	}
	if err != nil {
		fmt.Fprintf(out, "runs     no: %s\n", worker.Plain(err.Error()))
		return false, nil
	}
	fmt.Fprintf(out, "runs     yes, if its code is valid\n")
	return true, nil
}

func describe(out io.Writer, info *module.Info) {
	fmt.Fprintf(out, "size     %s: %d functions, %s of code, %s of data, %s of custom sections\n",
		rootfs.Size(int64(info.Size)), info.Functions, rootfs.Size(int64(info.Code)), rootfs.Size(int64(info.Data)), rootfs.Size(int64(info.Custom)))
	for _, m := range info.Memories {
		fmt.Fprintf(out, "memory   %s at the start, %s\n", rootfs.Size(int64(m.Min)<<16), most(m, func(n uint32) string { return rootfs.Size(int64(n) << 16) }))
	}
	for _, t := range info.Tables {
		fmt.Fprintf(out, "table    %d elements, %s\n", t.Min, most(t, func(n uint32) string { return fmt.Sprint(n) }))
	}
	imports := map[string][]string{}
	for _, i := range info.Imports {
		imports[i.Module] = append(imports[i.Module], worker.Plain(i.Name))
	}
	for _, m := range slices.Sorted(maps.Keys(imports)) {
		fmt.Fprintf(out, "imports  %s: %s\n", worker.Plain(m), strings.Join(imports[m], " "))
	}
	for _, e := range info.Exports {
		fmt.Fprintf(out, "exports  %s %s\n", e.Kind, worker.Plain(e.Name))
	}
}

func most(r module.Range, spell func(uint32) string) string {
	if !r.HasMax {
		return "no maximum of its own"
	}
	return spell(r.Max) + " at most"
}
