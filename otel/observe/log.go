package observe

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// Logger is log with the context's span in every record that is logged without
// one, so that what is logged about a job is found from its trace. Where the
// context has no span it is log.
func Logger(ctx context.Context, log *slog.Logger) *slog.Logger {
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsValid() {
		return log
	}
	return slog.New(inSpan{log.Handler(), span})
}

type inSpan struct {
	slog.Handler
	span trace.Span
}

func (h inSpan) Handle(ctx context.Context, r slog.Record) error {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		ctx = trace.ContextWithSpan(ctx, h.span)
	}
	return h.Handler.Handle(ctx, r) //nolint:wrapcheck // this is a handler, too
}

func (h inSpan) WithAttrs(attrs []slog.Attr) slog.Handler {
	return inSpan{h.Handler.WithAttrs(attrs), h.span}
}

func (h inSpan) WithGroup(name string) slog.Handler {
	return inSpan{h.Handler.WithGroup(name), h.span}
}
