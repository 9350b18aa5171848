package otel

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
)

// LogHandler returns base, and beside it, where logs are exported by OTLP, the
// bridge to OpenTelemetry, which takes what base takes: records below its level
// go nowhere.
func (p *Providers) LogHandler(base slog.Handler) slog.Handler {
	if !p.logsOn {
		return base
	}
	bridge := otelslog.NewHandler(scopeName, otelslog.WithLoggerProvider(p.loggers))
	return slog.NewMultiHandler(base, gate{bridge, base.Enabled})
}

// A gate lets pass what enabled allows.
type gate struct {
	slog.Handler
	enabled func(context.Context, slog.Level) bool
}

func (g gate) Enabled(ctx context.Context, l slog.Level) bool {
	return g.enabled(ctx, l) && g.Handler.Enabled(ctx, l)
}

func (g gate) WithAttrs(attrs []slog.Attr) slog.Handler {
	return gate{g.Handler.WithAttrs(attrs), g.enabled}
}

func (g gate) WithGroup(name string) slog.Handler {
	return gate{g.Handler.WithGroup(name), g.enabled}
}
