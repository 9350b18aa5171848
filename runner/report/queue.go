package report

import (
	"slices"
	"time"

	"otelrunner/runner/journal"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// rowOverhead is the memory in bytes that a waiting row takes beside its text.
const rowOverhead = 160

// queue holds the rows that the server has not acknowledged. Its user locks it.
type queue struct {
	rows []*runnerv1.LogRow
	slab slab

	// spilled rows follow rows and are in the journal only; tail follows them:
	// rows that the journal could not take any more.
	spilled int64
	tail    []*runnerv1.LogRow

	base  int64 // index of rows[0]; the server has what is before it
	shift int64 // by how much indices here are larger than the journal's
	probe bool  // the server is to be asked which row it wants
	sent  int64 // index after the last row that was ever part of a request
	lost  int64 // rows that were discarded since the log took no more
	want  int64 // the index that the server wants; less than base if it lost rows
	bytes int   // encoded size of rows
	cost  int   // memory of rows

	oldest time.Time // when rows[0] came, or later rows[0] came, at the latest
	fresh  time.Time // when the first row came that is not part of the request in flight
	flight int       // how many rows are
}

// next is the index that the next row gets.
func (q *queue) next() int64 { return q.base + q.waiting() + q.lost }

// waiting is how many rows the server does not have.
func (q *queue) waiting() int64 { return int64(len(q.rows)+len(q.tail)) + q.spilled }

// spill counts a row that is kept in the journal only.
func (q *queue) spill() { q.spilled++ }

// last appends a row behind those that are in the journal only.
func (q *queue) last(t time.Time, content string) {
	q.tail = append(q.tail, q.slab.row(t, content))
	q.cost += len(content) + rowOverhead
}

// unspill takes rows that were read back from the journal, oldest first; the tail
// follows when there are no more. lost says that there are no more in any case.
func (q *queue) unspill(rows []journal.Row, lost bool) {
	for _, r := range rows {
		q.add(r.Time, r.Text, func() time.Time { return r.Time })
	}
	q.spilled -= int64(len(rows))
	if lost {
		q.spilled = 0
	}
	if q.spilled > 0 {
		return
	}
	for _, row := range q.tail {
		q.cost -= len(row.GetContent()) + rowOverhead
		at := row.GetTime().AsTime()
		q.add(at, row.GetContent(), func() time.Time { return at })
	}
	q.tail = nil
}

// add appends a row that came at now.
func (q *queue) add(t time.Time, content string, now func() time.Time) {
	switch len(q.rows) {
	case 0:
		q.oldest = now()
	case q.flight:
		q.fresh = now()
	}
	row := q.slab.row(t, content)
	q.rows = append(q.rows, row)
	q.bytes += rowBytes(row)
	q.cost += len(content) + rowOverhead
}

// take returns as many rows as fit into limit bytes, at least one, and the index
// of the first; none of them for a probe. If the server wants rows that it had acknowledged and lost, empty
// ones take their place: every later row would be refused as a gap, or all steps
// would move, otherwise.
func (q *queue) take(limit int) (index int64, rows []*runnerv1.LogRow) {
	if q.probe {
		return q.base, nil
	}
	if q.want < q.base {
		return q.want, q.fill(min(q.base-q.want, int64(limit/64)+1))
	}
	size, n := requestBytes, 0
	for _, row := range q.rows {
		if size += rowBytes(row); size > limit && n > 0 {
			break
		}
		n++
	}
	q.flight, q.fresh = n, time.Time{}
	q.sent = max(q.sent, q.base+int64(n))
	return q.base, slices.Clone(q.rows[:n])
}

func (q *queue) fill(n int64) []*runnerv1.LogRow {
	var s slab
	rows := make([]*runnerv1.LogRow, n)
	for i := range rows {
		rows[i] = s.row(time.Unix(0, 0), "")
	}
	return rows
}

// acked drops what the server has and reports whether it took anything.
func (q *queue) acked(ack int64) (progress bool) {
	progress = ack > q.want
	q.want = ack
	if ack < q.base {
		q.flight = 0
		return progress
	}
	ours := min(ack, max(q.sent, q.base))
	n := min(ours-q.base, int64(len(q.rows)))
	q.drop(int(n))
	q.base += n
	if skip := min(ours-q.base, q.spilled); skip > 0 { // sent by a process before this one
		q.spilled -= skip
		q.base += skip
	}
	if ack > q.base {
		// The server has rows that are not ours. Ours come after them.
		q.shift += ack - q.base
		q.base = ack
	}
	q.sent = max(q.sent, q.base)
	return progress
}

func (q *queue) drop(n int) {
	for i, row := range q.rows[:n] {
		q.bytes -= rowBytes(row)
		q.cost -= len(row.GetContent()) + rowOverhead
		q.rows[i] = nil
	}
	q.rows = q.rows[n:]
	if n >= q.flight && n > 0 && !q.fresh.IsZero() {
		q.oldest = q.fresh
	}
	q.flight, q.fresh = 0, time.Time{}
	if len(q.rows) == 0 {
		q.rows = nil
	}
}

// discard gives up all rows: the log takes none. Positions go on counting.
func (q *queue) discard() (n int) {
	n = int(q.waiting())
	q.lost += int64(n)
	q.spilled, q.tail, q.probe = 0, nil, false
	q.rows, q.bytes, q.cost, q.flight, q.want = nil, 0, 0, 0, q.base
	return n
}

// shrink replaces the content of the first row, which is too large for the
// server however few rows come with it.
func (q *queue) shrink(content string) {
	row := q.rows[0]
	q.bytes -= rowBytes(row)
	q.cost -= len(row.GetContent())
	row.Content = content
	q.bytes += rowBytes(row)
	q.cost += len(content)
}

// flightBytes is the encoded size of the first n rows.
func (q *queue) flightBytes(n int) int {
	size := requestBytes
	for _, row := range q.rows[:min(n, len(q.rows))] {
		size += rowBytes(row)
	}
	return size
}
