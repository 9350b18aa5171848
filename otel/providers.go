package otel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// ShutdownTimeout bounds Providers.Shutdown when the collector does not answer.
const ShutdownTimeout = 5 * time.Second

// ProvidersOptions says who this process is and where its telemetry goes.
type ProvidersOptions struct {
	// Endpoint is a URL with scheme and host that metrics, traces and logs are
	// sent to by OTLP; "" leaves OTLP off. With http/protobuf, v1/metrics,
	// v1/traces and v1/logs are added to it. OTEL_EXPORTER_OTLP_ENDPOINT and
	// OTEL_EXPORTER_OTLP_{METRICS,TRACES,LOGS}_ENDPOINT win over it.
	Endpoint string

	// Protocol is ProtocolGRPC or ProtocolHTTP, and "" is the latter.
	// OTEL_EXPORTER_OTLP_PROTOCOL and the one of each signal win over it.
	Protocol string

	// Namespace is that of the instruments; it begins the name of the counter
	// of failed exports, too.
	Namespace string

	// Version and InstanceID are service.version and service.instance.id.
	Version, InstanceID string

	// Attributes are added to the resource of every signal.
	Attributes []attribute.KeyValue

	// Spans, if set, is given every span, too, and makes spans be recorded
	// where nothing is exported. Shutdown shuts it down.
	Spans sdktrace.SpanProcessor

	// Labels are added to every family on /metrics; by OTLP, the resource says
	// the same.
	Labels map[string]string

	// Log gets the warning about a collector that cannot be reached. It must
	// not lead back into Providers.LogHandler. Nil discards it.
	Log *slog.Logger
}

// Providers are what instruments, tracers and loggers are made from. They exist
// whether or not anything is exported: what is off costs next to nothing.
type Providers struct {
	registry *prometheus.Registry
	outage   *outage
	abort    context.CancelFunc

	meters     metric.MeterProvider
	pipelines  metric.MeterProvider
	tracers    trace.TracerProvider
	loggers    log.LoggerProvider
	newLoggers func() log.LoggerProvider // of the same exporter
	backlogs   [signals]*backlog         // of what is queued: traces and logs
	to         [signals]destination

	shutdowns []func(context.Context) error
	logsOn    bool
	tracesOn  bool
}

// NewProviders builds the providers. Besides the options, the standard OTEL_*
// variables of this process apply; OTEL_SDK_DISABLED=true leaves nothing but
// the go_ and process_ families on /metrics. No connection is made.
func NewProviders(ctx context.Context, opts ProvidersOptions) (*Providers, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Namespace == "" {
		opts.Namespace = DefaultNamespace
	}
	if err := ValidateNamespace(opts.Namespace); err != nil {
		return nil, err
	}
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Providers{
		registry:   prometheus.NewRegistry(),
		outage:     &outage{log: opts.Log, abort: abort},
		abort:      cancel,
		meters:     metricnoop.NewMeterProvider(),
		pipelines:  metricnoop.NewMeterProvider(),
		tracers:    tracenoop.NewTracerProvider(),
		loggers:    lognoop.NewLoggerProvider(),
		newLoggers: func() log.LoggerProvider { return lognoop.NewLoggerProvider() },
	}
	p.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	e := processEnv()
	if e.sdkDisabled() {
		opts.Log.InfoContext(ctx, "telemetry is off: OTEL_SDK_DISABLED is set")
		return p, nil
	}
	if err := p.build(ctx, opts, e); err != nil {
		if e := p.Shutdown(ctx); e != nil { // the first error is the one to tell
			opts.Log.DebugContext(ctx, "end telemetry that could not be set up", "error", e)
		}
		return nil, &settingsError{fmt.Errorf("set up telemetry: %w", err)}
	}
	return p, nil
}

func (p *Providers) build(ctx context.Context, opts ProvidersOptions, e env) error {
	var to [signals]destination
	for s := range signals {
		d, err := destinationOf(s, e, opts.Endpoint, opts.Protocol)
		if err != nil {
			return err
		}
		to[s] = d
		p.outage.shown[s] = d.shown
	}
	p.to = to
	res, err := newResource(ctx, opts)
	if err != nil {
		opts.Log.WarnContext(ctx, "some resource attributes are missing", "error", err)
	}
	return errors.Join(
		p.buildTracers(ctx, opts, e, res, to[signalTraces]),
		p.buildLoggers(ctx, e, res, to[signalLogs]),
		p.buildMeters(ctx, opts, res, to),
	)
}

