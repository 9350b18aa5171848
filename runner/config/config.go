// Package config holds the runner's settings: one YAML file, overridden key by
// key by environment variables. Nothing else reads that file.
//
// One table (schema.go) says everything about a key: its path, type, default,
// unit, bounds and meaning. Loading, the environment, validation, the commented
// default file and the listing of the effective configuration all derive from
// it.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Config is the effective configuration. Every field is within the bounds that
// the schema gives for it. It is read-only once it has been loaded.
type Config struct {
	Log       Log
	Runner    Runner
	Host      Host
	Container Container
	Sandbox   Sandbox
	Cache     Cache
	Metrics   Metrics
	Otel      Otel
	Journal   Journal
	Poll      Poll
	Health    Health
}

// Log says how the runner's own log (not a job's) is written to stderr.
type Log struct {
	Level  string
	Format string
	Job    JobLog
}

// JobLog says where copies of jobs' logs are kept.
type JobLog struct {
	Dir       string // "": nowhere
	Retention time.Duration
	MaxSize   string // of all copies together
}

// Runner says how tasks are taken, run and reported.
type Runner struct {
	File            string
	Capacity        int
	Envs            map[string]string
	EnvFile         string
	Timeout         time.Duration
	ShutdownTimeout time.Duration

	Insecure bool
	CAFile   string

	FetchTimeout     time.Duration
	FetchInterval    time.Duration
	FetchIntervalMax time.Duration

	LogReportInterval   time.Duration
	LogReportMaxLatency time.Duration
	LogReportBatchSize  int
	StateReportInterval time.Duration

	ActionsDir   string
	NodePath     string
	GithubMirror string
	Labels       []string
}

// Host configures the host sandbox.
type Host struct {
	WorkdirParent string
	DockerActions bool
}

// Container configures the container sandbox.
type Container struct {
	DockerHost    string
	DockerTimeout time.Duration // 0: it is asked once
	RequireDocker bool

	Pull         string // if-not-present, always or never
	ForcePull    bool   // Pull follows it where it is not set itself
	DockerConfig string

	Network      string
	Options      string
	Privileged   bool
	CPUs, Memory string
	PIDs         int
	Runtime      string
	ValidVolumes []string

	BindWorkdir   bool
	WorkdirParent string // absolute, or ""

	ServiceReadyTimeout time.Duration
	Standby             int
}

// Sandbox configures the WASM sandbox. The limits are those of a step, but Disk,
// Files and FileSize are the job's; a workflow can lower them.
type Sandbox struct {
	Mode      string // any or wasm-only
	AllowWeak bool   // start also where the kernel lacks what Mode needs
	Dir       string

	Time, CPU, CompileTime time.Duration

	Memory, Output, Disk, FileSize, ModuleSize, CompiledSize Size

	OpenFiles, Files, TableElements, Programs int

	Compiles      int // modules at a time; 0: what the machine bears
	Fuel          int // instructions; 0: no limit
	Deterministic bool
	NetworkAllow  []string
	PrivateHosts  []string // in the mode wasm-only, beside the Gitea server
}

// Cache configures the server of actions/cache.
type Cache struct {
	Enabled        bool
	Dir            string
	MaxSize        Size
	ExternalServer string // "": this runner is the server
}

// WASMOnly is the Mode in which nothing but the WASM sandbox runs jobs.
const WASMOnly = "wasm-only"

// Metrics configures the server of /metrics, /healthz and /readyz.
type Metrics struct {
	Enabled        bool
	Addr           string
	Namespace      string
	WebConfigFile  string
	ReadinessGrace time.Duration

	Labels         map[string]string
	QueueThreshold time.Duration
	// The bounds of buckets in seconds, growing; empty is the default.
	JobBuckets, StepBuckets, QueueBuckets []string
}

// Otel says where telemetry goes. The standard OTEL_* variables win over it.
type Otel struct {
	Endpoint string
	Protocol string

	Propagate        bool
	TraceURLTemplate string
	RPCSpans         string // all, changes or none
	JobLogs          bool
	StepEndpoint     bool
}

// Journal says how what the server does not have yet is kept on disk.
type Journal struct {
	Enabled bool
	Dir     string // "": beside the registration file
	MaxSize string // of one task
	Keep    time.Duration
}

// Poll says what beside the clock makes the runner ask for work.
type Poll struct {
	Wake           string // address of the webhook's endpoint; "": none
	WakeSecretFile string
}

// Health says what must hold before a task is taken.
type Health struct {
	MinFreeDisk   string // "": any
	Script        string
	ScriptTimeout time.Duration
}

// Default is the configuration of an empty file in an empty environment.
func Default() Config {
	var c Config
	for _, k := range schema() {
		if err := k.setText(&c, k.def); err != nil {
			// The table is part of the program; TestDefaults reads it all.
			panic(fmt.Sprintf("config: default of %s: %v", k.path, err))
		}
	}
	return c
}

// Loaded is a configuration with what is to be said about it.
type Loaded struct {
	Config

	// Warnings are sentences for the runner's log, in the order of the file.
	Warnings []string

	// from says where a key's value comes from, where it is not the default.
	from map[string]origin
}

// Override is a value that is stronger than file and environment.
type Override struct {
	Key   string // as in the file: log.level
	Value string // as in an environment variable
	From  string // names the place in messages: --log-level
}

// Load reads file, or no file when its name is empty, then environ (in the form
// of os.Environ), then overrides. An error is an *Error that lists everything
// that is wrong, or says that the file cannot be read.
func Load(file string, environ []string, overrides ...Override) (*Loaded, error) {
	var data []byte
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, unreadable(file, err)
		}
	}
	return parse(file, data, environ, overrides)
}

// parse is Load of data. Beside data it reads the env_file that the
// configuration names.
func parse(file string, data []byte, environ []string, overrides []Override) (*Loaded, error) {
	l := &loader{out: &Loaded{Config: Default(), from: map[string]origin{}}, file: file, table: schema()}
	l.document(data)
	l.environment(environ)
	for _, o := range overrides {
		l.override(o)
	}
	l.envFile()
	l.relations()
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return l.out, nil
}

// ErrNoFile is wrapped by the error of a file that cannot be read.
var ErrNoFile = errors.New("read configuration")

func unreadable(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist; write one with `runner config init -o %s`", ErrNoFile, file, file)
	}
	return fmt.Errorf("%w: %w", ErrNoFile, err)
}
