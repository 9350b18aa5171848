package container

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// labelPrefix begins the labels by which the runner finds its own again.
const labelPrefix = "otelrunner."

// flags is the table of options.
func flags() map[string]flag {
	f := map[string]flag{
		// Limits. lower() keeps them under the operator's.
		"cpus":               {set: func(s *settings, v string) error { return cpus(&s.host.NanoCPUs, v) }},
		"cpu-shares":         {set: number(func(s *settings, n int64) { s.host.CPUShares = n }, 2, 262144)},
		"cpu-period":         {set: number(func(s *settings, n int64) { s.host.CPUPeriod = n }, 1000, 1_000_000)},
		"cpu-quota":          {set: number(func(s *settings, n int64) { s.host.CPUQuota = n }, 1000, 1_000_000_000)},
		"cpuset-cpus":        {set: matching(cpuset, func(s *settings, v string) { s.host.CpusetCpus = v })},
		"cpuset-mems":        {set: matching(cpuset, func(s *settings, v string) { s.host.CpusetMems = v })},
		"memory":             {set: bytesOf(func(s *settings, n int64) { s.host.Memory = n })},
		"memory-reservation": {set: bytesOf(func(s *settings, n int64) { s.host.MemoryReservation = n })},
		"memory-swap": {set: func(s *settings, v string) error {
			if v == "-1" {
				s.host.MemorySwap = -1
				return nil
			}
			return bytesOf(func(s *settings, n int64) { s.host.MemorySwap = n })(s, v)
		}},
		"memory-swappiness": {set: number(func(s *settings, n int64) { s.host.MemorySwappiness = &n }, 0, 100)},
		"pids-limit":        {set: number(func(s *settings, n int64) { s.host.PidsLimit = &n }, 1, 1<<22)},
		"shm-size":          {set: bytesOf(func(s *settings, n int64) { s.host.ShmSize = n })},
		"ulimit":            {set: setUlimit},

		// What the processes see.
		"env":         {set: setEnv},
		"label":       {set: setLabel},
		"hostname":    {set: matching(hostName, func(s *settings, v string) { s.config.Hostname = v })},
		"domainname":  {set: matching(hostName, func(s *settings, v string) { s.config.Domainname = v })},
		"user":        {set: matching(userName, func(s *settings, v string) { s.config.User = v })},
		"workdir":     {set: setWorkdir},
		"tmpfs":       {set: setTmpfs},
		"volume":      {set: (*settings).addVolume},
		"init":        {isSwitch: true, set: func(s *settings, v string) error { b := v == "true"; s.host.Init = &b; return nil }},
		"rm":          {isSwitch: true, set: func(*settings, string) error { return nil }}, // the runner removes
		"stop-signal": {set: matching(signalName, func(s *settings, v string) { s.config.StopSignal = v })},
		"stop-timeout": {set: number(func(s *settings, n int64) {
			i := int(n)
			s.config.StopTimeout = &i
		}, 0, 60)},
		"platform": {set: matching(platformName, func(s *settings, v string) { s.platform = v })},
		"cap-drop": {set: matching(capability, func(s *settings, v string) { s.host.CapDrop = append(s.host.CapDrop, v) })},

		// Network.
		"add-host":      {set: setHost},
		"dns":           {set: setDNS},
		"dns-search":    {set: matching(hostName, func(s *settings, v string) { s.host.DNSSearch = append(s.host.DNSSearch, v) })},
		"dns-option":    {set: matching(dnsOption, func(s *settings, v string) { s.host.DNSOptions = append(s.host.DNSOptions, v) })},
		"expose":        {set: setExpose},
		"publish":       {set: (*settings).addPort},
		"network":       {set: setNetwork},
		"network-alias": {set: matching(hostName, func(s *settings, v string) { s.aliases = append(s.aliases, v) })},

		// Services only.
		"entrypoint": {scope: services, set: func(s *settings, v string) error {
			s.config.Entrypoint = []string{v}
			return nil
		}},
		"read-only": {scope: services, isSwitch: true, set: func(s *settings, v string) error {
			s.host.ReadonlyRootfs = v == "true"
			return nil
		}},
	}
	addHealthFlags(f)
	addOperatorFlags(f)
	f["dns-opt"], f["net-alias"] = f["dns-option"], f["network-alias"]
	return f
}

