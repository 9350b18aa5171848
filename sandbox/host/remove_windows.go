package host

import (
	"io/fs"
	"os"
)

// makeWritable clears the read-only attribute, which keeps a file from removal.
func makeWritable(path string, d fs.DirEntry) {
	if d.Type().IsRegular() {
		_ = os.Chmod(path, 0o600)
	}
}

// unmountBelow has nothing to do: removal does not pass through mount points.
func unmountBelow(string) []string { return nil }
