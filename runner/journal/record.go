package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"otelrunner/runner/task"
)

// Meta says which task a Log is about: enough to report its end, and to name it
// in the runner's own log. It holds no secret.
type Meta struct {
	Task    int64     `json:"task"`
	Started time.Time `json:"started"`
	// Steps is how many steps the task's workflow has.
	Steps int `json:"steps"`

	Repository string `json:"repository,omitempty"`
	Workflow   string `json:"workflow,omitempty"`
	Job        string `json:"job,omitempty"`
	Run        string `json:"run,omitempty"`
}

// Event is a step's start (Result is Unspecified) or end.
type Event struct {
	Step   int         `json:"step"`
	Time   time.Time   `json:"time"`
	Result task.Result `json:"result,omitempty"`
	// Next is the index of the row that comes after it.
	Next int64 `json:"next"`
}

// Row is one row of a task's log. Its index is the number of the rows before it.
type Row struct {
	Time time.Time
	Text string
}

// State is what a Log knows of its task beside the rows.
type State struct {
	Meta
	Events  []Event
	Outputs map[string]string
	Result  task.Result // Unspecified while the job runs
	End     time.Time   // of the job, with Result

	// First is the index of the oldest row that is still kept, Next the one
	// that the next row gets.
	First, Next int64
	// Acked is the index after the last row that the server is known to have.
	Acked int64
	// Shift is by how much the server's indices are larger than those here:
	// it had rows that were not ours.
	Shift int64
}

// The kinds of records.
const (
	kindBegin  = 'B' // beginning of a segment, JSON
	kindRow    = 'R'
	kindEvent  = 'E' // JSON
	kindAck    = 'A'
	kindOutput = 'O' // JSON
	kindResult = 'F' // JSON
)

// begin is the first record of a segment. Known is how many records follow that
// repeat what older segments say.
type begin struct {
	Meta
	Segment int64 `json:"segment"`

	Next  int64 `json:"next"`
	Acked int64 `json:"acked"`
	Shift int64 `json:"shift"`
	Known int   `json:"known"`
}

type output struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type result struct {
	Result task.Result `json:"result"`
	End    time.Time   `json:"end"`
}

const (
	magic     = "otrjrnl1"
	frameHead = 8
	// maxRecord bounds a record in bytes: an output of 1 MiB, each byte of it
	// escaped in JSON.
	maxRecord = 8 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seed is what the checksums of a task's frames begin with.
func seed(task int64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(task))
	return crc32.Checksum(b[:], castagnoli)
}

// appendFrame appends a record, which write appends to a buffer, as a frame.
func appendFrame(b []byte, seed uint32, write func([]byte) []byte) []byte {
	at := len(b)
	return sealFrame(write(append(b, emptyHead[:]...)), at, seed)
}

var emptyHead [frameHead]byte

// sealFrame writes the head of the frame that begins at at and ends with b.
func sealFrame(b []byte, at int, seed uint32) []byte {
	payload := b[at+frameHead:]
	binary.LittleEndian.PutUint32(b[at:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[at+4:], crc32.Update(seed, castagnoli, payload))
	return b
}

func appendRow(b []byte, t time.Time, text string) []byte {
	b = append(b, kindRow)
	b = binary.AppendVarint(b, t.Unix())
	b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	return append(b, text...)
}

func appendAck(b []byte, acked, shift int64) []byte {
	b = append(b, kindAck)
	b = binary.AppendUvarint(b, uint64(acked))
	return binary.AppendVarint(b, shift)
}

func appendJSON(b []byte, kind byte, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // plain structs of texts and numbers
		panic(fmt.Sprintf("journal: %v", err))
	}
	return append(append(b, kind), data...)
}

var errRecord = errors.New("not a record")

func parseRow(b []byte) (Row, error) {
	sec, n := binary.Varint(b)
	if n <= 0 {
		return Row{}, errRecord
	}
	nanos, m := binary.Uvarint(b[n:])
	if m <= 0 || nanos >= 1e9 {
		return Row{}, errRecord
	}
	return Row{Time: time.Unix(sec, int64(nanos)), Text: string(b[n+m:])}, nil
}

func parseAck(b []byte) (acked, shift int64, err error) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u > 1<<62 {
		return 0, 0, errRecord
	}
	shift, m := binary.Varint(b[n:])
	if m <= 0 || shift < 0 || shift > 1<<62 {
		return 0, 0, errRecord
	}
	return int64(u), shift, nil
}

// apply adds a record to the state. Those that a segment repeats (known) are
// applied by the reader itself.
func (s *State) apply(record []byte) error {
	if len(record) == 0 {
		return errRecord
	}
	body := record[1:]
	switch record[0] {
	case kindRow:
		if _, err := parseRow(body); err != nil {
			return err
		}
		s.Next++
	case kindAck:
		acked, shift, err := parseAck(body)
		if err != nil || acked > s.Next {
			return errRecord
		}
		s.Acked, s.Shift = max(s.Acked, acked), shift
	case kindEvent:
		var e Event
		if json.Unmarshal(body, &e) != nil || !e.valid(s.Next) {
			return errRecord
		}
		s.Events = append(s.Events, e)
	case kindOutput:
		var o output
		if json.Unmarshal(body, &o) != nil {
			return errRecord
		}
		s.output(o.Key, o.Value)
	case kindResult:
		var r result
		if json.Unmarshal(body, &r) != nil || task.ParseResult(string(r.Result)) != r.Result {
			return errRecord
		}
		s.Result, s.End = r.Result, r.End
	default:
		return errRecord
	}
	return nil
}

// maxSteps bounds the steps of a task; one frame of a few bytes must not stand for
// more memory than a workflow can.
const maxSteps = 1 << 20

func (e *Event) valid(next int64) bool {
	return e.Step >= 0 && e.Step < maxSteps && e.Next >= 0 && e.Next <= next && task.ParseResult(string(e.Result)) == e.Result
}

func (s *State) output(key, value string) {
	if s.Outputs == nil {
		s.Outputs = map[string]string{}
	}
	s.Outputs[key] = value
}

// known are the records that a new segment repeats.
func (s *State) known() (records []func([]byte) []byte) {
	for _, e := range s.Events {
		records = append(records, func(b []byte) []byte { return appendJSON(b, kindEvent, e) })
	}
	for k, v := range s.Outputs {
		records = append(records, func(b []byte) []byte { return appendJSON(b, kindOutput, output{k, v}) })
	}
	if s.Result.Final() {
		records = append(records, func(b []byte) []byte { return appendJSON(b, kindResult, result{s.Result, s.End}) })
	}
	return records
}

// checkpoint is the beginning of a segment: everything that is known of the task
// but its rows.
func (s *State) checkpoint(segment int64) []byte {
	known := s.known()
	b := []byte(magic)
	sd := seed(s.Task)
	b = appendFrame(b, sd, func(b []byte) []byte {
		return appendJSON(b, kindBegin, begin{Meta: s.Meta, Segment: segment, Next: s.Next, Acked: s.Acked, Shift: s.Shift, Known: len(known)})
	})
	for _, write := range known {
		b = appendFrame(b, sd, write)
	}
	return b
}
