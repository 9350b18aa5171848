package journal

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const segmentEnding = ".seg"

// segment is one file of a Log.
type segment struct {
	number int64
	first  int64 // index of the first row that it may have
	size   int64 // bytes of its valid part
	body   int64 // where the frames after its checkpoint begin
}

func segmentName(number int64) string { return fmt.Sprintf("%08d%s", number, segmentEnding) }

// segmentNumbers are the segments in a folder, in order.
func segmentNumbers(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentEnding)
		if n, err := strconv.ParseInt(name, 10, 64); ok && err == nil && n > 0 && segmentName(n) == e.Name() {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// found is what reading a task's folder gave.
type found struct {
	state    State
	segments []segment
	last     int64 // the highest number of any segment, valid or not
	// cut says what was cut off and why; empty if the journal ends as it was
	// written.
	cut string
}

var errEmpty = errors.New("no segment of it can be read")

// read reads the segments of a task and finds where the valid part ends.
// Segments are only skipped at the beginning: after the first one that can be
// read, a hole ends the journal.
func read(dir string, id int64) (*found, error) {
	numbers, err := segmentNumbers(dir)
	if err != nil {
		return nil, err
	}
	f := &found{}
	for _, n := range numbers {
		f.last = n
		if len(f.segments) > 0 && (f.cut != "" || n != f.segments[len(f.segments)-1].number+1) {
			f.cut = "segment " + segmentName(n) + " does not follow"
			break
		}
		file, err := os.Open(filepath.Join(dir, segmentName(n)))
		if err != nil {
			return nil, err
		}
		err = f.segment(file, id, n)
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
	if len(numbers) > 0 {
		f.last = numbers[len(numbers)-1]
	}
	if len(f.segments) == 0 {
		return f, errEmpty
	}
	f.state.First = f.segments[0].first
	return f, nil
}

// segment reads one segment. Only errors of the disk are errors.
func (f *found) segment(r io.Reader, id, number int64) error {
	frames := newFrames(r, seed(id))
	state, err := frames.checkpoint(id, number)
	if err != nil {
		f.cut = fmt.Sprintf("segment %s: %v", segmentName(number), err)
		return frames.disk
	}
	if len(f.segments) > 0 {
		// It repeats what the older ones say; rows that those lost would move
		// all that follow.
		if state.Next != f.state.Next {
			f.cut = fmt.Sprintf("segment %s begins with row %d, not %d", segmentName(number), state.Next, f.state.Next)
			return nil
		}
		state.Acked = max(state.Acked, f.state.Acked)
	}
	f.state, f.cut = state, ""
	s := segment{number: number, first: state.Next, body: frames.offset}
	for {
		record, err := frames.next()
		if err == nil {
			err = f.state.apply(record)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				f.cut = fmt.Sprintf("segment %s, byte %d: %v", segmentName(number), frames.valid, err)
			}
			s.size = frames.valid
			f.segments = append(f.segments, s)
			return frames.disk
		}
		frames.accept()
	}
}

// frames reads the frames of one segment.
type frames struct {
	r      *bufio.Reader
	seed   uint32
	buffer []byte
	offset int64 // behind the last frame that was read
	valid  int64 // behind the last frame that was accepted
	disk   error // the disk failed
}

func newFrames(r io.Reader, seed uint32) *frames {
	return &frames{r: bufio.NewReaderSize(r, 64<<10), seed: seed}
}

var (
	errTorn     = errors.New("a record is cut short")
	errChecksum = errors.New("a checksum is wrong")
)

// next returns the next record, which is valid until the call after. io.EOF means
// that the segment ends as it was written.
func (f *frames) next() ([]byte, error) {
	var head [frameHead]byte
	if n, err := io.ReadFull(f.r, head[:]); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, f.short(err)
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length == 0 || length > maxRecord {
		return nil, errTorn
	}
	// The length may be anything: memory is taken as bytes come.
	f.buffer = f.buffer[:0]
	for left := int(length); left > 0; {
		n := min(left, 256<<10)
		at := len(f.buffer)
		f.buffer = slices.Grow(f.buffer, n)[:at+n]
		if _, err := io.ReadFull(f.r, f.buffer[at:]); err != nil {
			return nil, f.short(err)
		}
		left -= n
	}
	if crc32.Update(f.seed, castagnoli, f.buffer) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errChecksum
	}
	f.offset += frameHead + int64(length)
	return f.buffer, nil
}

func (f *frames) short(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.disk = err
	}
	return errTorn
}

func (f *frames) accept() { f.valid = f.offset }

// checkpoint reads the beginning of a segment.
func (f *frames) checkpoint(id, number int64) (State, error) {
	var m [len(magic)]byte
	if _, err := io.ReadFull(f.r, m[:]); err != nil || string(m[:]) != magic {
		if err != nil {
			return State{}, f.short(err)
		}
		return State{}, errors.New("it is no segment of a journal")
	}
	f.offset = int64(len(magic))
	record, err := f.next()
	if err != nil {
		return State{}, err
	}
	var b begin
	if len(record) == 0 || record[0] != kindBegin || json.Unmarshal(record[1:], &b) != nil || b.Task != id || b.Segment != number ||
		b.Next < 0 || b.Acked < 0 || b.Acked > b.Next || b.Shift < 0 || b.Shift > 1<<62 || b.Steps < 0 || b.Steps > maxSteps {
		return State{}, errRecord
	}
	s := State{Meta: b.Meta, Next: b.Next, Acked: b.Acked, Shift: b.Shift}
	for range b.Known {
		record, err := f.next()
		if err != nil {
			return State{}, errTorn
		}
		if record[0] == kindRow {
			return State{}, errRecord
		}
		if err := s.apply(record); err != nil {
			return State{}, err
		}
	}
	f.accept()
	return s, nil
}
