package container

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/moby/moby/api/types/mount"
)

// reserved begins the names of what the runner itself makes in Docker.
const reserved = "otelrunner-"

// helperDir is where the helper is mounted, read-only.
const helperDir = "/.otelrunner"

// workRoot is the parent of workspaces and of the temporary folder.
const workRoot = "/workspace"

// A volumePolicy says which volumes a workflow may mount.
type volumePolicy struct {
	// valid are patterns for volumes' names and for paths of the daemon's
	// host; ** matches across slashes.
	valid []string
	// sockets are paths of the daemon's own sockets.
	sockets []string
	// all allows everything: the operator's own options.
	all bool
	// resolve follows symbolic links of the daemon's host; nil where that is
	// not this machine. A job that may write below a valid path can put a link
	// there, which the daemon would follow for the next job.
	resolve func(string) (string, error)
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// volume parses one volume in the form [SOURCE:]TARGET[:MODE] and checks it.
func (p volumePolicy) volume(text string) (mount.Mount, error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return mount.Mount{}, fmt.Errorf("volume %q: want SOURCE:TARGET or SOURCE:TARGET:ro", text)
	}
	m := mount.Mount{Type: mount.TypeVolume}
	if len(parts) == 1 {
		m.Target = parts[0] // a new volume, which goes with the container
	} else {
		m.Source, m.Target = parts[0], parts[1]
	}
	if len(parts) == 3 {
		if err := setMode(&m, parts[2]); err != nil {
			return m, fmt.Errorf("volume %q: %w", text, err)
		}
	}
	if err := checkTarget(m.Target); err != nil {
		return m, fmt.Errorf("volume %q: %w", text, err)
	}
	m.Target = path.Clean(m.Target)
	if len(parts) == 1 {
		return m, nil
	}
	if strings.HasPrefix(m.Source, "/") {
		m.Type, m.Source = mount.TypeBind, path.Clean(m.Source)
		m.VolumeOptions = nil
	} else if !volumeName.MatchString(m.Source) {
		return m, fmt.Errorf("volume %q: %q is neither an absolute path nor the name of a volume", text, m.Source)
	}
	if err := p.check(text, m); err != nil || p.all || p.resolve == nil || m.Type != mount.TypeBind {
		return m, err
	}
	followed, err := p.resolve(m.Source)
	if err != nil {
		return m, fmt.Errorf("volume %q: find it on the runner's machine: %w", text, err)
	}
	m.Source = followed
	return m, p.check(text, m)
}

func setMode(m *mount.Mount, mode string) error {
	for word := range strings.SplitSeq(mode, ",") {
		switch word {
		case "ro":
			m.ReadOnly = true
		case "nocopy":
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
		case "rw", "cached", "delegated", "consistent":
		default:
			return fmt.Errorf("mode %q is not allowed: known are ro, rw and nocopy", word)
		}
	}
	return nil
}

// checkTarget keeps a workflow's mounts away from the runner's own.
func checkTarget(target string) error {
	clean := path.Clean(target)
	switch {
	case !strings.HasPrefix(target, "/"):
		return fmt.Errorf("the path in the container, %q, is not absolute", target)
	case clean == "/" || clean == workRoot || clean == "/proc" || strings.HasPrefix(clean, "/proc/"):
		return fmt.Errorf("%s of a job's container cannot be mounted over", clean)
	case clean == helperDir || strings.HasPrefix(clean, helperDir+"/"):
		return fmt.Errorf("%s belongs to the runner", helperDir)
	}
	return nil
}

// check decides whether a source may be mounted.
func (p volumePolicy) check(text string, m mount.Mount) error {
	if strings.HasPrefix(m.Source, reserved) {
		return fmt.Errorf("volume %q: names that begin with %s are the runner's own", text, reserved)
	}
	if p.all {
		return nil
	}
	// The socket is the whole machine: no pattern with a wildcard gives it away.
	if m.Type == mount.TypeBind && p.holdsSocket(m.Source) {
		if slices.Contains(p.valid, m.Source) {
			return nil
		}
		return fmt.Errorf("volume %q is refused: it gives the job the container engine's socket and with it this machine; an operator who wants that writes %q, without wildcards, into container.valid_volumes", text, m.Source)
	}
	for _, pattern := range p.valid {
		if ok, err := doublestar.Match(pattern, m.Source); err == nil && ok || pattern == m.Source {
			return nil
		}
		if under, ok := strings.CutSuffix(pattern, "/**"); ok && under == m.Source {
			return nil
		}
	}
	return fmt.Errorf("volume %q is refused: %s is not in the runner's container.valid_volumes", text, m.Source)
}

// holdsSocket reports whether a path is, or holds, a socket of the engine. On
// every current distribution /var/run is a link to /run.
func (p volumePolicy) holdsSocket(source string) bool {
	for _, socket := range p.sockets {
		for _, at := range []string{socket, strings.Replace(socket, "/var/run/", "/run/", 1), strings.Replace(socket, "/run/", "/var/run/", 1)} {
			if at = path.Clean(at); source == "/" || at == source || strings.HasPrefix(at, source+"/") {
				return true
			}
		}
	}
	return false
}
