package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const pipeline = `
name: Pipeline
on:
  push:
  workflow_dispatch:
    inputs:
      who: {type: string, default: world}
      loud: {type: boolean, default: false}
env: {TOP: "top-${{ github.event_name }}"}
jobs:
  last:
    needs: [build, lint]
    if: always()
    runs-on: linux
    steps:
      - run: echo "needs ${{ needs.build.result }} ${{ needs.lint.result }} ${{ needs.build.outputs.v }}"
  build:
    name: Build ${{ matrix.n }}
    runs-on: ${{ matrix.on }}
    strategy:
      matrix:
        on: [linux]
        n: [1, 2.5, "${{ inputs.who }}"]
    outputs: {v: "${{ steps.a.outputs.v }}"}
    steps:
      - uses: actions/checkout@v4
      - id: a
        run: |
          echo "combination ${{ matrix.n }} of $TOP"
          echo "v=${{ matrix.n }}" >> "$GITHUB_OUTPUT"
          echo "file says $(cat sub/file.txt) ${{ vars.COLOR }} $GIVEN"
          echo "secret ${{ secrets.PASS }}"
  lint:
    runs-on: linux
    steps:
      - run: echo "$GITHUB_REPOSITORY $GITHUB_SHA $GITHUB_REF $GITHUB_SERVER_URL"
`

// gitRig is a rig whose folder is a repository with a remote.
func gitRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.write("wf/pipeline.yml", pipeline)
	r.write("sub/file.txt", "content")
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	for _, line := range []string{
		"init -q -b trunk", "config user.email a@example.org", "config user.name A", "add .",
		"commit -q -m first", "remote add origin https://me:sesame@git.example.org/own/project.git",
	} {
		cmd := exec.Command("git", strings.Fields(line)...)
		cmd.Dir = r.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", line, err, out)
		}
	}
	return r
}

