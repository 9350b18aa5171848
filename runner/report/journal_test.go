package report_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
	"otelrunner/runner/journal/journaltest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

// recordedTask is the number of the recorded task "push".
const recordedTask = 11

// withJournal is a world whose reporter writes a journal.
func withJournal(t *testing.T, so giteatest.Options, jo journal.Options, o report.Options, f func(w *world, k *kept)) {
	t.Helper()
	jo.Dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := &kept{t: t, disk: journaltest.New(jo.Dir), o: jo}
		k.o.Disk = k.disk
		k.open()
		defer func() { _ = k.j.Close() }()
		l, err := k.j.Begin(journal.Meta{Task: recordedTask, Started: time.Now(), Steps: 3})
		if err != nil {
			t.Fatal(err)
		}
		k.l, o.Journal = l, l
		w := newWorld(t, so, giteatest.RunnerOptions{}, o)
		defer w.s.Close()
		defer func() { w.kill() }()
		defer func() { w.r.Close() }()
		f(w, k)
	})
}

// kept is a journal that outlives the process which writes it.
type kept struct {
	t    *testing.T
	disk *journaltest.Disk
	o    journal.Options
	j    *journal.Journal
	l    *journal.Log
}

func (k *kept) open() {
	k.t.Helper()
	var err error
	if k.j, err = journal.Open(k.o); err != nil {
		k.t.Fatal(err)
	}
}

// crash is the end of a process: what was handed to the system stays, what the
// reporter had in memory does not. With power, what was not brought to the disk goes,
// too, but for a part of a record at the end.
func (k *kept) crash(w *world, power bool) {
	k.t.Helper()
	lasting := k.t.TempDir()
	if err := k.disk.Lasting(lasting); err != nil {
		k.t.Fatal(err)
	}
	w.r.Close()
	w.kill()
	_ = k.j.Close()
	if power {
		k.o.Dir, k.disk = lasting, journaltest.New(lasting)
		k.o.Disk = k.disk
		k.tear()
	}
	k.open()
	logs, err := k.j.Unfinished()
	if err != nil || len(logs) != 1 {
		k.t.Fatalf("%v, %v", logs, err)
	}
	k.l = logs[0]
	ctx, kill := context.WithCancel(context.Background())
	w.kill = kill
	w.r = report.Resume(ctx, report.Options{Client: w.client, Journal: k.l})
}

// tear leaves a part of a record at the end of the newest segment.
func (k *kept) tear() {
	k.t.Helper()
	segments, err := filepath.Glob(filepath.Join(k.o.Dir, "task-*", "*.seg"))
	if err != nil || len(segments) == 0 {
		k.t.Fatalf("%v, %v", segments, err)
	}
	f, err := os.OpenFile(segments[len(segments)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := f.Write([]byte{40, 0, 0, 0, 1, 2, 3, 4, 'R'}); err != nil {
		k.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		k.t.Fatal(err)
	}
}

// A job that writes far more than memory holds goes on while the server is away.
func TestAJobGoesOnWhileTheServerIsAway(t *testing.T) {
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{MaxWaiting: 100_000}, func(w *world, k *kept) {
		want := numbered(w, 100)
		w.s.SetDown(true)
		at := time.Now()
		for i := range 20_000 {
			want = append(want, fmt.Sprintf("away %d %s", i, strings.Repeat("-", i%300)))
			w.row(want[len(want)-1])
		}
		if d := time.Since(at); d > time.Second {
			w.t.Errorf("the job was held up for %v", d)
		}
		time.Sleep(9 * time.Minute)
		w.s.SetDown(false)
		w.row("and back")
		w.finish(task.Success)
		if diff := cmp.Diff(append(want, "and back", ""), w.contents()); diff != "" {
			w.t.Errorf("rows (-want +got):\n%.2000s", diff)
		}
		if s := w.task(); s.Result != task.Success || s.Steps[0].LogLength != 100 {
			w.t.Errorf("%+v", s)
		}
		if n := w.s.Stats("UpdateLog").MaxBytes; n > report.MaxRequest {
			w.t.Errorf("a request had %d bytes", n)
		}
	})
}

// Where the journal is full, the job waits, and goes on when there is room.
func TestAFullJournalHoldsTheJob(t *testing.T) {
	const bound = 512 << 10
	withJournal(t, giteatest.Options{}, journal.Options{MaxSize: bound}, report.Options{MaxWaiting: 50_000}, func(w *world, k *kept) {
		hit := w.s.Inject(giteatest.Status(503).On("UpdateLog"))
		var written atomic.Int64
		done := make(chan struct{})
		line := strings.Repeat("z", 1000)
		go func() {
			defer close(done)
			for range 3000 {
				w.row(line)
				written.Add(1)
			}
		}()
		time.Sleep(2 * time.Minute)
		if n := int(written.Load()) * len(line); n > bound || n < bound/2 {
			w.t.Errorf("%d bytes were taken while the server was away; the bound is %d", n, bound)
		}
		hit.Remove()
		<-done
		w.finish(task.Success)
		if got := w.task().RowCount; got != 3001 {
			w.t.Errorf("%d rows, want 3001", got)
		}
	})
}

// A disk that takes no more in the middle: rows stay complete and in order.
func TestAJournalThatFails(t *testing.T) {
	withJournal(t, giteatest.Options{}, journal.Options{MaxSize: 256 << 10}, report.Options{MaxWaiting: 30_000}, func(w *world, k *kept) {
		w.s.SetDown(true)
		var want []string
		add := func(n int) {
			for range n {
				want = append(want, fmt.Sprintf("row %d %s", len(want), strings.Repeat("-", len(want)%100)))
				w.r.Note(time.Now(), want[len(want)-1])
			}
		}
		add(200)
		// The next segment cannot be made.
		name := filepath.Join(k.j.Dir(), "task-11", "00000002.seg")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			w.t.Fatal(err)
		}
		for k.l.Err() == nil {
			add(100)
			_ = k.l.Flush()
		}
		<-k.l.Failed()
		add(50)
		time.Sleep(time.Minute)
		w.s.SetDown(false)
		w.finish(task.Failure)
		if diff := cmp.Diff(append(want, ""), w.contents()); diff != "" {
			w.t.Errorf("rows (-want +got):\n%.2000s", diff)
		}
		if !strings.Contains(w.log.String(), "the journal is not on the disk") {
			w.t.Errorf("the runner's log: %s", w.log)
		}
	})
}

