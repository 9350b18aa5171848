package giteatest

import (
	"context"
	"strings"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

// maxLine is the length in bytes to which a row is truncated.
const maxLine = 64 << 10

// UpdateLog stores the rows that the server does not have yet.
func (s service) UpdateLog(ctx context.Context, req *connect.Request[runnerv1.UpdateLogRequest]) (*connect.Response[runnerv1.UpdateLogResponse], error) {
	m := req.Msg
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.auth(req.Header())
	if err != nil {
		return nil, err
	}
	c := callOf(ctx)
	c.TaskID, c.Rows, c.NoMore = m.GetTaskId(), len(m.GetRows()), m.GetNoMore()
	t, err := s.ofRunner(m.GetTaskId(), r, "get task")
	if err != nil {
		return nil, err
	}
	rows, gap := t.newRows(m.GetIndex(), m.GetRows())
	partial := false
	if n := faultOf(ctx).ackRows; n >= 0 && n < len(rows) {
		rows, partial = rows[:n], true
	}
	seals := m.GetNoMore() && !gap && !partial && (len(rows) > 0 || !s.opt.IgnoreEmptySeal)
	if t.sealed && len(rows) > 0 {
		return nil, s.fail(connect.CodeAlreadyExists, "log file has been archived")
	}
	s.store(t, rows)
	t.sealed = t.sealed || seals
	s.notify()
	return connect.NewResponse(&runnerv1.UpdateLogResponse{AckIndex: t.rowCount}), nil
}

// newRows drops what the server has; with a gap before them it takes none.
func (t *record) newRows(index int64, rows []*runnerv1.LogRow) (fresh []*runnerv1.LogRow, gap bool) {
	switch {
	case index > t.rowCount:
		return nil, true
	case index+int64(len(rows)) <= t.rowCount:
		return nil, false
	}
	return rows[t.rowCount-index:], false
}

func (s *Server) store(t *record, rows []*runnerv1.LogRow) {
	if len(rows) == 0 {
		return
	}
	now := s.now()
	for _, row := range rows {
		age := now.Sub(row.GetTime().AsTime())
		t.maxRowAge = max(t.maxRowAge, age)
		if s.opt.RowAge != nil {
			s.opt.RowAge(age)
		}
		t.rowBytes += int64(len(row.GetContent()))
		if s.opt.CountOnly {
			continue
		}
		if len(row.Content) > maxLine {
			row.Content = row.Content[:maxLine]
		}
		if strings.IndexByte(row.Content, '\n') >= 0 {
			row.Content = strings.ReplaceAll(row.Content, "\n", `\n`)
		}
		t.rows = append(t.rows, row)
	}
	t.rowCount += int64(len(rows))
}
