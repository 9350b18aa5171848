package report_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// millionRows is the work of the benchmarks: rows of 70 bytes, one in a hundred
// with a secret, every 50,000 a new step.
func millionRows(b *testing.B, r *report.Reporter) {
	const rows = 1_000_000
	plain, secret := plainRow[:70], plainRow[:30]+manySecrets()[0]
	for i := range rows {
		if i%50_000 == 0 {
			if i > 0 {
				r.StepFinished(i/50_000-1, task.Success, time.Now())
			}
			r.StepStarted(i/50_000, time.Now())
		}
		line := plain
		if i%100 == 0 {
			line = secret
		}
		r.Row(time.Now(), line)
	}
	if err := r.Finish(context.Background(), task.Success); err != nil {
		b.Fatal(err)
	}
}

// measure reports what a million rows cost: an operation is all of them.
func measure(b *testing.B, run func() (calls int)) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	calls := 0
	b.ResetTimer()
	for b.Loop() {
		calls = run()
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(calls), "UpdateLog-calls")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/1e6/float64(b.N), "allocs/row")
	b.ReportMetric(float64(after.HeapSys)/(1<<20), "heap-MiB")
}

func BenchmarkMillionRowsInMemory(b *testing.B) {
	measure(b, func() int {
		c := &sink{only: true}
		r := report.New(context.Background(), report.Options{Client: c, TaskID: 1, Secrets: manySecrets()})
		millionRows(b, r)
		return c.calls
	})
}

// Over real HTTP, both ends in this process: the whole pipeline and the server's
// share of it.
func BenchmarkMillionRowsOverHTTP(b *testing.B) {
	measure(b, func() int {
		s := giteatest.New(giteatest.Options{CountOnly: true})
		defer s.Close()
		url, err := s.Start()
		if err != nil {
			b.Fatal(err)
		}
		uuid, token := s.AddRunner(giteatest.RunnerOptions{Name: "r", Labels: []string{"dump"}})
		c, err := gitea.New(gitea.Options{Instance: url, UUID: uuid, Token: token, Version: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		defer c.CloseIdleConnections()
		if _, err := s.AddRecorded("push"); err != nil {
			b.Fatal(err)
		}
		t, _, err := c.FetchTask(context.Background(), 0)
		if err != nil {
			b.Fatal(err)
		}
		r := report.New(context.Background(), report.Options{Client: c, TaskID: t.ID, Secrets: manySecrets()})
		millionRows(b, r)
		if got, _ := s.Task(t.ID); got.RowCount != 1_000_001 {
			b.Fatalf("%d rows", got.RowCount)
		}
		return s.Stats("UpdateLog").Calls
	})
}

// What a journal adds.
func BenchmarkMillionRowsWithJournal(b *testing.B) {
	j, err := journal.Open(journal.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	measure(b, func() int {
		l, err := j.Begin(journal.Meta{Task: 1, Started: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		c := &sink{only: true}
		r := report.New(context.Background(), report.Options{Client: c, TaskID: 1, Secrets: manySecrets(), Journal: l})
		millionRows(b, r)
		if err := l.Done(); err != nil {
			b.Fatal(err)
		}
		return c.calls
	})
}
