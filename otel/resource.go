package otel

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// DefaultServiceName is service.name where OTEL_SERVICE_NAME does not say
// otherwise.
const DefaultServiceName = "otelrunner"

// newResource describes this process to an OTLP backend. Process detectors are
// left out on purpose: command line and environment can hold a token.
//
// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over what the runner says
// itself. What could not be read is the error; the resource is usable all the same.
func newResource(ctx context.Context, opts ProvidersOptions) (*resource.Resource, error) {
	attrs := []attribute.KeyValue{semconv.ServiceName(DefaultServiceName)}
	if opts.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(opts.Version))
	}
	if opts.InstanceID != "" {
		attrs = append(attrs, semconv.ServiceInstanceID(opts.InstanceID))
	}
	attrs = append(attrs, opts.Attributes...)

	r, err := resource.New(ctx,
		resource.WithSchemaURL(semconv.SchemaURL),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithOSType(),
		resource.WithAttributes(attrs...),
		resource.WithFromEnv(),
	)
	if r == nil {
		r = resource.NewWithAttributes(semconv.SchemaURL, attrs...)
	}
	if err != nil {
		err = fmt.Errorf("read the resource attributes of this process (OTEL_RESOURCE_ATTRIBUTES has the form key=value,key=value): %w", err)
	}
	return r, err
}
