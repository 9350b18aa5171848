package runner

import (
	"context"
	"net/http"
	"strings"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/poll"
)

// pollMeter tells the instruments what the poller does.
type pollMeter struct{ in *otel.Instruments }

func (m pollMeter) Fetched(r poll.Result, d time.Duration) {
	ctx := context.Background()
	switch r {
	case poll.Got:
		m.in.PollFetch(ctx, otel.FetchTask, d)
	case poll.Empty:
		m.in.PollFetch(ctx, otel.FetchEmpty, d)
	case poll.TimedUp:
		m.in.PollFetch(ctx, otel.FetchDeadline, d)
	default:
		m.in.PollFetch(ctx, otel.FetchError, d)
		m.in.ClientError(ctx, otel.MethodFetchTask)
	}
}

func (m pollMeter) Backoff(interval time.Duration) { m.in.PollBackoff(interval) }

// watchServer lets readiness know each time that the server answers, whichever
// call it was: while all workers are busy, nothing is fetched for hours.
func watchServer(client *http.Client, readiness *otel.Readiness) {
	client.Transport = &watchedTransport{base: client.Transport, seen: readiness.ServerSeen}
}

type watchedTransport struct {
	base http.RoundTripper
	seen func(time.Time)
}

// RoundTrip passes the request on. A page (HTML) comes from something else than
// the service, whatever its status.
func (t *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err == nil && resp.StatusCode < 300 && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.seen(time.Now())
	}
	return resp, err
}

// CloseIdleConnections is what http.Client looks for in its transport.
func (t *watchedTransport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
