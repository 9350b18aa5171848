package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"otelrunner/runner/job/jobtest"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
	"otelrunner/sandbox/wasm/wasmtest"
)

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// TestAttestationSpan: the span of a WASM job says what held it and what ran, as the
// log does: the runner's mode, the kernel's features, and the hashes of the worker's
// program and of each module as it is in its file.
func TestAttestationSpan(t *testing.T) {
	module := (wasmtest.Module{Pages: 1, Funcs: []wasmtest.Func{{}}}).Bytes()
	shell, err := toolbox.Module()
	if err != nil {
		t.Skip(toolbox.Missing)
	}
	worker, err := os.ReadFile(theWorker.program(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &jobtest.Case{
		Name:     "attestation",
		Files:    map[string]string{"tool.wasm": string(module)},
		Workflow: "on: push\njobs: {t: {runs-on: host, steps: [{run: ./tool.wasm}, {uses: wasm://./tool.wasm}]}}\n",
		Want: jobtest.Want{Result: "success", Steps: []string{"success", "success"}, Log: []string{
			"mode: any", "~^jail: .*seccomp", "worker: " + sumOf(worker), "modules: " + sumOf(module) + ", " + sumOf(shell),
		}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) {
		change := wasmOfTests(t)
		o.seams.wasm = func(w *wasm.Options) { change(w) }
		o.Labels = wasmLabels(t)
	})
	var job *fileSpan
	for i := range spans {
		switch {
		case strings.HasSuffix(spans[i].Name, " / t"):
			job = &spans[i]
		case spans[i].attr("otelrunner.sandbox.modules") != "":
			t.Errorf("%s carries an attestation", spans[i].Name)
		}
	}
	if job == nil {
		t.Fatal("the job has no span")
	}
	for key, want := range map[string]string{"mode": "any", "worker": sumOf(worker), "modules": sumOf(module) + ", " + sumOf(shell)} {
		if got := job.attr("otelrunner.sandbox." + key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, part := range []string{"no-new-privs", "seccomp", "Landlock ABI"} {
		if jail := job.attr("otelrunner.sandbox.jail"); !strings.Contains(jail, part) {
			t.Errorf("jail is %q, without %s", jail, part)
		}
	}
}
