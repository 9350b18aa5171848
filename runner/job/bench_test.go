package job_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
)

// nowhere is a sink that counts.
type nowhere struct{ rows int }

func (n *nowhere) Row(time.Time, string)                  { n.rows++ }
func (*nowhere) StepStarted(int, time.Time)               {}
func (*nowhere) StepFinished(int, task.Result, time.Time) {}
func (*nowhere) AddMask(string)                           {}
func (*nowhere) SetOutput(string, string)                 {}
func (*nowhere) SetSummary(int, []byte)                   {}

func benchmark(b *testing.B, workflow string, setUp func(*job.Options)) (rows int) {
	o := options(b, hostProvider(b))
	o.Logger = slog.New(slog.DiscardHandler)
	if setUp != nil {
		setUp(&o)
	}
	c := jobtest.Case{Workflow: workflow}
	r := job.New(o)
	b.ReportAllocs()
	for b.Loop() {
		sink := &nowhere{}
		if res := r.Run(context.Background(), nil, c.Task(1), sink); res != task.Success {
			b.Fatal(res)
		}
		rows += sink.rows
	}
	return rows
}

// BenchmarkMillionRows: a step that prints a million rows on the host.
func BenchmarkMillionRows(b *testing.B) {
	if _, err := os.Stat("/usr/bin/yes"); err != nil {
		b.Skip(err)
	}
	rows := benchmark(b, "{jobs: {t: {runs-on: host, steps: [{run: 'yes a row of a usual length as compilers print them | head -n 1000000'}]}}}", nil)
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSteps: what a step `true` costs on the host, with its job's share.
func BenchmarkSteps(b *testing.B) {
	const steps = 50
	benchmark(b, "{jobs: {t: {runs-on: host, steps: ["+strings.Repeat("{run: 'true', shell: sh},", steps)+"]}}}", nil)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/steps, "µs/step")
}

// BenchmarkLargeWorkflow: the engine's own share, for a job of 300 steps whose
// conditions are false.
func BenchmarkLargeWorkflow(b *testing.B) {
	var w strings.Builder
	w.WriteString("jobs:\n  t:\n    runs-on: host\n    steps:\n")
	for i := range 300 {
		fmt.Fprintf(&w, "      - if: github.ref_name == 'other' && contains(fromJSON('[1,2]'), %d)\n        env: {A: \"${{ github.sha }}-%d\"}\n        run: echo ${{ github.event.after }}\n", i, i)
	}
	benchmark(b, w.String(), nil)
}
