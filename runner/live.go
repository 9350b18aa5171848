package runner

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/runner/poll"
	"otelrunner/runner/task"
	"otelrunner/sandbox/container"
)

// live is what of a running service may change.
type live struct {
	generations

	process   *container.Process
	admission *admission
	poller    *poll.Poller
	declarer  *declarer
	gate      func(name, reason string) // of readiness
}

// terms are those of a job that begins now, until release.
func (l *live) terms() (t *terms, release func()) {
	g, release := l.lease()
	return &g.terms, release
}

// names are the labels without their schemes.
func (l *live) names() []string { return l.now().labels.Names() }

// served are the names of the labels whose jobs can be run: all but those of
// docker:// images while the container engine is away. Where that leaves none, they
// are all, and reason says why none is served.
func (l *live) served() (names []string, reason string) {
	g := l.now()
	labels, away := g.labels, g.docker.away()
	if away == "" {
		return labels.Names(), ""
	}
	rest := slices.DeleteFunc(slices.Clone(labels), func(l label.Label) bool { return l.Scheme == label.Docker })
	if len(rest) == 0 {
		return labels.Names(), away
	}
	return rest.Names(), ""
}

// declared are the names of the labels that the server should know.
func (l *live) declared() []string {
	names, _ := l.served()
	return names
}

// unserved says why the server must not be asked for a job now: it would give one
// whose sandbox is not there. It looks at the container engine first.
func (l *live) unserved(ctx context.Context) string {
	l.now().docker.look(ctx)
	names, reason := l.served()
	if reason == "" && !l.declarer.knows(names) {
		return "the server is still to be told that this runner serves only " + strings.Join(names, ", ") + " now"
	}
	return reason
}

// engineChanged is called when the container engine has gone away or is back.
func (l *live) engineChanged() {
	g := l.now()
	if g == nil { // the runner is ending
		return
	}
	l.gate("containers", g.docker.away())
	l.declarer.changed()
}

// pace is how often the server is asked.
func (l *live) pace() (first, longest time.Duration) {
	r := &l.now().cfg.Runner
	return r.FetchInterval, r.FetchIntervalMax
}

// roomy are the folders in which health.min_free_disk must be free.
func (s *service) roomy(cfg *config.Config) []string {
	var dirs []string
	add := func(dir string) {
		// A folder that is not made yet will lie where its parent is.
		for dir != "" && dir != filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				break
			}
			dir = filepath.Dir(dir)
		}
		if dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	work := cfg.Host.WorkdirParent
	if work == "" {
		work = filepath.Dir(actionsDir(cfg))
	}
	add(work)
	if s.journal != nil {
		add(s.journal.Dir())
	}
	return dirs
}

// watched counts the jobs for the service manager.
func (s *service) watched(handle poll.Handler, l *live) poll.Handler {
	return func(t *task.Task) {
		tell := func(n int64) {
			s.notify.status(serving(s.reg.Name, int(n), l.now().cfg.Runner.Capacity))
		}
		tell(s.running.Add(1))
		defer func() { tell(s.running.Add(-1)) }()
		handle(t)
	}
}

// expireEvery is how often what is kept for a time is looked at.
const expireEvery = time.Hour

// expire removes what was kept for long enough, until ctx ends.
func (s *service) expire(ctx context.Context, l *live) {
	for sleep(ctx, expireEvery) == nil {
		if s.journal != nil {
			s.journal.Expire(time.Now())
		}
		if c := l.now().copies; c != nil {
			c.expire(time.Now())
		}
		s.caches.sweep(time.Now())
	}
}

// restEvery is how often a runner without a job gives memory back.
const restEvery = 30 * time.Second

// rest gives memory back at once, and while there is no job, until ctx ends.
func (s *service) rest(ctx context.Context) {
	for wait := time.Duration(0); sleep(ctx, wait) == nil; wait = restEvery {
		if s.running.Load() == 0 {
			giveMemoryBack()
		}
	}
}
