package gitea

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"connectrpc.com/connect"
)

// Explain turns the error of a call into one line for the operator: what was
// found, and what to do where that is known. An error that is not of this
// package is returned as its text.
func Explain(err error) string {
	e, ok := as(err)
	if !ok {
		return err.Error()
	}
	if advice := e.advice(); advice != "" {
		return e.cause() + ": " + advice
	}
	return e.cause()
}

// cause says what was found, without what was being done.
func (e *Error) cause() string {
	for _, f := range []func() string{e.ownEnd, e.answered, e.refused, e.certificate, e.network} {
		if s := f(); s != "" {
			return oneLine(s)
		}
	}
	var ce *connect.Error
	if errors.As(e.Err, &ce) {
		return oneLine(ce.Message())
	}
	return oneLine(e.Err.Error())
}

func (e *Error) ownEnd() string {
	switch {
	case e.deadline:
		return e.Instance + " gave no answer in time"
	case e.canceled:
		return "given up: " + context.Canceled.Error()
	}
	return ""
}

func (e *Error) answered() string {
	var answer *AnswerError
	if errors.As(e.Err, &answer) {
		return e.Instance + " answered " + answer.Error()
	}
	return ""
}

func (e *Error) refused() string {
	if !e.said {
		return ""
	}
	if e.Code == connect.CodeUnknown { // the text is all that there is
		return e.Instance + " answered " + strconv.Quote(e.text)
	}
	return e.Instance + " answered " + strconv.Quote(e.text) + " (" + e.Code.String() + ")"
}

func (e *Error) certificate() string {
	var (
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		noTLS    tls.RecordHeaderError
		alert    tls.AlertError
		hostname = e.host()
	)
	switch {
	case errors.As(e.Err, &unknown):
		return "the certificate of " + hostname + " is signed by an authority that this machine does not know"
	case errors.As(e.Err, &host):
		return "the certificate of " + hostname + " is for another name (" + names(host.Certificate) + ")"
	case errors.As(e.Err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of " + hostname + " is out of its time (" + invalid.Error() + ")"
	case errors.As(e.Err, &verify):
		return "the certificate of " + hostname + " is not accepted: " + verify.Err.Error()
	case errors.As(e.Err, &noTLS), strings.Contains(e.Err.Error(), "server gave HTTP response to HTTPS client"):
		return hostname + " does not speak TLS there"
	case errors.As(e.Err, &alert):
		return "the TLS handshake with " + hostname + " failed: " + alert.Error()
	}
	return ""
}

func (e *Error) network() string {
	var (
		dns     *net.DNSError
		op      *net.OpError
		timeout interface{ Timeout() bool }
		host    = e.host()
	)
	switch {
	case errors.As(e.Err, &op) && op.Op == "proxyconnect":
		return "the proxy of this environment cannot be used: " + op.Err.Error()
	case errors.As(e.Err, &dns) && dns.IsNotFound:
		return "the host name " + dns.Name + " is not known"
	case errors.As(e.Err, &dns):
		return "the host name " + dns.Name + " could not be looked up: " + dns.Err
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return host + " refused the connection"
	case errors.Is(e.Err, syscall.ENETUNREACH), errors.Is(e.Err, syscall.EHOSTUNREACH):
		return host + " cannot be reached from this machine's network"
	case errors.As(e.Err, &op) && op.Op == "dial" && op.Timeout():
		return "no connection to " + host + " in time"
	case errors.Is(e.Err, io.EOF), errors.Is(e.Err, io.ErrUnexpectedEOF), errors.Is(e.Err, syscall.ECONNRESET),
		errors.Is(e.Err, syscall.EPIPE), errors.Is(e.Err, net.ErrClosed):
		return "the connection to " + host + " was cut"
	case errors.As(e.Err, &timeout) && timeout.Timeout(), errors.Is(e.Err, os.ErrDeadlineExceeded):
		return host + " took too long"
	}
	return ""
}

// advice says what the operator can do about it, or nothing.
func (e *Error) advice() string {
	for _, f := range []func() string{e.adviseAnswer, e.adviseSaid, e.adviseNetwork} {
		if s := f(); s != "" {
			return s
		}
	}
	return ""
}

func (e *Error) adviseAnswer() string {
	var answer *AnswerError
	if !errors.As(e.Err, &answer) {
		return ""
	}
	switch s := answer.Status; {
	case answer.Location != "":
		return "give the instance the address to which it redirects, without its last part"
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusProxyAuthRequired:
		return "something before the server asks for a login; let " + e.apiPath() + " pass there"
	case s == http.StatusRequestEntityTooLarge:
		return "a proxy before the server limits the size of a request (nginx: client_max_body_size)"
	case s == http.StatusTooManyRequests:
		return "the server or a proxy before it asks to be called less often"
	case s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusGatewayTimeout:
		return "a proxy answers, the server behind it does not; is it starting?"
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed:
		return "there is no Gitea with Actions; check the address (its path too), that the server is 1.24 or newer and has [actions] ENABLED = true"
	}
	return "this does not look like a Gitea; check the address"
}

func (e *Error) adviseSaid() string {
	switch {
	case !e.said:
		return ""
	case e.Op == opRegister && (strings.Contains(e.text, "registration token") || e.Code == connect.CodeUnauthenticated ||
		e.Code == connect.CodeNotFound || e.Code == connect.CodePermissionDenied):
		return "the registration token is wrong or was replaced; take the one that the server's Actions page shows under Runners, Create new Runner"
	case e.Code == connect.CodeUnauthenticated:
		return "the server does not know this runner (deleted there, or another server's registration file); register it again with `runner register`"
	case e.Code == connect.CodeUnimplemented:
		return "the server is too old for this runner, or not a Gitea; it must be Gitea 1.24 or newer"
	}
	return ""
}

func (e *Error) adviseNetwork() string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		noTLS   tls.RecordHeaderError
		dns     *net.DNSError
	)
	switch {
	case e.deadline, e.canceled:
		return ""
	case errors.As(e.Err, &unknown):
		return "trust that authority in the system or name its certificate as the CA file; `insecure` switches the check off"
	case errors.As(e.Err, &host):
		return "use one of these names as the instance's"
	case errors.As(e.Err, &noTLS), strings.Contains(e.Err.Error(), "server gave HTTP response to HTTPS client"):
		return "write http:// instead of https://, or another port"
	case errors.As(e.Err, &dns):
		return "check the spelling, and this machine's DNS"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "is the server running, and is this its port?"
	}
	return ""
}

func (e *Error) host() string {
	if u, err := url.Parse(e.Instance); err == nil && u.Host != "" {
		return u.Host
	}
	return e.Instance
}

func (e *Error) apiPath() string {
	if u, err := url.Parse(e.Instance); err == nil {
		return u.JoinPath("api", "actions").Path
	}
	return "/api/actions"
}

// names is at most three of the names a certificate is for.
func names(c *x509.Certificate) string {
	if c == nil {
		return "unknown"
	}
	all := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	switch {
	case len(all) == 0 && c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(all) == 0:
		return "none"
	case len(all) > 3:
		all = append(all[:3], "…")
	}
	return strings.Join(all, ", ")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
