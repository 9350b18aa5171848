package runner

import (
	"fmt"
	"math"

	"golang.org/x/sys/windows"
)

// diskFree is how many bytes this user may still write to the file system of dir.
func diskFree(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("GetDiskFreeSpaceEx: %w", err)
	}
	return int64(min(free, math.MaxInt64)), nil
}
