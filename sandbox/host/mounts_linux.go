package host

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// unmountBelow undoes the mounts at and below folder, deepest first, and returns
// those that it may not undo. Without it, a removal would go through a mount and
// empty what is mounted.
func unmountBelow(folder string) []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var left []string
	points := mountsBelow(table, folder)
	for _, point := range slices.Backward(points) {
		if err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			left = append(left, point)
		}
	}
	return left
}

// mountsBelow reads mount points out of a mountinfo table (proc(5)), in the
// order in which they were mounted.
func mountsBelow(table []byte, folder string) []string {
	var points []string
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescapeMount(string(fields[4]))
		if point == folder || strings.HasPrefix(point, folder+"/") {
			points = append(points, point)
		}
	}
	return points
}

// mountEscapes are the characters that the kernel writes as octal numbers.
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

func unescapeMount(s string) string { return mountEscapes.Replace(s) }
