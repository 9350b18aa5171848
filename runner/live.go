package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/runner/poll"
	"otelrunner/runner/task"
	"otelrunner/runner/wake"
)

// live is what of a running service may change.
type live struct {
	config atomic.Pointer[config.Config]
	labels atomic.Pointer[label.List]
	engine atomic.Pointer[engine]
	build  func(cfg *config.Config, labels label.List) (engine, error)

	admission *admission
	poller    *poll.Poller
	docker    *containers
	declarer  *declarer
	gate      func(name, reason string) // of readiness
}

// begin takes the first configuration.
func (l *live) begin(cfg *config.Config, labels label.List, roomy []string) error {
	e, err := l.build(cfg, labels)
	if err != nil {
		return err
	}
	l.config.Store(cfg)
	l.labels.Store(&labels)
	l.engine.Store(&e)
	return l.admission.set(cfg, roomy)
}

// Run implements engine: a job runs in the engine that there is when it begins.
func (l *live) Run(ctx context.Context, cancel <-chan struct{}, t *task.Task, sink job.Sink) task.Result {
	return (*l.engine.Load()).Run(ctx, cancel, t, sink)
}

// names are the labels without their schemes.
func (l *live) names() []string { return l.labels.Load().Names() }

// served are the names of the labels whose jobs can be run: all but those of
// docker:// images while the container engine is away. Where that leaves none, they
// are all, and reason says why none is served.
func (l *live) served() (names []string, reason string) {
	labels := *l.labels.Load()
	away := l.docker.away()
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
	l.docker.look(ctx)
	names, reason := l.served()
	if reason == "" && !l.declarer.knows(names) {
		return "the server is still to be told that this runner serves only " + strings.Join(names, ", ") + " now"
	}
	return reason
}

// engineChanged is called when the container engine has gone away or is back.
func (l *live) engineChanged() {
	l.gate("containers", l.docker.away())
	l.declarer.changed()
}

// pace is how often the server is asked.
func (l *live) pace() (first, longest time.Duration) {
	r := &l.config.Load().Runner
	return r.FetchInterval, r.FetchIntervalMax
}

// follow takes new configurations until ctx ends.
func (s *service) follow(ctx context.Context, l *live) {
	for {
		select {
		case next := <-s.Reloads:
			s.notify.reloading()
			s.reload(l, next)
			s.notify.ready(serving(s.reg.Name, int(s.running.Load()), l.config.Load().Runner.Capacity))
		case <-ctx.Done():
			return
		}
	}
}

// reload takes what can change from a new configuration. Jobs that run keep what
// they began with. What is wrong leaves all as it was.
func (s *service) reload(l *live, next *config.Config) {
	old := l.config.Load()
	cfg, taken, left := config.Reload(old, next)
	if len(left) > 0 {
		s.log.Warn("reload: these keys need a new start of the runner, and are as they were: " + strings.Join(left, ", "))
	}
	if len(taken) == 0 {
		s.log.Info("reload: nothing has changed")
		return
	}
	labels, err := servedLabels(cfg, s.reg)
	var e engine
	if err == nil {
		e, err = l.build(cfg, labels)
	}
	if err == nil {
		err = l.admission.set(cfg, s.roomy(cfg))
	}
	if err != nil {
		s.log.Error("reload: the new configuration is not used; the old one stays", "error", err)
		return
	}
	l.engine.Store(&e)
	l.labels.Store(&labels)
	l.config.Store(cfg)
	s.in.SetCapacity(cfg.Runner.Capacity)
	l.poller.Set(cfg.Runner.Capacity, cfg.Runner.FetchInterval, cfg.Runner.FetchIntervalMax)
	l.declarer.changed()
	if s.Reloaded != nil {
		s.Reloaded(cfg)
	}
	s.log.Info("reload: done", "changed", strings.Join(taken, ", "))
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

// minSecret is the shortest secret of a webhook in bytes.
const minSecret = 16

// serveWake starts the webhook's endpoint where it is on; a value on the channel
// is a job that waits.
func (s *service) serveWake(ctx context.Context, labels func() []string) (woken <-chan struct{}, end func(), err error) {
	p := &s.Config.Poll
	if p.Wake == "" {
		return nil, func() {}, nil
	}
	data, err := os.ReadFile(p.WakeSecretFile)
	if err != nil {
		return nil, nil, fmt.Errorf("poll.wake_secret_file: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < minSecret {
		return nil, nil, fmt.Errorf("poll.wake_secret_file: the secret in %s has %d bytes, fewer than %d: anybody could guess it; `openssl rand -hex 32` makes a good one", p.WakeSecretFile, len(secret), minSecret)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Wake)
	if err != nil {
		return nil, nil, fmt.Errorf("poll.wake: %w", err)
	}
	c := make(chan struct{}, 1)
	server := wake.NewServer(wake.New(wake.Options{
		Secret: []byte(secret), Labels: labels, Log: s.log,
		Wake: func() {
			select {
			case c <- struct{}{}:
			default: // somebody is on the way already
			}
		},
	}), s.log)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the webhook's endpoint has ended; the runner goes on by the clock", "error", err)
		}
	}()
	s.log.Info("webhooks wake this runner", "wake_address", listener.Addr().String())
	return c, func() { _ = server.Close(); <-ended }, nil
}

// watched counts the jobs for the service manager.
func (s *service) watched(handle poll.Handler, l *live) poll.Handler {
	return func(t *task.Task) {
		tell := func(n int64) {
			s.notify.status(serving(s.reg.Name, int(n), l.config.Load().Runner.Capacity))
		}
		tell(s.running.Add(1))
		defer func() { tell(s.running.Add(-1)) }()
		handle(t)
	}
}

// expireEvery is how often what is kept for a time is looked at.
const expireEvery = time.Hour

// expire removes what was kept for long enough, until ctx ends.
func (s *service) expire(ctx context.Context) {
	for sleep(ctx, expireEvery) == nil {
		if s.journal != nil {
			s.journal.Expire(time.Now())
		}
		if s.copies != nil {
			s.copies.expire(time.Now())
		}
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
