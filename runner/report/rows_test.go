package report_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"otelrunner/runner/report"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestRowsOfOddLines(t *testing.T) {
	long := strings.Repeat("ä", report.MaxRow/2)
	inBubble(t, report.Options{Secrets: []string{"top-secret", "Zeile eins\nzweite Zeile"}}, func(w *world) {
		var want []string
		for _, c := range []struct {
			in  string
			out []string
		}{
			{"", []string{""}},
			{"plain", []string{"plain"}},
			{"windows\r", []string{"windows"}},
			{"bar 1%\rbar 2%\r", []string{"bar 1%\rbar 2%"}},
			{"two\nrows", []string{"two", "rows"}},
			{"ends\n", []string{"ends"}},
			{"ends\r\n", []string{"ends"}},
			{"a\r\n\nb", []string{"a", "", "b"}},
			{"bad \xff\xfe utf", []string{"bad \uFFFD utf"}},
			{"t\x00o\x00p\x00-\x00s\x00e\x00c\x00r\x00e\x00t\x00", []string{"***"}},
			{"Zeile eins", []string{"***"}},
			{"x zweite Zeile x", []string{"x *** x"}},
			{long, []string{long}},
			{"x" + long, []string{"x" + long[:report.MaxRow-2], long[report.MaxRow-2:]}},
			{strings.Repeat("x", report.MaxRow-4) + "top-secret", []string{strings.Repeat("x", report.MaxRow-4) + "***"}},
			{strings.Repeat("x", report.MaxRow-2) + "top-secret", []string{strings.Repeat("x", report.MaxRow-2), "***"}},
		} {
			want = append(want, c.out...)
			w.row(c.in)
		}
		w.finish(task.Success)
		delivered(w, want, task.Success)
	})
}

func TestRowBytesIsTheEncodedSize(t *testing.T) {
	for _, content := range []string{"", "x", strings.Repeat("x", 127), strings.Repeat("x", 128), strings.Repeat("x", 20000)} {
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(1, 0), time.Unix(1<<33, 999999999), time.Now()} {
			row := &runnerv1.LogRow{Time: timestamppb.New(at), Content: content}
			want := proto.Size(&runnerv1.UpdateLogRequest{Rows: []*runnerv1.LogRow{row}})
			if got := report.RowBytes(row); got != want {
				t.Errorf("%d bytes at %v: %d, want %d", len(content), at, got, want)
			}
		}
	}
}

// FuzzRow: whatever a job writes, the rows are fit for the wire, and a secret is in
// none of them.
func FuzzRow(f *testing.F) {
	f.Add("a-secret", "x a-secret y", 3)
	f.Add("line-1\nline-2", "line-1\nline-2", 8)
	f.Add("s\x00ecret", "s\x00ecret", 1)
	f.Add("secret\xff", "secret\xff", 2)
	f.Add("ä-secret", strings.Repeat("ä", 40)+"ä-secret", 5)
	f.Fuzz(func(t *testing.T, secret, text string, cut int) {
		if strings.ContainsAny(secret, "*\x00\r") || !utf8.ValidString(secret) {
			return // an environment cannot hold NUL; see FuzzMask
		}
		c := &sink{}
		r := report.New(context.Background(), report.Options{Client: c, TaskID: 1, Secrets: []string{secret}})
		// The writes of a step are lines by now, wherever they were split.
		text = text[:min(max(cut, 0), len(text))] + secret + text[min(max(cut, 0), len(text)):]
		for line := range strings.Lines(text) {
			r.Row(time.Now(), line)
		}
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		for _, row := range c.rows {
			if !utf8.ValidString(row) || strings.ContainsAny(row, "\n\x00") || len(row) > report.MaxRow {
				t.Errorf("row %q", row)
			}
			for line := range strings.Lines(secret) {
				if line = strings.TrimSpace(line); report.Maskable(line) && strings.Contains(row, line) {
					t.Errorf("row %q contains %q", row, line)
				}
			}
		}
	})
}

// sink is a client in memory that can be told what to answer.
type sink struct {
	mu     sync.Mutex
	rows   []string
	calls  int
	states []*runnerv1.TaskState
	sizes  []int
	count  int
	ack    func(stored int64) int64
	log    func(*runnerv1.UpdateLogRequest) error
	state  func(*runnerv1.UpdateTaskRequest) error
	has    map[string]string
	only   bool // count only
}

func (s *sink) UpdateLog(_ context.Context, req *runnerv1.UpdateLogRequest) (*runnerv1.UpdateLogResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.log != nil {
		if err := s.log(req); err != nil {
			return nil, err
		}
	}
	if s.only {
		s.count += len(req.GetRows())
		return &runnerv1.UpdateLogResponse{AckIndex: req.GetIndex() + int64(len(req.GetRows()))}, nil
	}
	s.sizes = append(s.sizes, proto.Size(req))
	for i, row := range req.GetRows() {
		switch at := int(req.GetIndex()) + i; {
		case at == len(s.rows):
			s.rows = append(s.rows, row.GetContent())
		case at > len(s.rows):
			return &runnerv1.UpdateLogResponse{AckIndex: int64(len(s.rows))}, nil
		}
	}
	ack := int64(len(s.rows))
	if s.ack != nil {
		ack = s.ack(ack)
	}
	return &runnerv1.UpdateLogResponse{AckIndex: ack}, nil
}

