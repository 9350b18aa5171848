package container

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/shlex"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// settings are what options of `docker create` come to, as the API has it.
type settings struct {
	config   container.Config
	host     container.HostConfig
	aliases  []string // in the job's network
	network  string   // "" or "none"
	platform string
	policy   volumePolicy
}

func newSettings(p volumePolicy) *settings {
	return &settings{
		config: container.Config{ExposedPorts: network.PortSet{}, Labels: map[string]string{}},
		host:   container.HostConfig{PortBindings: network.PortMap{}, Tmpfs: map[string]string{}},
		policy: p,
	}
}

// scope says in whose options a flag may stand. Operators may use all.
type scope int

const (
	anywhere scope = iota // a job's container and a service's
	services              // a service's: a job's container has the runner's own first process
	operator              // only in the operator's container.options
)

// A flag is one option that we know how to turn into fields of the API. What is
// not in the table does not exist.
type flag struct {
	scope scope
	// set applies a value; of a switch it is "true" or "false".
	set func(*settings, string) error
	// isSwitch flags take no separate value.
	isSwitch bool
}

// shorthands are the letters of the flags that have one.
var shorthands = map[byte]string{ //nolint:gochecknoglobals // a constant table
	'e': "env", 'h': "hostname", 'l': "label", 'm': "memory", 'c': "cpu-shares", 'u': "user", 'w': "workdir",
	'v': "volume", 'p': "publish", 'i': "interactive", 't': "tty", 'd': "detach", 'P': "publish-all", 'a': "attach", 'q': "quiet",
}

// parse reads options in the notation of a shell, as `docker create` has them,
// into s. No file and no variable of this machine is read, whatever they say.
func (s *settings) parse(options string, as scope) error {
	words, err := shlex.Split(options)
	if err != nil {
		return fmt.Errorf("options %q: %w", options, err)
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		name, value, given, err := split(word)
		if err != nil {
			return err
		}
		f, err := lookUp(name, as)
		if err != nil {
			return err
		}
		switch {
		case f.isSwitch && !given:
			value = "true"
		case f.isSwitch && value != "true" && value != "false":
			return fmt.Errorf("option --%s=%s: want true or false", name, value)
		case !given && len(words) == 0:
			return fmt.Errorf("option --%s has no value", name)
		case !given:
			value, words = words[0], words[1:]
		}
		if err := f.set(s, value); err != nil {
			return fmt.Errorf("option --%s: %w", name, err)
		}
	}
	return nil
}

// split takes a word apart: --name, --name=value, -n, -nvalue, -n=value.
func split(word string) (name, value string, given bool, err error) {
	if long, ok := strings.CutPrefix(word, "--"); ok && long != "" {
		name, value, given = strings.Cut(long, "=")
		return name, value, given, nil
	}
	if len(word) < 2 || word[0] != '-' || word[1] == '-' {
		return "", "", false, fmt.Errorf("%q is not an option: a container's options begin with a dash, and values with spaces want quotes", word)
	}
	name, ok := shorthands[word[1]]
	if !ok {
		return "", "", false, fmt.Errorf("option %s is not known", word[:2])
	}
	value = word[2:]
	given = value != ""
	return name, strings.TrimPrefix(value, "="), given, nil
}

// lookUp finds a flag, or says why it may not be used.
func lookUp(name string, as scope) (flag, error) {
	f, ok := flags()[name]
	switch {
	case !ok && known[name] != "":
		return f, fmt.Errorf("option --%s is refused: %s", name, known[name])
	case !ok:
		return f, fmt.Errorf("option --%s is refused: it is not one that this runner knows", name)
	case f.scope == operator && as != operator:
		return f, fmt.Errorf("option --%s is refused: a workflow must not have it; the runner's operator can give it to all jobs in container.options", name)
	case f.scope == services && as == anywhere:
		return f, fmt.Errorf("option --%s is refused: it has a meaning only for services, a job's container is started by the runner's own first process", name)
	}
	return f, nil
}

// known are options of `docker create` that nobody may use, with the reason.
var known = map[string]string{ //nolint:gochecknoglobals // a constant table
	"env-file":           "it would read a file of the runner's machine; use env:",
	"label-file":         "it would read a file of the runner's machine; use --label",
	"cidfile":            "it would write a file of the runner's machine",
	"mount":              "use volumes: or --tmpfs",
	"volumes-from":       "it would open other containers' files",
	"volume-driver":      "use volumes: with a volume that exists",
	"net":                "use --network none, or leave it to the runner",
	"name":               "the runner names containers",
	"restart":            "the runner ends containers with the job",
	"link":               "services are reached by their names",
	"ip":                 "the network gives addresses",
	"ip6":                "the network gives addresses",
	"link-local-ip":      "the network gives addresses",
	"mac-address":        "the network gives addresses",
	"pid":                "a container's processes are its own",
	"uts":                "a container's host name is its own",
	"pull":               "the runner's container.pull decides it",
	"tty":                "output goes to the job's log",
	"interactive":        "nobody is there to type",
	"attach":             "output goes to the job's log",
	"detach":             "the runner does that",
	"publish-all":        "name the ports",
	"log-driver":         "output goes to the job's log",
	"log-opt":            "output goes to the job's log",
	"use-api-socket":     "it would give the job the container engine's socket and with it this machine",
	"oom-kill-disable":   "a job without memory would hang",
	"isolation":          "it is for Windows",
	"cgroup-parent":      "limits are the operator's",
	"device-cgroup-rule": "devices are the operator's",
}

// errNoValue is for --env NAME.
var errNoValue = errors.New("want NAME=value; a name alone would take the value from the runner's own environment")
