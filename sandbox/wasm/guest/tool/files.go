package tool

import (
	"crypto/rand"
	"io"
	"os"
)

type null struct{}

func (null) Read([]byte) (int, error)    { return 0, io.EOF }
func (null) Write(p []byte) (int, error) { return len(p), nil }
func (null) Close() error                { return nil }

// Null is the null device.
var Null io.ReadWriteCloser = null{}

type unclosed struct {
	io.Reader
	io.Writer
}

func (unclosed) Close() error { return nil }

// devices are the character devices that scripts read from or write to, and that
// a sandbox's file system need not have.
var devices = map[string]func() io.ReadWriteCloser{
	"/dev/null":    func() io.ReadWriteCloser { return Null },
	"/dev/zero":    func() io.ReadWriteCloser { return device(zeros{}) },
	"/dev/random":  func() io.ReadWriteCloser { return device(rand.Reader) },
	"/dev/urandom": func() io.ReadWriteCloser { return device(rand.Reader) },
}

// IsDevice reports whether name is one of the devices that are always there.
func IsDevice(name string) bool { return devices[name] != nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// device reads from r; what is written to it is dropped.
func device(r io.Reader) io.ReadWriteCloser { return unclosed{Reader: r, Writer: io.Discard} }

// Open opens a file for reading. "-" is standard input; the /dev files that
// scripts use are there whatever the file system has.
func (c *Call) Open(name string) (io.ReadCloser, error) {
	switch name {
	case "-", "/dev/stdin", "/dev/fd/0":
		return unclosed{Reader: c.Stdin}, nil
	}
	return c.OpenFile(name, os.O_RDONLY, 0)
}

// Create opens a file for writing from its start.
func (c *Call) Create(name string) (io.WriteCloser, error) {
	return c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile is os.OpenFile with the call's directory.
func (c *Call) OpenFile(name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	switch name {
	case "":
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	case "/dev/stdin", "/dev/fd/0":
		return unclosed{Reader: c.Stdin}, nil
	case "/dev/stdout", "/dev/fd/1":
		return unclosed{Writer: c.Stdout()}, nil
	case "/dev/stderr", "/dev/fd/2":
		return unclosed{Writer: c.Stderr}, nil
	}
	if open := devices[name]; open != nil {
		return open(), nil
	}
	path := c.Path(name)
	if c.Files != nil {
		if f, ok, err := c.Files.OpenSpecial(path, flag); ok {
			return f, err
		}
	}
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	if flag == os.O_RDONLY {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			f.Close()
			return nil, &os.PathError{Op: "read", Path: name, Err: errIsDir}
		}
	}
	return f, nil
}

type textError string

func (e textError) Error() string { return string(e) }

const errIsDir = textError("Is a directory")

// Inputs opens the operands one after the other, standard input if there are
// none, and calls do for each. A file that cannot be opened is reported and
// makes the status 1.
func (c *Call) Inputs(names []string, do func(name string, r io.Reader) error) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, name := range names {
		f, err := c.Open(name)
		if err != nil {
			c.FileError(name, err)
			status = 1
			continue
		}
		err = do(name, f)
		f.Close()
		if err != nil {
			c.FileError(name, err)
			status = 1
		}
	}
	return status
}
