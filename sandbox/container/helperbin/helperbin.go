// Package helperbin has the helper, the static program that is the first process
// of a job's container, for each architecture.
//
// `make build` puts the programs into the folder bin, from where they are
// embedded; they are not committed. A runner that was built without them takes
// itself where it can: it is the helper, too, when its first argument says so.
package helperbin

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"otelrunner/sandbox/container/helper/first"
)

//go:generate sh build.sh

//go:embed bin
var programs embed.FS

// Arches are Go's names of the architectures that there is a helper for.
func Arches() []string { return []string{"amd64", "arm64"} }

// Argument follows the program's path where it is started.
const Argument = first.Word

// Bytes returns the program for an architecture, by Go's name of it. Its errors
// say what to do.
func Bytes(arch string) ([]byte, error) {
	return bytesFrom(programs, arch, ownProgram)
}

func bytesFrom(embedded fs.FS, arch string, own func(arch string) ([]byte, error)) ([]byte, error) {
	if !slices.Contains(Arches(), arch) {
		return nil, fmt.Errorf("the container engine's machine is %s, and the runner's first process of a container exists for %s only: have jobs' containers run on such a machine (container.docker_host)", arch, strings.Join(Arches(), " and "))
	}
	packed, err := fs.ReadFile(embedded, "bin/helper-linux-"+arch+".gz")
	if errors.Is(err, fs.ErrNotExist) {
		program, oerr := own(arch)
		if oerr != nil {
			return nil, fmt.Errorf("this runner was built without the helper for containers (%s), and cannot be it: %w: build it with `make build`", arch, oerr)
		}
		return program, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the helper for %s: %w", arch, err)
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the helper for %s: %w", arch, err)
	}
	program, err := io.ReadAll(unpacker)
	if err != nil {
		return nil, fmt.Errorf("unpack the helper for %s: %w", arch, err)
	}
	return program, nil
}

// Main is the helper when args, a command line, say so: the program has to end
// with code then. It is to be called first of all in main.
func Main(args []string) (code int, asked bool) {
	if !first.Asked(args) {
		return 0, false
	}
	return first.Main(args), true
}

// ownProgram is this very program, where it can be the helper.
func ownProgram(arch string) ([]byte, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != arch {
		return nil, fmt.Errorf("it is a program for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	if inTest() {
		return nil, errors.New("it is a test")
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	return program, checkStatic(program)
}

// inTest reports whether this is a program of `go test`, whose main is not ours.
func inTest() bool { return strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test") }

// checkStatic makes sure that a program needs no loader, which an image may not
// have.
func checkStatic(program []byte) error {
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is not linked statically (CGO_ENABLED=0)")
		}
	}
	return nil
}
