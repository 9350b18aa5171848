package runner

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/task"
)

func TestCopiesGoWhenTheyAreOldOrTooMany(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for i := range 6 { // the last one is the newest
		name := filepath.Join(dir, fmt.Sprintf("x-task-%d-r-j.log", i))
		if err := os.WriteFile(name, make([]byte, 300<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(time.Duration(i-5) * time.Hour)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mine.log"), make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	left := func() (names string) {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range files {
			names += strings.TrimSuffix(filepath.Base(f), "-r-j.log") + " "
		}
		return names
	}
	if _, err := openJobLogs(&config.JobLog{Dir: dir, Retention: 210 * time.Minute, MaxSize: "2m"}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "mine.log x-task-2 x-task-3 x-task-4 x-task-5 " {
		t.Errorf("after the age: %s", got)
	}
	if _, err := openJobLogs(&config.JobLog{Dir: dir, MaxSize: "700k"}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != "mine.log x-task-4 x-task-5 " {
		t.Errorf("after the size: %s", got)
	}
}

func TestACopyNeverWaits(t *testing.T) {
	dir := t.TempDir()
	j, err := openJobLogs(&config.JobLog{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := j.begin(&task.Task{ID: 7, Context: map[string]any{"repository": "o/../r", "job": "a b"}}, time.Unix(0, 0))
	if c.name != "19700101T000000-task-7-o-..-r-a-b.log" {
		t.Errorf("the name is %s", c.name)
	}
	c.mu.Lock() // the disk hangs: the writer gets nothing
	c.waiting = make([]byte, copyBuffer)
	c.mu.Unlock()
	for range 3 {
		c.row(time.Unix(0, 0), "left out")
	}
	c.close()
	data, err := os.ReadFile(filepath.Join(dir, c.name))
	if err != nil || !strings.HasSuffix(string(data), "[3 rows are left out: the disk was too slow]\n") {
		t.Errorf("%v: %.200q", err, data[max(0, len(data)-200):])
	}
	var none *jobLogs
	none.begin(&task.Task{}, time.Now()).close() // where no copies are kept
}
