package simulate

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// Study is the whole of what an operator of a fleet asks: what it costs when it
// works, by two settings, when it is idle, and after an outage.
type Study struct {
	Runners, Capacity int
	Writing           float64 // share of the jobs that write a row a second

	// Warmup passes before each of the runs, Measure is how long each is
	// measured, Outage how long the server is away.
	Warmup, Measure, Outage time.Duration
	// Arrivals is how many jobs come to the idle fleet, by the clock and by
	// webhooks.
	Arrivals int

	// Journal is as Fleet's: runners keep journals below it.
	Journal string
}

// Report is what a Study found.
type Report struct {
	Study Study
	// Default and Halved are the working fleet with the default settings, and
	// with those that halve what it costs.
	Default, Halved Costs
	// Idle is the fleet without work; by the clock and by webhooks it gets the
	// Arrivals.
	Idle, Woken Costs
}

// halved are the settings that cost half of the default ones.
func halved(f Fleet) Fleet {
	f.LogLatency, f.LogSweep, f.StateReport = 6*time.Second, 10*time.Second, 10*time.Second
	return f
}

// Run makes the four runs, one after the other; progress, if not nil, is told of
// each.
func (s Study) Run(ctx context.Context, progress func(string)) (*Report, error) {
	say := func(text string) {
		if progress != nil {
			progress(text)
		}
	}
	busy := Fleet{
		Runners: s.Runners, Tasks: s.Capacity, Writing: s.Writing,
		Warmup: s.Warmup, Measure: s.Measure, Outage: s.Outage, Return: max(s.Outage, 20*time.Second),
	}
	idle := Fleet{Runners: s.Runners, Capacity: s.Capacity, Warmup: 2 * time.Minute, Measure: max(s.Measure, time.Minute), Arrivals: s.Arrivals}
	woken := idle
	woken.Wake = true
	r := &Report{Study: s}
	for i, run := range []struct {
		what string
		f    Fleet
		into *Costs
	}{
		{"the working fleet, default settings", busy, &r.Default},
		{"the working fleet, settings that halve the requests", halved(busy), &r.Halved},
		{"the idle fleet, asking by the clock", idle, &r.Idle},
		{"the idle fleet, woken by webhooks", woken, &r.Woken},
	} {
		say(fmt.Sprintf("%s: %s", run.what, run.f.length()))
		if s.Journal != "" {
			run.f.Journal = filepath.Join(s.Journal, fmt.Sprint("run-", i+1))
		}
		var err error
		if *run.into, err = run.f.Run(ctx); err != nil {
			return nil, fmt.Errorf("simulate %s: %w", run.what, err)
		}
	}
	return r, nil
}

// length is about how long a run takes.
func (f Fleet) length() time.Duration {
	f = f.withDefaults()
	d := f.Warmup + f.Measure + time.Duration(f.Arrivals)*f.ArriveEvery
	if f.Outage > 0 {
		d += f.Outage + f.Return
	}
	return d
}

// Write prints the tables.
func (r *Report) Write(out io.Writer) error {
	s := r.Study
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")+"\t") }
	perSecond := func(c *Costs, method string) string {
		return fmt.Sprintf("%.1f", float64(c.Requests[method])/s.Measure.Seconds())
	}
	_, _ = fmt.Fprintf(out, "%d runners, %d jobs each, %.0f %% of the jobs write a row a second; measured for %s\n\n", s.Runners, s.Capacity, 100*s.Writing, s.Measure)
	d, h := &r.Default, &r.Halved
	line("requests a second", "default", "halved")
	line("all", fmt.Sprintf("%.1f", d.Total), fmt.Sprintf("%.1f", h.Total))
	line("floor of the settings", fmt.Sprintf("%.1f", d.Floor), fmt.Sprintf("%.1f", h.Floor))
	line("all ÷ floor", fmt.Sprintf("%.3f", d.Total/d.Floor), fmt.Sprintf("%.3f", h.Total/h.Floor))
	for _, m := range []string{"UpdateLog", "UpdateTask", "FetchTask"} {
		line(m, perSecond(d, m), perSecond(h, m))
	}
	line(fmt.Sprintf("peak after %s away", s.Outage), fmt.Sprintf("%.0f", d.Peak), fmt.Sprintf("%.0f", h.Peak))
	line("peak ÷ all", fmt.Sprintf("%.2f", d.Peak/d.Total), fmt.Sprintf("%.2f", h.Peak/h.Total))
	line("a row's age: median", ms(d.RowP50), ms(h.RowP50))
	line("99 of 100", ms(d.RowP99), ms(h.RowP99))
	line("oldest", ms(d.RowAge), ms(h.RowAge))
	line("memory of a runner", kib(d.Memory), kib(h.Memory))
	if err := w.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "\nhalved: log_report_max_latency 6s, log_report_interval 10s, state_report_interval 10s\n\nThe same fleet without work")
	i, k := &r.Idle, &r.Woken
	line("", "by the clock", "by webhooks")
	line("requests a second", fmt.Sprintf("%.2f", i.Total), fmt.Sprintf("%.2f", k.Total))
	line("of 10,000 runners", fmt.Sprintf("%.0f", 1e4/float64(s.Runners)*i.Total), fmt.Sprintf("%.0f", 1e4/float64(s.Runners)*k.Total))
	line("runners shown as offline", fmt.Sprint(i.Offline), fmt.Sprint(k.Offline))
	line("a job waits: median", ms(i.StartP50), ms(k.StartP50))
	line("99 of 100", ms(i.StartP99), ms(k.StartP99))
	line("longest", ms(i.StartMax), ms(k.StartMax))
	return w.Flush()
}

func ms(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func kib(n int64) string { return fmt.Sprintf("%d KiB", n>>10) }
