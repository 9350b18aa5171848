package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// guard is the one door that requests of a fetch go through. It adds the
// credentials, and only to addresses below realm: a redirect to another host, or
// to another application on the same one, goes without. It bounds what an answer
// may weigh, and ends transfers in which nothing arrives.
type guard struct {
	base        http.RoundTripper
	user, token string
	realm       string // "" : no credentials
	limit       int64
	stall       time.Duration

	mu sync.Mutex
	// failure is what went wrong last on the way; the library above hides it
	// in texts of its own.
	failure error
}

func (g *guard) fail(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failure = err
	return err
}

// takeFailure gives what went wrong since it was last asked.
func (g *guard) takeFailure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.failure
	g.failure = nil
	return err
}

var errNotGit = errors.New("it does not answer as a git server does")

// checkType refuses pages that are shown instead of an answer: log-in forms,
// captive portals, servers that know no git.
func checkType(resp *http.Response) error {
	const want = "application/x-git-upload-pack-advertisement"
	if resp.StatusCode != http.StatusOK || !strings.HasSuffix(resp.Request.URL.Path, "/info/refs") {
		return nil
	}
	if got := resp.Header.Get("Content-Type"); got != want {
		return fmt.Errorf("%w: its answer is %q, not %s; check the address", errNotGit, got, want)
	}
	return nil
}

var errStalled = errors.New("the server sent nothing for too long")

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	req = req.Clone(ctx)
	req.Header.Del("Authorization")
	if g.realm != "" && below(req.URL.String(), g.realm) {
		req.SetBasicAuth(g.user, g.token)
	}
	timer := time.AfterFunc(g.stall, func() { cancel(fmt.Errorf("%w (%v)", errStalled, g.stall)) })
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		timer.Stop()
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		cancel(nil)
		return nil, g.fail(err)
	}
	if err := checkType(resp); err != nil {
		timer.Stop()
		_ = resp.Body.Close()
		cancel(nil)
		return nil, g.fail(err)
	}
	resp.Body = &guardedBody{guard: g, body: resp.Body, ctx: ctx, cancel: cancel, timer: timer, stall: g.stall, left: g.limit}
	return resp, nil
}

type guardedBody struct {
	guard  *guard
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	left   int64
	close  sync.Once
}

// errTooLarge ends a download that passes the limit of an action.
var errTooLarge = errors.New("it is larger than an action may be")

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, b.guard.fail(errTooLarge)
	}
	if n > 0 {
		b.timer.Reset(b.stall)
	}
	if cause := context.Cause(b.ctx); err != nil && errors.Is(cause, errStalled) {
		err = cause
	}
	if err != nil && !errors.Is(err, io.EOF) {
		_ = b.guard.fail(err) // the guard keeps it for who asks
	}
	return n, err
}

func (b *guardedBody) Close() (err error) {
	b.close.Do(func() {
		b.timer.Stop()
		err = b.body.Close()
		b.cancel(nil)
	})
	return err
}

// below reports whether an address lies at base or under it: the same scheme,
// host and port, and base's path a whole-segment prefix of its path.
func below(address, base string) bool {
	a, err := url.Parse(address)
	if err != nil {
		return false
	}
	b, err := url.Parse(base)
	if err != nil || origin(a) != origin(b) || strings.Contains(a.Path, "/../") {
		return false
	}
	prefix := strings.TrimRight(b.Path, "/") + "/"
	return strings.HasPrefix(a.Path+"/", prefix)
}

func origin(u *url.URL) string {
	port := u.Port()
	scheme := strings.ToLower(u.Scheme)
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
