package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"

	"github.com/google/go-cmp/cmp"
)

// load loads text as a file in a folder without an env_file.
func load(t *testing.T, text string, environ ...string) (*config.Loaded, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("c.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load("c.yaml", environ)
}

func mustLoad(t *testing.T, text string, environ ...string) *config.Loaded {
	t.Helper()
	l, err := load(t, text, environ...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDefaults(t *testing.T) {
	want := config.Config{
		Log: config.Log{Level: "info", Format: "text", Job: config.JobLog{Retention: 168 * time.Hour, MaxSize: "1g"}},
		Runner: config.Runner{
			File: ".runner", Capacity: 1, Envs: map[string]string{}, EnvFile: ".env", Timeout: 3 * time.Hour,
			FetchTimeout: time.Minute, FetchInterval: 2 * time.Second, FetchIntervalMax: time.Minute,
			LogReportInterval: 5 * time.Second, LogReportMaxLatency: 3 * time.Second, LogReportBatchSize: 100,
			StateReportInterval: 5 * time.Second, Labels: []string{},
		},
		Host: config.Host{DockerActions: true},
		Container: config.Container{
			DockerTimeout: 30 * time.Second, Pull: "if-not-present", ValidVolumes: []string{}, ServiceReadyTimeout: 5 * time.Minute,
		},
		Sandbox: config.Sandbox{
			Mode: "any",
			Time: 6 * time.Hour, CPU: time.Hour, CompileTime: 2 * time.Minute,
			Memory: 512 << 20, Output: 64 << 20, Disk: 4 << 30, FileSize: 1 << 30, ModuleSize: 64 << 20, CompiledSize: 2 << 30,
			OpenFiles: 512, Files: 200_000, TableElements: 10_000_000, Programs: 32, NetworkAllow: []string{}, PrivateHosts: []string{},
		},
		Metrics: config.Metrics{
			Addr: "127.0.0.1:9101", Namespace: "act_runner", ReadinessGrace: 30 * time.Second,
			Labels: map[string]string{}, QueueThreshold: time.Minute, JobBuckets: []string{}, StepBuckets: []string{}, QueueBuckets: []string{},
		},
		Cache:   config.Cache{Enabled: true, MaxSize: 10 << 30},
		Otel:    config.Otel{Protocol: "http/protobuf", Propagate: true, RPCSpans: "changes"},
		Journal: config.Journal{Enabled: true, MaxSize: "128m", Keep: 168 * time.Hour},
		Health:  config.Health{ScriptTimeout: 10 * time.Second},
	}
	if d := cmp.Diff(want, config.Default()); d != "" {
		t.Error(d)
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "runner:\n", "runner:\n  capacity:\n"} {
		l := mustLoad(t, text)
		if d := cmp.Diff(want, l.Config); d != "" {
			t.Errorf("%q: %s", text, d)
		}
		if l.Warnings != nil {
			t.Errorf("%q: warnings %q", text, l.Warnings)
		}
	}
}

func TestDefaultFileLoadsAsDefault(t *testing.T) {
	var b bytes.Buffer
	if err := config.WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	l := mustLoad(t, b.String())
	if d := cmp.Diff(config.Default(), l.Config); d != "" {
		t.Error(d)
	}
	if l.Warnings != nil {
		t.Errorf("warnings %q", l.Warnings)
	}
	for _, want := range []string{"OTELRUNNER_RUNNER_CAPACITY", "From 1 to 1000 jobs", "fetch_interval_max: 1m\n", "  # From 1s to 10m."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the default file lacks %q:\n%s", want, b.String())
		}
	}
}

func TestEveryKeyInFile(t *testing.T) {
	l := mustLoad(t, `
log: {level: WARN, format: json, job: {dir: /j, retention: 1h, max_size: 2g}}
runner:
  file: /etc/r
  capacity: 7
  envs: &e
    A: 1
    B: yes
    C:
  env_file: ""
  timeout: 1h30m
  shutdown_timeout: 90s
  insecure: on
  ca_file: /ca.pem
  fetch_timeout: 61s
  fetch_interval: 1s
  fetch_interval_max: 30s
  log_report_interval: 10s
  log_report_max_latency: 500ms
  log_report_batch_size: 5
  state_report_interval: 0.5s
  actions_dir: /a
  node_path: /n/node
  github_mirror: https://mirror
  labels: [a:host, "b:docker://x:1"]
host:
  workdir_parent: /w
  docker_actions: false
container:
  docker_host: tcp://engine:2376
  docker_timeout: 0s
  require_docker: true
  pull: Never
  docker_config: /d.json
  network: ci
  options: --memory 4g --add-host "a:1.2.3.4"
  privileged: true
  cpus: 1.5
  memory: 4g
  pids: 100
  runtime: runsc
  valid_volumes: ["cache-*", /srv/**]
  bind_workdir: true
  workdir_parent: var/work
  service_ready_timeout: 90s
  standby: 2
sandbox:
  mode: Any
  allow_weak: true
  dir: /w/wasm
  time: 10m
  cpu: 90s
  compile_time: 30s
  memory: 128m
  output: 1g
  disk: 2048m
  file_size: 1.5g
  module_size: "65536"
  compiled_size: 300m
  compiles: 3
  open_files: 64
  files: 1000
  table_elements: 5000
  programs: 4
  fuel: 1000000
  deterministic: true
  network_allow: [api.example.com, "*.example.org:8443"]
  private_hosts: ["registry.internal:5000"]
metrics:
  enabled: true
  addr: :9102
  namespace: gitea_runner
  web_config_file: web.yaml
  readiness_grace: 0
  labels: {site: berlin}
  queue_threshold: 90s
  job_buckets: [1, 2.5]
  step_buckets: ["10"]
  queue_buckets: [5]
otel:
  endpoint: https://c:4317
  protocol: grpc
  propagate: false
  trace_url_template: https://t/{trace_id}
  rpc_spans: all
  job_logs: true
  step_endpoint: true
cache: {enabled: off, dir: /ca, max_size: 3g, external_server: "http://cache:1/"}
journal: {enabled: off, dir: /jr, max_size: 1m, keep: 0}
poll: {wake: ":9103", wake_secret_file: /s}
health: {min_free_disk: 1g, script: /ok, script_timeout: 1s}
`)
	want := config.Config{
		Log: config.Log{Level: "warn", Format: "json", Job: config.JobLog{Dir: "/j", Retention: time.Hour, MaxSize: "2g"}},
		Runner: config.Runner{
			File: "/etc/r", Capacity: 7, Envs: map[string]string{"A": "1", "B": "yes", "C": ""}, Timeout: 90 * time.Minute,
			ShutdownTimeout: 90 * time.Second, Insecure: true, CAFile: "/ca.pem",
			FetchTimeout: 61 * time.Second, FetchInterval: time.Second, FetchIntervalMax: 30 * time.Second,
			LogReportInterval: 10 * time.Second, LogReportMaxLatency: 500 * time.Millisecond, LogReportBatchSize: 5,
			StateReportInterval: 500 * time.Millisecond, ActionsDir: "/a", NodePath: "/n/node", GithubMirror: "https://mirror", Labels: []string{"a:host", "b:docker://x:1"},
		},
		Host: config.Host{WorkdirParent: "/w"},
		Container: config.Container{
			DockerHost: "tcp://engine:2376", RequireDocker: true, Pull: "never", DockerConfig: "/d.json", Network: "ci",
			Options: `--memory 4g --add-host "a:1.2.3.4"`, Privileged: true, CPUs: "1.5", Memory: "4g", PIDs: 100, Runtime: "runsc",
			ValidVolumes: []string{"cache-*", "/srv/**"}, BindWorkdir: true, WorkdirParent: "/var/work", ServiceReadyTimeout: 90 * time.Second, Standby: 2,
		},
		Sandbox: config.Sandbox{
			Mode: "any", AllowWeak: true, Dir: "/w/wasm", Time: 10 * time.Minute, CPU: 90 * time.Second, CompileTime: 30 * time.Second,
			Memory: 128 << 20, Output: 1 << 30, Disk: 2 << 30, FileSize: 3 << 29, ModuleSize: 64 << 10, CompiledSize: 300 << 20,
			OpenFiles: 64, Files: 1000, TableElements: 5000, Programs: 4, Compiles: 3, Fuel: 1_000_000, Deterministic: true, NetworkAllow: []string{"api.example.com", "*.example.org:8443"}, PrivateHosts: []string{"registry.internal:5000"},
		},
		Metrics: config.Metrics{Enabled: true, Addr: ":9102", Namespace: "gitea_runner", WebConfigFile: "web.yaml",
			Labels: map[string]string{"site": "berlin"}, QueueThreshold: 90 * time.Second,
			JobBuckets: []string{"1", "2.5"}, StepBuckets: []string{"10"}, QueueBuckets: []string{"5"}},
		Otel:    config.Otel{Endpoint: "https://c:4317", Protocol: "grpc", TraceURLTemplate: "https://t/{trace_id}", RPCSpans: "all", JobLogs: true, StepEndpoint: true},
		Cache:   config.Cache{Dir: "/ca", MaxSize: 3 << 30, ExternalServer: "http://cache:1/"},
		Journal: config.Journal{Dir: "/jr", MaxSize: "1m"},
		Poll:    config.Poll{Wake: ":9103", WakeSecretFile: "/s"},
		Health:  config.Health{MinFreeDisk: "1g", Script: "/ok", ScriptTimeout: time.Second},
	}
	if d := cmp.Diff(want, l.Config); d != "" {
		t.Error(d)
	}
	if l.Warnings != nil {
		t.Errorf("warnings %q", l.Warnings)
	}
}

func TestWASMOnly(t *testing.T) {
	const file = "sandbox: {mode: wasm-only}\n"
	if l := mustLoad(t, file); l.Sandbox.Mode != config.WASMOnly || l.Warnings != nil {
		t.Errorf("%q, warnings %q", l.Sandbox.Mode, l.Warnings)
	}
	if _, err := load(t, file+"health: {script: /bin/true}\n"); err == nil || !strings.Contains(err.Error(), "c.yaml:2: health.script: a script cannot be run") {
		t.Errorf("a script: %v", err)
	}
	if l := mustLoad(t, file+"container: {require_docker: true}\n"); len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "has no effect") {
		t.Errorf("an engine: warnings %q", l.Warnings)
	}
}

func TestForcePull(t *testing.T) {
	for _, c := range []struct{ text, pull, warning string }{
		{"container: {force_pull: true}", "always", ""},
		{"container: {force_pull: true, pull: always}", "always", ""},
		{"container: {force_pull: true, pull: never}", "never", "c.yaml:1: container.force_pull has no effect, because container.pull is never"},
		{"container: {force_pull: false}", "if-not-present", ""},
		{"container: {workdir_parent: work}", "if-not-present", "container.workdir_parent has an effect only with container.bind_workdir"},
	} {
		l := mustLoad(t, c.text)
		if l.Container.Pull != c.pull || !strings.Contains(strings.Join(l.Warnings, "\n"), c.warning) || c.warning == "" && l.Warnings != nil {
			t.Errorf("%s: pull %q, warnings %q", c.text, l.Container.Pull, l.Warnings)
		}
	}
}

func TestActRunnersFileLoads(t *testing.T) {
	data, err := os.ReadFile("testdata/act_runner.yaml")
	if err != nil {
		t.Fatal(err)
	}
	l := mustLoad(t, string(data))
	if l.Runner.Envs["SECOND_NAME"] != "2" || l.Runner.FetchTimeout != 5*time.Second || len(l.Runner.Labels) != 2 {
		t.Errorf("not what the file says: %+v", l.Runner)
	}
	all := strings.Join(l.Warnings, "\n")
	for _, want := range []string{
		"cache.port (line ", "cache.s3.bucket (line ", "jobs reach the cache through the runner itself",
		"container.force_rebuild (line ", "container.network_create_options.enable_ipv4 (line ",
		"runner.post_task_script (line ", "health_check.enabled",
		"c.yaml:19: runner.fetch_timeout is 5s",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning contains %q; all:\n%s", want, all)
		}
	}
	if strings.Contains(all, "container.options") || strings.Contains(all, "container.network (") || strings.Contains(all, "cache.enabled") {
		t.Error("a key without a value, or one that is supported, is warned about")
	}
	if c := l.Container; c.Pull != "always" || c.DockerTimeout != 0 || c.DockerHost != "" {
		t.Errorf("not what the file says: %+v", c)
	}
}

