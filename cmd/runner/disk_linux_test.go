package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// smallDisk is a runner whose journal lies on a disk of its own, of 2 MiB, which
// only its process sees.
type smallDisk struct {
	*rig
	p   *process
	dir string // the journal, as this process sees it
}

// startOnSmallDisk starts a runner on a small disk of which a command of the shell
// makes what it wants, in its folder, before that.
func startOnSmallDisk(t *testing.T, before string) *smallDisk {
	t.Helper()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0", "OTELRUNNER_JOURNAL_MAX_SIZE=1m")
	journal := filepath.Join(r.dir, ".runner.journal")
	if err := os.Mkdir(journal, 0o700); err != nil {
		t.Fatal(err)
	}
	under := []string{"unshare", "-m"}
	if os.Getuid() != 0 {
		under = []string{"unshare", "-Urm"}
	}
	script := `mount -t tmpfs -o size=2m,mode=700 none "$0" && cd "$0" && { ` + before + `; cd "$OLDPWD"; } && exec "$@"`
	under = append(under, "sh", "-c", script, journal)
	if out, err := exec.Command(under[0], append(under[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("SKIP a full disk: this system lets nobody mount one: %v: %s", err, out)
	}
	s := &smallDisk{rig: r, p: r.startWith(under, "serve", "--log-format", "json")}
	s.dir = fmt.Sprintf("/proc/%d/root%s", s.p.cmd.Process.Pid, journal)
	waitFor(t, s.p, "the start", func() bool { return strings.Contains(s.p.stderr.String(), "runner starts") })
	return s
}

// fill takes all room but room bytes.
func (s *smallDisk) fill(room int64) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, "filler"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var size int64
	for {
		n, err := f.Write(make([]byte, 4096))
		if size += int64(n); errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := f.Truncate(size - room); err != nil {
		s.t.Fatal(err)
	}
}

func (s *smallDisk) free() {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "filler")); err != nil {
		s.t.Fatal(err)
	}
}

// readyz is the answer of the runner's /readyz.
func (s *smallDisk) readyz() (status int, body string) {
	s.t.Helper()
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(s.p.stderr.String())
	if address == nil {
		s.t.Fatalf("no address:\n%s", s.p.stderr.String())
	}
	return fetch(s.t, "http://"+address[1]+"/readyz")
}

// wellAgain frees the disk: the runner takes a job, and is ready.
func (s *smallDisk) wellAgain() {
	s.t.Helper()
	id := s.server.AddWorkflow(passing, giteatest.TaskOptions{})
	s.free()
	if done, err := s.server.WaitResult(within(s.t, time.Minute), id); err != nil || done.Result != task.Success {
		s.t.Errorf("the next job: %+v, %v\n%s", done, err, s.p.stderr.String())
	}
	if status, body := s.readyz(); status != 200 {
		s.t.Errorf("/readyz: %d %s", status, body)
	}
}

// A disk that gets full, in the middle of a record or so that nothing more fits: the
// job fails with a row that says so, all rows that came before are there, the runner
// stays up and takes no more until there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for name, room := range map[string]int64{"nothing fits": 0, "a part of a write fits": 8 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startOnSmallDisk(t, "true")
			id := s.server.AddWorkflow(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: |
          echo begun; while [ ! -e "$GO" ]; do sleep 0.02; done
          i=0; while [ $i -lt 30000 ]; do echo "row $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done
          sleep 60
        env: {GO: "`+filepath.Join(s.rig.dir, "go")+`"}
`, giteatest.TaskOptions{})
			if err := s.server.WaitRows(soon(t), id, 1); err != nil {
				t.Fatalf("%v\n%s", err, s.p.stderr.String())
			}
			s.fill(room)
			s.write("go", "")
			done, err := s.server.WaitResult(within(t, time.Minute), id)
			if err != nil || done.Result != task.Failure {
				t.Fatalf("%+v, %v\n%s", done.Result, err, s.p.stderr.String())
			}
			log := s.server.Log(id)
			contains(t, "the job's log", log, "begun", "##[error]The runner's disk is full, and this job's log could be lost: the job is stopped.", "no space left on device")
			next := 0
			for line := range strings.Lines(log) {
				var i int
				if n, _ := fmt.Sscanf(line, "row %d ", &i); n == 1 {
					if i != next {
						t.Fatalf("row %d comes where %d is due", i, next)
					}
					next++
				}
			}
			if next < 10 {
				t.Errorf("%d rows arrived", next)
			}
			s.notReady()
			s.wellAgain()
		})
	}
}

// notReady checks that the runner says its journal is why it is not ready.
func (s *smallDisk) notReady() {
	s.t.Helper()
	status, body := s.readyz()
	if status != 503 || !strings.Contains(body, "journal: ") {
		s.t.Errorf("/readyz: %d %s", status, body)
	}
}

// A disk that is full when the runner starts: it is up, says that it is not ready,
// fails no job, and is found by `runner drain` once there is room.
func TestDiskFullAtTheStart(t *testing.T) {
	t.Parallel()
	s := startOnSmallDisk(t, "dd if=/dev/zero of=filler bs=4096 2>/dev/null || true")
	s.notReady()
	s.wellAgain()
	pid, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil || string(pid) != fmt.Sprint(s.p.cmd.Process.Pid) {
		t.Errorf("the process number is %q, %v", pid, err)
	}
	if failed := s.server.Tasks(); len(failed) != 1 {
		t.Errorf("%d tasks", len(failed))
	}
}

// A journal whose folder has gone away, with the disk that it is on.
func TestJournalGone(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	p := r.start("serve", "--log-format", "json")
	waitFor(t, p, "the start", func() bool { return strings.Contains(p.stderr.String(), "runner starts") })
	journal := filepath.Join(r.dir, ".runner.journal")
	if err := os.Rename(journal, journal+".away"); err != nil {
		t.Fatal(err)
	}
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil || done.Result != task.Failure {
		t.Fatalf("%+v, %v\n%s", done.Result, err, p.stderr.String())
	}
	contains(t, "the job's log", r.server.Log(id), "##[error]The runner's disk fails, and this job's log could be lost: the job is not run.")
	next := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	if err := os.Rename(journal+".away", journal); err != nil {
		t.Fatal(err)
	}
	if done, err := r.server.WaitResult(within(t, time.Minute), next); err != nil || done.Result != task.Success {
		t.Errorf("the next job: %+v, %v\n%s", done, err, p.stderr.String())
	}
}
