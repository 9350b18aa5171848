package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
	"otelrunner/sandbox/wasm/toolbox"
	"otelrunner/sandbox/wasm/wasmtest"
)

// wasmRig is a registered rig with labels of every kind. Compiled modules are kept
// in a folder of the user's, for the next run of the tests.
func wasmRig(t *testing.T) *rig {
	t.Helper()
	return wasmRigOf(t, giteatest.Options{})
}

func wasmRigOf(t *testing.T, o giteatest.Options) *rig {
	t.Helper()
	if !toolbox.There() {
		t.Skip("no toolbox: make toolbox builds it")
	}
	r := newRig(t).withServer(o)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(r.env,
		"OTELRUNNER_SANDBOX_DIR="+filepath.Join(cache, "otelrunner", "test-wasm-e2e"),
		"OTELRUNNER_CONTAINER_DOCKER_HOST=unix:///var/run/docker.sock", // it must not be spoken to
		"OTELRUNNER_RUNNER_FETCH_INTERVAL=200ms", "OTELRUNNER_RUNNER_FETCH_INTERVAL_MAX=200ms",
	)
	r.register("--labels", "safe:wasm,linux:host,box:docker://alpine:3")
	return r
}

const wasmStep = "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - run: echo \"in $RUNNER_OS\" | tr a-z A-Z; cat /etc/passwd || true\n"

// TestWasmOnly runs jobs of all kinds on a runner of the mode, under a tracer: what
// the mode forbids is refused with its sentence, no program is executed but the
// runner itself, and no connection is made but to the server.
func TestWasmOnly(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIP trace of the mode wasm-only: there is no strace")
	}
	r := wasmRig(t)
	repos, registry := actiontest.NewServer(), actiontest.NewRegistry()
	t.Cleanup(repos.Close)
	t.Cleanup(registry.Close)
	r.env = append(r.env, "OTELRUNNER_SANDBOX_PRIVATE_HOSTS="+registry.Host()) // it lies on this machine
	trace := filepath.Join(r.dir, "trace")
	p := r.startWith([]string{strace, "-f", "--seccomp-bpf", "-qq", "-s", "300", "-o", trace, "-e", "trace=execve,execveat,connect"}, "serve", "--wasm-only")
	t.Cleanup(func() { _ = syscall.Kill(traced(t, trace), syscall.SIGKILL) }) // where the test fails
	ctx := within(t, 3*time.Minute)
	module, err := wasmtest.BuildProbe()
	if err != nil {
		t.Fatal(err)
	}
	repos.Action("octo/demo", map[string]string{"README": "of the repository", "tool.wasm": string(module)})
	digest := registry.Push("1", module, nil)
	for _, c := range []struct {
		name, workflow string
		result         task.Result
		says           []string
	}{
		{"a checkout and modules", "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - uses: actions/checkout@v4\n" +
			"      - run: cat README; ./tool.wasm env:HOME | cat\n      - uses: wasm://./tool.wasm\n        with: {args: \"read:README\"}\n" +
			"      - uses: wasm://" + registry.Host() + "/tools/lint:1@" + digest + "\n        with: {args: \"read:README read:/etc/passwd\"}\n", task.Success,
			[]string{"of the repository", "HOME is /home", "README holds of the repository"}},
		{"a server of this machine", "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - uses: wasm+https://127.0.0.1:1/m.wasm#sha256=" + strings.Repeat("0", 64) + "\n", task.Failure, []string{"sandbox.private_hosts"}},
		{"a shell", wasmStep, task.Success, []string{"IN WASI", "No such file", "mode: wasm-only", "Landlock ABI", "worker: sha256:", "modules: sha256:"}},
		{"the host", strings.Replace(wasmStep, "safe", "linux", 1), task.Failure, []string{"a label of the kind name:host would run the job on its machine"}},
		{"a container label", strings.Replace(wasmStep, "safe", "box", 1), task.Failure, []string{"containers (labels of the kind name:docker://image, container: and services:) are not run"}},
		{"container:", strings.Replace(wasmStep, "    steps:", "    container: alpine:3\n    steps:", 1), task.Failure, []string{"The job asks for a container (container: alpine:3)", "take it out of the job, whose steps then run in this sandbox's shell"}},
		{"container: on a host label", strings.Replace(strings.Replace(wasmStep, "    steps:", "    container: alpine:3\n    steps:", 1), "safe", "linux", 1), task.Failure, []string{"are not run; take them out"}},
		{"services:", strings.Replace(wasmStep, "    steps:", "    services: {db: {image: postgres:16}}\n    steps:", 1), task.Failure, []string{"The job asks for services (db)"}},
		{"a Docker action", "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - run: echo before\n      - uses: docker://alpine:3\n", task.Failure, []string{"docker://alpine:3"}},
		{"a Node.js action", "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - run: |\n          mkdir a; echo 'runs: {using: node20, main: x.js}' > a/action.yml\n      - uses: ./a\n", task.Failure, []string{"./a"}},
	} {
		id := r.server.AddWorkflow(c.workflow, giteatest.TaskOptions{
			Labels: []string{"safe", "linux", "box"}, Repo: "octo/demo", ActionsURL: repos.URL,
			Context: map[string]any{"ref": "refs/tags/v1", "sha": "", "server_url": repos.URL},
		})
		done, err := r.server.WaitResult(ctx, id)
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, p.stderr.String())
		}
		if done.Result != c.result {
			t.Errorf("%s: %s", c.name, done.Result)
		}
		contains(t, "the log of "+c.name, r.server.Log(id), c.says...)
	}
	if err := syscall.Kill(traced(t, trace), syscall.SIGTERM); err != nil { // the tracer ends with it
		t.Fatal(err)
	}
	p.wait()
	contains(t, "the runner's log", p.stderr.String(), "jobs of this label will be refused", "linux:host", "box:docker://alpine:3")
	checkTrace(t, trace, r.url, repos.URL, "http://"+registry.Host())
}