// The example of every problem; each must name the line, the key and what to do.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "runner:\n  capacty: 1", "c.yaml:2: runner.capacty: unknown key, did you mean runner.capacity?"},
		{"unknown section", "log: {level: info}\nruner:\n  capacity: 1", "c.yaml:2: runer: unknown key, did you mean runner?"},
		{"wrong section", "capacity: 1", "c.yaml:1: capacity: unknown key, did you mean runner.capacity?"},
		{"docker host", "container: {docker_host: /run/docker.sock}", `c.yaml:1: container.docker_host: "/run/docker.sock" is no address of a container engine`},
		{"pull", "container: {pull: allways}", "did you mean always?"},
		{"cpus", "container: {cpus: -1}", `"-1" is no number of CPUs`},
		{"memory", "container: {memory: lots}", `"lots" is no size`},
		{"options", "container: {options: --memroy 4g}", "c.yaml:1: container.options: "},
		{"volumes", "container: {valid_volumes: ['[a']}", `"[a" is no pattern`},
		{"below a section that is ignored", "container:\n  privleged: true", "c.yaml:2: container.privleged: unknown key, did you mean container.privileged?"},
		{"unlike anything", "zzzzzzzz: 1", "c.yaml:1: zzzzzzzz: unknown key"},
		{"text for number", "runner:\n  capacity: many", `c.yaml:2: runner.capacity: expected a whole number of jobs from 1 to 1000, found "many"`},
		{"quoted number", "runner:\n  capacity: '2'", "write it without quotes"},
		{"list for number", "runner:\n  capacity: [1]", "found a list"},
		{"too small", "runner:\n  capacity: 0", "c.yaml:2: runner.capacity: 0 is out of bounds: from 1 to 1000"},
		{"too large", "runner:\n  fetch_timeout: 11m", "11m is out of bounds: from 1s to 10m"},
		{"negative", "runner:\n  timeout: -1s", "-1s is out of bounds"},
		{"no unit", "runner:\n  timeout: 90", "c.yaml:2: runner.timeout: 90 has no unit: write 90s for seconds, or use ms, m or h"},
		{"no duration", "runner:\n  timeout: soon", `expected a duration from 1s to 720h, like 90s, 5m or 1h30m, found "soon"`},
		{"no boolean", "runner:\n  insecure: maybe", `expected true or false, found "maybe"`},
		{"enumeration", "log:\n  level: inof", `"inof" is not one of trace, debug, info, warn, error, fatal, panic, did you mean info?`},
		{"scalar for list", "runner:\n  labels: a:host", `expected a list of texts, found the text "a:host"`},
		{"mapping in list", "runner:\n  labels:\n    - a:host\n    - b: c", "found a mapping in it (line 4)"},
		{"label", "runner:\n  labels: ['x:dokcer://i']", `unknown scheme "dokcer"`},
		{"label twice", "runner:\n  labels: [a:host, a:wasm]", "already taken"},
		{"list for mapping", "runner:\n  envs: [A=1]", "expected a mapping of names to texts, found a list"},
		{"bad name", "runner:\n  envs: {'A=B': c}", `"A=B" cannot be the name of an environment variable (line 2)`},
		{"name of a label", "metrics:\n  labels: {a-b: c}", `c.yaml:2: metrics.labels: "a-b" cannot be the name of a label`},
		{"label of ours", "metrics:\n  labels: {status: c}", `"status" is a label of the runner's own families: choose another name (line 2)`},
		{"nested env", "runner:\n  envs:\n    A: {b: c}", "expected a text for A, found a mapping (line 3)"},
		{"scalar for section", "runner: 3", "c.yaml:1: runner: expected a mapping, found the number 3"},
		{"twice", "runner:\n  capacity: 1\n  capacity: 2", "c.yaml:3: runner.capacity: is set twice, first in line 2"},
		{"not YAML", "runner: [", "c.yaml:2: this is not YAML"},
		{"a tab", "runner:\n\tcapacity: 1", "c.yaml:2: this is not YAML: found character that cannot start any token (the line is indented by a tab: YAML wants spaces)"},
		{"two documents", "runner: {capacity: 1}\n---\nrunner: {capacity: 2}\n", "a second document begins after ---"},
		{"not YAML in a second document", "runner: {capacity: 1}\n---\nrunner: [", "this is not YAML"},
		{"endless", "cache:\n  s3: &a {b: *a}", "c.yaml: the file is too large or too deep"},
		{"no mapping", "- a", "c.yaml:1: expected a mapping of sections"},
		{"address", "metrics: {addr: nine}", `"nine" is no address: expected host:port`},
		{"port", "metrics: {addr: 'a:70000'}", `port "70000"`},
		{"namespace", "metrics: {namespace: 1a}", "metrics.namespace: "},
		{"trace URL", "otel: {trace_url_template: 'https://x'}", `"https://x" has no {trace_id}`},
		{"buckets", "metrics: {job_buckets: [1, 1]}", `"1" is no bound of a bucket`},
		{"mirror", "runner: {github_mirror: 'ftp://me:pw@x'}", `"ftp://me:********@x" is no address of a web server`},
		{"journal size", "journal: {max_size: 1k}", `journal.max_size: "1k" is no size of at least 1m`},
		{"wake without a secret", "\npoll: {wake: ':9103'}", "c.yaml:2: poll.wake_secret_file: the webhook needs a secret"},
		{"nested section", "log: {job: {dri: x}}", "log.job.dri: unknown key, did you mean log.job.dir?"},
		{"empty file name", "runner: {file: ''}", "runner.file: must not be empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant one with %q", err, c.want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := load(t, "runner:\n  capacity: 0\n  timeout: 5\nlgo: {}\n", "OTELRUNNER_RUNNER_INSECURE=perhaps")
	var e *config.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *config.Error", err)
	}
	var got []string
	for _, p := range e.Problems {
		got = append(got, p.Where+" "+p.Key)
	}
	want := []string{"c.yaml:2 runner.capacity", "c.yaml:3 runner.timeout", "c.yaml:4 lgo", "OTELRUNNER_RUNNER_INSECURE runner.insecure"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(err.Error(), "configuration: 4 problems:\n  c.yaml:2: ") {
		t.Errorf("%v", err)
	}
}

