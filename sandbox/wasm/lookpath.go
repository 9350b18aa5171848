package wasm

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/toolbox"
)

// program is what a command's first argument stands for.
type program struct {
	path   string // in the sandbox
	module bool   // a module; a script otherwise, or a command of the toolbox
	script bool
}

// LookPath finds an executable as Run would.
func (b *box) LookPath(ctx context.Context, name string, dirs []string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	p, err := b.find(name, b.info.Workspace, append(slices.Clone(dirs), strings.Split(b.env["PATH"], ":")...))
	return p.path, err
}

// find finds a program: a module (NAME or NAME.wasm), a script that starts with
// #!, or a command of the toolbox.
func (b *box) find(name, dir string, dirs []string) (program, error) {
	if strings.Contains(name, "/") {
		full := name
		if !path.IsAbs(full) {
			full = path.Join(dir, name)
		}
		if p, ok := b.executable(path.Clean(full)); ok {
			return p, nil
		}
		if b.isCommand(path.Clean(full)) {
			return program{path: path.Clean(full)}, nil
		}
		if files, rest := b.at(path.Clean(full)); exists(files, rest) {
			return program{}, &sandbox.NotFoundError{Name: name, Refused: true, Hint: "it is no program of a WASM sandbox: those are WebAssembly modules, and executable scripts that start with #!"}
		}
		return program{}, &sandbox.NotFoundError{Name: name, Hint: "there is no such file"}
	}
	for _, d := range dirs {
		if d == "" {
			d = dir
		}
		for _, candidate := range []string{name, name + ".wasm"} {
			if p, ok := b.executable(path.Join(b.absIn(dir, d), candidate)); ok {
				return p, nil
			}
		}
	}
	if full := path.Join(commandFolder, name); b.isCommand(full) {
		return program{path: full}, nil
	}
	return program{}, &sandbox.NotFoundError{Name: name, Hint: b.hint()}
}

func exists(files sys.FS, name string) bool {
	_, errno := files.Lstat(name)
	return errno == 0
}

// commandFolder is where the toolbox's commands seem to be; they are not in the
// file system.
const commandFolder = "/bin"

// isCommand reports whether a path is that of a command of the toolbox: scripts
// name them by /bin and /usr/bin.
func (b *box) isCommand(full string) bool {
	dir, name := path.Split(full)
	return b.provider.shell.there() && (dir == commandFolder+"/" || dir == "/usr/bin/") && slices.Contains(b.provider.options.Commands, name)
}

func (b *box) absIn(dir, name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(dir, name)
}

func (b *box) hint() string {
	if !b.provider.shell.there() {
		return toolbox.Missing
	}
	return fmt.Sprintf("the WASM sandbox has %d commands (help lists them) and every *.wasm on PATH", len(b.provider.options.Commands))
}

// executable looks at a file: modules need no permission to execute, as many ways
// of carrying them lose it.
func (b *box) executable(name string) (program, bool) {
	files, rest := b.at(name)
	st, errno := files.Stat(rest)
	if errno != 0 || !st.Mode.IsRegular() {
		return program{}, false
	}
	f, errno := files.OpenFile(rest, sys.O_RDONLY, 0)
	if errno != 0 {
		return program{}, false
	}
	defer func() { _ = f.Close() }() // it was only read
	head := make([]byte, 4)
	n, _ := f.Read(head)
	switch {
	case bytes.HasPrefix(head[:n], []byte("\x00asm")), strings.HasSuffix(name, ".wasm"):
		return program{path: name, module: true}, true
	case bytes.HasPrefix(head[:n], []byte("#!")) && st.Mode&0o111 != 0 && b.provider.shell.there():
		return program{path: name, script: true}, true
	}
	return program{}, false
}
