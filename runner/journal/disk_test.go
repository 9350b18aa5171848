package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/journal"
	"otelrunner/runner/journal/journaltest"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

var at = time.Date(2026, 8, 1, 10, 20, 30, 0, time.UTC)

// rig is a journal of one task on a disk that can fail, some folders below what is
// there.
type rig struct {
	t    *testing.T
	base string
	disk *journaltest.Disk
	j    *journal.Journal
	l    *journal.Log
	want []string // the rows that were taken
}

// below is where the journal is in the folder of a test.
var below = filepath.Join("new", "deeper", "journal")

func newRig(t *testing.T, o journal.Options) *rig {
	t.Helper()
	r := &rig{t: t, base: t.TempDir()}
	r.disk = journaltest.New(r.base)
	o.Dir, o.Disk = filepath.Join(r.base, below), r.disk
	r.j = openAt(t, o)
	var err error
	if r.l, err = r.j.Begin(journal.Meta{Task: 1, Started: at, Steps: 2}); err != nil {
		t.Fatal(err)
	}
	return r
}

func openAt(t *testing.T, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func (r *rig) rows(n int) {
	for range n {
		if text := fmt.Sprintf("row %d %s", len(r.want), strings.Repeat("x", len(r.want)%200)); r.l.Row(at, text) {
			r.want = append(r.want, text)
		}
	}
}

func (r *rig) sync() {
	r.t.Helper()
	if err := r.l.Sync(10 * time.Second); err != nil {
		r.t.Fatal(err)
	}
}

// texts are the rows of a Log from index from on.
func texts(t *testing.T, l *journal.Log, from int64) (all []string) {
	t.Helper()
	for {
		rows, err := l.Rows(from, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return all
		}
		for _, row := range rows {
			all = append(all, row.Text)
		}
		from += int64(len(rows))
	}
}

// afterPowerCut is the journal that would be found if the power went now, and the
// Log in it, or nil.
func (r *rig) afterPowerCut() (*journal.Journal, *journal.Log) {
	r.t.Helper()
	dir := r.t.TempDir()
	if err := r.disk.Lasting(dir); err != nil {
		r.t.Fatal(err)
	}
	j := openAt(r.t, journal.Options{Dir: filepath.Join(dir, below)})
	logs, err := j.Unfinished()
	if err != nil || len(logs) > 1 {
		r.t.Fatalf("%d logs, %v", len(logs), err)
	}
	if len(logs) == 0 {
		return j, nil
	}
	return j, logs[0]
}

// What a Sync covers is found after a power cut at any time after it: rows, steps,
// the end, while segments come and go.
func TestWhatIsSyncedOutlivesThePower(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 5))
			r := newRig(t, journal.Options{MaxSize: 64 << 10})
			acked := 0
			for range 6 {
				r.rows(1 + random.IntN(120))
				r.l.Event(0, at, task.Unspecified)
				r.sync()
				synced := len(r.want)
				r.rows(random.IntN(50)) // which may be lost
				if random.IntN(2) == 0 {
					acked = max(acked, random.IntN(synced))
					r.l.Ack(int64(acked), 0)
					r.sync()
					synced = len(r.want)
				}
				_, l := r.afterPowerCut()
				if l == nil {
					t.Fatal("nothing is left of the task")
				}
				if s := l.State(); s.First > int64(acked) || s.Next < int64(synced) || len(s.Events) == 0 {
					t.Fatalf("acknowledged %d, synced %d: %+v", acked, synced, s)
				}
				if diff := cmp.Diff(r.want[acked:synced], texts(t, l, int64(acked))[:synced-acked]); diff != "" {
					t.Fatalf("rows (-want +got):\n%.1000s", diff)
				}
			}
			r.l.Finish(task.Success, at, map[string]string{"k": "v"})
			r.sync()
			if _, l := r.afterPowerCut(); l == nil || l.State().Result != task.Success || l.State().Outputs["k"] != "v" {
				t.Errorf("the end of the task is lost: %v", l)
			}
		})
	}
}

