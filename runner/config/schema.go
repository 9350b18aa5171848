package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/label"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/wasm/netgate"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/docker/go-units"
)

// EnvPrefix begins the name of every environment variable that overrides a key:
// EnvPrefix + the key's path in capitals, dots as underscores. It stays clear of
// the names that steps see (RUNNER_*, GITEA_*, GITHUB_*) and of OTEL_*, whose
// meaning is OpenTelemetry's.
const EnvPrefix = "OTELRUNNER_"

// A key is one setting. The type of what field points to is the key's type.
type key struct {
	path  string
	field func(*Config) any // *int, *bool, *string, *Size, *time.Duration, *[]string or *map[string]string
	def   string            // as an environment variable would give it

	unit     string // what a number counts
	min, max int64  // inclusive; of a duration in nanoseconds
	oneOf    []string
	check    func(string) error // of a text, and of each entry of a list
	checkAll func([]string) error
	name     func(string) error // checks the names of a mapping; nil: they are those of environment variables

	doc     string
	example string // of a value, where the default is empty
}

// env is the variable that overrides k.
func (k *key) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

const (
	ms   = int64(time.Millisecond)
	sec  = int64(time.Second)
	hour = int64(time.Hour)
)

// schema is the table of all keys, in the order of the default file. The keys
// that act_runner has too keep its names and meanings.
func schema() []key {
	return []key{
		{path: "log.level", field: func(c *Config) any { return &c.Log.Level }, def: "info",
			oneOf: []string{"trace", "debug", "info", "warn", "error", "fatal", "panic"},
			doc:   "The least severe message of the runner's own log that is written. trace is the same as debug; fatal and panic are the same as error."},
		{path: "log.format", field: func(c *Config) any { return &c.Log.Format }, def: "text",
			oneOf: []string{"text", "json"},
			doc:   "How the runner's own log is written to stderr."},
		{path: "log.job.dir", field: func(c *Config) any { return &c.Log.Job.Dir }, def: "",
			doc: "A folder in which a copy of each job's log is kept, masked as the server gets it. Empty: no copies.", example: "/var/log/runner/jobs"},
		{path: "log.job.retention", field: func(c *Config) any { return &c.Log.Job.Retention }, def: "168h", min: 0, max: 87600 * hour,
			doc: "How long a copy is kept. 0: until max_size is reached."},
		{path: "log.job.max_size", field: func(c *Config) any { return &c.Log.Job.MaxSize }, def: "1g", check: size,
			doc: "How much all copies may take together; the oldest ones go first. Empty: no limit."},

		{path: "runner.file", field: func(c *Config) any { return &c.Runner.File }, def: ".runner", check: notEmpty,
			doc: "The registration file, which `runner register` writes. It holds the runner's secret."},
		{path: "runner.capacity", field: func(c *Config) any { return &c.Runner.Capacity }, def: "1", unit: "jobs", min: 1, max: 1000,
			doc: "How many jobs run at a time."},
		{path: "runner.envs", field: func(c *Config) any { return &c.Runner.Envs }, def: "",
			doc: "Environment variables for every step.", example: "{A_NAME: a value}"},
		{path: "runner.env_file", field: func(c *Config) any { return &c.Runner.EnvFile }, def: ".env",
			doc: "A file of NAME=value lines: more environment variables for every step, stronger than envs. No file of this name is no error."},
		{path: "runner.timeout", field: func(c *Config) any { return &c.Runner.Timeout }, def: "3h", min: sec, max: 720 * hour,
			doc: "How long a job may run. The server has a limit of its own, 3h unless it was changed."},
		{path: "runner.shutdown_timeout", field: func(c *Config) any { return &c.Runner.ShutdownTimeout }, def: "0s", min: 0, max: 720 * hour,
			doc: "At SIGTERM or SIGINT, how long running jobs may go on before they are cancelled. A cancelled job still runs its always() steps and is reported."},
		{path: "runner.insecure", field: func(c *Config) any { return &c.Runner.Insecure }, def: "false",
			doc: "Do not verify the server's TLS certificate. ca_file is the safe way to trust a private authority."},
		{path: "runner.ca_file", field: func(c *Config) any { return &c.Runner.CAFile }, def: "",
			doc: "A PEM file of certificate authorities that are trusted beside the system's.", example: "/etc/ssl/private-ca.pem"},
		{path: "runner.fetch_timeout", field: func(c *Config) any { return &c.Runner.FetchTimeout }, def: "60s", min: sec, max: 600 * sec,
			doc: "How long the server may take to answer whether there is a task. One that is slow to assign a task loses it to a runner that hangs up first, so a value under 60s is used but warned about."},
		{path: "runner.fetch_interval", field: func(c *Config) any { return &c.Runner.FetchInterval }, def: "2s", min: 100 * ms, max: hour,
			doc: "The wait after the first answer without a task; it doubles with each further one."},
		{path: "runner.fetch_interval_max", field: func(c *Config) any { return &c.Runner.FetchIntervalMax }, def: "60s", min: 0, max: 24 * hour,
			doc: "The longest wait between two fetches. A server shows a runner that is silent for 60s as offline, so a larger value is used but warned about. One below fetch_interval is raised to it."},
		{path: "runner.log_report_interval", field: func(c *Config) any { return &c.Runner.LogReportInterval }, def: "5s", min: 100 * ms, max: 300 * sec,
			doc: "The interval of the sweep that sends all log rows that wait."},
		{path: "runner.log_report_max_latency", field: func(c *Config) any { return &c.Runner.LogReportMaxLatency }, def: "3s", min: 100 * ms, max: 300 * sec,
			doc: "The longest that a log row waits before it is sent. Only a value below log_report_interval has an effect."},
		{path: "runner.log_report_batch_size", field: func(c *Config) any { return &c.Runner.LogReportBatchSize }, def: "100", unit: "rows", min: 1, max: 100000,
			doc: "So many waiting rows are sent before their time, at most once a second a task."},
		{path: "runner.state_report_interval", field: func(c *Config) any { return &c.Runner.StateReportInterval }, def: "5s", min: 500 * ms, max: 300 * sec,
			doc: "The interval of the heartbeat of a running job. Its answer is how a cancel is learned. The server gives up a job that is silent for 10m."},
		{path: "runner.actions_dir", field: func(c *Config) any { return &c.Runner.ActionsDir }, def: "",
			doc: "The folder in which fetched actions are kept for later jobs. Several runners may share it. Empty: a folder in the user's cache.", example: "/var/lib/runner/actions"},
		{path: "runner.node_path", field: func(c *Config) any { return &c.Runner.NodePath }, def: "",
			doc: "The Node.js program that runs JavaScript actions of host jobs. Empty: node, where the PATH finds it.", example: "/usr/local/bin/node"},
		{path: "runner.github_mirror", field: func(c *Config) any { return &c.Runner.GithubMirror }, def: "", check: webURL,
			doc: "Where actions of https://github.com are fetched from instead.", example: "https://github-mirror.example"},
		{path: "runner.labels", field: func(c *Config) any { return &c.Runner.Labels }, def: "", check: checkLabel, checkAll: checkLabels,
			doc: "Which jobs this runner takes (the name) and where their steps run: name:host, name:docker://image or name:wasm. Labels given here replace those of the registration file.", example: `["linux:host"]`},

		{path: "host.workdir_parent", field: func(c *Config) any { return &c.Host.WorkdirParent }, def: "",
			doc: "The folder in which host jobs get their workspaces, one each, removed at the job's end. Empty: a folder in the user's cache.", example: "/var/lib/runner/work"},

		{path: "host.docker_actions", field: func(c *Config) any { return &c.Host.DockerActions }, def: "true",
			doc: "Run Docker actions and docker:// steps of host jobs in containers, with the workspace mounted. The engine is asked when such a step comes up; the keys of container.* hold. false: such a step fails with a sentence."},

		{path: "container.docker_host", field: func(c *Config) any { return &c.Container.DockerHost }, def: "", check: engineHost,
			doc: "Where the container engine (Docker, or Podman's service) listens. Empty, or \"-\": DOCKER_HOST of the runner's environment, else the platform's usual socket. No job gets that socket, whatever this says; see valid_volumes.", example: "unix:///var/run/docker.sock"},
		{path: "container.docker_timeout", field: func(c *Config) any { return &c.Container.DockerTimeout }, def: "30s", min: 0, max: hour,
			doc: "How long a container engine that does not answer is waited for, at the runner's start and when a job needs it."},
		{path: "container.require_docker", field: func(c *Config) any { return &c.Container.RequireDocker }, def: "false",
			doc: "Do not start without a container engine. Otherwise only a runner that has nothing but docker:// labels does not; one with others serves those."},
		{path: "container.pull", field: func(c *Config) any { return &c.Container.Pull }, def: "if-not-present",
			oneOf: []string{"if-not-present", "always", "never"},
			doc:   "When images are pulled. An image that is on the engine is there for every job, a private one too, unless this is always: then a job gets only what it could pull itself."},
		{path: "container.force_pull", field: func(c *Config) any { return &c.Container.ForcePull }, def: "false",
			doc: "act_runner's name for pull: always. pull wins where both are set."},
		{path: "container.docker_config", field: func(c *Config) any { return &c.Container.DockerConfig }, def: "",
			doc: "A config.json of Docker; its auths are used for the images of every job that gives no credentials of its own. Empty: no credentials.", example: "/etc/runner/docker/config.json"},
		{path: "container.network", field: func(c *Config) any { return &c.Container.Network }, def: "",
			doc: "The network of jobs' containers: host, none, or the name of one that exists. Empty: one for each job, removed with it. In one that exists, a job's services are found by their names in an internal network of the job's own beside it.", example: "ci"},
		{path: "container.options", field: func(c *Config) any { return &c.Container.Options }, def: "", check: container.CheckFlags,
			doc: "Options of `docker create` for every container of a job. A workflow cannot undo them; limits among them are ceilings for what it asks for.", example: "--add-host=git.example.org:10.0.0.7 --memory 4g"},
		{path: "container.privileged", field: func(c *Config) any { return &c.Container.Privileged }, def: "false",
			doc: "Run every job's containers privileged: a job then owns the engine's machine."},
		{path: "container.cpus", field: func(c *Config) any { return &c.Container.CPUs }, def: "", check: number,
			doc: "The most CPUs that one container may use, fractions too; a workflow can lower it. Empty: no limit.", example: "1.5"},
		{path: "container.memory", field: func(c *Config) any { return &c.Container.Memory }, def: "", check: size,
			doc: "The most memory that one container may use; a workflow can lower it. Empty: no limit.", example: "4g"},
		{path: "container.pids", field: func(c *Config) any { return &c.Container.PIDs }, def: "0", unit: "processes", min: 0, max: 4194304,
			doc: "The most processes and threads that one container may have; a workflow can lower it. 0: no limit."},
		{path: "container.runtime", field: func(c *Config) any { return &c.Container.Runtime }, def: "",
			doc: "The OCI runtime of jobs' containers, as the engine calls it. Empty: the engine's default.", example: "runsc"},
		{path: "container.valid_volumes", field: func(c *Config) any { return &c.Container.ValidVolumes }, def: "", check: glob,
			doc: "What workflows may mount: names of volumes and paths of the engine's machine, with * and **. The engine's socket, and what holds it, only if it is listed without a wildcard.", example: `["cache-*", "/srv/data/**"]`},
		{path: "container.bind_workdir", field: func(c *Config) any { return &c.Container.BindWorkdir }, def: "false",
			doc: "Keep workspaces in folders of this machine, below workdir_parent, instead of volumes of the engine, which has to be on this machine."},
		{path: "container.workdir_parent", field: func(c *Config) any { return &c.Container.WorkdirParent }, def: "",
			doc: "The folder of this machine for bind_workdir. Empty: one in the user's cache. In the containers, workspaces are always below /workspace.", example: "/var/lib/runner/containers"},
		{path: "container.service_ready_timeout", field: func(c *Config) any { return &c.Container.ServiceReadyTimeout }, def: "5m", min: sec, max: 24 * hour,
			doc: "How long the services of a job may take until their health checks succeed."},
		{path: "container.standby", field: func(c *Config) any { return &c.Container.Standby }, def: "0", unit: "containers", min: 0, max: 100,
			doc: "How many fresh containers of each docker:// label are kept ready for jobs to come; each serves one job. A job that asks for more than its label does not use them."},

		{path: "sandbox.mode", field: func(c *Config) any { return &c.Sandbox.Mode }, def: "any",
			oneOf: []string{"any", WASMOnly},
			doc:   "wasm-only: run nothing but WebAssembly. Jobs of host and docker:// labels, container:, services:, Docker and Node.js actions are refused before anything runs, no container engine is spoken to, no other program than the runner itself is executed, and a kernel without Landlock is a reason not to start. Also `serve --wasm-only`."},
		{path: "sandbox.allow_weak", field: func(c *Config) any { return &c.Sandbox.AllowWeak }, def: "false",
			doc: "In the mode wasm-only, start also where the kernel has no Landlock: between a module that breaks out of the WebAssembly engine and this user's files then stand only the filter of system calls and, where permitted, namespaces. Also `serve --allow-weak-sandbox`."},
		{path: "sandbox.dir", field: func(c *Config) any { return &c.Sandbox.Dir }, def: "",
			doc: "The folder of the WASM sandbox: jobs' files, removed at their end, and the cache of compiled modules. Several runners may share it. Empty: a folder in the user's cache.", example: "/var/lib/runner/wasm"},
		{path: "sandbox.time", field: func(c *Config) any { return &c.Sandbox.Time }, def: "6h", min: 10 * ms, max: 720 * hour,
			doc: "How long a step may run. This and the limits below are for jobs in the WASM sandbox; a workflow lowers them by the environment variables SANDBOX_LIMIT_* of a step or job."},
		{path: "sandbox.cpu", field: func(c *Config) any { return &c.Sandbox.CPU }, def: "1h", min: 10 * ms, max: 720 * hour,
			doc: "How much processor time a step may use, of all its programs together."},
		{path: "sandbox.memory", field: func(c *Config) any { return &c.Sandbox.Memory }, def: "512m", min: 1 << 20, max: 64 << 30,
			doc: "How much memory a step may use, of all its programs together; one program never gets more than 4g. The shell alone needs about 30m."},
		{path: "sandbox.output", field: func(c *Config) any { return &c.Sandbox.Output }, def: "64m", min: 1 << 10, max: 64 << 30,
			doc: "How much a step may print."},
		{path: "sandbox.disk", field: func(c *Config) any { return &c.Sandbox.Disk }, def: "4g", min: 1 << 20, max: 1 << 50,
			doc: "How much the files of a job may hold."},
		{path: "sandbox.files", field: func(c *Config) any { return &c.Sandbox.Files }, def: "200000", unit: "files", min: 100, max: 100_000_000,
			doc: "How many files, folders and links a job may have."},
		{path: "sandbox.file_size", field: func(c *Config) any { return &c.Sandbox.FileSize }, def: "1g", min: 1 << 10, max: 1 << 50,
			doc: "How large one file may be."},
		{path: "sandbox.open_files", field: func(c *Config) any { return &c.Sandbox.OpenFiles }, def: "512", unit: "files", min: 16, max: 100_000,
			doc: "How many files a step may have open at a time."},
		{path: "sandbox.programs", field: func(c *Config) any { return &c.Sandbox.Programs }, def: "32", unit: "programs", min: 1, max: 1000,
			doc: "How many modules a step may run at a time, beside its first."},
		{path: "sandbox.module_size", field: func(c *Config) any { return &c.Sandbox.ModuleSize }, def: "64m", min: 1 << 10, max: 256 << 20,
			doc: "How large a module may be."},
		{path: "sandbox.table_elements", field: func(c *Config) any { return &c.Sandbox.TableElements }, def: "10000000", unit: "elements", min: 1000, max: 1_000_000_000,
			doc: "How many elements the tables of a module may have; each takes 8 bytes."},
		{path: "sandbox.compile_time", field: func(c *Config) any { return &c.Sandbox.CompileTime }, def: "2m", min: sec, max: hour,
			doc: "How much processor time the compiling of one module may take."},
		{path: "sandbox.compiles", field: func(c *Config) any { return &c.Sandbox.Compiles }, def: "0", unit: "modules", min: 0, max: 1000,
			doc: "How many modules may be compiled at a time, for all jobs of this runner together: one may take a processor and 3g of memory. Jobs that wait take turns. 0: as many as the machine has processors, and one for each 4g of memory (of the machine, or of the runner's control group)."},
		{path: "sandbox.compiled_size", field: func(c *Config) any { return &c.Sandbox.CompiledSize }, def: "2g", min: 256 << 20, max: 1 << 50,
			doc: "How much the compiled modules may take on the disk, those of all jobs and runners that share the folder together. What nobody has used for an hour goes first, then the oldest of the job that has most: what one job adds does not take the others' part. Compiled code has about four times a module's size."},
		{path: "sandbox.network_allow", field: func(c *Config) any { return &c.Sandbox.NetworkAllow }, def: "", check: netgate.Check,
			doc: "The servers that programs may ask over HTTPS, by the sandbox's own functions: a host, *.HOST for all below one, with :PORT, or http://HOST for requests that are not encrypted. Addresses of this machine and of private networks are refused, whatever name leads to them. Empty: no network.", example: `["api.example.com", "*.cdn.example.com"]`},
		{path: "sandbox.private_hosts", field: func(c *Config) any { return &c.Sandbox.PrivateHosts }, def: "", check: netgate.Check,
			doc: "In the mode wasm-only: servers of this machine or of private networks from which the runner itself fetches what workflows name (modules, actions, repositories, submodules), written as in network_allow. All others there are refused after their names were resolved, but for the Gitea server.", example: `["registry.internal:5000"]`},
		{path: "sandbox.fuel", field: func(c *Config) any { return &c.Sandbox.Fuel }, def: "0", unit: "instructions", min: 0, max: 1 << 62,
			doc: "How many WebAssembly instructions each program of a step may run, counted at the entries of functions and the turns of loops: the same count in every run and on every machine. The shell counts like any program. 0: no limit, and nothing is counted."},
		{path: "sandbox.deterministic", field: func(c *Config) any { return &c.Sandbox.Deterministic }, def: "false",
			doc: "Give programs a clock and randomness that are the same in every run, instead of the real ones."},

		{path: "cache.enabled", field: func(c *Config) any { return &c.Cache.Enabled }, def: "true",
			doc: "Be the server of actions/cache (and of what else saves by it: setup-node, setup-go …) for the steps of host and container jobs. They reach it on the loopback that they see, through the runner itself: act_runner's cache.host and cache.port are not needed."},
		{path: "cache.dir", field: func(c *Config) any { return &c.Cache.Dir }, def: "",
			doc: "The folder of what jobs save. Several runners may share it; what act_runner's own server has there is left as it is, and not used. Empty: a folder in the user's cache.", example: "/var/lib/runner/cache"},
		{path: "cache.max_size", field: func(c *Config) any { return &c.Cache.MaxSize }, def: "10g", min: 16 << 20, max: 1 << 50,
			doc: "How much may be saved there by all jobs: what was not used for longest goes first, and whatever was not used for a week. One job saves half of it at most. Saved things also make room, and no more are taken, while the disk has less than 1g left, or less than health.min_free_disk."},
		{path: "cache.external_server", field: func(c *Config) any { return &c.Cache.ExternalServer }, def: "", check: webURL,
			doc: "The address of another server of actions/cache, which steps are told instead.", example: "http://cache.internal:8088/"},

		{path: "journal.enabled", field: func(c *Config) any { return &c.Journal.Enabled }, def: "true",
			doc: "Keep on disk what the server does not have yet of a job's log and result. Without it, a server that is away for long, or a runner that is killed, loses it."},
		{path: "journal.dir", field: func(c *Config) any { return &c.Journal.Dir }, def: "",
			doc: "The folder of the journal, for this runner alone; it has to outlive the process. Empty: runner.file with .journal behind it.", example: "/var/lib/runner/journal"},
		{path: "journal.max_size", field: func(c *Config) any { return &c.Journal.MaxSize }, def: "128m", check: journalSize,
			doc: "How much of one job's log may wait on disk for the server; a job that writes more waits, too."},
		{path: "journal.keep", field: func(c *Config) any { return &c.Journal.Keep }, def: "168h", min: 0, max: 87600 * hour,
			doc: "How long rows are kept, as text in the folder kept, that could not be delivered because the server had given the job up. 0: not at all."},

		{path: "poll.wake", field: func(c *Config) any { return &c.Poll.Wake }, def: "", check: optionalAddress,
			doc: "The address at which Gitea's webhook for workflow jobs wakes the runner, so that a job starts at once and not at the next fetch. Empty: off.", example: ":9102"},
		{path: "poll.wake_secret_file", field: func(c *Config) any { return &c.Poll.WakeSecretFile }, def: "",
			doc: "A file with the webhook's secret, which signs its requests; poll.wake needs it.", example: "/etc/runner/wake-secret"},

		{path: "health.min_free_disk", field: func(c *Config) any { return &c.Health.MinFreeDisk }, def: "", check: size,
			doc: "No job is taken while less is free where jobs work or the journal is. Empty: any will do.", example: "1g"},
		{path: "health.script", field: func(c *Config) any { return &c.Health.Script }, def: "",
			doc: "A program that is run before work is asked for, once in 30s at most; no job is taken while its exit status is not 0. The first line that it prints is the reason.", example: "/etc/runner/healthy"},
		{path: "health.script_timeout", field: func(c *Config) any { return &c.Health.ScriptTimeout }, def: "10s", min: 100 * ms, max: hour,
			doc: "How long the program may take."},

		{path: "metrics.enabled", field: func(c *Config) any { return &c.Metrics.Enabled }, def: "false",
			doc: "Serve /metrics, /healthz and /readyz. (Telemetry over OTLP is separate: it is on when OTEL_EXPORTER_OTLP_ENDPOINT is set.)"},
		{path: "metrics.addr", field: func(c *Config) any { return &c.Metrics.Addr }, def: "127.0.0.1:9101", check: address,
			doc: "The address they are served at."},
		{path: "metrics.namespace", field: func(c *Config) any { return &c.Metrics.Namespace }, def: "act_runner", check: otel.ValidateNamespace,
			doc: "What the names of the runner's metrics begin with. Dashboards exist for act_runner and for gitea_runner."},
		{path: "metrics.web_config_file", field: func(c *Config) any { return &c.Metrics.WebConfigFile }, def: "",
			doc: "A file in the web configuration format of Prometheus exporters: TLS and basic authentication for the address above.", example: "/etc/runner/web.yaml"},
		{path: "metrics.readiness_grace", field: func(c *Config) any { return &c.Metrics.ReadinessGrace }, def: "30s", min: 0, max: hour,
			doc: "How long the server may be out of reach, beyond the wait between two fetches, before /readyz says 503."},

		{path: "metrics.labels", field: func(c *Config) any { return &c.Metrics.Labels }, def: "", name: otel.ValidateLabel,
			doc: "Labels that every family on /metrics gets. By OTLP, OTEL_RESOURCE_ATTRIBUTES says the same.", example: "{site: berlin}"},
		{path: "metrics.queue_threshold", field: func(c *Config) any { return &c.Metrics.QueueThreshold }, def: "1m", min: 0, max: 24 * hour,
			doc: "A job without needs that waited longer for a runner is counted in job_queue_over_threshold. 0: none is."},
		{path: "metrics.job_buckets", field: func(c *Config) any { return &c.Metrics.JobBuckets }, def: "", checkAll: buckets,
			doc: "The bounds of the buckets of job_duration, in seconds. Empty: 1, 2, 4 … 8192, which dashboards of act_runner know.", example: "[10, 60, 600]"},
		{path: "metrics.step_buckets", field: func(c *Config) any { return &c.Metrics.StepBuckets }, def: "", checkAll: buckets,
			doc: "The bounds of the buckets of step_duration, in seconds.", example: "[1, 10, 60, 600]"},
		{path: "metrics.queue_buckets", field: func(c *Config) any { return &c.Metrics.QueueBuckets }, def: "", checkAll: buckets,
			doc: "The bounds of the buckets of job_queue_duration, in seconds.", example: "[5, 30, 300]"},

		{path: "otel.endpoint", field: func(c *Config) any { return &c.Otel.Endpoint }, def: "", check: webURL,
			doc: "Where metrics, traces and logs are sent by OTLP. Empty: nowhere. OTEL_EXPORTER_OTLP_ENDPOINT and the other standard OTEL_* variables win over the keys of this section.", example: "http://127.0.0.1:4318"},
		{path: "otel.protocol", field: func(c *Config) any { return &c.Otel.Protocol }, def: "http/protobuf",
			oneOf: []string{"grpc", "http/protobuf"},
			doc:   "How they are sent."},
		{path: "otel.propagate", field: func(c *Config) any { return &c.Otel.Propagate }, def: "true",
			doc: "Give every program of a step TRACEPARENT, TRACESTATE and BAGGAGE, so that its own spans belong to the step's. What a workflow sets itself wins."},
		{path: "otel.trace_url_template", field: func(c *Config) any { return &c.Otel.TraceURLTemplate }, def: "", check: traceURL,
			doc: "Where a trace is shown, for a line in the job's log: {trace_id} and {span_id} are replaced.", example: "https://jaeger.example/trace/{trace_id}"},
		{path: "otel.rpc_spans", field: func(c *Config) any { return &c.Otel.RPCSpans }, def: "changes",
			oneOf: []string{"all", "changes", "none"},
			doc:   "Which calls to the server become spans of their job: all; changes, which leaves out heartbeats that say nothing new and succeed; none."},
		{path: "otel.job_logs", field: func(c *Config) any { return &c.Otel.JobLogs }, def: "false",
			doc: "Send the rows of jobs' logs as log records, too, masked as they are for the server."},
		{path: "otel.step_endpoint", field: func(c *Config) any { return &c.Otel.StepEndpoint }, def: "false",
			doc: "Give the steps of each job an OTLP endpoint of their own (OTEL_EXPORTER_OTLP_ENDPOINT), which sends their telemetry on to the runner's with the run's attributes. It needs no credentials, and gives away none. It is on the loopback that the job's steps see. WebAssembly modules, which have no sockets, get none; the log of a job in the WASM sandbox says so."},
	}
}