func TestExec(t *testing.T) {
	t.Parallel()
	r := gitRig(t)
	r.env = append(r.env, "PASS=from-environment")
	stdout, stderr, code := r.run("exec", "wf/pipeline.yml", "--secret", "PASS", "--var", "COLOR=a,b", "--env", "GIVEN=given", "--input", "who=x y")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	contains(t, "the output", stdout,
		"combination 1 of top-workflow_dispatch", "combination 2.5 of", "combination x y of",
		"file says content a,b given", "secret ***",
		"needs success success x y", "✓ Build x y: success",
		"own/project ", " refs/heads/trunk https://git.example.org\n")
	for _, secret := range []string{"from-environment", "sesame"} {
		if strings.Contains(stdout+stderr, secret) {
			t.Errorf("%s is shown:\n%s", secret, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Error("colours where there is no terminal")
	}
	if strings.Contains(stdout, "0000000000") {
		t.Error("the commit was not found")
	}
}

func TestExecOneJob(t *testing.T) {
	t.Parallel()
	r := gitRig(t)
	stdout, _, code := r.run("exec", "wf/pipeline.yml", "-j", "lint")
	if code != 0 || strings.Contains(stdout, "Build") || strings.Contains(stdout, "▶ last") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	_, stderr, code := r.run("exec", "--job=lnt", "wf/pipeline.yml")
	if code != 2 || !strings.Contains(stderr, `has no job "lnt"; it has last, build, lint, did you mean lint?`) {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// execCases are workflows with the exit code and the outputs that they must have.
func TestExecResults(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("event.json", `{"number": 7, "pull_request": {"head": {"ref": "topic"}}}`)
	job := func(rest string) string { return "on: push\njobs:\n  a:\n    runs-on: linux\n" + rest }
	for i, c := range []struct {
		name     string
		workflow string
		args     string
		code     int
		want     []string
		not      []string
	}{
		{"failure", job("    steps: [{run: exit 3}, {run: echo never-run}, {if: always(), run: echo tidy}]"), "", 1,
			[]string{"exit code 3", "tidy", "✗ a: failure"}, []string{"never-run\n"}},
		{"continue-on-error", job("    continue-on-error: true\n    steps: [{run: exit 3}]"), "", 0, nil, nil},
		{"skipped by if", job("    if: false\n    steps: [{run: echo never}]"), "", 0, []string{"- a: skipped: its condition does not hold: false"}, nil},
		{"needs of a failed job", job("    steps: [{run: exit 1}]\n  b:\n    needs: a\n    runs-on: linux\n    steps: [{run: echo never-run}]"), "", 1,
			[]string{"- b: skipped: of its needs, a failed", "- b  skipped    of its needs, a failed"}, []string{"│ never-run"}},
		{"fail-fast", job("    strategy: {matrix: {n: [1, 2]}}\n    steps: [{run: 'echo n${{ matrix.n }}; exit 1'}]"), "", 1,
			[]string{"│ n1", "■ a (2)  cancelled"}, []string{"│ n2"}},
		{"no fail-fast", job("    strategy: {fail-fast: false, matrix: {n: [1, 2]}}\n    steps: [{run: 'echo n${{ matrix.n }}; exit 1'}]"), "", 1,
			[]string{"│ n1", "│ n2"}, nil},
		{"event", job("    steps: [{run: 'echo ${{ github.event.number }} ${{ github.head_ref }} ${{ github.event_name }}'}]"), "--event event.json --event-name pull_request", 0,
			[]string{"│ 7 topic pull_request"}, nil},
		{"unknown label", "on: push\njobs:\n  a:\n    runs-on: strange\n    steps: [{run: echo x}]", "", 1,
			[]string{"add: --label strange:host"}, nil},
		{"given label", "on: push\njobs:\n  a:\n    runs-on: strange\n    steps: [{run: echo ran}]", "--label strange:host", 0, []string{"│ ran"}, nil},
		{"container label", "on: push\njobs:\n  a:\n    runs-on: strange\n    steps: [{run: echo x}]", "--label strange:docker://img", 1,
			[]string{"container engine at unix:///nowhere/docker.sock does not answer: start it"}, nil},
		{"container on the host", "on: push\njobs:\n  a:\n    runs-on: linux\n    container: img\n    steps: [{run: echo x}]", "", 1,
			[]string{"container engine at unix:///nowhere/docker.sock does not answer: start it"}, []string{"│ x"}},
		{"services on the host", "on: push\njobs:\n  a:\n    runs-on: linux\n    services: {db: {image: img}}\n    steps: [{run: echo x}]", "", 1,
			[]string{"asks for services (db), and its label runs it on the host: give it a container"}, []string{"│ x"}},
		{"docker action on the host", job("    steps: [{uses: 'docker://img'}]"), "", 1,
			[]string{"The action docker://img runs in a container, for which a host job needs a container engine: the container engine at unix:///nowhere/docker.sock does not answer: start it"}, nil},
		{"no double evaluation", job("    strategy: {matrix: {n: [\"${{ '$' }}{{ 1 }}\"]}}\n    steps: [{run: 'echo \"${{ matrix.n == format(''{0}{1}'', ''$'', ''{{ 1 }}'') }}\"'}]"), "", 0,
			[]string{"│ true"}, nil},
		{"anchors", "on: push\nx-steps: &s [{run: echo anchored}]\njobs:\n  a:\n    runs-on: linux\n    steps: *s\n  b:\n    runs-on: linux\n    steps: *s", "", 0, []string{"✓ b  success"}, nil},
		{"no YAML", "on: push\njobs:\n\tx", "", 2, nil, nil},
		{"no jobs", "on: push", "", 2, nil, nil},
		{"unknown need", job("    needs: zz\n    steps: [{run: echo x}]"), "", 2, nil, nil},
		{"inputs for nothing", job("    steps: [{run: echo x}]"), "--input a=b", 2, nil, nil},
		{"called from elsewhere", "on: push\njobs:\n  a: {uses: ./wf.yml}\n", "", 2, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := *r
			r.t = t
			file := fmt.Sprintf("wf%d.yml", i)
			r.write(file, c.workflow)
			stdout, stderr, code := r.run(append(strings.Fields(c.args), "exec", file)...)
			if c.args != "" {
				stdout, stderr, code = r.run(append([]string{"exec", file}, strings.Fields(c.args)...)...)
			}
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, stderr)
			}
			contains(t, "the output", stdout, c.want...)
			for _, part := range c.not {
				if strings.Contains(stdout, part) {
					t.Errorf("the output has %q:\n%s", part, stdout)
				}
			}
			if code == 2 {
				contains(t, "standard error", stderr, file)
			}
		})
	}
}

func TestExecParallel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	// Each job waits for the other's file: alone they would wait for ever.
	r.write("wf.yml", "on: push\njobs:\n"+
		"  a:\n    runs-on: linux\n    timeout-minutes: 1\n    steps: [{run: 'touch $D/a; until test -e $D/b; do sleep 0.01; done; echo a is done'}]\n"+
		"  b:\n    runs-on: linux\n    timeout-minutes: 1\n    steps: [{run: 'touch $D/b; until test -e $D/a; do sleep 0.01; done; echo b is done'}]\n")
	stdout, stderr, code := r.run("exec", "wf.yml", "--parallel", "2", "--env", "D="+t.TempDir())
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	contains(t, "the output", stdout, "a |   │ a is done", "b |   │ b is done", "a | ✓ a: success", "✓ b  success")
	if _, stderr, code := r.run("exec", "wf.yml", "--parallel", "0"); code != 2 || !strings.Contains(stderr, "--parallel 0: expected 1 or more") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestExecWorkdir(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("wf.yml", "on: push\njobs:\n  a:\n    runs-on: linux\n    steps: [{run: ls}]\n")
	r.write("elsewhere/file.txt", "x")
	stdout, _, code := r.run("exec", "wf.yml", "--workdir", "elsewhere")
	if code != 0 || !strings.Contains(stdout, "│ file.txt") || strings.Contains(stdout, "│ wf.yml") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if _, stderr, code := r.run("exec", "wf.yml", "--workdir", "missing"); code != 2 || !strings.Contains(stderr, "there is no such folder") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestExecInterrupt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted from outside there")
	}
	r := newRig(t)
	r.write("wf.yml", "on: push\njobs:\n  a:\n    runs-on: linux\n    steps:\n      - run: echo started; sleep 60\n      - if: always()\n        run: echo tidy\n  b:\n    runs-on: linux\n    steps: [{run: echo never-run}]\n")
	p := r.start("exec", "wf.yml")
	for !strings.Contains(p.stdout.String(), "│ started") {
		select {
		case <-p.ended:
			t.Fatalf("it ended:\n%s%s", p.stdout.String(), p.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	contains(t, "the output", p.stdout.String(), "│ tidy", "■ a: cancelled", "■ b")
	if strings.Contains(p.stdout.String(), "│ never-run") {
		t.Error("a job began after the interrupt")
	}
	left, err := os.ReadDir(strings.TrimPrefix(r.env[3], "OTELRUNNER_HOST_WORKDIR_PARENT="))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), "task-") {
			t.Errorf("%s is left", entry.Name())
		}
	}
}
