//go:build unix

package sandboxtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"otelrunner/sandbox/deeptree"
)

// Dig makes folders in one another, some with a file of one byte and folders
// beside it, as a hostile step can by moving one into another: no path reaches the
// last. It says what it has made.
func Dig(t testing.TB, dir string, levels int) (made deeptree.Size) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	for i := range levels {
		must(t, unix.Mkdirat(at, "d", 0o700))
		if i%10 == 0 { // before d and behind it
			must(t, unix.Mkdirat(at, "a", 0o700))
			must(t, unix.Mkdirat(at, "z", 0o700))
			f, err := unix.Openat(at, "f", unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			must(t, err)
			_, err = unix.Write(f, []byte("x"))
			must(t, err)
			must(t, unix.Close(f))
			made.Files, made.Bytes = made.Files+3, made.Bytes+1
		}
		next, err := unix.Openat(at, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
		made.Files++
	}
	must(t, unix.Close(at))
	return made
}

// FewFiles lets this process have 200 open files, until the test ends.
func FewFiles(t testing.TB) {
	t.Helper()
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(200, old.Max), Max: old.Max}))
	t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
