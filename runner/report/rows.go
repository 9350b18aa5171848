package report

import (
	"strings"
	"time"
	"unicode/utf8"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxRow is the longest content of a row in bytes; the server cuts what is longer
// (Gitea, modules/actions/log.go).
const maxRow = 64 << 10

// clean makes text fit for the wire: valid UTF-8, since protobuf refuses the
// whole request otherwise, and without NUL bytes, which a console does not show
// and which would hide a secret from the masker (UTF-16 output has one after
// every letter).
func clean(text string) string {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "")
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}

// split calls emit for every row of a text: one a line, without "\r" at its end,
// and more where a line is longer than maxRow. A "\r" within a line stays: the
// log's page shows what a terminal would.
func split(text string, emit func(row string)) {
	text = strings.TrimSuffix(text, "\n")
	for {
		line, rest, more := strings.Cut(text, "\n")
		splitLong(strings.TrimRight(line, "\r"), emit)
		if !more {
			return
		}
		text = rest
	}
}

func splitLong(line string, emit func(row string)) {
	for len(line) > maxRow {
		n := maxRow
		for n > maxRow-utf8.UTFMax && !utf8.RuneStart(line[n]) {
			n--
		}
		// Do not cut a Mask in pieces: two rows that end and begin with
		// asterisks are puzzling.
		if i := strings.LastIndex(line[:min(n+len(Mask)-1, len(line))], Mask); i > n-len(Mask) && i > 0 {
			n = i
		}
		emit(line[:n])
		line = line[n:]
	}
	emit(line)
}

// slab makes rows a few hundred at a time: a row is three small objects on the
// wire's side, and one allocation for each would be most of what a row costs.
type slab struct{ free []slot }

type slot struct {
	row runnerv1.LogRow
	at  timestamppb.Timestamp
}

const slabRows = 128

func (s *slab) row(t time.Time, content string) *runnerv1.LogRow {
	if len(s.free) == 0 {
		s.free = make([]slot, slabRows)
	}
	x := &s.free[0]
	s.free = s.free[1:]
	x.at.Seconds, x.at.Nanos = t.Unix(), int32(t.Nanosecond())
	x.row.Time, x.row.Content = &x.at, content
	return &x.row
}

// requestBytes is what an UpdateLogRequest needs beside its rows, at most.
const requestBytes = 64

// rowBytes is the size of a row within an encoded UpdateLogRequest. It is what
// proto.Size says, without walking the message.
func rowBytes(r *runnerv1.LogRow) int {
	n := 0
	if t := r.GetTime(); t != nil {
		at := 0
		if t.GetSeconds() != 0 {
			at += 1 + varintBytes(uint64(t.GetSeconds()))
		}
		if t.GetNanos() != 0 {
			at += 1 + varintBytes(uint64(t.GetNanos()))
		}
		n += 2 + at
	}
	if c := len(r.GetContent()); c > 0 {
		n += 1 + varintBytes(uint64(c)) + c
	}
	return 1 + varintBytes(uint64(n)) + n
}

func varintBytes(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
