package gitea_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestParseInstance(t *testing.T) {
	for _, c := range []struct{ text, want, err string }{
		{"https://gitea.example.org", "https://gitea.example.org", ""},
		{" http://h:3000/ ", "http://h:3000", ""},
		{"https://h/git/", "https://h/git", ""},
		{"https://h/git//", "https://h/git", ""},
		{"https://h/api/actions/", "https://h", ""},
		{"https://h/git/?a=1#b", "https://h/git", ""},
		{"https://[::1]:3000", "https://[::1]:3000", ""},
		{"", "", "empty"},
		{"gitea.example.org", "", "does not begin with http"},
		{"localhost:3000", "", "does not begin with http"},
		{"ftp://h", "", "does not begin with http"},
		{"https://", "", "names no host"},
		{"https://user:hunter2@h:port", "", "invalid port"},
	} {
		u, err := gitea.ParseInstance(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("ParseInstance(%q): error %v, want one with %q", c.text, err, c.err)
			}
			continue
		}
		if err != nil || u.String() != c.want {
			t.Errorf("ParseInstance(%q) = %v, %v; want %s", c.text, u, err, c.want)
		}
	}
}

// recorder answers like a server and keeps what it was sent.
type recorder struct {
	path   string
	header http.Header
	body   []byte
	length int64
}

func record(t *testing.T, answer proto.Message, header http.Header) (*recorder, string) {
	t.Helper()
	r := &recorder{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.path, r.header, r.length = req.URL.Path, req.Header, req.ContentLength
		r.body, _ = io.ReadAll(req.Body)
		for k, v := range header {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Type", "application/proto")
		data, _ := proto.Marshal(answer)
		_, _ = w.Write(data)
	}))
	t.Cleanup(s.Close)
	return r, s.URL
}

