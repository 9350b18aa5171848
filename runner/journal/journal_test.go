package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

func open(t testing.TB, o Options) *Journal {
	t.Helper()
	j, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func begin1(t testing.TB, j *Journal) *Log {
	t.Helper()
	l, err := j.Begin(Meta{Task: 1, Started: at, Steps: 2, Repository: "o/r", Job: "build"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var at = time.Date(2026, 8, 1, 10, 20, 30, 405060708, time.UTC)

// all are the rows from index from on, read in pieces of limit bytes.
func all(t testing.TB, l *Log, from int64, limit int) (texts []string) {
	t.Helper()
	for {
		rows, err := l.Rows(from, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			return texts
		}
		for _, r := range rows {
			texts = append(texts, r.Text)
		}
		from += int64(len(rows))
	}
}

func rows(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprintf("row %d %s", i, strings.Repeat("x", i%300)))
	}
	return texts
}

// reopened closes the journal and opens it again, as a next process would.
func reopened(t testing.TB, j *Journal) (*Journal, []*Log) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	next := open(t, Options{Dir: j.dir, MaxSize: j.maxSize.Load()})
	logs, err := next.Unfinished()
	if err != nil {
		t.Fatal(err)
	}
	return next, logs
}

func TestEverythingIsFoundAgain(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir(), MaxSize: 64 << 10})
	l := begin1(t, j)
	want := rows(0, 1000)
	l.Event(0, at, "")
	for _, r := range want {
		if !l.Row(at, r) {
			t.Fatal(l.Err())
		}
		if l.Behind() {
			t.Fatal("a small row is behind")
		}
	}
	l.Event(0, at.Add(time.Second), task.Success)
	l.Ack(10, 3)
	l.Finish(task.Failure, at.Add(time.Minute), map[string]string{"k": "v"})
	if err := l.Sync(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[500:], all(t, l, 500, 4000)); diff != "" {
		t.Errorf("rows while it is written (-want +got):\n%.1000s", diff)
	}

	for round := range 3 { // each round goes on with what the one before left
		var logs []*Log
		j, logs = reopened(t, j)
		if len(logs) != 1 {
			t.Fatalf("round %d: %d logs", round, len(logs))
		}
		s := logs[0].State()
		if s.First > 10 {
			t.Errorf("round %d: the first row is %d", round, s.First)
		}
		s.First = 0
		if diff := cmp.Diff(State{
			Meta: Meta{Task: 1, Started: at, Steps: 2, Repository: "o/r", Job: "build"},
			Events: []Event{
				{Step: 0, Time: at},
				{Step: 0, Time: at.Add(time.Second), Result: task.Success, Next: 1000},
			},
			Outputs: map[string]string{"k": "v"}, Result: task.Failure, End: at.Add(time.Minute),
			Next: int64(len(want)), Acked: 10, Shift: 3,
		}, s); diff != "" {
			t.Fatalf("round %d: state (-want +got):\n%s", round, diff)
		}
		if diff := cmp.Diff(want[10:], all(t, logs[0], 10, 1)); diff != "" {
			t.Fatalf("round %d: rows (-want +got):\n%.1000s", round, diff)
		}
		got, err := logs[0].Rows(20, 1)
		if err != nil || len(got) != 1 || !got[0].Time.Equal(at) {
			t.Errorf("round %d: row 20 is %v, %v", round, got, err)
		}
		logs[0].Row(at, "one more")
		want = append(want, "one more")
	}
	if _, logs := reopened(t, j); len(logs) != 1 {
		t.Error("it is not there any more")
	} else if err := logs[0].Done(); err != nil {
		t.Error(err)
	}
	if entries, _ := filepath.Glob(filepath.Join(j.dir, "task-*")); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

