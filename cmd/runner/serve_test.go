package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

const passing = `
on: push
jobs:
  build:
    runs-on: linux
    outputs: {v: "${{ steps.a.outputs.v }}"}
    steps:
      - id: a
        run: |
          echo "hello from $GITHUB_REPOSITORY"
          echo "v=7" >> "$GITHUB_OUTPUT"
          echo "the secret is $S and $OPERATOR_TOKEN"
        env: {S: "${{ secrets.PASSWORD }}"}
      - run: echo "$FROM_FILE and $FROM_CONFIG"
`

func TestRegisterAndServeOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.write("token", giteatest.DefaultToken+"\n")
	stdout, stderr, code := r.run("register", "--instance", r.url+"/", "--token-file", "token", "--name", "first", "--labels", "linux:host, gpu:docker://img:1")
	if code != 0 {
		t.Fatalf("register: exit code %d: %s", code, stderr)
	}
	contains(t, "register's output", stdout, `registered "first" at `+r.url, "linux:host, gpu:docker://img:1", "next: runner serve")
	checkRegistration(t, r)
	if _, stderr, code := r.run("register", "--instance", r.url, "--token", giteatest.DefaultToken); code != 1 || !strings.Contains(stderr, "--force") {
		t.Errorf("registering twice: exit code %d: %s", code, stderr)
	}
	if stdout, stderr, code := r.run("register", "--if-missing"); code != 0 || !strings.Contains(stdout, "is registered") {
		t.Errorf("registering if need be: exit code %d: %s", code, stderr)
	}

	r.write("vars", "FROM_FILE=file\n")
	r.write("c.yaml", "runner:\n  env_file: vars\n  envs: {FROM_CONFIG: config, OPERATOR_TOKEN: operators-own-token}\n")
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{Secrets: map[string]string{"PASSWORD": "sesame-open"}})
	p := r.start("serve", "--once", "-c", "c.yaml")
	done, err := r.server.WaitResult(soon(t), id)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	if code := p.wait(); code != 0 {
		t.Errorf("serve: exit code %d: %s", code, p.stderr.String())
	}
	if done.Result != task.Success || done.Outputs["v"] != "7" || len(done.Steps) != 2 {
		t.Errorf("%+v", done)
	}
	log := r.server.Log(id)
	contains(t, "the job's log", log, "hello from ", "the secret is *** and ***", "file and config")
	for _, secret := range []string{"sesame-open", "operators-own-token"} {
		if strings.Contains(log+p.stderr.String(), secret) {
			t.Errorf("%s is shown", secret)
		}
	}
	contains(t, "the runner's log", p.stderr.String(), `msg="task done"`, "result=success")
}

// checkRegistration checks mode and format of the registration file.
func checkRegistration(t *testing.T, r *rig) {
	t.Helper()
	file := filepath.Join(r.dir, ".runner")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o, want 600", info.Mode().Perm())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var reg map[string]any
	if err := json.Unmarshal(data, &reg); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "uuid", "name", "token", "address", "labels", "ephemeral"} {
		if reg[key] == nil {
			t.Errorf("the registration file lacks %s", key)
		}
	}
}

func TestRegisterErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><title>A blog</title></html>")
	}))
	t.Cleanup(page.Close)
	secure := httptest.NewTLSServer(r.server.Handler())
	t.Cleanup(secure.Close)
	for _, c := range []struct{ name, url, token, want string }{
		{"bad token", r.url, "wrong-registration-token", "the registration token is wrong"},
		{"not a Gitea", page.URL, "x", "check the address"},
		{"TLS", secure.URL, "x", "signed by an authority that this machine does not know"},
		{"http as https", strings.Replace(r.url, "http:", "https:", 1), "x", "write http://"},
	} {
		_, stderr, code := r.run("register", "--instance", c.url, "--token", c.token)
		if code != 1 || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, want 1 and one line with %q:\n%s", c.name, code, c.want, stderr)
		}
		if strings.Contains(stderr, "wrong-registration-token") {
			t.Errorf("%s: the token is shown: %s", c.name, stderr)
		}
		if _, err := os.Stat(filepath.Join(r.dir, ".runner")); err == nil {
			t.Fatalf("%s: a registration file was written", c.name)
		}
	}
	r.env = append(r.env, "GITEA_INSTANCE_URL="+secure.URL, "GITEA_RUNNER_REGISTRATION_TOKEN="+giteatest.DefaultToken,
		"GITEA_RUNNER_NAME=from-env", "GITEA_RUNNER_EPHEMERAL=true", "OTELRUNNER_RUNNER_INSECURE=true")
	stdout, stderr, code := r.run("register", "--no-interactive")
	if code != 0 {
		t.Fatalf("from the environment: exit code %d: %s", code, stderr)
	}
	contains(t, "register's output", stdout, `"from-env"`)
	if runners := r.server.Runners(); len(runners) != 1 || !runners[0].Ephemeral {
		t.Errorf("%+v", runners)
	}
}