// The process dies at any moment, once or several times, and the power with it.
// The server gets all rows that the journal has, once each, what the runner says
// of it, and the result.
func TestADeadProcessesTaskIsReported(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			so := giteatest.Options{Seed: seed, IgnoreEmptySeal: seed%2 == 0}
			withJournal(t, so, journal.Options{MaxSize: 64 << 10}, report.Options{MaxWaiting: 5000}, func(w *world, k *kept) {
				if seed%3 == 0 {
					w.s.Inject(giteatest.CutAfter().Chance(.4))
					w.s.Inject(giteatest.PartialAck(3).Chance(.3).On("UpdateLog"))
				}
				want := numbered(w, 1+random.IntN(400))
				w.r.StepStarted(1, time.Now())
				time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
				more := random.IntN(100)
				for i := range more {
					want = append(want, fmt.Sprint("more ", i))
					w.row(want[len(want)-1])
				}
				time.Sleep(time.Duration(random.IntN(4)) * time.Second)
				// With the power goes what the server does not have and no sync
				// covered.
				power, had := seed%4 == 1, len(w.contents())
				k.crash(w, power)
				for range random.IntN(3) {
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
					k.crash(w, false)
				}
				at := time.Now()
				w.r.Note(at, "##[error]killed")
				w.finish(task.Failure)
				if took := time.Since(at); took > time.Minute {
					w.t.Errorf("it took %v", took)
				}
				got := w.contents()
				if n := len(got); n < 2 || got[n-2] != "##[error]killed" || got[n-1] != "" {
					w.t.Fatalf("the log ends with %q", got[max(0, n-3):])
				}
				got = got[:len(got)-2]
				if power { // rows of the last step are gone that the server did not have, and no others
					if len(got) < max(had, len(want)-more) {
						w.t.Errorf("%d rows of %d; the server had %d, and %d came after the last sync", len(got), len(want), had, more)
					}
					want = want[:min(len(got), len(want))]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					w.t.Errorf("rows (-want +got):\n%.2000s", diff)
				}
				s := w.task()
				if s.Result != task.Failure || len(s.Steps) != 3 || s.Steps[0].Result != task.Success || s.Steps[1].Result != task.Failure || s.Steps[2].Result != task.Skipped {
					w.t.Errorf("%+v", s)
				}
				if !s.Started.Equal(w.start) {
					w.t.Errorf("started %v, want %v", s.Started, w.start)
				}
			})
		})
	}
}

