package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/journal"
	"otelrunner/runner/label"
	"otelrunner/runner/poll"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/wasm"
)

// ServeOptions configure Serve. Config and Log are required.
type ServeOptions struct {
	Config  *config.Config
	Version string

	// Once ends Serve after one task; an ephemeral runner always does.
	Once bool

	// Environ is the environment of the process, in the form of os.Environ.
	Environ []string

	// Log writes the runner's own log. It is also sent by OTLP where that is
	// on.
	Log slog.Handler

	// Stops asks to stop, a further time to stop faster; see the README's
	// section on shutdown. The end of Serve's context is a first request.
	Stops <-chan struct{}

	// Drains asks to take no more tasks and to end when those that run are done,
	// however long that takes. Stops may follow.
	Drains <-chan struct{}

	// Reloads brings new configurations; what of them a running process can take
	// is taken, see config.Reload.
	Reloads <-chan *config.Config

	// Reloaded, if set, is called with the configuration that is in force after a
	// reload was taken.
	Reloaded func(*config.Config)

	// Ready, if set, is called once the server has accepted the runner, with
	// the address of the metrics server, which is nil when it is off.
	Ready func(metrics net.Addr)

	onHost func(sandbox.Provider) sandbox.Provider // for tests: stands before the host's
	wasm   func(*wasm.Options)                     // for tests: changes the WASM sandbox
	onWasm func(sandbox.Provider) sandbox.Provider // for tests: stands before it
}

