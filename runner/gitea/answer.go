package gitea

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// guarded returns a client over the same connections whose answers are all of
// Gitea's: what anything else on the way says (a proxy, a login page, another
// server) becomes an error that tells what it was. A redirect is such an answer:
// followed, it would turn a POST into a GET and could carry the runner's token
// to another host.
func guarded(base *http.Client) *http.Client {
	c := *base
	rt := c.Transport
	if rt == nil {
		rt = http.DefaultTransport
	}
	c.Transport = guard{rt}
	return &c
}

type guard struct{ next http.RoundTripper }

func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := g.next.RoundTrip(req)
	if err != nil || isMessage(res) {
		return res, err
	}
	// Enough for an error or a title; reading a short page to its end saves the
	// connection.
	page, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if isConnectError(res, page) {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(page), res.Body), res.Body}
		return res, nil
	}
	_ = res.Body.Close()
	return nil, &AnswerError{
		Status:      res.StatusCode,
		ContentType: res.Header.Get("Content-Type"),
		Title:       title(page),
		Location:    location(res),
		RetryAfter:  parseRetryAfter(res.Header.Get("Retry-After")),
	}
}

// CloseIdleConnections makes http.Client's method of that name reach the
// transport behind the guard.
func (g guard) CloseIdleConnections() {
	if c, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// isMessage reports whether an answer is a message of the Connect protocol.
func isMessage(res *http.Response) bool {
	return res.StatusCode == http.StatusOK && mediaType(res) == "application/proto"
}

// isConnectError reports whether an answer is an error of the Connect protocol: a
// JSON object with a code. Other APIs answer JSON too, but have numbers there
// or nothing.
func isConnectError(res *http.Response, body []byte) bool {
	if res.StatusCode < 400 || mediaType(res) != "application/json" {
		return false
	}
	if res.Header.Get("Content-Encoding") != "" {
		return true // compressed: Connect's own doing, and for it to read
	}
	var e struct{ Code string }
	return json.Unmarshal(body, &e) == nil && e.Code != ""
}

func mediaType(res *http.Response) string {
	t, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// AnswerError is an HTTP answer that did not come from Gitea's Actions service.
type AnswerError struct {
	Status      int
	ContentType string
	Title       string        // of an HTML page, else the first words of the text
	Location    string        // of a redirect
	RetryAfter  time.Duration // 0 = not said
}

func (e *AnswerError) Error() string {
	what := "something that is not Gitea's Actions API"
	if strings.Contains(e.ContentType, "html") {
		what = "a web page"
	}
	s := fmt.Sprintf("HTTP %d with %s", e.Status, what)
	switch {
	case e.Location != "":
		return fmt.Sprintf("HTTP %d redirects to %s", e.Status, e.Location)
	case e.Title != "":
		return s + fmt.Sprintf(" (%q)", e.Title)
	case e.ContentType == "":
		return fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status))
	}
	return s + " (" + e.ContentType + ")"
}

// title finds something that tells a person what answered: at most 80 bytes of
// one line.
func title(page []byte) string {
	lower := bytes.ToLower(page)
	if i := bytes.Index(lower, []byte("<title")); i >= 0 && len(lower) == len(page) {
		page = page[i:]
		if j := bytes.IndexByte(page, '>'); j >= 0 {
			page = page[j+1:]
		}
		if j := bytes.IndexByte(page, '<'); j >= 0 {
			page = page[:j]
		}
	} else if bytes.HasPrefix(bytes.TrimSpace(page), []byte("<")) {
		return ""
	}
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(page), "")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "…"
	}
	return s
}

// location is where a redirect leads, without what must not be logged.
func location(res *http.Response) string {
	if res.StatusCode < 300 || res.StatusCode > 399 {
		return ""
	}
	u, err := res.Location()
	if err != nil {
		return ""
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return clean.String()
}

// parseRetryAfter reads seconds or a date (RFC 9110, 10.2.3); at most an hour
// counts, what cannot be read is 0.
func parseRetryAfter(s string) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), time.Hour)
}
