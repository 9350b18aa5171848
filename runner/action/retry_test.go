package action

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

var errRefused = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

func testRemote(o Options) *remote {
	return &remote{fetcher: &Fetcher{options: o.withDefaults()}, url: "http://host/o/r"}
}

func TestRetryPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		err := testRemote(Options{}).retry(t.Context(), &guard{}, func() error {
			at = append(at, time.Since(start))
			return errRefused
		})
		var re *remoteError
		if !errors.As(err, &re) || re.attempts != 4 || re.kind != remoteAway {
			t.Fatalf("got %#v", err)
		}
		for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			if pause := at[i+1] - at[i]; pause < want*8/10 || pause > want*12/10 {
				t.Errorf("pause %d lasts %v, want %v ± 20 %%", i+1, pause, want)
			}
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 700*time.Millisecond, why)
		defer cancel()
		start := time.Now()
		err := testRemote(Options{}).retry(ctx, &guard{}, func() error { return errRefused })
		if !errors.Is(err, why) || time.Since(start) != 700*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestClassify(t *testing.T) {
	status := func(code int) error {
		return &githttp.Err{Response: &http.Response{StatusCode: code, Request: &http.Request{URL: &url.URL{}}}}
	}
	for want, errs := range map[remoteKind][]error{
		remoteMissing: {
			fmt.Errorf("%w: x", transport.ErrRepositoryNotFound),
			fmt.Errorf("%w: x", transport.ErrAuthenticationRequired),
			fmt.Errorf("%w: x", transport.ErrAuthorizationFailed),
		},
		remoteAway: {
			status(500), status(502), status(503), status(429), status(408), errRefused, io.ErrUnexpectedEOF,
			&url.Error{Op: "Get", Err: io.EOF}, &net.DNSError{IsTemporary: true}, &transferError{errors.New("stream error")}, plumbing.NewUnexpectedError(errRefused), errStalled,
		},
		remoteBroken: {
			status(400), status(501), errTooLarge, errNotGit, &net.DNSError{IsNotFound: true}, errors.New("invalid pkt-len"), &transferError{errTooLarge},
			&url.Error{Op: "Get", Err: errors.New("http redirect: too many redirects")},
			&url.Error{Op: "Get", Err: x509.UnknownAuthorityError{}},
		},
	} {
		for _, err := range errs {
			if got := classify(unwrapGit(err)); got != want {
				t.Errorf("%v: got %d, want %d", err, got, want)
			}
		}
	}
}

func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		address, base string
		want          bool
	}{
		{"https://h/o/r/info/refs", "https://h", true},
		{"https://h:443/o/r", "https://H/", true},
		{"http://h:80/o/r", "http://h", true},
		{"https://h/gitea/o/r", "https://h/gitea", true},
		{"https://h/gitea2/o/r", "https://h/gitea", false},
		{"https://h/o/r", "https://h/gitea", false},
		{"https://h/gitea/../x", "https://h/gitea", false},
		{"http://h/o/r", "https://h", false},
		{"https://h:444/o/r", "https://h", false},
		{"https://h.evil.example/o/r", "https://h", false},
		{"https://evil.example/https://h/", "https://h", false},
		{"https://h@evil.example/", "https://h", false},
		{"://", "https://h", false},
	} {
		if got := below(tt.address, tt.base); got != tt.want {
			t.Errorf("below(%q, %q) = %v", tt.address, tt.base, got)
		}
	}
}
