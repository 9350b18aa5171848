package report

import (
	"errors"
	"math/rand/v2"
	"time"

	"otelrunner/runner/gitea"

	"connectrpc.com/connect"
)

// fault is what a failed call means for the call that comes next.
type fault uint8

const (
	temporary fault = iota // the same call may succeed later
	tooLarge               // a smaller request may succeed
	sealed                 // the log takes no more rows
	gone                   // the server knows the task or this runner no more
	refused                // the server understood the request and will not have it
)

// faultOf classifies an error of a Client: gitea's errors by gitea's rules, and
// those of any other client by their Connect code.
func faultOf(err error) fault {
	switch {
	case gitea.IsTooLarge(err):
		return tooLarge
	case gitea.IsAlreadyExists(err):
		return sealed
	case gitea.IsUnauthenticated(err), gitea.IsNotFound(err):
		return gone
	}
	if e := (*gitea.Error)(nil); errors.As(err, &e) {
		if gitea.IsTemporary(err) || gitea.IsCanceled(err) {
			return temporary
		}
		return refused
	}
	switch connect.CodeOf(err) {
	case connect.CodeResourceExhausted:
		return tooLarge
	case connect.CodeAlreadyExists:
		return sealed
	case connect.CodeUnauthenticated, connect.CodeNotFound:
		return gone
	case connect.CodeInvalidArgument, connect.CodePermissionDenied, connect.CodeFailedPrecondition, connect.CodeUnimplemented:
		return refused
	}
	return temporary
}

// Bounds of the waits between attempts. The longest one is far below the ten
// minutes after which the server gives a silent task up, and a server's wish
// (Retry-After) is heard as long as it is, too.
const (
	firstRetry    = 500 * time.Millisecond
	longestRetry  = 10 * time.Second
	longestWished = time.Minute
)

// refusals is how often in a row the server may refuse a call of one kind before
// it is believed.
const refusals = 3

// retry counts the failures of one kind of call.
type retry struct {
	failures int
	refused  int
	at       time.Time // no attempt before it
}

func (r *retry) succeeded() { *r = retry{} }

// failed sets when to try again: exponential, with the last quarter left to
// chance, so that tasks that lost the server together do not return together.
func (r *retry) failed(now time.Time, err error) {
	r.failures++
	wait := longestRetry
	if n := r.failures - 1; n < 5 {
		wait = min(firstRetry<<n, longestRetry)
	}
	wait -= rand.N(wait / 4)
	if wish := min(gitea.RetryAfter(err), longestWished); wish > wait {
		wait = wish + rand.N(wish/4)
	}
	r.at = now.Add(wait)
}
