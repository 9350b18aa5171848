// Package toolbox has the shell of the WASM sandbox and its commands: one
// WebAssembly module, built from sandbox/wasm/guest.
//
// `make build` puts it into the folder bin, from where it is embedded; it is not
// committed. A runner that was built without it runs WebAssembly modules and no
// scripts, and says so where one is asked for.
package toolbox

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

//go:embed bin
var files embed.FS

// Missing is what a runner that was built without the module says where it is
// asked for.
const Missing = "this runner was built without the shell of the WASM sandbox: build it with `make build`"

// ErrMissing is wrapped by Module's error where the module is not built in.
var ErrMissing = errors.New(Missing)

// maxSize bounds what is unpacked.
const maxSize = 64 << 20

// There reports whether the module is built in.
func There() bool {
	_, err := fs.Stat(files, "bin/toolbox.wasm.gz")
	return err == nil
}

// Module returns the module. It unpacks it each time: a caller that needs it once
// does not keep its 13 MiB.
func Module() ([]byte, error) { return moduleFrom(files) }

func moduleFrom(files fs.FS) ([]byte, error) {
	packed, err := fs.ReadFile(files, "bin/toolbox.wasm.gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("read the shell of the WASM sandbox: %w", err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the shell of the WASM sandbox: %w", err)
	}
	var out bytes.Buffer
	out.Grow(5 * len(packed))
	if _, err := io.Copy(&out, io.LimitReader(r, maxSize)); err != nil {
		return nil, fmt.Errorf("unpack the shell of the WASM sandbox: %w", err)
	}
	return out.Bytes(), nil
}

// Commands are the names that the module answers to, sorted; see the README of
// sandbox/wasm/guest for what each of them can do.
func Commands() []string { return strings.Fields(commands) }
