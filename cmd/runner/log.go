package main

import (
	"context"
	"io"
	"log/slog"

	"otelrunner/runner/config"

	"go.opentelemetry.io/otel"
)

// levels are the configuration's names, act_runner's among them.
var levels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
}

// logHandler writes the runner's own log to the standard error.
func (p *program) logHandler(l config.Log) slog.Handler { return newLogHandler(p.stderr, l) }

func newLogHandler(w io.Writer, l config.Log) slog.Handler {
	return newLeveledHandler(w, l.Format, levels[l.Level])
}

// newLeveledHandler is newLogHandler with a level that may change.
func newLeveledHandler(w io.Writer, format string, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

func logWarning(h slog.Handler, text string) {
	slog.New(h).LogAttrs(context.Background(), slog.LevelWarn, text)
}

// sendSDKErrors brings what the OpenTelemetry SDK has to say into the log. The
// SDK knows no other place for it than this global, which main owns.
func sendSDKErrors(h slog.Handler) {
	log := slog.New(h)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("telemetry", "error", err)
	}))
}
