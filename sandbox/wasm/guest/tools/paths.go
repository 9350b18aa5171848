package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func basename(c *tool.Call) int {
	names, suffix := c.Args, c.Value("s")
	if len(names) == 0 {
		return c.Fail("missing operand")
	}
	if !c.Has("a") && !c.Has("s") {
		if len(names) > 2 {
			return c.Fail("extra operand '%s'", names[2])
		}
		if len(names) == 2 {
			suffix = names[1]
		}
		names = names[:1]
	}
	for _, n := range names {
		b := filepath.Base(n)
		if n == "" {
			b = ""
		}
		if b != suffix {
			b = strings.TrimSuffix(b, suffix)
		}
		c.Out.WriteString(b)
		c.Out.WriteByte(lineEnd(c))
	}
	return 0
}

func dirname(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing operand")
	}
	for _, n := range c.Args {
		trimmed := strings.TrimRight(n, "/")
		i := strings.LastIndex(trimmed, "/")
		switch {
		case trimmed == "" && n != "":
			n = "/"
		case i < 0:
			n = "."
		default:
			if n = strings.TrimRight(trimmed[:i], "/"); n == "" {
				n = "/"
			}
		}
		c.Out.WriteString(n)
		c.Out.WriteByte(lineEnd(c))
	}
	return 0
}

// canonical resolves links; missing says how much may be missing: 0 nothing,
// 1 the last part, 2 everything.
func canonical(path string, missing int) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || missing == 0 || path == "/" {
		return real, err
	}
	if !errors.Is(err, fs.ErrNotExist) && missing < 2 {
		return "", err
	}
	if dest, lerr := os.Readlink(path); lerr == nil {
		if !filepath.IsAbs(dest) {
			dest = filepath.Join(filepath.Dir(path), dest)
		}
		return canonical(dest, missing)
	}
	parent := 0
	if missing == 2 {
		parent = 2
	}
	dir, err := canonical(filepath.Dir(path), parent)
	return filepath.Join(dir, filepath.Base(path)), err
}

func realpath(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing operand")
	}
	missing := 1
	switch c.Last("m", "e") {
	case "m":
		missing = 2
	case "e":
		missing = 0
	}
	status := 0
	for _, name := range c.Args {
		path := c.Path(name)
		var err error
		if !c.Has("s") {
			path, err = canonical(path, missing)
		}
		if err == nil && c.Has("relative-to") {
			base, _ := canonical(c.Path(c.Value("relative-to")), 2)
			path, err = filepath.Rel(base, path)
		}
		if err != nil {
			if !c.Has("q") {
				c.FileError(name, err)
			}
			status = 1
			continue
		}
		fmt.Fprintln(c.Out, path)
	}
	return status
}

func readlink(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing operand")
	}
	status := 0
	for _, name := range c.Args {
		var path string
		var err error
		switch c.Last("f", "e", "m") {
		case "f":
			path, err = canonical(c.Path(name), 1)
		case "e":
			path, err = canonical(c.Path(name), 0)
		case "m":
			path, err = canonical(c.Path(name), 2)
		default:
			path, err = os.Readlink(c.Path(name))
		}
		if err != nil {
			status = 1
			continue
		}
		c.Out.WriteString(path)
		if !c.Has("n") {
			c.Out.WriteByte('\n')
		}
	}
	return status
}