func addHealthFlags(f map[string]flag) {
	duration := func(set func(*container.HealthConfig, time.Duration)) func(*settings, string) error {
		return func(s *settings, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < container.MinimumDuration || d > time.Hour {
				return fmt.Errorf("%q is not a time from 1ms to 1h, like 10s", v)
			}
			set(s.health(), d)
			return nil
		}
	}
	f["health-cmd"] = flag{set: func(s *settings, v string) error {
		s.health().Test = []string{"CMD-SHELL", v}
		return nil
	}}
	f["health-interval"] = flag{set: duration(func(h *container.HealthConfig, d time.Duration) { h.Interval = d })}
	f["health-timeout"] = flag{set: duration(func(h *container.HealthConfig, d time.Duration) { h.Timeout = d })}
	f["health-start-period"] = flag{set: duration(func(h *container.HealthConfig, d time.Duration) { h.StartPeriod = d })}
	f["health-start-interval"] = flag{set: duration(func(h *container.HealthConfig, d time.Duration) { h.StartInterval = d })}
	f["health-retries"] = flag{set: number(func(s *settings, n int64) { s.health().Retries = int(n) }, 1, 10_000)}
	f["no-healthcheck"] = flag{isSwitch: true, set: func(s *settings, v string) error {
		if v == "true" {
			s.health().Test = []string{"NONE"}
		}
		return nil
	}}
}

func (s *settings) health() *container.HealthConfig {
	if s.config.Healthcheck == nil {
		s.config.Healthcheck = &container.HealthConfig{}
	}
	return s.config.Healthcheck
}

// addOperatorFlags adds what opens the sandbox or shapes its walls.
func addOperatorFlags(f map[string]flag) {
	word := regexp.MustCompile(`^[^\s]+$`)
	f["privileged"] = flag{scope: operator, isSwitch: true, set: func(s *settings, v string) error {
		s.host.Privileged = v == "true"
		return nil
	}}
	f["cap-add"] = flag{scope: operator, set: matching(capability, func(s *settings, v string) { s.host.CapAdd = append(s.host.CapAdd, v) })}
	f["group-add"] = flag{scope: operator, set: matching(userName, func(s *settings, v string) { s.host.GroupAdd = append(s.host.GroupAdd, v) })}
	f["runtime"] = flag{scope: operator, set: matching(word, func(s *settings, v string) { s.host.Runtime = v })}
	f["ipc"] = flag{scope: operator, set: matching(word, func(s *settings, v string) { s.host.IpcMode = container.IpcMode(v) })}
	f["userns"] = flag{scope: operator, set: matching(word, func(s *settings, v string) { s.host.UsernsMode = container.UsernsMode(v) })}
	f["cgroupns"] = flag{scope: operator, set: matching(word, func(s *settings, v string) { s.host.CgroupnsMode = container.CgroupnsMode(v) })}
	f["oom-score-adj"] = flag{scope: operator, set: number(func(s *settings, n int64) { s.host.OomScoreAdj = int(n) }, -1000, 1000)}
	f["sysctl"] = flag{scope: operator, set: pair(func(s *settings) *map[string]string { return &s.host.Sysctls })}
	f["storage-opt"] = flag{scope: operator, set: pair(func(s *settings) *map[string]string { return &s.host.StorageOpt })}
	f["security-opt"] = flag{scope: operator, set: func(s *settings, v string) error {
		// Docker's command line reads a file here and sends its content.
		if profile, ok := strings.CutPrefix(v, "seccomp="); ok && profile != "unconfined" && profile != "builtin" {
			return fmt.Errorf("%q: want unconfined or builtin, profiles of one's own are set in the daemon's configuration", v)
		}
		s.host.SecurityOpt = append(s.host.SecurityOpt, v)
		return nil
	}}
	f["device"] = flag{scope: operator, set: func(s *settings, v string) error {
		parts := strings.Split(v, ":")
		if len(parts) > 3 || !strings.HasPrefix(parts[0], "/") {
			return fmt.Errorf("%q: want /dev/NAME, /dev/NAME:/dev/INSIDE or /dev/NAME:/dev/INSIDE:rwm", v)
		}
		d := container.DeviceMapping{PathOnHost: parts[0], PathInContainer: parts[0], CgroupPermissions: "rwm"}
		if len(parts) > 1 {
			d.PathInContainer = parts[1]
		}
		if len(parts) > 2 {
			d.CgroupPermissions = parts[2]
		}
		s.host.Devices = append(s.host.Devices, d)
		return nil
	}}
	f["gpus"] = flag{scope: operator, set: func(s *settings, v string) error {
		count := -1
		if v != "all" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return fmt.Errorf("%q: want all or a number", v)
			}
			count = n
		}
		s.host.DeviceRequests = append(s.host.DeviceRequests, container.DeviceRequest{Count: count, Capabilities: [][]string{{"gpu"}}})
		return nil
	}}
}

// Forms of values. None allows a character that the engine gives a meaning.
//
//nolint:gochecknoglobals // constants
var (
	cpuset       = regexp.MustCompile(`^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$`)
	hostName     = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9_])?$`)
	userName     = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]*(:[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?$`)
	signalName   = regexp.MustCompile(`^(SIG)?[A-Z0-9+-]{1,12}$`)
	platformName = regexp.MustCompile(`^[a-z0-9_]+(/[a-z0-9_]+){1,2}$`)
	capability   = regexp.MustCompile(`^[A-Za-z_]{2,40}$`)
	dnsOption    = regexp.MustCompile(`^[a-z0-9-]+(:[0-9]+)?$`)
	tmpfsOption  = regexp.MustCompile(`^((no)?(exec|suid|dev|atime)|rw|ro|(size|nr_blocks|nr_inodes)=[0-9]+[kKmMgG%]?|mode=[0-7]{3,4}|[ug]id=[0-9]+)$`)
)