// Serve takes and runs tasks until it is asked to stop, and returns when all have
// ended and are reported. Its error wraps ErrUnregistered where the runner has
// to be registered (again); nil means that nothing was left undone.
func Serve(ctx context.Context, o ServeOptions) (err error) {
	reg, warnings, err := loadRegistration(o.Config.Runner.File)
	if err != nil {
		return err
	}
	labels, err := servedLabels(o.Config, reg)
	if err != nil {
		return err
	}
	unlock, err := lockRegistration(o.Config.Runner.File, slog.New(o.Log))
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := openJournal(o.Config, slog.New(o.Log))
	if err != nil {
		return err
	}
	if kept != nil {
		defer func() { err = errors.Join(err, kept.Close()) }()
	}
	providers, err := otel.NewProviders(ctx, otel.ProvidersOptions{
		Endpoint: o.Config.Otel.Endpoint, Protocol: o.Config.Otel.Protocol, Namespace: o.Config.Metrics.Namespace,
		Labels:  o.Config.Metrics.Labels,
		Version: o.Version, InstanceID: reg.UUID, Log: slog.New(o.Log),
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := providers.Shutdown(context.WithoutCancel(ctx)); e != nil {
			slog.New(o.Log).Warn("the last telemetry could not be sent", "error", e)
		}
	}()
	s := &service{
		ServeOptions: o, reg: reg, labels: labels, providers: providers, journal: kept,
		log:       slog.New(providers.LogHandler(o.Log)),
		readiness: otel.NewReadiness(readinessGrace(o.Config)), turns: wasm.NewTurns(o.Config.Sandbox.Compiles),
	}
	for _, w := range warnings {
		s.log.Warn(w)
	}
	s.caches = newCaches(o.Config, s.log)
	defer s.caches.close()
	return s.run(ctx)
}

func loadRegistration(file string) (*gitea.Registration, []string, error) {
	reg, warnings, err := gitea.LoadRegistration(file)
	if err != nil {
		return nil, nil, &explained{err.Error(), errors.Join(ErrUnregistered, err)}
	}
	return reg, warnings, nil
}

// servedLabels are the configuration's, else the registration's.
func servedLabels(cfg *config.Config, reg *gitea.Registration) (label.List, error) {
	from, texts := "runner.labels", cfg.Runner.Labels
	if len(texts) == 0 {
		from, texts = cfg.Runner.File, reg.Labels
	}
	labels, err := label.ParseList(texts)
	if err == nil && len(labels) == 0 {
		err = errors.New("a runner without labels gets no jobs; set runner.labels")
	}
	if err != nil { // the configuration's own have been checked: this is the registration's
		return nil, &explained{from + ": " + err.Error(), errors.Join(ErrUnregistered, err)}
	}
	return labels, nil
}

// service is one run of Serve.
type service struct {
	ServeOptions
	reg       *gitea.Registration
	labels    label.List
	providers *otel.Providers
	journal   *journal.Journal // nil: there is none
	caches    *caches
	readiness *otel.Readiness
	log       *slog.Logger
	in        *otel.Instruments
	http      *http.Client
	client    *gitea.Client
	notify    *notifier
	turns     *wasm.Turns  // of compiling modules, for all generations
	running   atomic.Int64 // jobs

	mu     sync.Mutex
	undone []error // reports that were not delivered
}

func (s *service) run(ctx context.Context) error {
	cfg := s.Config
	in, err := otel.NewInstruments(s.providers.MeterProvider(), otel.InstrumentOptions{
		Namespace: cfg.Metrics.Namespace, Version: s.Version, Name: s.reg.Name, Capacity: cfg.Runner.Capacity,
		QueueThreshold: cfg.Metrics.QueueThreshold, Buckets: bucketsOf(&cfg.Metrics), Pipelines: s.providers.PipelineMeterProvider(),
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.in = in
	s.notify = newNotifier(s.log)
	defer func() { _ = in.Close() }() // the providers end anyway
	metrics, end, err := s.serveMetrics(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := s.connect(); err != nil {
		return err
	}
	defer s.client.CloseIdleConnections()
	s.log.Info("runner starts", "version", s.Version, "name", s.reg.Name, "server", s.client.Instance(),
		"labels", s.labels.Strings(), "capacity", cfg.Runner.Capacity, "ephemeral", s.reg.Ephemeral)

	stop := newShutdown(ctx, s.Stops, s.Drains, cfg.Runner.ShutdownTimeout, s.log)
	defer stop.end()
	defer context.AfterFunc(stop.fetching, func() { s.readiness.Draining(); s.in.Draining() })()

	l := &live{
		process:   container.NewProcess(),
		admission: &admission{gate: s.readiness.Gate, environ: s.Environ, log: s.log, free: diskFree}, gate: s.readiness.Gate,
	}
	l.admission.labels = l.unserved
	l.declarer = newDeclarer(s.client, s.Version, l.declared, l.pace, s.log)
	if s.journal != nil {
		l.admission.probe = s.journal.Probe
		if err := s.journal.Err(); err != nil {
			l.admission.broken(err)
		}
	}
	if err := l.admission.set(cfg, s.roomy(cfg)); err != nil {
		return err
	}
	fetcher := &journaled{Fetcher: s.client, journal: s.journal, log: s.log}
	h := s.handler(stop, l, fetcher)
	l.put(&generation{terms: terms{cfg: cfg}}) // for the recovery, which waits for nothing
	defer l.close()
	s.caches.clean()
	left := newRecovery(h, s.journal)
	left.start()
	defer left.end()
	first, err := s.generation(stop.fetching, l, cfg, nil)
	if err != nil {
		return err
	}
	l.put(first)
	if len(left.logs) > 0 {
		resists := errors.Join(first.resists, first.wasms.sweep())
		left.removing(first.docker.sweep(s.journal.Marked(usedContainers)), resists)
	}
	if s.reg.Ephemeral && len(left.logs) > 0 {
		left.wait() // that was its one task
		if !left.unregistered.Load() {
			return s.ended(nil)
		}
	}
	if err := s.start(stop.fetching, first); err != nil {
		if stop.fetching.Err() != nil {
			return nil
		}
		return err
	}
	caps, err := l.declarer.declare(stop.fetching)
	if err != nil {
		if errors.Is(err, errStopping) || errors.Is(err, errDraining) {
			return nil
		}
		return err
	}
	s.log.Info("the server knows this runner; it waits for jobs")
	if s.Ready != nil {
		s.Ready(metrics)
	}
	h.summary = caps.Has(gitea.CapabilityJobSummary)
	return s.poll(stop, l, h, fetcher, left)
}

// handler makes what brings tasks to their end.
func (s *service) handler(stop *shutdown, l *live, fetcher *journaled) *handler {
	return &handler{
		terms: l.terms, client: s.client, in: s.in, log: s.log, stop: stop,
		http: s.http, instance: s.client.Instance(),
		failed: s.failed, begun: fetcher.take, broken: l.admission.broken,
	}
}

// start begins what the first generation's jobs will need, and waits for it.
func (s *service) start(ctx context.Context, g *generation) error {
	if err := g.docker.start(ctx); err != nil {
		return err
	}
	return g.wasms.start(ctx)
}

// readinessGrace is how long a server may be silent until the runner is not ready.
func readinessGrace(cfg *config.Config) time.Duration {
	return cfg.Metrics.ReadinessGrace + cfg.Runner.FetchIntervalMax
}

// serveMetrics starts the metrics server where it is on. end ends it.
func (s *service) serveMetrics(ctx context.Context) (addr net.Addr, end func(), err error) {
	m := &s.Config.Metrics
	if !m.Enabled {
		return nil, func() {}, nil
	}
	server, err := otel.StartServer(otel.ServerOptions{
		Addr: m.Addr, WebConfigFile: m.WebConfigFile, Gatherer: s.providers.Gatherer(), Readiness: s.readiness, Log: s.log,
	})
	if err != nil {
		return nil, nil, err
	}
	s.log.Info("metrics are served", "address", server.Addr().String())
	return server.Addr(), func() {
		if err := server.Shutdown(context.WithoutCancel(ctx)); err != nil {
			s.log.Warn("end the metrics server", "error", err)
		}
	}, nil
}

func (s *service) connect() (err error) {
	r := &s.Config.Runner
	s.http, err = gitea.NewHTTPClient(gitea.HTTPOptions{Insecure: r.Insecure, CAFile: r.CAFile})
	if err != nil {
		return err
	}
	watchServer(s.http, s.readiness)
	s.client, err = gitea.New(gitea.Options{
		Instance: s.reg.Address, UUID: s.reg.UUID, Token: s.reg.Token, Version: s.Version, HTTPClient: s.http,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.File, err)
	}
	return nil
}

// engine builds what runs jobs.
func (s *service) engine(ctx context.Context, cfg *config.Config, labels label.List, docker *containers, wasms sandbox.Provider, modules sandbox.ModuleRunner, resists func(error)) (engine, error) {
	if s.onWasm != nil {
		wasms = s.onWasm(wasms)
	}
	return newEngine(ctx, engineOptions{
		cfg: cfg, labels: labels, name: s.reg.Name, version: s.Version, instance: s.client.Instance(), environ: s.Environ,
		owner: map[string]string{"runner": s.reg.UUID}, transport: s.http.Transport,
		docker: docker, beside: docker, wasm: wasms, modules: modules, caches: s.caches, onHost: s.onHost, resists: resists, log: s.log,
	})
}

// poll takes tasks until the end.
func (s *service) poll(stop *shutdown, l *live, h *handler, fetcher *journaled, left *recovery) error {
	r := &s.Config.Runner
	woken, end, err := s.serveWake(stop.fetching, l.names)
	if err != nil {
		return err
	}
	defer end()
	l.poller = poll.New(poll.Options{
		Fetcher: fetcher, Handler: s.watched(h.handle, l), Admit: l.admission.admit, AdmitTime: l.admission.longest, Wake: woken, Capacity: r.Capacity,
		Interval: r.FetchInterval, MaxInterval: r.FetchIntervalMax, FetchTimeout: r.FetchTimeout,
		GiveUp: stop.jobs, Once: s.Once || s.reg.Ephemeral, Unregistered: gitea.IsUnauthenticated, Deadline: gitea.IsDeadline, RetryAfter: gitea.RetryAfter,
		Meter: pollMeter{s.in}, Log: s.log,
	})
	s.notify.ready(serving(s.reg.Name, 0, r.Capacity))
	defer context.AfterFunc(stop.fetching, s.notify.stopping)()
	ctx, stopCare := context.WithCancel(stop.fetching)
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var care sync.WaitGroup
	care.Go(func() { s.follow(ctx, stop, l) })
	care.Go(func() { l.declarer.follow(ctx, l.poller.Again) })
	care.Go(func() { s.expire(ctx, l) })
	care.Go(func() { s.rest(ctx) })
	care.Go(func() { s.notify.watch(watching, func() error { return s.alive(l.poller) }) })
	defer care.Wait()
	defer stopCare()
	defer stopWatching()
	err = l.poller.Run(stop.fetching)
	if errors.Is(err, poll.ErrUnregistered) {
		err = &explained{"fetch task: " + gitea.Explain(err), ErrUnregistered}
	}
	left.wait()
	return s.ended(err)
}

// lateGrace is how much later than it should a poller may be heard of: a machine may
// be busy, and may have slept.
const lateGrace = time.Minute

// alive says why the runner is taken for one that hangs.
func (s *service) alive(p *poll.Poller) error {
	s.readiness.Reasons(time.Now()) // returns if nobody holds on to it
	if late := p.Late(); late > lateGrace {
		return fmt.Errorf("nothing was heard of the polling for %s longer than it may take", late.Round(time.Second))
	}
	return nil
}

// ended is the error of a run whose polling ended with err.
func (s *service) ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Info("runner ends")
	return errors.Join(append([]error{err}, s.undone...)...)
}

func (s *service) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undone = append(s.undone, err)
}
