package fake

import (
	"io/fs"
	"strings"
	"testing/fstest"
)

// view is a folder of the files in memory as a file system.
func (s *Sandbox) view(dir string) fs.FS {
	view := fstest.MapFS{}
	for name, data := range s.Files() {
		if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(dir, "/")+"/"); ok {
			view[rest] = &fstest.MapFile{Data: []byte(data), Mode: 0o644}
		}
	}
	return view
}