func (p *Providers) buildMeters(ctx context.Context, opts ProvidersOptions, res *resource.Resource, to [signals]destination) error {
	shared := newHistograms(processEnv())
	// No target_info: it would show every resource attribute, which an operator
	// sets for the backend, to whoever can scrape. act_runner_info says who this
	// is.
	bridge, err := promexporter.New(
		promexporter.WithRegisterer(prometheus.WrapRegistererWith(opts.Labels, p.registry)),
		promexporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		promexporter.WithoutScopeInfo(),
		promexporter.WithoutTargetInfo(),
		promexporter.WithProducer(shared),
	)
	if err != nil {
		return fmt.Errorf("prometheus bridge: %w", err)
	}
	providerOpts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(bridge)}
	sharing := true
	if d := to[signalMetrics]; d.on {
		exporter, err := p.otlpExporter(ctx, d)
		if err != nil {
			return err
		}
		var readerOpts []sdkmetric.PeriodicReaderOption
		if sharing = shareable(exporter); sharing {
			readerOpts = append(readerOpts, sdkmetric.WithProducer(shared))
		}
		providerOpts = append(providerOpts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, readerOpts...)))
		if exporter, err = p.otlpExporter(ctx, d); err != nil {
			return err
		}
		reader := sdkmetric.NewPeriodicReader(exporter)
		pp := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader),
			sdkmetric.WithCardinalityLimit(pipelineSeries))
		p.pipelines = pp
		p.shutdowns = append(p.shutdowns, pp.Shutdown)
	}
	mp := sdkmetric.NewMeterProvider(providerOpts...)
	p.meters = mp
	if sharing {
		p.meters = sharedMeters{mp, shared}
	}
	p.shutdowns = append(p.shutdowns, mp.Shutdown)
	return p.countFailures(opts.Namespace, to)
}

// pipelineSeries bounds the series of an instrument that has a pipeline's name,
// which users choose. What comes beyond is one series with the label
// otel.metric.overflow.
const pipelineSeries = 200

func (p *Providers) otlpExporter(ctx context.Context, d destination) (sdkmetric.Exporter, error) {
	exporter, err := newMetricExporter(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("export metrics to %s: %w", d.shown, err)
	}
	return metricExporter{exporter, p.outage}, nil
}

// countFailures makes the counters of failed exports and of what was dropped for
// want of room, for the signals that are exported at all.
func (p *Providers) countFailures(namespace string, to [signals]destination) error {
	failures, dropped := map[signal][]metric.ObserveOption{}, map[signal][]metric.ObserveOption{}
	for s, d := range to {
		if !d.on {
			continue
		}
		series := []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attribute.String("signal", signal(s).String())))}
		failures[signal(s)] = series
		if p.backlogs[s] != nil {
			dropped[signal(s)] = series
		}
	}
	return errors.Join(
		p.observeCounter(namespace+"_otel_export_failures", "{export}", "OTLP exports that failed, by their signal.", failures, p.outage.count),
		p.observeCounter(namespace+"_otel_dropped", "{record}", "Spans and log records that were dropped because too many waited for their export.", dropped,
			func(s signal) int64 { return p.backlogs[s].dropped.Load() }),
	)
}

func (p *Providers) observeCounter(name, unit, help string, series map[signal][]metric.ObserveOption, value func(signal) int64) error {
	if len(series) == 0 {
		return nil
	}
	_, err := p.meters.Meter(scopeName).Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(help),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for s, opts := range series {
				o.Observe(value(s), opts...)
			}
			return nil
		}))
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

