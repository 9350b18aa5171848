// Package otel is where everything that the runner measures is defined: the
// instruments, the providers that they are built from, the server that shows
// them to a scraper, the tracer and the bridge from log/slog.
//
// Every number is one OpenTelemetry instrument that is read twice: by the
// Prometheus bridge when /metrics is scraped, and by a periodic OTLP exporter
// when an endpoint is configured. Nothing here is global: main builds
// [Providers] and [Instruments], everybody else is given them.
package otel
