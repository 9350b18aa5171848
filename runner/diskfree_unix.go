//go:build !windows

package runner

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// diskFree is how many bytes this user may still write to the file system of dir.
func diskFree(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	blocks, size := uint64(s.Bavail), uint64(s.Bsize) //nolint:unconvert,gosec // their types differ between systems
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64, nil
	}
	return int64(blocks * size), nil
}
