//go:build unix

package host

import "io/fs"

// makeWritable does nothing: a file's own mode does not keep it from removal.
func makeWritable(string, fs.DirEntry) {}