func (p *Providers) buildTracers(ctx context.Context, opts ProvidersOptions, e env, res *resource.Resource, d destination) error {
	if !d.on && opts.Spans == nil {
		return nil
	}
	sampler, err := newSampler(e)
	if err != nil {
		opts.Log.WarnContext(ctx, "the sampling of traces is not as asked for", "error", err)
	}
	providerOpts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res), sdktrace.WithIDGenerator(runIDs{}), sdktrace.WithSampler(sampler),
	}
	if opts.Spans != nil {
		providerOpts = append(providerOpts, sdktrace.WithSpanProcessor(opts.Spans))
	}
	if d.on {
		exporter, err := newSpanExporter(ctx, d)
		if err != nil {
			return fmt.Errorf("export traces to %s: %w", d.shown, err)
		}
		b := newBacklog(e, spanQueueBy, spanQueue)
		p.backlogs[signalTraces] = b
		providerOpts = append(providerOpts, sdktrace.WithSpanProcessor(boundedSpans{
			sdktrace.NewBatchSpanProcessor(spanExporter{exporter, p.outage, b}, sdktrace.WithMaxQueueSize(int(b.limit))), b,
		}))
	}
	tp := sdktrace.NewTracerProvider(providerOpts...)
	p.tracers, p.tracesOn = tp, true
	p.shutdowns = append(p.shutdowns, tp.Shutdown)
	return nil
}

func (p *Providers) buildLoggers(ctx context.Context, e env, res *resource.Resource, d destination) error {
	if !d.on {
		return nil
	}
	exporter, err := newLogExporter(ctx, d)
	if err != nil {
		return fmt.Errorf("export logs to %s: %w", d.shown, err)
	}
	b := newBacklog(e, logQueueBy, logQueue)
	p.backlogs[signalLogs] = b
	bounded := boundedLogs{newBatches(logExporter{exporter, p.outage, b}, e, b.limit), b}
	p.newLoggers = func() log.LoggerProvider {
		return sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(bounded))
	}
	p.loggers, p.logsOn = p.newLoggers(), true
	p.shutdowns = append(p.shutdowns, bounded.Shutdown)
	return nil
}

// MeterProvider makes what is read by /metrics and, when on, by OTLP.
func (p *Providers) MeterProvider() metric.MeterProvider { return p.meters }

// PipelineMeterProvider makes the instruments that have a pipeline's name. They
// are read by OTLP alone, and bounded: see NewInstruments.
func (p *Providers) PipelineMeterProvider() metric.MeterProvider { return p.pipelines }

// Tracing reports whether spans are recorded.
func (p *Providers) Tracing() bool { return p.tracesOn }

// Logging reports whether log records are exported.
func (p *Providers) Logging() bool { return p.logsOn }

// TracerProvider makes spans; it records none unless traces are exported.
func (p *Providers) TracerProvider() trace.TracerProvider { return p.tracers }

// JobLogger makes the log records of one job's rows; it keeps none unless logs are
// exported. attrs say which job; they are those of the records' scope, which is
// sent once an export and not with each row. It is not kept beyond its user, as one
// of the SDK's providers would do with each scope that it has ever seen.
func (p *Providers) JobLogger(attrs ...attribute.KeyValue) log.Logger {
	return p.newLoggers().Logger(jobScopeName, log.WithInstrumentationAttributes(attrs...))
}

const jobScopeName = "otelrunner/job"

// Gatherer is what /metrics shows.
func (p *Providers) Gatherer() prometheus.Gatherer { return p.registry }

// Handle makes p an error handler of OpenTelemetry: main may hand p to
// otel.SetErrorHandler, so that what the SDK itself has to say reaches the log
// rather than the standard error. Failed exports never come this way.
func (p *Providers) Handle(err error) {
	level := slog.LevelWarn
	if errors.Is(err, context.Canceled) { // a collection that the shutdown has cut
		level = slog.LevelDebug
	}
	p.outage.log.Log(context.Background(), level, "OpenTelemetry reports a problem; jobs are not affected", "error", err)
}

// Shutdown exports what is left and stops all readers. It ends with ctx and
// after ShutdownTimeout at the latest, and cuts what is then in flight. A
// second call does nothing.
func (p *Providers) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ShutdownTimeout)
	defer cancel()
	defer p.abort()

	errs := make([]error, len(p.shutdowns))
	var wg sync.WaitGroup
	for i, f := range p.shutdowns {
		wg.Go(func() { errs[i] = f(ctx) })
	}
	wg.Wait()
	p.shutdowns = nil
	err := errors.Join(errs...)
	if err != nil && ctx.Err() != nil { // each says no more than that
		err = fmt.Errorf("the time for it is over, and what is left is dropped: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("shut down telemetry: %w", err)
	}
	return nil
}