// A process that dies after the job's end delivers the job's own result.
func TestAFinishedTaskIsReportedAsItEnded(t *testing.T) {
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{}, func(w *world, k *kept) {
		want := numbered(w, 50)
		w.r.SetOutput("k", "v")
		w.s.SetDown(true)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		ended := time.Now()
		if err := w.r.Finish(ctx, task.Success); err == nil {
			w.t.Fatal("it was delivered to nobody")
		}
		k.crash(w, false)
		s := k.l.State()
		if s.Result != task.Success || !s.End.Equal(ended) {
			w.t.Fatalf("%+v", s)
		}
		w.s.SetDown(false)
		w.finish(s.Result)
		delivered(w, want, task.Success)
		if s := w.task(); s.Outputs["k"] != "v" || !s.Stopped.Equal(ended) {
			w.t.Errorf("%+v", s)
		}
		if err := k.l.Done(); err != nil {
			w.t.Error(err)
		}
	})
}

// What the journal holds is masked, whatever is given to the reporter.
func TestNoSecretIsWrittenToTheDisk(t *testing.T) {
	const secret = "open-sesame-7781"
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{Secrets: []string{secret}}, func(w *world, k *kept) {
		w.s.SetDown(true)
		w.r.StepStarted(0, time.Now())
		w.row("the secret is " + secret)
		w.r.Note(time.Now(), secret)
		w.r.SetOutput("plain", "value")
		w.r.SetOutput("bad", secret)
		w.r.SetOutput(secret, "x")
		w.r.SetSummary(0, []byte(secret))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = w.r.Finish(ctx, task.Success)
		_ = k.l.Flush()
		found := ""
		err := filepath.WalkDir(k.o.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if strings.Contains(string(data), secret) {
				w.t.Errorf("%s holds the secret", path)
			}
			found += string(data)
			return err
		})
		if err != nil || !strings.Contains(found, "the secret is ***") || !strings.Contains(found, `"plain"`) {
			w.t.Errorf("%v: %q", err, found)
		}
	})
}

// A task that goes on for long after the server has given it up fills the journal up to
// its bound; the text that is kept and the runner's log say that rows are missing.
func TestRowsThatNobodyTakesAreToldOf(t *testing.T) {
	withJournal(t, giteatest.Options{}, journal.Options{MaxSize: 64 << 10}, report.Options{}, func(w *world, k *kept) {
		w.row("before")
		time.Sleep(4 * time.Second)
		w.s.SetDown(true)
		time.Sleep(11 * time.Minute)
		w.s.SetDown(false)
		<-w.r.Stopped()
		const rows = 1000
		for i := range rows {
			w.row(fmt.Sprintf("cleanup %d %s", i, strings.Repeat("-", 200)))
			if i%50 == 0 {
				time.Sleep(time.Second) // the server refuses some of them
			}
		}
		w.finish(task.Failure)
		file, err := k.l.Keep("the server gave the task up")
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		kept := strings.Count(string(text), " cleanup ")
		if kept < 100 || kept == rows || !strings.HasSuffix(string(text), "[the rows that follow are not kept: the journal of the task has reached journal.max_size]\n") {
			w.t.Errorf("%d rows are kept: …%s", kept, text[max(0, len(text)-300):])
		}
		if want := fmt.Sprintf("they were not kept\" task=%d rows=%d\n", w.id, rows-kept); !strings.Contains(w.log.String(), want) {
			w.t.Errorf("the runner's log lacks %q:\n%s", want, w.log)
		}
	})
}

// What the server refuses since it has given the task up is counted, and kept.
func TestRowsThatTheServerRefusesAreCounted(t *testing.T) {
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{}, func(w *world, k *kept) {
		w.row("before")
		time.Sleep(4 * time.Second)
		w.s.SetDown(true)
		w.row("never seen")
		time.Sleep(11 * time.Minute)
		w.s.SetDown(false)
		<-w.r.Stopped()
		w.row("nor this")
		w.finish(task.Failure)
		if n := w.r.Undelivered(); n != 2 {
			w.t.Errorf("%d rows were not delivered", n)
		}
		file, err := k.l.Keep("the server gave the task up")
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), " never seen\n") || !strings.Contains(string(text), " nor this\n") || strings.Contains(string(text), " before\n") {
			w.t.Errorf("%v: %s", err, text)
		}
	})
}
