package otel

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// None of these connects: a collector that is away is found out by the first
// export, not at the start.

func newMetricExporter(ctx context.Context, d destination) (sdkmetric.Exporter, error) {
	if d.protocol == ProtocolGRPC {
		return otlpmetricgrpc.New(ctx, when(d.url, otlpmetricgrpc.WithEndpointURL)...)
	}
	return otlpmetrichttp.New(ctx, when(d.url, otlpmetrichttp.WithEndpointURL)...)
}

func newSpanExporter(ctx context.Context, d destination) (sdktrace.SpanExporter, error) {
	if d.protocol == ProtocolGRPC {
		return otlptracegrpc.New(ctx, when(d.url, otlptracegrpc.WithEndpointURL)...)
	}
	return otlptracehttp.New(ctx, when(d.url, otlptracehttp.WithEndpointURL)...)
}

func newLogExporter(ctx context.Context, d destination) (sdklog.Exporter, error) {
	if d.protocol == ProtocolGRPC {
		return otlploggrpc.New(ctx, when(d.url, otlploggrpc.WithEndpointURL)...)
	}
	return otlploghttp.New(ctx, when(d.url, otlploghttp.WithEndpointURL)...)
}

// when is the option for a URL that is set, and none for one that is not: an
// option would hide the variables from the exporter.
func when[Option any](url string, option func(string) Option) []Option {
	if url == "" {
		return nil
	}
	return []Option{option(url)}
}
