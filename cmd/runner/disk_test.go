package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// A journal that takes no more: the job fails with a row that says so, the runner
// stays up and takes no more until there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0", "OTELRUNNER_JOURNAL_MAX_SIZE=1m")
	p := r.start("serve", "--log-format", "json")
	waitFor(t, p, "the start", func() bool { return strings.Contains(p.stderr.String(), "runner starts") })
	journal := filepath.Join(r.dir, ".runner.journal")
	away := journal + ".away"
	id := r.server.AddWorkflow(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: |
          echo begun; while [ ! -e "$GO" ]; do sleep 0.02; done
          i=0; while [ $i -lt 30000 ]; do echo "row $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; i=$((i+1)); done
          sleep 60
        env: {GO: "`+filepath.Join(r.dir, "go")+`"}
`, giteatest.TaskOptions{})
	if err := r.server.WaitRows(soon(t), id, 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	// No segment can be made any more, as on a full disk.
	if err := os.Rename(journal, away); err != nil {
		t.Fatal(err)
	}
	r.write("go", "")
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil || done.Result != task.Failure {
		t.Fatalf("%+v, %v\n%s", done.Result, err, p.stderr.String())
	}
	contains(t, "the job's log", r.server.Log(id), "begun", "##[error]The runner's disk fails, and this job's log could be lost: the job is stopped.")
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(p.stderr.String())
	if address == nil {
		t.Fatalf("no address:\n%s", p.stderr.String())
	}
	if status, body := fetch(t, "http://"+address[1]+"/readyz"); status != 503 || !strings.Contains(body, "journal: ") {
		t.Errorf("/readyz: %d %s", status, body)
	}
	next := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	if err := os.Rename(away, journal); err != nil {
		t.Fatal(err)
	}
	if done, err := r.server.WaitResult(within(t, time.Minute), next); err != nil || done.Result != task.Success {
		t.Errorf("the next job: %+v, %v\n%s", done, err, p.stderr.String())
	}
	if status, body := fetch(t, "http://"+address[1]+"/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
}