func TestEphemeralEndsAfterItsTask(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register("--ephemeral")
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	other := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	p := r.start("daemon")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if done, _ := r.server.Task(id); done.Result != task.Success {
		t.Errorf("the task: %+v", done)
	}
	if left, _ := r.server.Task(other); left.Runner != "" {
		t.Errorf("a second task was taken: %+v", left)
	}
	if _, stderr, code := r.run("serve"); code != 3 {
		t.Errorf("the deleted runner serves again: exit code %d: %s", code, stderr)
	}
}

// long runs until it is cancelled; its cleanup says so.
const long = `
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: |
          echo started
          sleep 60
      - if: always()
        run: echo cleaned up
`

// startLong serves a task that does not end by itself and waits for its step.
func startLong(t *testing.T, settings string) (*rig, *process, int64) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.write("c.yaml", "runner: {log_report_max_latency: 100ms, state_report_interval: 500ms, "+settings+"}\n")
	id := r.server.AddWorkflow(long, giteatest.TaskOptions{})
	p := r.start("serve", "-c", "c.yaml")
	err := r.server.Wait(soon(t), func() bool {
		return regexp.MustCompile(`(?m)^started$`).MatchString(r.server.Log(id))
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	return r, p, id
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func TestTerminateCancelsAndReports(t *testing.T) {
	t.Parallel()
	r, p, id := startLong(t, "shutdown_timeout: 0s")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	done, _ := r.server.Task(id)
	if done.Result != task.Cancelled {
		t.Errorf("the task's result is %s, want cancelled", done.Result)
	}
	contains(t, "the job's log", r.server.Log(id), "cleaned up")
}

func TestSecondSignalCutsTheWait(t *testing.T) {
	t.Parallel()
	r, p, id := startLong(t, "shutdown_timeout: 1h")
	p.signal(syscall.SIGTERM)
	for !strings.Contains(p.stderr.String(), "no more tasks are taken") {
		select {
		case <-p.ended:
			t.Fatalf("the job was not waited for: %s", p.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	if now, _ := r.server.Task(id); now.Result.Final() {
		t.Fatalf("the job was not let go on: %+v", now)
	}
	p.signal(os.Interrupt)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if done, _ := r.server.Task(id); done.Result != task.Cancelled {
		t.Errorf("the task's result is %s, want cancelled", done.Result)
	}
}

func TestCancelOnTheServer(t *testing.T) {
	t.Parallel()
	r, p, id := startLong(t, "")
	r.server.Cancel(id)
	done, err := r.server.WaitResult(soon(t), id)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	if done.Result != task.Cancelled {
		t.Errorf("%+v", done)
	}
	contains(t, "the job's log", r.server.Log(id), "cleaned up")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

func TestUnregisteredWhileServing(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_RUNNER_FETCH_INTERVAL=100ms")
	p := r.start("serve")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	r.server.DeleteRunner(r.server.Runners()[0].UUID)
	if code := p.wait(); code != 3 {
		t.Errorf("exit code %d, want 3: %s", code, p.stderr.String())
	}
	contains(t, "standard error", p.stderr.String(), "runner: fetch task: http://", "the server does not know this runner", "register it again with `runner register`")
	if n := r.server.Stats("FetchTask").Calls; n > 6 {
		t.Errorf("%d fetches", n)
	}
}

// A page instead of the service is told in one sentence and not asked again at
// once.
func TestServerAnswersHTML(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	var calls atomic.Int32
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<html><title>Down for maintenance</title></html>")
	}))
	t.Cleanup(page.Close)
	file := filepath.Join(r.dir, ".runner")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(".runner", strings.ReplaceAll(string(data), r.url, page.URL))
	p := r.start("serve")
	for !strings.Contains(p.stderr.String(), "Down for maintenance") {
		select {
		case <-p.ended:
			t.Fatalf("it ended: %s", p.stderr.String())
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	if runtime.GOOS != "windows" {
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d: %s", code, p.stderr.String())
		}
	}
	if n := calls.Load(); n > 2 {
		t.Errorf("the server was called %d times within a moment", n)
	}
	contains(t, "the log", p.stderr.String(), "check the address", "again_in=2s")
}

// One that has none does not start, and takes no job.
func TestNoContainerEngine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ labels, env string }{
		"only docker labels": {"box:docker://img:1", ""},
		"required":           {"linux:host", "OTELRUNNER_CONTAINER_REQUIRE_DOCKER=true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t).withServer(giteatest.Options{})
			r.register("--labels", c.labels)
			r.env = append(r.env, c.env)
			_, stderr, code := r.run("serve")
			if code != 1 || !strings.Contains(stderr, "the container engine at unix:///nowhere/docker.sock does not answer: start it") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=1x")
	if _, stderr, code := r.run("serve"); code != 2 || !strings.Contains(stderr, "OTELRUNNER_METRICS_ENABLED: metrics.enabled: expected true or false") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0")
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	p := r.start("serve", "--log-format", "json")
	if _, err := r.server.WaitResult(soon(t), id); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	address := regexp.MustCompile(`"address":"([^"]+)"`).FindStringSubmatch(p.stderr.String())
	if address == nil {
		t.Fatalf("the log does not say the address:\n%s", p.stderr.String())
	}
	contains(t, "/metrics", get(t, "http://"+address[1]+"/metrics"),
		`act_runner_info{name="e2e",version="1.2.3-test"} 1`, "act_runner_capacity 1",
		`act_runner_job_total{status="success"} 1`, `act_runner_poll_fetch_total{result="task"} 1`,
		`act_runner_report_log_total{result="success"}`, "process_cpu_seconds_total")
	get(t, "http://"+address[1]+"/readyz")

	second := newRig(t)
	second.server, second.url = r.server, r.url
	second.register()
	second.env = append(second.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR="+address[1])
	if _, stderr, code := second.run("serve"); code != 1 || !strings.Contains(stderr, "in use") {
		t.Errorf("a port in use: exit code %d: %s", code, stderr)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	status, body := fetch(t, url)
	if status != http.StatusOK {
		t.Errorf("%s: %d: %s", url, status, body)
	}
	return body
}

func fetch(t *testing.T, url string) (status int, text string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A registration that cannot be used: one sentence, a code of its own, and the file
// as it was.
func TestBrokenRegistrationIsKept(t *testing.T) {
	t.Parallel()
	const fields = `"uuid": "u", "token": "t", "name": "n"`
	for name, c := range map[string]struct{ text, want string }{
		"cut off":     {`{"id": 1, "uuid":`, "line 1"},
		"bad address": {`{` + fields + `, "address": "git.example.org", "labels": ["linux:host"]}`, "its address is unusable"},
		"bad label":   {`{` + fields + `, "address": "http://127.0.0.1:1", "labels": ["x:vm://y"]}`, `unknown scheme "vm"`},
		"no label":    {`{` + fields + `, "address": "http://127.0.0.1:1", "labels": []}`, "a runner without labels gets no jobs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write(".runner", c.text)
			_, stderr, code := r.run("serve")
			if code != 3 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			contains(t, "standard error", stderr, ".runner", c.want)
			if data, err := os.ReadFile(filepath.Join(r.dir, ".runner")); err != nil || string(data) != c.text {
				t.Errorf("the file was changed: %q, %v", data, err)
			}
		})
	}
}
