package gitea

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// What a call was doing, as its errors say it.
const (
	opPing       = "ping"
	opRegister   = "register"
	opDeclare    = "declare"
	opFetchTask  = "fetch task"
	opUpdateLog  = "update log"
	opUpdateTask = "update task"
)

// Error is a failed call. Its text is one line: what was being done and what was
// found; Explain adds what to do. The functions Is… classify it.
type Error struct {
	Op       string       // "fetch task", "update log"…
	Instance string       // the server's address
	Code     connect.Code // by the answer's code, or by its text where the code says nothing
	// RetryAfter is how long the server asked to be left alone; 0 = it did not.
	RetryAfter time.Duration
	Err        error

	said     bool   // it is Gitea's own word, not that of the network or of a proxy
	text     string // what it said, without the code's prefix
	deadline bool   // the caller's own deadline ended the call
	canceled bool   // the caller's context was cancelled
}

func newError(ctx context.Context, instance, op string, err error) *Error {
	e := &Error{Op: op, Instance: instance, Err: err, Code: connect.CodeOf(err)}
	if answer := (*AnswerError)(nil); errors.As(err, &answer) {
		e.RetryAfter = answer.RetryAfter
	}
	if ce := (*connect.Error)(nil); errors.As(err, &ce) && connect.IsWireError(err) {
		e.said, e.text = true, ce.Message()
		e.RetryAfter = max(e.RetryAfter, parseRetryAfter(ce.Meta().Get("Retry-After")))
		if code, text, ok := codeInText(e.text); ok {
			e.text = text
			if e.Code == connect.CodeUnknown || e.Code == connect.CodeInternal {
				e.Code = code
			}
		}
	}
	_, hasDeadline := ctx.Deadline()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.deadline = true
	case errors.Is(ctx.Err(), context.Canceled):
		e.canceled = true
	case hasDeadline && e.said && e.Code == connect.CodeDeadlineExceeded:
		// The server is told our deadline and may notice it first.
		e.deadline = true
	}
	return e
}

// codeInText reads `rpc error: code = X desc = …`, which Gitea puts into the text
// of an error whose code is `unknown`.
func codeInText(s string) (connect.Code, string, bool) {
	rest, ok := strings.CutPrefix(s, "rpc error: code = ")
	if !ok {
		return 0, "", false
	}
	name, desc, ok := strings.Cut(rest, " desc = ")
	if !ok {
		return 0, "", false
	}
	for c := connect.CodeCanceled; c <= connect.CodeUnauthenticated; c++ {
		if strings.EqualFold(strings.ReplaceAll(c.String(), "_", ""), name) {
			return c, desc, true
		}
	}
	return connect.CodeUnknown, desc, true
}

func (e *Error) Error() string {
	return e.Op + ": " + e.cause()
}

// Unwrap gives what the layers below found: *AnswerError, *net.OpError, x509's…
func (e *Error) Unwrap() error { return e.Err }

func as(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

func hasCode(err error, codes ...connect.Code) bool {
	e, ok := as(err)
	if !ok || !e.said {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// IsUnauthenticated reports that the server does not know this runner (any more).
// Only Gitea's own word counts, not a proxy's 401.
func IsUnauthenticated(err error) bool { return hasCode(err, connect.CodeUnauthenticated) }

// IsAlreadyExists reports that a task's log has been sealed.
func IsAlreadyExists(err error) bool { return hasCode(err, connect.CodeAlreadyExists) }

// IsNotFound reports that the task is gone: deleted with its repository, or
// given to another runner.
func IsNotFound(err error) bool {
	if hasCode(err, connect.CodeNotFound) {
		return true
	}
	e, ok := as(err)
	return ok && (e.Op == opUpdateLog || e.Op == opUpdateTask) &&
		(strings.Contains(e.text, "resource does not exist") || strings.Contains(e.text, "invalid runner for task"))
}

// IsTooLarge reports that the request exceeded a bound of the server or of a
// proxy before it (nginx: 1 MB of body by default): a smaller one may pass.
func IsTooLarge(err error) bool {
	var answer *AnswerError
	if errors.As(err, &answer) && answer.Status == http.StatusRequestEntityTooLarge {
		return true
	}
	return hasCode(err, connect.CodeResourceExhausted)
}

// IsDeadline reports that the caller's own deadline ended the call. A time-out of
// connecting is not one.
func IsDeadline(err error) bool { e, ok := as(err); return ok && e.deadline }

// IsCanceled reports that the caller's context was cancelled.
func IsCanceled(err error) bool { e, ok := as(err); return ok && e.canceled }

// IsTemporary reports whether the same call may succeed later: the network, the
// server's and any proxy's trouble, a deadline. What no repetition mends is not:
// an unregistered runner, a sealed log, a task that is gone, a request that is
// refused as such, a caller that has given up.
func IsTemporary(err error) bool {
	e, ok := as(err)
	switch {
	case !ok, e.canceled, IsNotFound(err), IsTooLarge(err), e.unsendable():
		return false
	case !e.said:
		// Not Gitea's word. Even a 404 is what some proxies say while the server
		// behind them restarts.
		return true
	}
	switch e.Code {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeAlreadyExists,
		connect.CodeInvalidArgument, connect.CodeUnimplemented, connect.CodeOutOfRange, connect.CodeFailedPrecondition:
		return false
	}
	return true
}

// unsendable reports that the request could not even be encoded (text that is
// not UTF-8): Connect gives that no type of its own.
func (e *Error) unsendable() bool {
	var ce *connect.Error
	return !e.said && errors.As(e.Err, &ce) && ce.Code() == connect.CodeInternal &&
		strings.HasPrefix(ce.Message(), "marshal message")
}

// RetryAfter is how long the server, or a proxy, asked to be left alone: at most
// an hour; 0 if it did not.
func RetryAfter(err error) time.Duration {
	if e, ok := as(err); ok {
		return e.RetryAfter
	}
	return 0
}
