package main_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// looping is a job on a label whose steps end in a module that runs for ever.
func looping(label string) string {
	return `
on: push
jobs:
  t:
    runs-on: ` + label + `
    steps:
      - run: |
          mkdir a && echo 'runs: {using: wasm, main: loop.wasm}' > a/action.yml
          echo ` + base64.StdEncoding.EncodeToString(module("begun\n", tellOf(6), w.Loop())) + ` | base64 -d > a/loop.wasm
          for i in 0 1 2 3 4 5 6 7 8 9; do echo "row $i"; done
      - uses: ./a
`
}

// tellOf prints the first n bytes of a module's data.
func tellOf(n int32) []byte {
	return w.Cat(w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(n), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop())
}

// ownSandbox gives the runner a folder of the WASM sandbox that no other test uses,
// but for what was compiled before.
func (r *rig) ownSandbox() string {
	r.t.Helper()
	own := filepath.Join(r.t.TempDir(), "wasm")
	cache, err := os.UserCacheDir()
	if err != nil {
		r.t.Fatal(err)
	}
	cache = filepath.Join(cache, "otelrunner", "test-wasm-e2e", "cache")
	for _, dir := range []string{cache, own} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Symlink(cache, filepath.Join(own, "cache")); err != nil {
		r.t.Fatal(err)
	}
	r.env = append(r.env, "OTELRUNNER_SANDBOX_DIR="+own)
	return own
}

// workersOf are the WASM workers of a process, and what they have started.
func workersOf(t *testing.T, pid int) (pids []string) {
	t.Helper()
	parents := map[string]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		if data, err := os.ReadFile(name); err == nil {
			// The name in brackets may hold anything; the state and the parent follow it.
			if fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:])); len(fields) > 1 {
				parents[filepath.Base(filepath.Dir(name))] = fields[1]
			}
		}
	}
	workers := processesWith(t, "__wasm-worker")
	for p := range parents {
		if !slices.Contains(workers, p) {
			continue
		}
		for up := parents[p]; up != ""; up = parents[up] {
			if up == strconv.Itoa(pid) {
				pids = append(pids, p)
				break
			}
		}
	}
	return pids
}

// A runner that is killed while modules run, in the WASM sandbox or beside a host job
// on a runner that has no wasm label: the workers end with it, and the next start
// removes the folders and reports the jobs, also if it needs no sandbox itself.
func TestKilledInAWasmJob(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ labels, runsOn string }{
		"in the sandbox":    {"safe:wasm,linux:host", "safe"},
		"beside a host job": {"linux:host", "linux"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := wasmRig(t)
			own := r.ownSandbox()
			r.env = append(r.env, "OTELRUNNER_RUNNER_LABELS="+c.labels)
			folders := func() (all []string) {
				all, _ = filepath.Glob(filepath.Join(own, "jobs", "*", "*"))
				return all
			}
			id := r.server.AddWorkflow(looping(c.runsOn), giteatest.TaskOptions{})
			p := r.start("serve")
			if err := r.server.Wait(within(t, 3*time.Minute), func() bool { return strings.Contains(r.server.Log(id), "\nbegun\n") }); err != nil {
				t.Fatalf("%v\n%s\n%s", err, r.server.Log(id), p.stderr.String())
			}
			workers := workersOf(t, p.cmd.Process.Pid)
			if len(workers) == 0 || len(folders()) == 0 {
				t.Fatalf("before: workers %v, folders %v", workers, folders())
			}
			p.kill()
			gone := func() bool {
				left := processesWith(t, "__wasm-worker")
				return !slices.ContainsFunc(workers, func(pid string) bool { return slices.Contains(left, pid) })
			}
			for deadline := time.Now().Add(20 * time.Second); !gone(); {
				if time.Now().After(deadline) {
					t.Fatalf("of the workers %v there are some 20 s after the runner's death", workers)
				}
				time.Sleep(10 * time.Millisecond) // the kernel tells nobody
			}

			// The next start has nothing to do with WebAssembly.
			r.env = append(r.env, "OTELRUNNER_RUNNER_LABELS=linux:host")
			p = r.start("serve")
			done, err := r.server.WaitResult(within(t, time.Minute), id)
			if err != nil || done.Result != task.Failure {
				t.Fatalf("%s, %v\n%s", done.Result, err, p.stderr.String())
			}
			contains(t, "the job's log", r.server.Log(id), "\nrow 0\n", "\nrow 9\n", "\nbegun\n", "The runner died in the middle of this job", "What the job had left on the runner's machine is removed.")
			if left := folders(); len(left) > 0 {
				t.Errorf("folders %v are left", left)
			}
			p.signal(syscall.SIGTERM)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d: %s", code, p.stderr.String())
			}
		})
	}
}
