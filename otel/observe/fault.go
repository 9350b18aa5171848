package observe

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The values of error.type that are not named by the error itself.
const (
	TypeCancellation = "cancellation"
	TypeTimeout      = "timeout"
	TypeNotFound     = "not_found"
	typeOther        = "_OTHER" // the conventions' own word
)

// A typed error names its own error.type: a constant. OpenTelemetry's Go
// conventions look for the same method.
type typed interface{ ErrorType() string }

// ErrorType is the value of error.type for an error; "" for none. The names of
// Go's types, which the conventions would fall back to, say nothing to an
// operator: what has no name of its own is _OTHER.
func ErrorType(err error) string {
	var t typed
	switch {
	case err == nil:
		return ""
	case errors.As(err, &t) && t.ErrorType() != "":
		return t.ErrorType()
	case errors.Is(err, context.Canceled):
		return TypeCancellation
	case errors.Is(err, context.DeadlineExceeded):
		return TypeTimeout
	case errors.Is(err, fs.ErrNotExist):
		return TypeNotFound
	}
	return typeOther
}

// Typed gives an error that has no error.type of its own one: a constant, for the
// spans that it ends. Its text stays, and what it wraps is found in it. Nil stays nil.
func Typed(kind string, err error) error {
	if ErrorType(err) != typeOther {
		return err
	}
	return &typedError{kind, err}
}

type typedError struct {
	kind string
	error
}

func (e *typedError) ErrorType() string { return e.kind }
func (e *typedError) Unwrap() error     { return e.error }

// fail puts an error on a span.
func fail(s *Scope, sp trace.Span, err error) {
	if err == nil || !sp.IsRecording() {
		return
	}
	sp.SetAttributes(semconv.ErrorTypeKey.String(ErrorType(err)))
	sp.SetStatus(codes.Error, cut(s.mask(err.Error())))
}

// maxText bounds the description of a status, in bytes.
const maxText = 1024

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// Ended puts the end of a job or a step on the span of the context, which goes
// on. key is the attribute that takes the result.
func Ended(ctx context.Context, key attribute.Key, e End) {
	sp := trace.SpanFromContext(ctx)
	if !sp.IsRecording() {
		return
	}
	sp.SetAttributes(key.String(e.Result.String()))
	if e.ErrorType != "" {
		sp.SetAttributes(semconv.ErrorTypeKey.String(e.ErrorType))
		sp.SetStatus(codes.Error, cut(From(ctx).mask(e.Text)))
	}
}

// EndOf is the end of something that ended with an error: a failure of the
// workflow's own unless the error's type says that it was cancelled, ran out of
// time, or is the runner's trouble.
func EndOf(err error, otherwise Result) End {
	if err == nil {
		return End{Result: otherwise}
	}
	e := End{Result: otherwise, ErrorType: ErrorType(err), Text: err.Error()}
	switch e.ErrorType {
	case TypeCancellation:
		e.Result = Cancellation
	case TypeTimeout:
		e.Result = Timeout
	}
	return e
}
