//go:build !linux

package first

import (
	"fmt"
	"os"
)

// Main says that containers are Linux.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "the helper runs in containers, on Linux only")
	return 1
}
