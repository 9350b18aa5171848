package runner

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/task"

	"github.com/docker/go-units"
)

// jobLogs keeps copies of jobs' logs in a folder. What comes in is masked.
type jobLogs struct {
	dir string
	log *slog.Logger

	mu        sync.Mutex
	open      map[string]bool // names of those that are written
	retention time.Duration   // 0: for ever
	max       int64           // bytes of all; 0: any
}

const copyEnding = ".log"

// openJobLogs makes the folder, or returns nil where no copies are kept.
func openJobLogs(c *config.JobLog, log *slog.Logger) (*jobLogs, error) {
	if c.Dir == "" {
		return nil, nil
	}
	j := &jobLogs{dir: c.Dir, log: log, open: map[string]bool{}}
	if err := j.set(c); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("log.job.dir: %w", err)
	}
	j.expire(time.Now())
	return j, nil
}

// set changes how long and how much is kept. The folder stays.
func (j *jobLogs) set(c *config.JobLog) error {
	var most int64
	if c.MaxSize != "" {
		var err error
		if most, err = units.RAMInBytes(c.MaxSize); err != nil {
			return fmt.Errorf("log.job.max_size: %w", err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.retention, j.max = c.Retention, most
	return nil
}

// begin starts the copy of a task's log. Without a place for it, the runner's log
// says so and the copy is nil, which may be used.
func (j *jobLogs) begin(t *task.Task, began time.Time) *jobCopy {
	if j == nil {
		return nil
	}
	name := fmt.Sprintf("%s-task-%d-%s-%s%s", began.UTC().Format("20060102T150405"), t.ID,
		fileName(t.String("repository")), fileName(t.String("job")), copyEnding)
	f, err := os.OpenFile(filepath.Join(j.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		j.log.Warn("no copy of the job's log is kept", "task", t.ID, "error", err)
		return nil
	}
	j.mu.Lock()
	j.open[name] = true
	j.mu.Unlock()
	c := &jobCopy{logs: j, name: name, file: f, wake: make(chan struct{}, 1), ended: make(chan struct{}), done: make(chan struct{})}
	go c.write()
	return c
}

// fileName is text with letters, digits and dashes only, 40 at most.
func fileName(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, text)
	return clean[:min(len(clean), 40)]
}

// expire removes copies that are too old, and the oldest ones while all together
// are too large.
func (j *jobLogs) expire(now time.Time) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		j.log.Warn("look for old copies of jobs' logs", "error", err)
		return
	}
	type file struct {
		name string
		size int64
		at   time.Time
	}
	var files []file
	var total int64
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(e.Name(), copyEnding) || !strings.Contains(e.Name(), "-task-") {
			continue
		}
		total += info.Size()
		if !j.open[e.Name()] {
			files = append(files, file{e.Name(), info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.name, b.name)) })
	for _, f := range files {
		old := j.retention > 0 && now.Sub(f.at) > j.retention
		if !old && (j.max <= 0 || total <= j.max) {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, f.name)); err != nil {
			j.log.Warn("remove an old copy of a job's log", "error", err)
			continue
		}
		total -= f.size
	}
}

// jobCopy is the copy of one task's log. A disk that is too slow for it costs rows
// of the copy, which says so, and never the job's time.
type jobCopy struct {
	logs *jobLogs
	name string
	file *os.File

	wake  chan struct{}
	ended chan struct{}
	done  chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	waiting []byte
	left    int // rows that were left out since waiting was full
	err     error
}

// copyBuffer bounds what waits for the disk, in bytes.
const copyBuffer = 1 << 20

// row adds a row. It never waits.
func (c *jobCopy) row(t time.Time, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting)+len(text) > copyBuffer {
		c.left++
		return
	}
	c.sayLeft()
	c.waiting = t.UTC().AppendFormat(c.waiting, time.RFC3339Nano)
	c.waiting = append(c.waiting, ' ')
	c.waiting = append(append(c.waiting, text...), '\n')
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *jobCopy) sayLeft() {
	if c.left > 0 {
		c.waiting = fmt.Appendf(c.waiting, "[%d rows are left out: the disk was too slow]\n", c.left)
		c.left = 0
	}
}

func (c *jobCopy) write() {
	defer close(c.done)
	var spare []byte
	for more := true; more; {
		select {
		case <-c.wake:
		case <-c.ended:
			more = false
		}
		c.mu.Lock()
		if !more {
			c.sayLeft()
		}
		data := c.waiting
		c.waiting = spare[:0]
		c.mu.Unlock()
		if c.err == nil {
			_, c.err = c.file.Write(data)
		}
		spare = data
	}
}

// close ends the copy; no row comes any more.
func (c *jobCopy) close() {
	if c == nil {
		return
	}
	close(c.ended)
	<-c.done
	if err := cmp.Or(c.err, c.file.Close()); err != nil {
		c.logs.log.Warn("the copy of a job's log is not whole", "file", c.name, "error", err)
	}
	c.logs.mu.Lock()
	delete(c.logs.open, c.name)
	c.logs.mu.Unlock()
	c.logs.expire(time.Now())
}
