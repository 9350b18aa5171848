package action

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// remoteKind says what a failed request means for the one who can mend it.
type remoteKind int

const (
	remoteBroken  remoteKind = iota // an answer that makes no sense, or a refusal
	remoteMissing                   // not there, or not for us: servers do not tell which
	remoteAway                      // may pass: network, overload, restart
)

// remoteError is a failed request to a git server.
type remoteError struct {
	kind     remoteKind
	attempts int
	err      error
}

func (e *remoteError) Error() string { return e.err.Error() }
func (e *remoteError) Unwrap() error { return e.err }

// transferError is what went wrong between here and the server, rather than what
// the server said.
type transferError struct{ err error }

func (e *transferError) Error() string { return e.err.Error() }
func (e *transferError) Unwrap() error { return e.err }

// maxRetryWait bounds one pause.
const maxRetryWait = 30 * time.Second

// retry calls f until it succeeds, fails for good, or has been tried often
// enough. Pauses double and vary by a fifth, so that runners that lost a server
// together do not return together. What g saw go wrong on the way goes before
// what f makes of it. The error is a *remoteError, or ctx's cause.
func (r *remote) retry(ctx context.Context, g *guard, f func() error) error {
	o := r.fetcher.options
	wait := o.RetryWait
	for attempt := 1; ; attempt++ {
		_ = g.takeFailure() // of the attempt before
		err := unwrapGit(f())
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failure := g.takeFailure(); failure != nil {
			err = &transferError{failure}
		}
		kind := classify(err)
		if kind != remoteAway || attempt >= o.Attempts {
			return &remoteError{kind: kind, attempts: attempt, err: err}
		}
		o.Log.Debug("fetch of an action failed and is tried again", "repository", r.url, "attempt", attempt, "error", err)
		if err := sleep(ctx, time.Duration(float64(wait)*(0.8+0.4*rand.Float64()))); err != nil {
			return err
		}
		wait = min(2*wait, maxRetryWait)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unwrapGit opens the library's wrappers, which hide what they wrap, and the
// HTTP client's, which repeats the address.
func unwrapGit(err error) error {
	var (
		unexpected *plumbing.UnexpectedError
		permanent  *plumbing.PermanentError
		request    *url.Error
	)
	for {
		switch {
		case errors.As(err, &unexpected):
			err = unexpected.Err
		case errors.As(err, &permanent):
			err = permanent.Err
		case errors.As(err, &request):
			err = request.Err
		default:
			return err
		}
	}
}

// classify tells what may pass from what will not.
func classify(err error) remoteKind {
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrRepositoryNotFound),
		errors.Is(err, transport.ErrAuthenticationRequired),
		errors.Is(err, transport.ErrAuthorizationFailed):
		return remoteMissing
	case errors.As(err, &status):
		switch code := status.StatusCode(); {
		case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests,
			code >= 500 && code != http.StatusNotImplemented:
			return remoteAway
		}
		return remoteBroken
	case errors.Is(err, errTooLarge), errors.Is(err, errNotGit), isTLSError(err):
		return remoteBroken
	case errors.Is(err, errStalled):
		return remoteAway
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return remoteBroken
	}
	var (
		transfer *transferError
		network  net.Error
	)
	if errors.As(err, &transfer) || errors.As(err, &network) || cutShort(err) {
		return remoteAway
	}
	return remoteBroken
}

func isTLSError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		record       tls.RecordHeaderError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &record)
}

// cutShort reports whether an answer ended too early.
func cutShort(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, packfile.ErrEmptyPackfile)
}