// traced is the process that a tracer began with: each line begins with a pid.
func traced(t *testing.T, file string) int {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := strings.Cut(string(data), " ")
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkTrace judges each call that a tracer has written down: programs that are not
// the runner, and connections to other servers than those of urls, which have to be
// all connected to.
func checkTrace(t *testing.T, file string, urls ...string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	runs, workers, connects := 0, 0, map[string]int{}
	allowed := func(line string) bool {
		return strings.Contains(line, "connect(") && slices.ContainsFunc(urls, func(url string) bool {
			port := url[strings.LastIndex(url, ":")+1:]
			if !strings.Contains(line, `sin_port=htons(`+port+`), sin_addr=inet_addr("127.0.0.1")`) {
				return false
			}
			connects[url]++
			return true
		})
	}
	for line := range strings.Lines(string(data)) {
		switch {
		case !strings.Contains(line, "execve") && !strings.Contains(line, "connect("), strings.Contains(line, "resumed>"):
			// Ends, and calls that the tracer does not know.
		case strings.Contains(line, `execve("`+binary+`", ["`+binary+`", "__wasm-worker"], `) && strings.Contains(line, "/* 0 vars */"):
			workers++
		case strings.Contains(line, `execve("`+binary+`", ["`+binary+`", "serve", "--wasm-only"]`):
			runs++
		case allowed(line):
		default:
			t.Errorf("the runner did this: %s", line)
		}
	}
	if runs != 1 || workers == 0 || len(connects) != len(urls) {
		t.Errorf("the trace has %d starts of the runner, %d of workers, connections to %v of %q", runs, workers, connects, urls)
	}
}

// TestWithoutLandlock starts a runner of the mode on a kernel that has none.
func TestWithoutLandlock(t *testing.T) {
	r := wasmRig(t)
	without := filepath.Join(t.TempDir(), "nolandlock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", without, "otelrunner/sandbox/wasm/wasmtest/nolandlock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := r.startWith([]string{without}, "serve", "--wasm-only")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	contains(t, "what it says", p.stderr.String(), "this kernel has no Landlock", "--allow-weak-sandbox")
	if calls := r.server.Stats("FetchTask").Calls; calls > 0 {
		t.Errorf("it fetched %d times", calls)
	}

	p = r.startWith([]string{without}, "serve", "--wasm-only", "--allow-weak-sandbox")
	id := r.server.AddWorkflow(wasmStep, giteatest.TaskOptions{Labels: []string{"safe"}})
	done, err := r.server.WaitResult(within(t, 3*time.Minute), id)
	if err != nil || done.Result != task.Success {
		t.Fatalf("%s, %v\n%s", done.Result, err, p.stderr.String())
	}
	contains(t, "the log", r.server.Log(id), "Missing: Landlock", "missing: Landlock", "seccomp")
	contains(t, "the runner's log", p.stderr.String(), "sandbox.allow_weak is on")
}

// TestNoWasmLabel refuses to start where every job would be refused.
func TestNoWasmLabel(t *testing.T) {
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	_, stderr, code := r.run("serve", "--wasm-only")
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	contains(t, "what it says", stderr, "no label has the scheme wasm", "runner.labels")
}