func TestEnvironment(t *testing.T) {
	l := mustLoad(t, "runner: {capacity: 2, envs: {A: file}}",
		"OTELRUNNER_RUNNER_CAPACITY=3", "OTELRUNNER_RUNNER_LABELS=a:host, b:docker://x:1",
		"OTELRUNNER_RUNNER_ENVS=A=1,B=x=y", "OTELRUNNER_METRICS_ENABLED=true",
		"OTELRUNNER_RUNNER_TIMEOUT=5m", "OTELRUNNER_CONFIG=whatever", "RUNNER_CAPACITY=9", "PATH=/bin")
	if l.Runner.Capacity != 3 || !l.Metrics.Enabled || l.Runner.Timeout != 5*time.Minute {
		t.Errorf("%+v", l.Config)
	}
	if d := cmp.Diff([]string{"a:host", "b:docker://x:1"}, l.Runner.Labels); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"A": "1", "B": "x=y"}, l.Runner.Envs); d != "" {
		t.Error(d)
	}
	if l.Warnings != nil {
		t.Errorf("warnings %q", l.Warnings)
	}
}

func TestEnvironmentInYAMLForm(t *testing.T) {
	l := mustLoad(t, "", `OTELRUNNER_RUNNER_ENVS={"A": "1,2"}`, `OTELRUNNER_RUNNER_LABELS=["a:host"]`)
	if d := cmp.Diff(map[string]string{"A": "1,2"}, l.Runner.Envs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a:host"}, l.Runner.Labels); d != "" {
		t.Error(d)
	}
	if _, err := load(t, "", "OTELRUNNER_RUNNER_LABELS=[a"); err == nil || !strings.Contains(err.Error(), "OTELRUNNER_RUNNER_LABELS: runner.labels: expected a list") {
		t.Errorf("%v", err)
	}
}