// unsupported are the keys of act_runner's file that are accepted and have no
// effect, with the reason; a path that ends in ".*" stands for all below it.
func unsupported() []struct{ path, reason string } {
	const (
		through   = "jobs reach the cache through the runner itself, on the loopback that they see"
		noSecret  = "what cache.external_server names is used without a secret"
		bounded   = "cache.max_size bounds the whole; what nobody has used for a week is removed"
		noKube    = "there is no Kubernetes sandbox yet"
		noCleanup = "a job leaves nothing behind that would have to be cleaned up"
		noHooks   = "there are no scripts around jobs yet"
	)
	return []struct{ path, reason string }{
		{"runner.workdir_cleanup_age", noCleanup},
		{"runner.idle_cleanup_interval", noCleanup},
		{"runner.report_close_timeout", "a job's end is reported however long the server is away"},
		{"runner.action_shallow_clone", "actions are always fetched shallow"},
		{"runner.set_act_env", "ACT is not set; envs can set it"},
		{"runner.patch_actions", "actions run as they are published"},
		{"runner.allocate_pty", "steps have no terminal, as on GitHub"},
		{"runner.default_image", "a label of the kind name:docker://image names its image"},
		{"runner.tool_cache_mode", "every job has a tool cache of its own"},
		{"runner.post_task_script", noHooks},
		{"runner.post_task_script_timeout", noHooks},
		{"runner.hooks.*", noHooks},
		{"cache.host", through},
		{"cache.port", through},
		{"cache.external_secret", noSecret},
		{"cache.external_secret_file", noSecret},
		{"cache.s3.*", "what jobs save is kept in a folder"},
		{"cache.offline_mode", "an action that is pinned to a commit is fetched once anyway"},
		{"cache.v2", "actions use the first version of the protocol with every server but github.com"},
		{"cache.retention", bounded},
		{"cache.repo_size_limit", bounded},
		{"cache.size_limit", bounded},
		{"cache.sweep_interval", bounded},
		{"container.network_mode", "its new name is container.network"},
		{"container.network_create_options.*", "a job's network is made with the engine's defaults"},
		{"container.force_rebuild", "an action's image is built again whenever what it is built from has changed"},
		{"kubernetes.*", noKube},
		{"health_check.*", "health.min_free_disk and health.script say what must hold before a job is taken"},
	}
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func address(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is no address: expected host:port, like 127.0.0.1:9101 or :9101", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q of %q is not a number from 0 to 65535", port, s)
	}
	return nil
}

