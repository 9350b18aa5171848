package first

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"

	"otelrunner/sandbox/stream/serve"
	"otelrunner/sandbox/stream/wire"
)

const usage = `usage: helper [__helper]   serve the runner on standard input and output
       helper --version
       helper sleep         wait for SIGTERM and for orphans
       helper empty FOLDER  remove what lies in a folder
`

// Main is the program: it returns its exit code.
func Main(args []string) int {
	words := slices.DeleteFunc(slices.Clone(args[min(1, len(args)):]), func(w string) bool { return w == Word })
	switch {
	case len(words) == 0:
		return serveRunner()
	case len(words) == 1 && words[0] == "--version":
		fmt.Printf("helper %s, protocol %d\n", build(), wire.Version)
		return 0
	case len(words) == 1 && words[0] == "sleep":
		sleep()
		return 0
	case len(words) == 2 && words[0] == "empty":
		if err := empty(words[1]); err != nil {
			fmt.Fprintf(os.Stderr, "helper: %v\n", err)
			return 1
		}
		return 0
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}

func serveRunner() int {
	// No process of the job may look into this one: not even its open files
	// can be had through /proc then, but by one that may trace any process
	// (ptrace(2), prctl(2)). Where it does not work, the runner still trusts
	// nothing that comes.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	rwc, err := takeStdio()
	if err != nil {
		fmt.Fprintf(os.Stderr, "helper: %v\n", err)
		return 1
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	// Others must not end this process. They are caught: children would inherit
	// that they are ignored.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	stop := make(chan string, 1)
	go func() { stop <- fmt.Sprintf("it was told to end (%v)", <-signals) }()
	if err := serve.Serve(rwc, place{etc: "/etc", environ: os.Environ()}, stop); err != nil {
		fmt.Fprintf(os.Stderr, "helper: %v\n", err)
		return 1
	}
	return 0
}

// stdio is the runner's stream.
type stdio struct {
	io.Reader
	io.Writer
	files []*os.File
}

// Close closes both directions. A Read that blocks may go on: the process is
// about to end.
func (s stdio) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// takeStdio moves the runner's stream away from standard input and output, where
// anything might read and write, and where children would inherit it.
func takeStdio() (stdio, error) {
	var s stdio
	for fd, name := range []string{"standard input", "standard output"} {
		moved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
		if err != nil {
			return stdio{}, fmt.Errorf("take %s: %w: start the container with its standard input open and attached", name, err)
		}
		s.files = append(s.files, os.NewFile(uintptr(moved), name))
	}
	s.Reader, s.Writer = s.files[0], s.files[1]
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		// Programs are started with it as their standard input.
		return stdio{}, fmt.Errorf("open /dev/null: %w: the container must have the usual devices", err)
	}
	for fd := range 2 {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return stdio{}, fmt.Errorf("replace file descriptor %d: %w", fd, err)
		}
	}
	return s, unix.Close(null)
}

// sleep keeps a container alive into which commands are brought from outside.
func sleep() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGCHLD)
	for s := range signals {
		if s != unix.SIGCHLD {
			return
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
