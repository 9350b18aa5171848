package shell

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"otelrunner/sandbox/wasm/guest/tool"
)

// exported lists a shell's environment for a command.
func exported(env expand.Environ) []string {
	var list []string
	for name, v := range env.Each {
		if v.Exported && v.Kind == expand.String && v.IsSet() {
			list = append(list, name+"="+v.Str)
		}
	}
	return list
}

func streams(hc interp.HandlerContext) tool.Streams {
	return tool.Streams{Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr, Dir: hc.Dir, Env: exported(hc.Env)}
}

func (sh *Shell) execHandler(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	var status int
	if own := sh.builtin(args[0]); own != nil {
		status = own(ctx, hc, args)
	} else {
		s := streams(hc)
		// A command like echo in a child that hangs must not keep a
		// pipeline's dead side alive.
		status = sh.Exec(ctx, args, s)
	}
	if status == 0 {
		return nil
	}
	return interp.ExitStatus(uint8(status))
}

// openHandler opens what redirections name. Its errors are *os.PathError, which
// is what makes them no end of the shell.
func (sh *Shell) openHandler(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	switch path {
	case "/dev/stdout", "/dev/fd/1":
		return keepOpen{nil, hc.Stdout}, nil
	case "/dev/stderr", "/dev/fd/2":
		return keepOpen{nil, hc.Stderr}, nil
	case "/dev/tty":
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	c := tool.Call{Stdin: hc.Stdin, Stderr: hc.Stderr, Dir: hc.Dir, Files: sh.fifos}
	f, err := c.OpenFile(path, flag, perm|0o666)
	var pe *os.PathError
	if err != nil && !errors.As(err, &pe) {
		err = &os.PathError{Op: "open", Path: path, Err: err}
	}
	return f, err
}

type keepOpen struct {
	io.Reader
	io.Writer
}

func (keepOpen) Close() error { return nil }

func (sh *Shell) statHandler(_ context.Context, path string, follow bool) (fs.FileInfo, error) {
	if sh.virtual(path) != nil {
		return virtualInfo{filepath.Base(path), 0o755}, nil
	}
	if tool.IsDevice(path) {
		return virtualInfo{filepath.Base(path), fs.ModeDevice | fs.ModeCharDevice | 0o666}, nil
	}
	if follow {
		return os.Stat(path)
	}
	return os.Lstat(path)
}

type virtualInfo struct {
	name string
	mode fs.FileMode
}

func (v virtualInfo) Name() string      { return v.name }
func (v virtualInfo) Size() int64       { return 1 }
func (v virtualInfo) Mode() fs.FileMode { return v.mode }
func (virtualInfo) ModTime() time.Time  { return time.Time{} }
func (virtualInfo) IsDir() bool         { return false }
func (virtualInfo) Sys() any            { return nil }

// hasModes says whether the file system knows permissions; WASI preview 1 has
// none.
const hasModes = runtime.GOOS != "wasip1"

func executable(info fs.FileInfo) bool { return !hasModes || info.Mode()&0o111 != 0 }

func (sh *Shell) accessHandler(ctx context.Context, path string, mode interp.AccessMode) error {
	info, err := sh.statHandler(ctx, path, true)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return nil
	}
	m := info.Mode()
	switch {
	case sh.virtual(path) != nil:
		if mode&interp.AccessWrite != 0 {
			return fs.ErrPermission
		}
	case mode&interp.AccessExec != 0 && hasModes && m&0o111 == 0,
		mode&interp.AccessExec != 0 && !hasModes && !runnable(path),
		mode&interp.AccessRead != 0 && m&0o444 == 0 && os.Getuid() > 0,
		mode&interp.AccessWrite != 0 && m&0o222 == 0 && os.Getuid() > 0:
		return fs.ErrPermission
	}
	return nil
}
