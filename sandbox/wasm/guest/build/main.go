// Command build builds and tests the toolbox with the interpreter that it needs:
// mvdan.cc/sh as it is in the module cache, with the edits of patch.go. The copy
// lies in .build, and go reaches it through -modfile, so that no
// line of it is in this repository and go.mod stays plain.
//
//	go run ./build -o toolbox.wasm      build the module
//	go run ./build -o toolbox.wasm.gz   build it compressed
//	go run ./build test ./...           go test, natively
//	go run ./build run . -c 'echo hi'   any other go command
//
// The same sources, Go version and go.sum give the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "mvdan.cc/sh/v3"

func main() {
	if err := run(os.Args[1:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "build the toolbox:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 {
		return errors.New("say what: -o FILE.wasm, or a go command with its arguments")
	}
	modfile, err := prepare()
	if err != nil {
		return err
	}
	if args[0] == "-o" {
		if len(args) != 2 {
			return errors.New("-o takes one file")
		}
		return buildModule(modfile, args[1])
	}
	return goCommand(nil, append([]string{args[0], "-modfile=" + modfile, "-tags=patched"}, args[1:]...)...)
}

// prepare makes the patched copy, once for every version of module and patch,
// and returns the path of a go.mod that uses it. The copy lies in .build, at a
// path relative to the module: a temporary folder's name would get into the
// binary's build information.
func prepare() (string, error) {
	if err := goCommand(nil, "mod", "download", module); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}\n{{.Version}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find %s in the module cache: %w", module, err)
	}
	source, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return "", fmt.Errorf("%w (run this in the guest's folder)", err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(fmt.Append(nil, version, stdinFile, extraFile, callsFile, trapsFile, varsFile, expandFile, edits, string(mod), string(sum)))
	dir := filepath.Join(".build", hex.EncodeToString(hash[:8]))
	modfile := filepath.Join(dir, "go.mod")
	if _, err := os.Stat(modfile); err == nil {
		return modfile, nil
	}
	if err := os.MkdirAll(".build", 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(".build", "tmp-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := copyTree(filepath.Join(temp, "sh"), source); err != nil {
		return "", err
	}
	if err := patch(filepath.Join(temp, "sh", "interp")); err != nil {
		return "", err
	}
	mod = fmt.Appendf(mod, "\nreplace %s => ./%s/sh\n", module, filepath.ToSlash(dir))
	if err := os.WriteFile(filepath.Join(temp, "go.mod"), mod, 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(temp, "go.sum"), sum, 0o644); err != nil {
		return "", err
	}
	// Another build may have been faster; its copy is the same.
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return modfile, nil
}

// copyTree copies the Go files and go.mod of a module, writable, without tests.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "cmd"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Name() != "go.mod" && (filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go")):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
}

// buildModule writes the WebAssembly module, compressed where the file's name
// ends in .gz. A compressed file that has the same module in it is left alone.
func buildModule(modfile, file string) error {
	module, packed := strings.CutSuffix(file, ".gz")
	if packed {
		dir, err := os.MkdirTemp("", "toolbox-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		module = filepath.Join(dir, "toolbox.wasm")
	}
	err := goCommand([]string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"},
		"build", "-modfile="+modfile, "-tags=patched", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", module, ".")
	if err != nil || !packed {
		return err
	}
	data, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	if holds(file, data) {
		return nil
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// holds reports whether a compressed file has data in it.
func holds(file string, data []byte) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	r, err := gzip.NewReader(f)
	if err != nil {
		return false
	}
	old, err := io.ReadAll(r)
	return err == nil && bytes.Equal(old, data)
}

func goCommand(env []string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