// ulimits are what a workflow may ask for: none of them gives a process power
// over others, as a real-time priority does.
var ulimits = []string{"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nofile", "nproc", "rss", "sigpending", "stack"} //nolint:gochecknoglobals // a constant table

func matching(form *regexp.Regexp, set func(*settings, string)) func(*settings, string) error {
	return func(s *settings, v string) error {
		if !form.MatchString(v) {
			return fmt.Errorf("%q is not a value for it", v)
		}
		set(s, v)
		return nil
	}
}

func number(set func(*settings, int64), least, most int64) func(*settings, string) error {
	return func(s *settings, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number from %d to %d", v, least, most)
		}
		set(s, n)
		return nil
	}
}

func bytesOf(set func(*settings, int64)) func(*settings, string) error {
	return func(s *settings, v string) error {
		n, err := units.RAMInBytes(v)
		if err != nil || n <= 0 {
			return fmt.Errorf("%q is not a size, like 512m or 2g", v)
		}
		set(s, n)
		return nil
	}
}

func cpus(to *int64, v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || !(f >= 0.01 && f <= 4096) {
		return fmt.Errorf("%q is not a number of processors, like 1.5", v)
	}
	*to = int64(f * 1e9)
	return nil
}

func pair(to func(*settings) *map[string]string) func(*settings, string) error {
	return func(s *settings, v string) error {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q: want NAME=value", v)
		}
		m := to(s)
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[name] = value
		return nil
	}
}

func setEnv(s *settings, v string) error {
	name, _, ok := strings.Cut(v, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q: %w", v, errNoValue)
	}
	s.config.Env = append(s.config.Env, v)
	return nil
}

func setLabel(s *settings, v string) error {
	name, value, _ := strings.Cut(v, "=")
	if name == "" || strings.HasPrefix(strings.ToLower(name), labelPrefix) {
		return fmt.Errorf("%q: want NAME=value, and names that begin with %s are the runner's own", v, labelPrefix)
	}
	s.config.Labels[name] = value
	return nil
}

func setUlimit(s *settings, v string) error {
	u, err := units.ParseUlimit(v)
	if err != nil {
		return fmt.Errorf("%q: want NAME=SOFT[:HARD], like nofile=4096", v)
	}
	if !slices.Contains(ulimits, u.Name) {
		return fmt.Errorf("%q: %s is not allowed; allowed are %s", v, u.Name, strings.Join(ulimits, ", "))
	}
	// One a name: an engine would take the last one, lower() the first.
	s.host.Ulimits = slices.DeleteFunc(s.host.Ulimits, func(old *container.Ulimit) bool { return old.Name == u.Name })
	s.host.Ulimits = append(s.host.Ulimits, u)
	return nil
}

func setWorkdir(s *settings, v string) error {
	if !strings.HasPrefix(v, "/") || strings.ContainsRune(v, 0) {
		return fmt.Errorf("%q is not an absolute path", v)
	}
	s.config.WorkingDir = v
	return nil
}

func setTmpfs(s *settings, v string) error {
	target, options, _ := strings.Cut(v, ":")
	if err := checkTarget(target); err != nil {
		return err
	}
	for o := range strings.SplitSeq(options, ",") {
		if o != "" && !tmpfsOption.MatchString(o) {
			return fmt.Errorf("%q: %q is not a known option", v, o)
		}
	}
	s.host.Tmpfs[target] = options
	return nil
}

func setHost(s *settings, v string) error {
	name, address, ok := strings.Cut(v, ":")
	if !ok {
		name, address, ok = strings.Cut(v, "=")
	}
	_, err := netip.ParseAddr(strings.Trim(address, "[]"))
	if !ok || !hostName.MatchString(name) || err != nil && address != "host-gateway" {
		return fmt.Errorf("%q: want NAME:ADDRESS", v)
	}
	s.host.ExtraHosts = append(s.host.ExtraHosts, name+":"+strings.Trim(address, "[]"))
	return nil
}

func setDNS(s *settings, v string) error {
	address, err := netip.ParseAddr(v)
	if err != nil {
		return fmt.Errorf("%q is not an address", v)
	}
	s.host.DNS = append(s.host.DNS, address)
	return nil
}

func setNetwork(s *settings, v string) error {
	if v != "none" {
		return fmt.Errorf("%q: a job has a network of its own, with its services; the only other choice is none", v)
	}
	s.network = v
	return nil
}

func (s *settings) addVolume(v string) error {
	m, err := s.policy.volume(v)
	if err != nil {
		return err
	}
	s.host.Mounts = append(s.host.Mounts, m)
	return nil
}

func (s *settings) addPort(v string) error {
	return publish(v, s.config.ExposedPorts, s.host.PortBindings)
}