// Whenever the power goes while rows are kept as text, they are in the text or
// still in the journal.
func TestKeepingOutlivesThePower(t *testing.T) {
	r := newRig(t, journal.Options{})
	r.rows(50)
	r.l.Ack(20, 0)
	r.sync()
	checks := 0
	r.disk.Watch(func() {
		checks++
		j, l := r.afterPowerCut()
		if l != nil {
			if got := texts(t, l, 20); !cmp.Equal(r.want[20:], got) {
				t.Errorf("%d rows are left in the journal", len(got))
			}
			return
		}
		text, err := os.ReadFile(filepath.Join(j.Dir(), "kept", "task-1.log"))
		for _, row := range r.want[20:] {
			if !strings.Contains(string(text), " "+row+"\n") {
				t.Fatalf("%q is neither in the journal nor in the text: %v", row, err)
			}
		}
	})
	if _, err := r.l.Keep("the server gave it up"); err != nil {
		t.Fatal(err)
	}
	r.disk.Watch(nil)
	if checks < 5 {
		t.Errorf("%d moments were looked at", checks)
	}
	if _, l := r.afterPowerCut(); l != nil {
		t.Error("the journal is still there")
	}
}

// A disk that takes no more, or does not keep what it took: the Log says so, what
// it took can be read, and the next process finds a beginning of it.
func TestADiskThatTakesNoMore(t *testing.T) {
	for name, breakIt := range map[string]func(r *rig){
		"nothing more is taken":    func(r *rig) { r.disk.SetRoom(0) },
		"a part of a record is":    func(r *rig) { r.disk.SetRoom(7) },
		"some records are":         func(r *rig) { r.disk.SetRoom(1003) },
		"the segment before it is": func(r *rig) { r.disk.SetRoom(20 << 10) },
		"no new segment": func(r *rig) {
			if err := os.WriteFile(filepath.Join(r.j.Dir(), "task-1", "00000002.seg"), nil, 0o600); err != nil {
				r.t.Fatal(err)
			}
		},
		"what was written is lost": func(r *rig) {
			r.disk.FailSyncs(syscall.EIO)
			if err := r.l.Sync(10 * time.Second); err == nil {
				r.t.Error("a sync that failed has no error")
			}
			r.disk.FailSyncs(nil) // the next one succeeds without it
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, journal.Options{MaxSize: 80 << 10})
			r.rows(100)
			r.sync()
			breakIt(r)
			for range 20 {
				r.rows(100)
				_ = r.l.Flush()
			}
			select {
			case <-r.l.Failed():
			default:
				t.Fatal("it has not failed")
			}
			if r.l.Err() == nil || r.l.Row(at, "late") {
				t.Errorf("a row was taken after %v", r.l.Err())
			}
			if diff := cmp.Diff(r.want, texts(t, r.l, 0)); diff != "" {
				t.Errorf("rows (-want +got):\n%.1000s", diff)
			}
			if err := r.l.Sync(10 * time.Second); !errors.Is(err, r.l.Err()) {
				t.Errorf("Sync = %v", err)
			}
			_, l := r.afterPowerCut()
			if got := texts(t, l, 0); len(got) < 100 || !cmp.Equal(r.want[:len(got)], got) {
				t.Errorf("%d rows outlive the power", len(got))
			}
		})
	}
}

// A journal that has failed is well again when there is room for a segment, and
// what is written stays.
func TestProbe(t *testing.T) {
	r := newRig(t, journal.Options{MaxSize: 1 << 20})
	const segment = 1 << 20 / 8
	for name, c := range map[string]struct {
		room  int64
		fails error
		well  bool
	}{
		"full":                  {room: 0},
		"room for a little":     {room: segment / 2},
		"room":                  {room: segment, well: true},
		"it does not keep":      {room: -1, fails: syscall.EIO},
		"nothing is wrong":      {room: -1, well: true},
		"room after it was not": {room: segment, well: true},
	} {
		r.disk.SetRoom(c.room)
		r.disk.FailSyncs(c.fails)
		if err := r.j.Probe(); (err == nil) != c.well {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(filepath.Join(r.j.Dir(), "probe*")); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
	r.disk.SetRoom(-1)
	r.disk.FailSyncs(nil)
	if err := os.WriteFile(filepath.Join(r.j.Dir(), "probe"), []byte("of a dead process"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.j.Probe(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(r.j.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := r.j.Probe(); err == nil {
		t.Error("a folder that is gone can be written to")
	}
}
