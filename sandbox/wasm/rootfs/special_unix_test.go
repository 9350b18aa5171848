//go:build unix

package rootfs

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
)

// testSpecial opens what is neither file nor folder.
func testSpecial(t *testing.T, f *FS, inner string) {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(inner, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(inner, "s")) // a test
	if err == nil {
		defer l.Close()
	}
	for _, name := range []string{"fifo", "s"} {
		for _, flag := range []sys.Oflag{sys.O_RDONLY, sys.O_WRONLY, sys.O_RDWR | sys.O_CREAT} {
			start := time.Now()
			if _, errno := f.OpenFile(name, flag, 0o644); errno == 0 {
				t.Errorf("%s can be opened", name)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("opening %s took %v", name, d)
			}
		}
	}
}
