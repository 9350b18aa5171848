package host

import (
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// spares are files of commands that have ended, emptied and under other names,
// from which the next commands' files are made. A step has six, and to make a
// file anew takes a twentieth of a millisecond at best: ext4 looks, for each, at
// every inode near it that was given back in the last minutes, which takes more
// than all the rest of a step where many were.
//
// A file becomes another only when nobody else has it open, by whatever name:
// what a process of an earlier step holds stays that step's. Where the system
// cannot tell, every file is a new one.
//
// It belongs to the goroutine that calls Run.
type spares struct {
	folder string // the one in and below which they lie: no job's workspace gets any
	owner  int    // whose they are

	free   []string
	number int // of the last one
}

// maxSpares is a little more than a step has.
const maxSpares = 8

// spareName begins the names of spares.
const spareName = ".otelrunner-spare-"

// take makes path of a spare, with this content and mode, over what is there. It
// reports whether it could.
func (s *spares) take(path string, data []byte, mode fs.FileMode) bool {
	if len(s.free) == 0 || !s.covers(path) {
		return false
	}
	last := len(s.free) - 1
	spare := s.free[last]
	s.free = s.free[:last]
	if mode == 0 {
		mode = defaultMode
	}
	return reuse(spare, path, s.owner, data, mode.Perm())
}

// keep makes a spare of the file at path, which is not there afterwards. It
// reports whether it could; else the file is as it was.
func (s *spares) keep(path string) bool {
	if len(s.free) == maxSpares || !s.covers(path) {
		return false
	}
	s.number++
	spare := filepath.Join(filepath.Dir(path), spareName+strconv.Itoa(s.number))
	if !putAside(path, spare, s.owner) {
		return false
	}
	s.free = append(s.free, spare)
	return true
}

func (s *spares) covers(path string) bool {
	return s.folder != "" && strings.HasPrefix(path, s.folder+string(filepath.Separator))
}
