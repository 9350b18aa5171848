package runner

import (
	"log/slog"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sync/semaphore"

	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
)

// wasmSampled is which part of the cases runs where CI does not ask for all: a
// worker for each takes a minute.
const wasmSampled = 4

// TestSuiteWasm runs every case in the WASM sandbox, by Exec: the labels that are
// the host's elsewhere are its own here. One provider serves them all, as in a
// runner.
func TestSuiteWasm(t *testing.T) {
	t.Parallel()
	cfg := suiteConfig(t, t.TempDir())
	o := wasmOptions(cfg, slog.New(slog.DiscardHandler))
	wasmOfTests(t)(&o)
	provider, err := wasm.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := provider.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := provider.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	few := semaphore.NewWeighted(int64(min(4, runtime.NumCPU()))) // jobs at a time, whatever -parallel says
	t.Run("cases", func(t *testing.T) {
		for i, c := range suiteCases(t) {
			if i%wasmSampled != 0 && os.Getenv(mustHaveDocker) == "" {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				if why := notInWasm(&c); why != "" {
					t.Log("not in the WASM sandbox: " + why)
					return
				}
				if err := few.Acquire(t.Context(), 1); err != nil {
					t.Fatal(err)
				}
				defer few.Release(1)
				c.Serve(t)
				r := newRecorders(&c)
				o := execOptions(t, &c, suiteConfig(t, t.TempDir()), r, nil)
				o.seams.onWasm = func(sandbox.Provider) sandbox.Provider { return provider }
				o.Labels = wasmLabels(t)
				result, err := Exec(t.Context(), o)
				checkWorkflow(t, &c, result, err, r.outcomes(t))
			})
		}
	})
}

func wasmLabels(t *testing.T) label.List {
	t.Helper()
	labels, err := label.ParseList([]string{"host:wasm", "second:wasm", "box:docker://box:1", "linux:wasm"})
	if err != nil {
		t.Fatal(err)
	}
	return labels
}

// notInWasm says why a case cannot run in the WASM sandbox.
func notInWasm(c *jobtest.Case) string {
	switch {
	case c.Only == "rpc":
		return "is about what only a server sends"
	case c.OS != "" && c.OS != "linux":
		return "runs on " + c.OS + " only"
	}
	for _, program := range c.Needs {
		if why := notInToolbox[program]; why != "" {
			return "needs " + program + ": " + why
		}
	}
	return notForWasm[c.Name]
}

// notInToolbox are programs that cases need and that the sandbox's shell does not
// have.
var notInToolbox = map[string]string{
	"node":    "there is no Node.js for WASI",
	"python3": "there is no Python in the toolbox",
}

// notForWasm are the cases that cannot run in the WASM sandbox, and why.
var notForWasm = map[string]string{
	"runs-on in every form": "looks for the host sandbox in the log",
	"docker actions without an engine fail by a sentence, when they run": "is about host jobs; those of this sandbox are refused, engine or not",
	"background processes do not keep a step":                            "a step's programs end with it: they are no processes",
}

// TestNotForWasm keeps the lists above true.
func TestNotForWasm(t *testing.T) {
	t.Parallel()
	namesCases(t, "notForWasm", notForWasm)
	cases := suiteCases(t)
	for name, why := range notInToolbox {
		if why == "" || !slices.ContainsFunc(cases, func(c jobtest.Case) bool { return slices.Contains(c.Needs, name) }) {
			t.Errorf("notInToolbox: no case needs %q, or it has no reason", name)
		}
	}
}

// namesCases sees that a list of cases, each with a reason, names none that is not
// there any more.
func namesCases(t *testing.T, list string, reasons map[string]string) {
	t.Helper()
	cases := suiteCases(t)
	for name, why := range reasons {
		if why == "" || !slices.ContainsFunc(cases, func(c jobtest.Case) bool { return c.Name == name }) {
			t.Errorf("%s: there is no case %q, or it has no reason", list, name)
		}
	}
}