// A journal that is cut at any byte gives a beginning of what was written.
func TestAnyCutGivesABeginning(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir})
	l := begin1(t, j)
	l.Event(0, at, "")
	for _, r := range rows(0, 6) {
		l.Row(at, r)
	}
	l.Event(0, at, task.Success)
	l.Finish(task.Success, at, map[string]string{"a": "b"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "task-1", segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	want := rows(0, 6)
	last := -1
	for cut := len(whole); cut >= 0; cut-- {
		sub := filepath.Join(t.TempDir(), "task-1")
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, segmentName(1)), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := read(sub, 1)
		if errors.Is(err, errEmpty) {
			if last > 0 {
				t.Fatalf("cut at %d: nothing is left, although rows were", cut)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if cut < len(whole) && f.state.Result.Final() {
			t.Fatalf("cut at %d: a result that is not whole", cut)
		}
		n := int(f.state.Next)
		if last >= 0 && n > last {
			t.Fatalf("cut at %d: %d rows, more than of a longer file", cut, n)
		}
		last = n
		k := open(t, Options{Dir: filepath.Dir(sub)})
		logs, err := k.Unfinished()
		if err != nil || len(logs) != 1 {
			t.Fatalf("cut at %d: %v, %v", cut, logs, err)
		}
		if got := all(t, logs[0], 0, 1<<20); !cmp.Equal(want[:n], got, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, "\n") })) {
			t.Fatalf("cut at %d: rows %q", cut, got)
		}
		_ = k.Close()
	}
	if last != 0 {
		t.Errorf("the shortest readable file has %d rows", last)
	}
}

// A server that has sealed a log acknowledges one row more than there are.
func TestTheSealIsAcknowledgedToo(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir()})
	l := begin1(t, j)
	l.Row(at, "one")
	l.Finish(task.Success, at, nil)
	l.Ack(2, 0)
	if err := l.Sync(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	j, logs := reopened(t, j)
	if len(logs) != 1 {
		t.Fatalf("%d logs", len(logs))
	}
	if s := logs[0].State(); s.Acked != 1 || s.Next != 1 || s.Result != task.Success {
		t.Errorf("%+v", s)
	}
	l = logs[0]
	l.Row(at, "two") // after the record of the acknowledgement
	if _, logs = reopened(t, j); len(logs) != 1 || logs[0].State().Next != 2 {
		t.Errorf("%d logs", len(logs))
	}
}

// A byte that changed ends the journal before it, whichever it is.
func TestAChangedByteIsNoticed(t *testing.T) {
	dir := t.TempDir()
	l := begin1(t, open(t, Options{Dir: dir}))
	for _, r := range rows(0, 5) {
		l.Row(at, r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "task-1", segmentName(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		broken := bytes.Clone(whole)
		broken[i] ^= 0x20
		if err := os.WriteFile(name, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := read(filepath.Dir(name), 1); err == nil && (f.cut == "" || f.state.Next >= 5) {
			t.Errorf("byte %d changed: %d rows, cut %q", i, f.state.Next, f.cut)
		}
	}
}

// What the server has goes, and room comes back.
func TestAcknowledgedSegmentsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir, MaxSize: 64 << 10})
	l := begin1(t, j)
	line := strings.Repeat("y", 1000)
	n := 0
	for !l.Full() {
		l.Row(at, line)
		n++
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if n*len(line) > 64<<10 || n*len(line) < 50<<10 {
		t.Errorf("full after %d bytes", n*len(line))
	}
	l.Ack(int64(n-1), 0)
	if err := l.Sync(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if l.Full() {
		t.Error("still full")
	}
	if left, _ := segmentNumbers(l.dir); len(left) > 2 {
		t.Errorf("segments %v", left)
	}
	if got := all(t, l, int64(n-1), 1<<20); len(got) != 1 {
		t.Errorf("%d rows are left", len(got))
	}
	_, logs := reopened(t, j)
	if s := logs[0].State(); s.Next != int64(n) || s.Acked != int64(n-1) {
		t.Errorf("%+v", s)
	}
}

func TestWhatCannotBeDeliveredIsKeptForATime(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir, Keep: time.Hour})
	l := begin1(t, j)
	for _, r := range rows(0, 5) {
		l.Row(at, r)
	}
	l.Ack(3, 0)
	file, err := l.Keep("the server gave\nthe task up")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "# task 1 · o/r ·  · job build · run \n# the server gave the task up\n# rows 3 to 4\n"
	for _, r := range rows(3, 5) {
		want += "2026-08-01T10:20:30.405060708Z " + r + "\n"
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if logs, err := j.Unfinished(); err != nil || len(logs) > 0 {
		t.Errorf("%v, %v", logs, err)
	}
	j.Expire(time.Now().Add(59 * time.Minute))
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	j.Expire(time.Now().Add(61 * time.Minute))
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is kept for ever: %v", err)
	}
	if file, err := begin1(t, j).Keep("no rows"); file != "" || err != nil {
		t.Errorf("%q, %v", file, err)
	}
}

