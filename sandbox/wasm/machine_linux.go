package wasm

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machineMemory is the memory that this process may use, in bytes: the machine's,
// or that of its control group; 0 where it is not known.
func machineMemory() uint64 {
	most := uint64(math.MaxUint64)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		most = info.Totalram * uint64(info.Unit) //nolint:unconvert,nolintlint // its type differs between processors
	}
	groups, _ := os.ReadFile("/proc/self/cgroup") // none where it cannot be read
	if most = min(most, groupMemory("/sys/fs/cgroup", string(groups))); most == math.MaxUint64 {
		return 0
	}
	return most
}

// groupMemory is the lowest memory limit, in bytes, of the control groups that the
// text of /proc/PID/cgroup names (see cgroups(7)) and of those around them, as the
// file systems below mounts tell it; math.MaxUint64 where there is none.
func groupMemory(mounts, text string) uint64 {
	most := uint64(math.MaxUint64)
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		file, root := "memory.max", mounts
		switch parts[1] {
		case "": // version 2
		case "memory":
			file, root = "memory.limit_in_bytes", filepath.Join(mounts, "memory")
		default:
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			data, err := os.ReadFile(filepath.Join(root, group, file))
			if limit, e := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64); err == nil && e == nil { // "max" is none
				most = min(most, limit)
			}
			if group == "/" {
				break
			}
		}
	}
	return most
}