func (s *sink) UpdateTask(_ context.Context, req *runnerv1.UpdateTaskRequest) (*runnerv1.UpdateTaskResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != nil {
		if err := s.state(req); err != nil {
			return nil, err
		}
	}
	s.states = append(s.states, req.GetState())
	res := &runnerv1.UpdateTaskResponse{State: &runnerv1.TaskState{Result: req.GetState().GetResult()}}
	for k, v := range req.GetOutputs() {
		if s.has == nil {
			s.has = map[string]string{}
		}
		s.has[k] = v
	}
	for k := range s.has {
		res.SentOutputs = append(res.SentOutputs, k)
	}
	return res, nil
}

// No request is larger than the bound, and a large backlog leaves in as few as
// that allows.
func TestRequestsAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1 << 60, MaxWaiting: 64 << 20})
		total := 0
		for i := range 40_000 {
			line := strings.Repeat("b", i%200)
			total += len(line) + 20
			r.Row(time.Now(), line)
		}
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.sizes {
			if n > report.MaxRequest {
				t.Errorf("a request of %d bytes", n)
			}
		}
		if most := total/report.MaxRequest + 4; len(c.sizes) > most {
			t.Errorf("%d requests for %d bytes, want at most %d", len(c.sizes), total, most)
		}
	})
}

// A server that lost rows which it had acknowledged (a restored backup) gets empty
// ones, so that what comes later is neither refused nor out of place.
func TestAServerThatLostRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		for i := range 10 {
			r.Row(time.Now(), fmt.Sprint(i))
		}
		time.Sleep(4 * time.Second)
		c.mu.Lock()
		c.rows = c.rows[:7]
		c.mu.Unlock()
		r.Row(time.Now(), "10")
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		want := []string{"0", "1", "2", "3", "4", "5", "6", "", "", "", "10", ""}
		if diff := cmp.Diff(want, c.rows); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A server that has more rows than were sent would take the next ones for old.
func TestAServerThatHasForeignRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{rows: []string{"of", "another", "run"}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		r.Row(time.Now(), "seen as old")
		time.Sleep(4 * time.Second)
		r.Row(time.Now(), "new")
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		want := []string{"of", "another", "run", "new", ""}
		if diff := cmp.Diff(want, c.rows); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Rows that were not part of the request do not count as what the server has.
func TestForeignRowsBeforeABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{rows: make([]string, 100)}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1, MaxWaiting: 8 << 20})
		// Ten rows fill a request; fifteen are there when it leaves.
		for i := range 15 {
			r.Row(time.Now(), fmt.Sprint(i, strings.Repeat("-", 50<<10)))
		}
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		got := c.rows[100:]
		if len(got) != 6 || !strings.HasPrefix(got[0], "10-") || !strings.HasPrefix(got[4], "14-") {
			t.Errorf("%d rows after the foreign ones, want 10 to 14 and the seal's", len(got))
		}
	})
}

// A server that answers well and takes nothing is not asked without a pause.
func TestAServerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{log: func(req *runnerv1.UpdateLogRequest) error {
			req.Rows = nil
			return nil
		}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		r.Row(time.Now(), "x")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Finish(ctx, task.Success); err == nil {
			t.Error("Finish gave no error")
		}
		if c.calls < 5 || c.calls > 15 {
			t.Errorf("%d calls in a minute", c.calls)
		}
	})
}

// A single row that no request is small enough for does not hold up the log.
func TestARowThatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{log: func(req *runnerv1.UpdateLogRequest) error {
			if proto.Size(req) > 10_000 {
				return connect.NewError(connect.CodeResourceExhausted, errors.New("too large"))
			}
			return nil
		}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		r.Row(time.Now(), "before")
		r.Row(time.Now(), strings.Repeat("w", 20_000))
		r.Row(time.Now(), "after")
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		want := []string{"before", "[row of 20000 bytes: too large for the server]", "after", ""}
		if diff := cmp.Diff(want, c.rows); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A log that the server will not have does not keep the result from it.
func TestALogThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{log: func(*runnerv1.UpdateLogRequest) error {
			return connect.NewError(connect.CodeInvalidArgument, errors.New("no such log"))
		}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		r.Row(time.Now(), "x")
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		if c.calls != 3 {
			t.Errorf("%d attempts", c.calls)
		}
		if last := c.states[len(c.states)-1]; last.GetResult() != runnerv1.Result_RESULT_SUCCESS {
			t.Errorf("final state %v", last)
		}
	})
}