func TestOverride(t *testing.T) {
	environ := []string{"OTELRUNNER_LOG_LEVEL=warn"}
	l, err := config.Load("", environ, config.Override{Key: "log.level", Value: "debug", From: "--log-level"})
	if err != nil || l.Log.Level != "debug" {
		t.Errorf("%+v, %v", l, err)
	}
	_, err = config.Load("", environ, config.Override{Key: "log.level", Value: "loud", From: "--log-level"})
	if err == nil || !strings.HasPrefix(err.Error(), `configuration: --log-level: log.level: "loud" is not one of trace,`) {
		t.Errorf("%v", err)
	}
}

func TestUnknownVariableIsWarnedAbout(t *testing.T) {
	l := mustLoad(t, "", "OTELRUNNER_RUNNER_CAPACTY=3")
	want := []string{"environment variable OTELRUNNER_RUNNER_CAPACTY belongs to no key of the configuration, did you mean OTELRUNNER_RUNNER_CAPACITY?"}
	if d := cmp.Diff(want, l.Warnings); d != "" {
		t.Error(d)
	}
}

func TestRelations(t *testing.T) {
	for _, c := range []struct {
		text, want string
		max        time.Duration
	}{
		{"runner: {fetch_interval: 5s, fetch_interval_max: 2s}", "c.yaml:1: runner.fetch_interval_max is 2s, less than runner.fetch_interval: 5s is used for both", 5 * time.Second},
		{"runner: {fetch_interval: 5s, fetch_interval_max: 0}", "5s is used for both", 5 * time.Second},
		{"runner: {fetch_interval_max: 5m}", "offline", 5 * time.Minute},
		{"runner: {fetch_timeout: 5s}", "loses it; 1m is safer", time.Minute},
		{"runner: {log_report_max_latency: 5s}", "not less than runner.log_report_interval (5s)", time.Minute},
		{"runner: {log_report_interval: 1s}", "runner.log_report_max_latency is 3s", time.Minute},
	} {
		l := mustLoad(t, c.text)
		if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], c.want) {
			t.Errorf("%s: warnings %q, want one with %q", c.text, l.Warnings, c.want)
		}
		if l.Runner.FetchIntervalMax != c.max {
			t.Errorf("%s: fetch_interval_max is %s, want %s", c.text, l.Runner.FetchIntervalMax, c.max)
		}
	}
}

func TestEnvFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "vars")
	text := "# comment\n\nexport A = from file \nB='a # b'\nC=\"two\\nlines\" # said\nD=x # y\nE=\nF=a=b\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustLoad(t, "runner:\n  env_file: "+file+"\n  envs: {A: yaml, Z: yaml}")
	want := map[string]string{"A": "from file", "B": "a # b", "C": "two\nlines", "D": "x", "E": "", "F": "a=b", "Z": "yaml"}
	if d := cmp.Diff(want, l.Runner.Envs); d != "" {
		t.Error(d)
	}

	for _, c := range []struct{ text, want string }{
		{"A=1\nnonsense", "vars:2: runner.env_file: expected NAME=value, found no ="},
		{"A='x", "A: the quote ' is not closed"},
		{`A="x\"`, `A: the quote " is not closed`},
		{"A='x' y", "A: text follows the closing quote"},
		{"=x", `"" cannot be the name`},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, "runner: {env_file: "+file+"}"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if err == nil || !strings.Contains(err.Error(), "does not exist; write one with `runner config init") {
		t.Errorf("%v", err)
	}
}

func FuzzLoad(f *testing.F) {
	data, err := os.ReadFile("testdata/act_runner.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Add("a: &a [*a]")
	f.Add("cache: {s3: &a {b: *a}}")
	f.Add("runner: {labels: [x, {}], envs: {<<: {}}}")
	f.Add("runner:\n  capacity: 99999999999999999999999\n")
	f.Add("? [a]\n: b")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := load(t, text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := l.Show(&b); err != nil {
			t.Fatal(err)
		}
		again, err := load(t, b.String())
		if err != nil {
			t.Fatalf("what Show writes does not load: %v\n%s", err, b.String())
		}
		if len(again.Runner.Labels) != len(l.Runner.Labels) || again.Runner.Capacity != l.Runner.Capacity {
			t.Fatalf("what Show writes is another configuration:\n%s", b.String())
		}
	})
}
