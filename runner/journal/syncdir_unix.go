//go:build !windows

package journal

import "os"

// syncDir brings a folder's list of names to the disk. File systems that cannot
// do that do not need it.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return unlessUnable(d.Sync())
}
