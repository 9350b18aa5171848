package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// rowCost is the memory in bytes that a row takes beside its text.
const rowCost = 64

// Rows returns rows from the index from on, which must not be before State.First:
// as many as take limit bytes of memory, at least one. None means that
// there are no more. An error means that the disk does not give back what was
// written to it.
func (l *Log) Rows(from int64, limit int) ([]Row, error) {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	next := l.state.Next
	l.mu.Unlock()
	if from >= next {
		return nil, nil
	}
	if err := l.seek(from); err != nil {
		return nil, err
	}
	var rows []Row
	for size := 0; l.cursor.row < next && (len(rows) == 0 || size < limit); {
		record, err := l.nextRecord()
		if err != nil {
			l.cursor.close()
			return rows, fmt.Errorf("read the journal in %s: row %d: %w", l.dir, l.cursor.row, err)
		}
		if record[0] != kindRow {
			continue
		}
		if l.cursor.row++; l.cursor.row <= from {
			continue
		}
		row, err := parseRow(record[1:])
		if err != nil {
			return rows, fmt.Errorf("read the journal in %s: row %d: %w", l.dir, l.cursor.row, err)
		}
		size += len(row.Text) + rowCost
		rows = append(rows, row)
	}
	return rows, nil
}

// cursor is where reading rows has come to; Log.io guards it.
type cursor struct {
	segment int64
	row     int64 // index of the next row
	offset  int64 // of the next frame
	file    *os.File
	frames  *frames
	end     int64 // how far frames reads
}

func (c *cursor) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
	*c = cursor{}
}

// seek brings the cursor to the row with that index, or before it.
func (l *Log) seek(row int64) error {
	if l.cursor.file != nil && l.cursor.row <= row {
		return nil
	}
	l.mu.Lock()
	s := l.segments[0]
	for _, other := range l.segments[1:] {
		if other.first <= row {
			s = other
		}
	}
	l.mu.Unlock()
	return l.open(s)
}

func (l *Log) open(s segment) error {
	l.cursor.close()
	f, err := os.Open(filepath.Join(l.dir, segmentName(s.number)))
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	l.cursor = cursor{segment: s.number, row: s.first, offset: s.body, file: f}
	return nil
}

// nextRecord returns the record at the cursor; l.io is held.
func (l *Log) nextRecord() ([]byte, error) {
	for {
		if c := &l.cursor; c.frames != nil && c.offset < c.end {
			record, err := c.frames.next()
			if err != nil {
				return nil, err
			}
			c.offset += frameHead + int64(len(record))
			return record, nil
		}
		if err := l.more(); err != nil {
			return nil, err
		}
	}
}

// more lets the cursor see what was written since, or go on with the next
// segment.
func (l *Log) more() error {
	l.mu.Lock()
	i := 0
	for i < len(l.segments) && l.segments[i].number != l.cursor.segment {
		i++
	}
	if i == len(l.segments) {
		l.mu.Unlock()
		return errors.New("its segment is gone")
	}
	s, last := l.segments[i], i == len(l.segments)-1
	var rest []byte
	if last {
		rest = append(append(rest, l.unwritten...), l.pending...)
	}
	var next segment
	if !last {
		next = l.segments[i+1]
	}
	l.mu.Unlock()

	c := &l.cursor
	switch end := s.size + int64(len(rest)); {
	case c.offset < end:
		file := io.NewSectionReader(c.file, min(c.offset, s.size), max(s.size-c.offset, 0))
		rest = rest[max(c.offset-s.size, 0):]
		c.frames = newFrames(io.MultiReader(file, bytes.NewReader(rest)), l.seed)
		c.end = end
		return nil
	case last:
		return io.ErrUnexpectedEOF
	}
	return l.open(next)
}
