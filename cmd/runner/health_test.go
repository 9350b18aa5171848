//go:build !windows

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// While a condition of the operator's does not hold, /readyz says why and no job is
// taken; when it holds again, both are mended at once.
func TestHealthGates(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ ill, well, why string }{
		"too little room":      {"min_free_disk: 900p", "min_free_disk: 1k", "disk: "},
		"the script refuses":   {"script: DIR/refuses", "script: DIR/agrees", "script: health.script says: the licence server is away"},
		"the script hangs":     {"script: DIR/hangs, script_timeout: 200ms", "script: DIR/agrees", "did not end within 200ms"},
		"there is no script":   {"script: DIR/missing", "script: ''", "no such file"},
		"a reason after start": {"", "script: DIR/agrees", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t).withServer(giteatest.Options{})
			r.register()
			r.script("refuses", "echo the licence server is away; exit 1")
			r.script("agrees", "exit 0")
			r.script("hangs", "sleep 1000")
			r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0", "OTELRUNNER_LOG_FORMAT=json")
			settings := func(health string) {
				r.write("c.yaml", "health: {"+strings.ReplaceAll(health, "DIR", r.dir)+"}\n")
			}
			settings(c.ill)
			var id int64
			if c.ill != "" {
				id = r.server.AddWorkflow(passing, giteatest.TaskOptions{})
			}
			p := r.start("serve", "-c", "c.yaml")
			ready := "http://" + p.address() + "/readyz"
			if c.ill == "" { // well at first
				done(t, r, p, r.server.AddWorkflow(passing, giteatest.TaskOptions{}), task.Success)
				get(t, ready)
				settings("script: DIR/refuses")
				p.signal(syscall.SIGHUP)
				c.why = "the licence server is away"
			}
			p.says("no task is taken: ")
			if status, body := fetch(t, ready); status != 503 || !strings.Contains(body, c.why) {
				t.Errorf("/readyz: %d %s", status, body)
			}
			if c.ill == "" {
				id = r.server.AddWorkflow(passing, giteatest.TaskOptions{})
			} else if n := r.server.Stats("FetchTask").Calls; n > 0 {
				t.Errorf("work was asked for %d times", n)
			}
			settings(c.well)
			p.signal(syscall.SIGHUP)
			done(t, r, p, id, task.Success)
			p.says("tasks are taken again")
			get(t, ready)
			p.signal(syscall.SIGTERM)
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d: %s", code, p.stderr.String())
			}
		})
	}
}

// script writes a program of sh into the rig's folder.
func (r *rig) script(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		r.t.Fatal(err)
	}
}