// Of a task whose journal was torn at once, at least the number is known.
func TestAJournalThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "task-7"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "task-7", segmentName(3)), []byte("otrj"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	j := open(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	logs, err := j.Unfinished()
	if err != nil || len(logs) != 1 {
		t.Fatalf("%v, %v", logs, err)
	}
	if s := logs[0].State(); s.Task != 7 || s.Started.IsZero() || s.Next != 0 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("the log: %s", log.String())
	}
	if logs, err := j.Unfinished(); err == nil || len(logs) > 0 {
		t.Errorf("what is open is found again: %v, %v", logs, err)
	}
}

func TestFetchingIsRemembered(t *testing.T) {
	j := open(t, Options{Dir: t.TempDir()})
	if _, ok := j.WasFetching(); ok {
		t.Error("nobody fetched")
	}
	if err := errors.Join(j.Fetching(true), j.Fetching(true)); err != nil {
		t.Fatal(err)
	}
	if began, ok := j.WasFetching(); !ok || time.Since(began).Abs() > time.Hour {
		t.Errorf("%v, %v", began, ok)
	}
	if err := errors.Join(j.Fetching(false), j.Fetching(false)); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.WasFetching(); ok {
		t.Error("the fetch has ended")
	}
}

// Whatever lies in a segment, reading it ends, and what it gives can be written
// and read again.
func FuzzRead(f *testing.F) {
	s := State{Meta: Meta{Task: 1, Steps: 1}}
	head := s.checkpoint(1)
	row := appendFrame(nil, seed(1), func(b []byte) []byte { return appendRow(b, at, "text") })
	f.Add([]byte{}, false)
	f.Add(head, false)
	f.Add(append(bytes.Clone(head), row...), false)
	f.Add([]byte("R\x02\x00text"), true)
	f.Add([]byte(`E{"step":0,"result":"success","next":0}`), true)
	f.Add([]byte("A\x01\x00"), true)
	f.Add([]byte(`O{"key":"a","value":"b"}`), true)
	f.Add([]byte(`F{"result":"failure"}`), true)
	f.Fuzz(func(t *testing.T, data []byte, framed bool) {
		if framed { // a record behind a good checksum
			data = appendFrame(bytes.Clone(head), seed(1), func(b []byte) []byte { return append(b, data...) })
		}
		got := &found{}
		if err := got.segment(bytes.NewReader(data), 1, 1); err != nil {
			t.Fatal(err)
		}
		if len(got.segments) == 0 {
			return
		}
		if got.state.Next < 0 || got.state.Acked > got.state.Next || got.segments[0].size > int64(len(data)) {
			t.Fatalf("%+v", got)
		}
		again := &found{}
		if err := again.segment(bytes.NewReader(got.state.checkpoint(2)), 1, 2); err != nil || again.cut != "" {
			t.Fatalf("%v, %q", err, again.cut)
		}
		if diff := cmp.Diff(got.state, again.state); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkRow(b *testing.B) {
	j := open(b, Options{Dir: b.TempDir(), MaxSize: 1 << 30})
	l := begin1(b, j)
	line := strings.Repeat("z", 80)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Row(at, line)
		if l.Behind() {
			_ = l.Flush()
		}
		if i%10000 == 0 {
			l.Ack(int64(i), 0)
		}
	}
}
