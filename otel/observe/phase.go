package observe

// Phase is a part of a sandbox's work that is measured. Only phases that went
// well are: how long a failure took says nothing about the next one.
type Phase uint8

// The phases.
const (
	ContainerReach Phase = iota
	ImagePull
	ImageBuild
	NetworkCreate
	ContainerCreate
	ContainerStart
	ServicesStart
	ServiceHealth
	ContainerRemove
	WASMWait
	WASMCompile
	WASMLoad
	WASMWorkerStart
	WASMInstantiate
	WASMRun
	HostOpen

	// Phases is the number of phases.
	Phases
)

// phases has the span's name of each, and the values of the metric's labels.
var phases = [Phases]struct{ span, sandbox, label string }{
	ContainerReach:  {"reach container engine", "docker", "reach"},
	ImagePull:       {"pull image", "docker", "pull"},
	ImageBuild:      {"build image", "docker", "build"},
	NetworkCreate:   {"create network", "docker", "network"},
	ContainerCreate: {"create container", "docker", "create"},
	ContainerStart:  {"start container", "docker", "start"},
	ServicesStart:   {"start services", "docker", "services"},
	ServiceHealth:   {"wait for health", "docker", "health"},
	ContainerRemove: {"remove containers", "docker", "remove"},
	WASMWait:        {"wait for a turn to compile", "wasm", "wait"},
	WASMCompile:     {"compile WASM module", "wasm", "compile"},
	WASMLoad:        {"load WASM module", "wasm", "load"},
	WASMWorkerStart: {"start WASM worker", "wasm", "worker"},
	WASMInstantiate: {"instantiate WASM module", "wasm", "instantiate"},
	WASMRun:         {"run WASM module", "wasm", "run"},
	HostOpen:        {"make host workspace", "host", "open"},
}

// String is the name of the phase's span.
func (p Phase) String() string { return phases[p].span }

// Sandbox is the kind of sandbox that p is a phase of.
func (p Phase) Sandbox() string { return phases[p].sandbox }

// Label is the value of the metric's label phase.
func (p Phase) Label() string { return phases[p].label }

// Cache is something that is kept for later jobs.
type Cache uint8

// The caches.
const (
	CacheAction Cache = iota
	CacheWASM
	CacheImage
	// CacheSaved is what steps have saved by actions/cache.
	CacheSaved

	// Caches is the number of caches.
	Caches
)

// String is the value of the metric's label cache.
func (c Cache) String() string { return [...]string{"action", "wasm", "image", "actions_cache"}[c] }

// Result is a result of the CI/CD semantic conventions
// (cicd.pipeline.result, cicd.pipeline.task.run.result; semconv 1.43).
type Result uint8

// The results.
const (
	Success Result = iota
	Failure
	Error
	Timeout
	Cancellation
	Skip

	// Results is the number of results.
	Results
)

func (r Result) String() string {
	return [...]string{"success", "failure", "error", "timeout", "cancellation", "skip"}[r]
}
