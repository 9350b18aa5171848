package runner

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// giveMemoryBack returns to the system what an idle runner does not need: free
// heap, and the pages of its own program, which the kernel maps generously around
// each one that is touched. Those that are needed again come from the page cache.
func giveMemoryBack() {
	if resident() < restingSize {
		return
	}
	debug.FreeOSMemory()
	for _, m := range programMappings() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.size, unix.MADV_DONTNEED) // a page that stays does no harm
	}
}

// restingSize is what an idle runner may have, in bytes.
const restingSize = 24 << 20

// resident is the memory of this process in bytes; very much when it is not known.
func resident() int {
	data, err := os.ReadFile("/proc/self/statm")
	if f := strings.Fields(string(data)); err == nil && len(f) > 1 {
		if pages, err := strconv.Atoi(f[1]); err == nil {
			return pages * os.Getpagesize()
		}
	}
	return math.MaxInt
}

type mapping struct {
	start, size uintptr
}

// programMappings are the mappings of this program's file that hold nothing but
// what is in the file: read-only, and no page of them was ever written to (those
// of relocations were, before they became read-only).
func programMappings() (found []mapping) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	var m mapping
	clean := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var start, end uintptr
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &start, &end, &mode); n == 3 {
			m, clean = mapping{start, end - start}, strings.HasPrefix(mode, "r") && mode[1] == '-' && strings.HasSuffix(mode, "p") && strings.HasSuffix(line, " "+exe)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Anonymous": // what is not the file's any more; pages of the file itself may be dirty, too
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			clean = clean && err == nil && kb == 0
		case "VmFlags": // the last line of a mapping
			if clean {
				found = append(found, m)
			}
			clean = false
		}
	}
	return found
}
