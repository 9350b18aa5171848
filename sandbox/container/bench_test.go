package container_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/container/enginetest"
)

// TestCalls: a job takes few calls of the engine's API, a step none.
func TestCalls(t *testing.T) {
	l := engine(t)
	x := enginetest.New(t)
	p := l.provider(t, container.Options{Host: x.Host()})
	closeBox(t, open(t2{t}, p, newSpec())) // version and helper are known from here on
	before := len(x.Since(0))
	s, err := p.Open(t.Context(), newSpec())
	if err != nil {
		t.Fatal(err)
	}
	opened := x.Since(before)
	if len(opened) > 5 { // network, image, create, attach, start
		t.Errorf("Open took %d calls: %v", len(opened), opened)
	}
	for range 21 {
		sh(t, s, "true")
	}
	if calls := x.Since(before + len(opened)); len(calls) > 0 {
		t.Errorf("steps took %d calls: %v", len(calls), calls)
	}
	closeBox(t, s)
	if calls := x.Since(before + len(opened)); len(calls) > 3 { // container, network, one more for its endpoints
		t.Errorf("Close took %d calls: %v", len(calls), calls)
	}
	t.Logf("Open: %v", opened)
}

// t2 is a test whose Cleanup does nothing: what is opened is closed by hand.
type t2 struct{ testing.TB }

func (t2) Cleanup(func()) {}

// BenchmarkJob measures jobs, cold and with a container that was kept ready, with
// floors of this machine measured in the same run. The table is for people:
//
//	go test -run - -bench Job -benchtime 10x ./sandbox/container
func BenchmarkJob(b *testing.B) {
	l := engine(b)
	for _, standby := range []int{0, 1} {
		for _, steps := range []int{1, 21} {
			b.Run(fmt.Sprintf("standby=%d/steps=%d", standby, steps), func(b *testing.B) { benchJob(b, l, standby, steps) })
		}
	}
}

func benchJob(b *testing.B, l *laboratory, standby, steps int) {
	x := enginetest.New(b)
	p := l.provider(b, container.Options{Host: x.Host(), Standby: standby})
	closeBox(b, open(t2{b}, p, newSpec()))
	p.Warm(busybox)
	var opening, stepping, closing, execs, forks []time.Duration
	calls := 0
	for b.Loop() {
		for standby > 0 && p.Warmed(busybox) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		before := len(x.Since(0))
		start := time.Now()
		s, err := p.Open(context.Background(), newSpec())
		if err != nil {
			b.Fatal(err)
		}
		opening = append(opening, time.Since(start))
		calls += len(x.Since(before))
		for range steps {
			start = time.Now()
			if _, err := s.Run(context.Background(), &sandbox.Command{Args: []string{"sh", "-c", "true"}, Stdout: io.Discard,
				Files: []sandbox.File{{Path: "/workspace/_temp/env"}}, Collect: []string{"/workspace/_temp/env"}, Remove: []string{"/workspace/_temp/env"}}); err != nil {
				b.Fatal(err)
			}
			stepping = append(stepping, time.Since(start))
		}
		execs = append(execs, timed(func() error { return exec.Command("docker", "exec", s.Info().JobContainer.ID, "true").Run() }))
		forks = append(forks, timed(func() error { return exec.Command("/bin/busybox", "sh", "-c", "true").Run() }))
		start = time.Now()
		closeBox(b, s)
		closing = append(closing, time.Since(start))
	}
	step := median(stepping)
	b.ReportMetric(ms(median(opening)), "open-ms")
	b.ReportMetric(ms(step), "step-ms")
	b.ReportMetric(ms(median(closing)), "close-ms")
	b.ReportMetric(float64(step)/float64(median(execs)), "step/docker-exec")
	b.ReportMetric(float64(step)/float64(median(forks)), "step/fork+exec")
	b.ReportMetric(ms(median(opening)+time.Duration(steps)*step), "job-ms")
	if standby == 0 {
		b.ReportMetric(float64(calls)/float64(len(opening)), "calls/open")
	}
}

func timed(do func() error) time.Duration {
	start := time.Now()
	_ = do() // without the program, it shows as a very short time
	return time.Since(start)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