func optionalAddress(s string) error {
	if s == "" {
		return nil
	}
	return address(s)
}

// minJournal is the least that journal.max_size may say, in bytes.
const minJournal = 1 << 20

func journalSize(s string) error {
	if n, err := units.RAMInBytes(s); err != nil || n < minJournal {
		return fmt.Errorf("%q is no size of at least 1m: expected one like 128m", s)
	}
	return nil
}

// buckets checks the bounds of a histogram's buckets.
func buckets(list []string) error {
	last := 0.0
	for _, text := range list {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n > last) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is no bound of a bucket: expected numbers of seconds above 0, each above the one before", text)
		}
		last = n
	}
	return nil
}

func traceURL(s string) error {
	if s != "" && !strings.Contains(s, "{trace_id}") {
		return fmt.Errorf("%q has no {trace_id}, which is to be replaced by the id of the trace", Redact(s))
	}
	return webURL(s)
}

func webURL(s string) error {
	if s != "" && !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return fmt.Errorf("%q is no address of a web server: expected http://… or https://…", Redact(s))
	}
	return nil
}

// engineHost takes "-" as act_runner does: look for it, and keep it from jobs.
func engineHost(s string) error {
	if s != "" && s != "-" && !strings.Contains(s, "://") {
		return fmt.Errorf("%q is no address of a container engine: expected unix:///PATH or tcp://HOST:PORT", s)
	}
	return nil
}

func number(s string) error {
	if n, err := strconv.ParseFloat(s, 64); s != "" && (err != nil || !(n > 0 && n <= 10000)) {
		return fmt.Errorf("%q is no number of CPUs: expected one above 0, like 2 or 1.5", s)
	}
	return nil
}

func size(s string) error {
	if n, err := units.RAMInBytes(s); s != "" && (err != nil || n <= 0) {
		return fmt.Errorf("%q is no size: expected one like 512m or 4g", s)
	}
	return nil
}

func glob(s string) error {
	if !doublestar.ValidatePattern(s) {
		return fmt.Errorf("%q is no pattern: expected the name of a volume or a path, with * and ** where need be", s)
	}
	return nil
}

func checkLabel(s string) error {
	_, err := label.Parse(s)
	return err
}

func checkLabels(list []string) error {
	_, err := label.ParseList(list)
	return err
}
