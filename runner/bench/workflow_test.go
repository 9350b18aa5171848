//go:build bench

package bench

import (
	"fmt"
	"strings"
	"testing"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// largeWorkflow is what a job of 300 steps costs before and between its programs:
// its text is read once, and each step's condition, name, env and script are
// evaluated.
func largeWorkflow(t *testing.T, row printer) {
	const steps = 300
	text := []byte(largeText(steps))
	parse := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := workflow.Parse("large.yml", text)
			must(t, err)
		}
	})
	w, err := workflow.Parse("large.yml", text)
	must(t, err)
	evaluate := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(t, evaluateAll(w.Jobs[0].Steps, largeContexts()))
		}
	})
	total := parse.NsPerOp() + evaluate.NsPerOp()
	row("parse a workflow of %d steps (%d KiB) | %.1f ms, %d allocations | | ", steps, len(text)>>10, msOf(parse.NsPerOp()), parse.AllocsPerOp())
	row("evaluate its steps (if, name, env, run) | %.1f ms, %d allocations | | ", msOf(evaluate.NsPerOp()), evaluate.AllocsPerOp())
	row("both, a step | %.0f µs, %d allocations | | ", float64(total)/1e3/steps, (parse.AllocsPerOp()+evaluate.AllocsPerOp())/steps)
}

func msOf(ns int64) float64 { return float64(ns) / 1e6 }

// largeText is a workflow whose steps have what steps of real ones have.
func largeText(n int) string {
	var b strings.Builder
	b.WriteString("on: push\njobs:\n  a:\n    runs-on: linux\n    steps:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - name: Step %d on ${{ matrix.os }}\n      id: s%d\n", i, i)
		b.WriteString("      if: ${{ success() && github.event_name == 'push' && !contains(github.ref, 'skip') }}\n")
		b.WriteString("      env:\n        TAG: ${{ format('{0}-{1}', github.sha, matrix.os) }}\n")
		fmt.Fprintf(&b, "      run: |\n        echo ${{ env.A }} ${{ steps.s0.outputs.version || 'none' }}\n        make build-%d V=${{ toJSON(matrix) }}\n", i)
	}
	return b.String()
}

func largeContexts() *expr.Context {
	yes := func() bool { return true }
	return &expr.Context{Success: yes, Failure: yes, Cancelled: yes, Values: map[string]any{
		"github": map[string]any{"ref": "refs/heads/main", "event_name": "push", "sha": "2ce6b095f4cceb616efed52266e3e3c0367ba795"},
		"env":    map[string]any{"A": "x"}, "matrix": map[string]any{"os": "linux", "n": 12.0}, "steps": map[string]any{},
	}}
}

func evaluateAll(steps []*workflow.Step, c *expr.Context) error {
	for _, s := range steps {
		if ok, err := expr.Condition(s.If, c); !ok || err != nil {
			return fmt.Errorf("if: %v %w", ok, err)
		}
		for _, text := range []string{s.Name, s.Env.List[0].Value, s.Run} {
			if _, err := expr.Interpolate(text, c); err != nil {
				return err
			}
		}
	}
	return nil
}
