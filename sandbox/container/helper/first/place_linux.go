package first

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"otelrunner/sandbox/host"
	"otelrunner/sandbox/stream/serve"
	"otelrunner/sandbox/stream/wire"
)

// place is the container.
type place struct {
	etc     string
	environ []string
}

func (p place) Hello() wire.Hello {
	name, _ := os.Hostname()
	return wire.Hello{
		Build:    build(),
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		PID:      os.Getpid(),
		UID:      os.Getuid(),
		GID:      os.Getgid(),
		Path:     p.get("PATH"),
		Home:     p.get("HOME"),
		Hostname: name,
	}
}

func (p place) get(name string) string {
	value := ""
	for _, pair := range p.environ {
		if k, v, ok := strings.Cut(pair, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// Open gives the container to a job.
func (p place) Open(s wire.Setup) (serve.Box, wire.Session, error) {
	user, home, err := p.user(s)
	if err != nil {
		return nil, wire.Session{}, err
	}
	environ := p.environ[:len(p.environ):len(p.environ)]
	for name, value := range s.Env {
		environ = append(environ, name+"="+value)
	}
	inside, err := host.NewInside(host.InsideOptions{
		Workspace: s.Workspace, Temp: s.Temp, Folders: s.Folders,
		User: user, Environ: environ, Home: home,
	})
	if err != nil {
		return nil, wire.Session{}, err
	}
	info := inside.Info()
	session := wire.Session{Workspace: info.Workspace, Temp: info.Temp, UID: os.Getuid(), GID: os.Getgid(), Home: home}
	if user != nil {
		session.UID, session.GID = int(user.UID), int(user.GID)
	}
	return inside, session, nil
}

// user returns whom commands run as, nil for the helper's own user, and HOME.
func (p place) user(s wire.Setup) (*host.User, string, error) {
	a, other := account{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}, false
	if s.User != "" {
		var err error
		if a, err = lookup(p.etc, s.User); err != nil {
			return nil, "", fmt.Errorf("run as user %s: %w", s.User, err)
		}
		other = int(a.uid) != os.Getuid() || int(a.gid) != os.Getgid() || len(a.groups) > 0
	}
	if other && os.Getuid() != 0 {
		return nil, "", fmt.Errorf("run as user %s: the container's first process is user %d, and only root may change users", s.User, os.Getuid())
	}
	home := s.Home
	if home == "" {
		home = s.Env["HOME"]
	}
	if home == "" && int(a.uid) == os.Getuid() {
		home = p.get("HOME")
	}
	if home == "" {
		home = p.homeOf(a)
	}
	if !other {
		return nil, home, nil
	}
	return &host.User{UID: a.uid, GID: a.gid, Groups: a.groups}, home, nil
}

func (p place) homeOf(a account) string {
	if a.home != "" {
		return a.home
	}
	if found, err := lookup(p.etc, fmt.Sprint(a.uid)); err == nil {
		return found.home
	}
	return "/"
}
