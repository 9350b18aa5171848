package tools

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

// sourcesAndTarget splits the operands of cp, mv and install; into says whether
// the target is a folder to put them in.
func sourcesAndTarget(c *tool.Call) (sources []string, target string, into, ok bool) {
	args := c.Args
	if c.Has("t") {
		target, sources = c.Value("t"), args
		if len(sources) == 0 {
			c.Errorf("missing file operand")
			return
		}
	} else {
		if len(args) < 2 {
			c.Errorf("missing destination file operand")
			return
		}
		target, sources = args[len(args)-1], args[:len(args)-1]
	}
	into = isDir(c, target) && !c.Has("T")
	if !into && (len(sources) > 1 || c.Has("t")) {
		c.Errorf("target '%s' is not a directory", target)
		return
	}
	return sources, target, into, true
}

func cp(c *tool.Call) int {
	sources, target, into, ok := sourcesAndTarget(c)
	if !ok {
		return 1
	}
	status := 0
	for _, s := range sources {
		to := target
		if into {
			to = filepath.Join(target, filepath.Base(s))
			if filepath.Base(s) == "." || filepath.Base(s) == ".." {
				to = target
			}
			if c.Has("parents") {
				to = filepath.Join(target, s)
				if err := os.MkdirAll(filepath.Dir(c.Path(to)), 0o777); err != nil {
					return c.Fail("%s: %s", to, tool.Reason(err))
				}
			}
		}
		if err := copyPath(c, s, to); err != nil {
			c.Errorf("%v", err)
			status = 1
		}
	}
	return status
}

func copyPath(c *tool.Call, from, to string) error {
	recursive := c.Has("r") || c.Has("R") || c.Has("a")
	keepLinks := (recursive || c.Has("d") || c.Has("P")) && !c.Has("L")
	stat := os.Stat
	if keepLinks {
		stat = os.Lstat
	}
	special := strings.HasPrefix(from, "/dev/") || from == "-"
	info, err := stat(c.Path(from))
	if err != nil && !special {
		if _, ok, _ := specialFile(c, from); !ok {
			return fmt.Errorf("cannot stat '%s': %s", from, tool.Reason(err))
		}
		special = true
	}
	if special {
		return copyFile(c, from, to, nil)
	}
	if info.IsDir() {
		if !recursive {
			return fmt.Errorf("-r not specified; omitting directory '%s'", from)
		}
		return copyFolder(c, from, to, info)
	}
	old, statErr := os.Stat(c.Path(to))
	if statErr == nil {
		switch {
		case c.Has("n"), c.Has("u") && !info.ModTime().After(old.ModTime()):
			return nil
		case os.SameFile(info, old):
			return fmt.Errorf("'%s' and '%s' are the same file", from, to)
		}
	}
	if c.Has("v") {
		fmt.Fprintf(c.Out, "'%s' -> '%s'\n", from, to)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		dest, err := os.Readlink(c.Path(from))
		if err == nil {
			_ = os.Remove(c.Path(to))
			err = os.Symlink(dest, c.Path(to))
		}
		return wrap("cannot copy link '"+from+"'", err)
	}
	return copyFile(c, from, to, info)
}

func specialFile(c *tool.Call, name string) (io.ReadWriteCloser, bool, error) {
	if c.Files == nil || !strings.HasPrefix(filepath.Base(name), "sh-interp-") {
		return nil, false, nil
	}
	return nil, true, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", what, tool.Reason(err))
}

func copyFile(c *tool.Call, from, to string, info fs.FileInfo) error {
	in, err := c.Open(from)
	if err != nil {
		return wrap("cannot open '"+from+"' for reading", err)
	}
	defer in.Close()
	perm := fs.FileMode(0o666)
	if info != nil {
		perm = info.Mode().Perm()
	}
	out, err := c.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil && c.Has("f") {
		_ = os.Remove(c.Path(to))
		out, err = c.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	}
	if err != nil {
		return wrap("cannot create regular file '"+to+"'", err)
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return wrap("error writing '"+to+"'", err)
	}
	if info != nil && (c.Has("p") || c.Has("a")) {
		_ = os.Chtimes(c.Path(to), info.ModTime(), info.ModTime())
	}
	return nil
}

func copyFolder(c *tool.Call, from, to string, info fs.FileInfo) error {
	if to == from || strings.HasPrefix(c.Path(to)+"/", c.Path(from)+"/") {
		return fmt.Errorf("cannot copy a directory, '%s', into itself, '%s'", from, to)
	}
	if err := os.Mkdir(c.Path(to), 0o777); err != nil && !isDir(c, to) {
		return wrap("cannot create directory '"+to+"'", err)
	}
	entries, err := os.ReadDir(c.Path(from))
	if err != nil {
		return wrap("cannot access '"+from+"'", err)
	}
	var all []error
	for _, e := range entries {
		all = append(all, copyPath(c, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())))
	}
	if c.Has("p") || c.Has("a") {
		_ = os.Chtimes(c.Path(to), info.ModTime(), info.ModTime())
	}
	return errors.Join(all...)
}

func mv(c *tool.Call) int {
	sources, target, into, ok := sourcesAndTarget(c)
	if !ok {
		return 1
	}
	status := 0
	for _, s := range sources {
		to := target
		if into {
			to = filepath.Join(target, filepath.Base(s))
		}
		if _, err := os.Lstat(c.Path(s)); err != nil {
			c.Errorf("cannot stat '%s': %s", s, tool.Reason(err))
			status = 1
			continue
		}
		if _, err := os.Lstat(c.Path(to)); err == nil && c.Has("n") {
			continue
		}
		err := os.Rename(c.Path(s), c.Path(to))
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			err = moveByCopy(c, s, to, err)
		}
		if err != nil {
			c.Errorf("cannot move '%s' to '%s': %s", s, to, tool.Reason(err))
			status = 1
			continue
		}
		if c.Has("v") {
			fmt.Fprintf(c.Out, "renamed '%s' -> '%s'\n", s, to)
		}
	}
	return status
}

// moveByCopy is for moves between mounts.
func moveByCopy(c *tool.Call, from, to string, cause error) error {
	if isDir(c, from) && strings.HasPrefix(c.Path(to)+"/", c.Path(from)+"/") {
		return cause
	}
	copier := *c
	copier.Opts = []tool.Given{{Key: "a"}, {Key: "f"}}
	if err := copyPath(&copier, from, to); err != nil {
		return cause
	}
	return os.RemoveAll(c.Path(from))
}

func install(c *tool.Call) int {
	if c.Has("d") {
		for _, name := range c.Args {
			if err := os.MkdirAll(c.Path(name), 0o777); err != nil {
				return c.Fail("cannot create directory '%s': %s", name, tool.Reason(err))
			}
		}
		return 0
	}
	if c.Has("D") && len(c.Args) > 1 {
		if err := os.MkdirAll(filepath.Dir(c.Path(c.Args[len(c.Args)-1])), 0o777); err != nil {
			return c.Fail("%v", err)
		}
	}
	mode := c.Value("m")
	sources, target, into, ok := sourcesAndTarget(c)
	if !ok {
		return 1
	}
	for _, s := range sources {
		to := target
		if into {
			to = filepath.Join(target, filepath.Base(s))
		}
		if err := copyFile(c, s, to, nil); err != nil {
			return c.Fail("%v", err)
		}
		perm := fs.FileMode(0o755)
		if mode != "" {
			change, err := parseMode(mode)
			if err != nil {
				return c.Fail("%v", err)
			}
			perm = change(0)
		}
		if permissions {
			_ = os.Chmod(c.Path(to), perm)
		}
	}
	return 0
}
