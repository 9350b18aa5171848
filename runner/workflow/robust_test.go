package workflow_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

func sortedWords(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, " ")
}

const smallJobs = "jobs: {a: {runs-on: x, steps: [{run: x}]}}\n"

// TestAliasBombs: files of a few lines that would unfold to billions of values.
func TestAliasBombs(t *testing.T) {
	nested := func(open, item, end string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "x0: &x0 %sv%s\n", open, end)
		for i := 1; i < 12; i++ {
			fmt.Fprintf(&b, "x%d: &x%d %s%s%s\n", i, i, open, strings.TrimSuffix(strings.Repeat(fmt.Sprintf(item, i-1), 10), ","), end)
		}
		return b.String()
	}
	lists := nested("[", "*x%d,", "]")
	for name, text := range map[string]string{
		"event":   lists + "on: {push: *x11}\n" + smallJobs,
		"matrix":  lists + "on: push\njobs: {a: {runs-on: x, steps: [{run: x}], strategy: {matrix: {v: *x11}}}}\n",
		"include": lists + "on: push\njobs: {a: {runs-on: x, steps: [{run: x}], strategy: {matrix: {include: *x11}}}}\n",
		"merge":   mergeBomb(),
		"itself":  "on: push\nx: &x {<<: *x}\njobs: {a: &a {<<: *a, runs-on: x, steps: [{run: x}]}}\n",
	} {
		_, err := workflow.Parse("f.yml", []byte(text))
		var list workflow.Errors
		if !errors.As(err, &list) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mergeBomb() string {
	var b strings.Builder
	b.WriteString("on: push\nx0: &x0 {a0: 1}\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "x%d: &x%d {<<: [*x%d, *x%d, *x%d, *x%d], a%d: 1}\n", i, i, i-1, i-1, i-1, i-1, i)
	}
	b.WriteString("jobs: {a: {runs-on: x, env: *x29, steps: [{run: x}]}}\n")
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, p := range problems {
		f.Add([]byte(p.text))
	}
	files, _ := filepath.Glob("testdata/*/*.yml")
	for _, name := range append(files, "testdata/full.yml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := workflow.ParsePayload("", data)
		if err != nil {
			var list workflow.Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Errorf("%T %v", err, err)
			}
			return
		}
		for _, j := range w.Jobs {
			if j.Strategy != nil {
				_, _ = j.Strategy.Matrix.Expand(func(s string) (any, error) {
					return expr.EvalText(s, &expr.Context{Values: map[string]any{"needs": nil}})
				})
			}
			for _, s := range j.Steps {
				if s.IsRun == (s.Uses != "") {
					t.Errorf("step %d has run %v and uses %q", s.Index, s.IsRun, s.Uses)
				}
				_ = s.Title()
			}
		}
	})
}

// largeWorkflow is a job of n steps as real ones look.
func largeWorkflow(n int) []byte {
	var b strings.Builder
	b.WriteString("on: push\nenv: {A: '${{ github.ref }}'}\njobs:\n  a:\n    runs-on: linux\n    steps:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - name: Step %d on ${{ matrix.os }}\n      id: s%d\n      if: ${{ success() && github.event_name == 'push' && !contains(github.ref, 'skip') }}\n", i, i)
		fmt.Fprintf(&b, "      env:\n        TAG: ${{ format('{0}-{1}', github.sha, matrix.os) }}\n      run: |\n        echo ${{ env.A }}\n        make build-%d V=${{ toJSON(matrix) }}\n", i)
	}
	return []byte(b.String())
}

func benchContext() *expr.Context {
	yes := func() bool { return true }
	return &expr.Context{Success: yes, Failure: yes, Cancelled: yes, Values: map[string]any{
		"github": map[string]any{"ref": "refs/heads/main", "event_name": "push", "sha": "2ce6b095f4cceb616efed52266e3e3c0367ba795"},
		"env":    map[string]any{"A": "x"}, "matrix": map[string]any{"os": "linux", "n": 12.0},
	}}
}

func evalStep(s *workflow.Step, c *expr.Context) error {
	if ok, err := expr.Condition(s.If, c); !ok || err != nil {
		return fmt.Errorf("if: %v %w", ok, err)
	}
	for _, text := range []string{s.Name, s.Env.List[0].Value, s.Run} {
		if _, err := expr.Interpolate(text, c); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkParse300Steps(b *testing.B) {
	data := largeWorkflow(300)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := workflow.Parse("f.yml", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvaluate300Steps(b *testing.B) {
	w, err := workflow.Parse("f.yml", largeWorkflow(300))
	if err != nil {
		b.Fatal(err)
	}
	c := benchContext()
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range w.Jobs[0].Steps {
			if err := evalStep(s, c); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func TestLargeWorkflow(t *testing.T) {
	w, err := workflow.Parse("f.yml", largeWorkflow(300))
	if err != nil || len(w.Jobs[0].Steps) != 300 {
		t.Fatal(err)
	}
	if err := evalStep(w.Jobs[0].Steps[299], benchContext()); err != nil {
		t.Error(err)
	}
}