func client(t *testing.T, url string) *gitea.Client {
	t.Helper()
	c, err := gitea.New(gitea.Options{Instance: url, UUID: "the-uuid", Token: "the-token", Version: "v9"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// strings of one field of an encoded message.
func field(data []byte, want protowire.Number) (out []string) {
	for len(data) > 0 {
		number, typ, n := protowire.ConsumeTag(data)
		data = data[n:]
		if number == want && typ == protowire.BytesType {
			v, _ := protowire.ConsumeString(data)
			out = append(out, v)
		}
		data = data[protowire.ConsumeFieldValue(number, typ, data):]
	}
	return out
}

func TestRequestsOnTheWire(t *testing.T) {
	t.Run("register", func(t *testing.T) {
		r, url := record(t, &runnerv1.RegisterResponse{Runner: &runnerv1.Runner{Uuid: "u", Token: "t"}}, nil)
		if _, err := client(t, url+"/sub/").Register(t.Context(), gitea.NewRunner{Token: "x", Name: "n"}); err != nil {
			t.Fatal(err)
		}
		if r.path != "/sub/api/actions/runner.v1.RunnerService/Register" {
			t.Errorf("path %s", r.path)
		}
		if r.header.Get("x-runner-uuid")+r.header.Get("x-runner-token") != "" {
			t.Error("Register sent the runner's credentials")
		}
		if got := field(r.body, 8); !slices.Equal(got, []string{"cancelling"}) {
			t.Errorf("capabilities %q", got)
		}
	})
	t.Run("declare", func(t *testing.T) {
		r, url := record(t, &runnerv1.DeclareResponse{}, http.Header{"X-Gitea-Actions-Capabilities": {"job-summary, Other", "third"}})
		caps, err := client(t, url).Declare(t.Context(), "v", []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"job-summary", "other", "third"}, caps.Names()); d != "" || caps.Has("x") {
			t.Error(d)
		}
		if got := field(r.body, 3); !slices.Equal(got, []string{"cancelling"}) {
			t.Errorf("capabilities %q", got)
		}
		if r.header.Get("x-runner-uuid") != "the-uuid" || r.header.Get("x-runner-token") != "the-token" || r.header.Get("User-Agent") != "otelrunner/v9" {
			t.Errorf("headers %v", r.header)
		}
	})
	t.Run("compression", func(t *testing.T) {
		r, url := record(t, &runnerv1.UpdateLogResponse{}, nil)
		for _, c := range []struct {
			bytes int
			gzip  bool
		}{{900, false}, {5000, true}} {
			row := &runnerv1.LogRow{Content: strings.Repeat("x", c.bytes)}
			if _, err := client(t, url).UpdateLog(t.Context(), &runnerv1.UpdateLogRequest{Rows: []*runnerv1.LogRow{row}}); err != nil {
				t.Fatal(err)
			}
			if got := r.header.Get("Content-Encoding") == "gzip"; got != c.gzip || c.gzip && r.length > 200 {
				t.Errorf("%d bytes: compressed %v, sent %d", c.bytes, got, r.length)
			}
		}
	})
}

// Both services and one call after the other share a connection.
func TestConnectionsAreShared(t *testing.T) {
	s := giteatest.New(giteatest.Options{})
	defer s.Close()
	var opened atomic.Int32
	front := httptest.NewUnstartedServer(s.Handler())
	front.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	front.Start()
	defer front.Close()
	uuid, token := s.AddRunner(giteatest.RunnerOptions{Name: "r"})
	c, err := gitea.New(gitea.Options{Instance: front.URL, UUID: uuid, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	for range 10 {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.FetchTask(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		// An answer that is not Gitea's must not cost the connection either.
		in := s.Inject(giteatest.Status(503))
		if err := c.Ping(t.Context()); err == nil {
			t.Fatal("no error")
		}
		in.Remove()
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 30 calls", n)
	}
}

func TestAnswersThatAreTooLarge(t *testing.T) {
	_, url := record(t, &runnerv1.FetchTaskResponse{Task: &runnerv1.Task{WorkflowPayload: make([]byte, 33<<20)}}, nil)
	if _, _, err := client(t, url).FetchTask(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "larger than configured max") {
		t.Errorf("%v", err)
	}
}

func TestUnsendable(t *testing.T) {
	_, url := record(t, &runnerv1.UpdateTaskResponse{}, nil)
	_, err := client(t, url).UpdateTask(t.Context(), &runnerv1.UpdateTaskRequest{Outputs: map[string]string{"k": "\xff"}})
	if err == nil || gitea.IsTemporary(err) {
		t.Errorf("text that is not UTF-8: %v, temporary: %v", err, gitea.IsTemporary(err))
	}
}

// A row's way to the server must stay cheap: 1,000,000 of them are one of the
// targets.
func BenchmarkUpdateLog(b *testing.B) {
	s := giteatest.New(giteatest.Options{CountOnly: true})
	defer s.Close()
	url, err := s.Start()
	if err != nil {
		b.Fatal(err)
	}
	uuid, token := s.AddRunner(giteatest.RunnerOptions{Name: "r"})
	c, err := gitea.New(gitea.Options{Instance: url, UUID: uuid, Token: token})
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseIdleConnections()
	id := s.AddWorkflow("", giteatest.TaskOptions{})
	if _, _, err := c.FetchTask(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	const perCall = 5000
	now := timestamppb.New(time.Unix(1_800_000_000, 0))
	rows := make([]*runnerv1.LogRow, perCall)
	for i := range rows {
		rows[i] = &runnerv1.LogRow{Time: now, Content: fmt.Sprintf("row %d of a log that a compiler might write: ok in %d ms", i, i%97)}
	}
	b.ReportAllocs()
	var index int64
	for b.Loop() {
		res, err := c.UpdateLog(context.Background(), &runnerv1.UpdateLogRequest{TaskId: id, Index: index, Rows: rows})
		if err != nil {
			b.Fatal(err)
		}
		index = res.GetAckIndex()
	}
	b.ReportMetric(float64(index)/b.Elapsed().Seconds(), "rows/s")
}

func TestErrorsAreTyped(t *testing.T) {
	c := client(t, "http://127.0.0.1:1")
	_, _, err := c.FetchTask(t.Context(), 0)
	var e *gitea.Error
	if !errors.As(err, &e) || e.Op != "fetch task" || !strings.HasPrefix(err.Error(), "fetch task: ") {
		t.Errorf("%T %v", err, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.FetchTask(ctx, 0); !gitea.IsCanceled(err) || gitea.IsTemporary(err) || gitea.IsDeadline(err) {
		t.Errorf("a cancelled call: %v", err)
	}
}
