package tools

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/guest/tool"
)

func fileTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "cp", Usage: "[OPTION]... SOURCE... TARGET", Short: "copy files", Run: cp, Options: []tool.Option{
			{Short: 'r', Long: "recursive", Help: "folders too"}, {Short: 'R', Help: "as -r"}, {Short: 'a', Long: "archive", Help: "as -rp"}, {Short: 'p', Help: "keep times and modes"},
			{Short: 'f', Long: "force", Help: "replace what cannot be written"}, {Short: 'n', Long: "no-clobber", Help: "never replace"}, {Short: 'u', Long: "update", Help: "only newer ones"}, {Short: 'v', Long: "verbose", Help: "say what is done"},
			{Short: 't', Long: "target-directory", Arg: "DIR", Help: "into DIR"}, {Short: 'T', Long: "no-target-directory", Help: "TARGET is no folder to copy into"}, {Short: 'L', Long: "dereference", Help: "follow links"}, {Short: 'd', Help: "keep links"}, {Short: 'P', Long: "no-dereference", Help: "keep links"}, {Short: 'i', Help: "accepted"}, {Long: "parents", Help: "keep the folders of SOURCE"},
		}},
		{Name: "mv", Usage: "[OPTION]... SOURCE... TARGET", Short: "move or rename files", Run: mv, Options: []tool.Option{
			{Short: 'f', Long: "force", Help: "accepted"}, {Short: 'n', Long: "no-clobber", Help: "never replace"}, {Short: 'v', Long: "verbose", Help: "say what is done"}, {Short: 't', Long: "target-directory", Arg: "DIR", Help: "into DIR"}, {Short: 'T', Long: "no-target-directory", Help: "TARGET is no folder to move into"}, {Short: 'i', Help: "accepted"},
		}},
		{Name: "rm", Usage: "[OPTION]... FILE...", Short: "remove files", Run: rm, Options: []tool.Option{
			{Short: 'f', Long: "force", Help: "what is missing is no error"}, {Short: 'r', Long: "recursive", Help: "folders too"}, {Short: 'R', Help: "as -r"}, {Short: 'd', Long: "dir", Help: "empty folders"}, {Short: 'v', Long: "verbose", Help: "say what is done"}, {Short: 'i', Help: "accepted"},
		}},
		{Name: "mkdir", Usage: "[OPTION]... DIR...", Short: "make folders", Run: mkdir, Options: []tool.Option{
			{Short: 'p', Long: "parents", Help: "with what is above; there already is no error"}, {Short: 'v', Long: "verbose", Help: "say what is done"}, {Short: 'm', Long: "mode", Arg: "MODE", Help: "accepted"},
		}},
		{Name: "rmdir", Usage: "[OPTION]... DIR...", Short: "remove empty folders", Run: rmdir, Options: []tool.Option{
			{Short: 'p', Long: "parents", Help: "with what is above"}, {Long: "ignore-fail-on-non-empty", Help: "that is no error"},
		}},
		{Name: "ln", Usage: "[OPTION]... TARGET [LINK]", Short: "make links", Run: ln, Options: []tool.Option{
			{Short: 's', Long: "symbolic", Help: "symbolic ones"}, {Short: 'f', Long: "force", Help: "replace"}, {Short: 'n', Long: "no-dereference", Help: "do not follow LINK"}, {Short: 'r', Long: "relative", Help: "relative to the link"}, {Short: 'v', Long: "verbose", Help: "say what is done"}, {Short: 'T', Help: "as -n"},
		}},
		{Name: "touch", Usage: "[OPTION]... FILE...", Short: "make files, or set their times", Run: touch, Options: []tool.Option{
			{Short: 'c', Long: "no-create", Help: "make none"}, {Short: 'd', Long: "date", Arg: "TIME", Help: "this time"}, {Short: 't', Arg: "STAMP", Help: "[[CC]YY]MMDDhhmm[.ss]"}, {Short: 'r', Long: "reference", Arg: "FILE", Help: "FILE's time"}, {Short: 'm', Help: "accepted"}, {Short: 'a', Help: "accepted"},
		}},
		{Name: "chmod", Usage: "[-R] MODE FILE...", Short: "set permissions", Raw: true, Run: chmod, Notes: []string{"Inside a WASM sandbox files have no permissions; there it only checks that the files exist. Scripts and modules are executable by what they are."}},
		{Name: "mktemp", Usage: "[-d] [-u] [-p DIR] [-t] [TEMPLATE]", Short: "make a temporary file or folder", Run: mktemp, Options: []tool.Option{
			{Short: 'd', Long: "directory", Help: "a folder"}, {Short: 'u', Long: "dry-run", Help: "only the name"}, {Short: 'p', Long: "tmpdir", Arg: "DIR", Help: "in DIR"}, {Short: 't', Help: "in TMPDIR"}, {Short: 'q', Long: "quiet", Help: "accepted"}, {Long: "suffix", Arg: "TEXT", Help: "after the name"},
		}},
		{Name: "truncate", Usage: "-s SIZE FILE...", Short: "set files' sizes", Run: truncate, Options: []tool.Option{{Short: 's', Long: "size", Arg: "SIZE", Help: "to this size"}, {Short: 'c', Long: "no-create", Help: "make none"}}},
		{Name: "basename", Usage: "[-a] [-s SUFFIX] NAME...", Short: "the last part of a path", Posix: true, Run: basename, Options: []tool.Option{{Short: 'a', Long: "multiple", Help: "many names"}, {Short: 's', Long: "suffix", Arg: "SUFFIX", Help: "without SUFFIX"}, {Short: 'z', Long: "zero", Help: "lines end with NUL"}}},
		{Name: "dirname", Usage: "NAME...", Short: "a path without its last part", Posix: true, Run: dirname, Options: []tool.Option{{Short: 'z', Long: "zero", Help: "lines end with NUL"}}},
		{Name: "realpath", Usage: "[OPTION]... FILE...", Short: "the absolute path without links", Run: realpath, Options: []tool.Option{
			{Short: 'm', Long: "canonicalize-missing", Help: "nothing need exist"}, {Short: 'e', Long: "canonicalize-existing", Help: "all must exist"}, {Short: 's', Long: "strip", Help: "keep links"}, {Long: "relative-to", Arg: "DIR", Help: "relative to DIR"}, {Short: 'q', Long: "quiet", Help: "no errors"},
		}},
		{Name: "readlink", Usage: "[OPTION]... FILE...", Short: "what a link points to", Run: readlink, Options: []tool.Option{
			{Short: 'f', Long: "canonicalize", Help: "the absolute path without links"}, {Short: 'e', Long: "canonicalize-existing", Help: "all must exist"}, {Short: 'm', Long: "canonicalize-missing", Help: "nothing need exist"}, {Short: 'n', Long: "no-newline", Help: "no newline"},
		}},
		{Name: "install", Usage: "[-d] [-D] [-m MODE] SOURCE... TARGET", Short: "copy files into place", Run: install, Options: []tool.Option{
			{Short: 'd', Long: "directory", Help: "make folders"}, {Short: 'D', Help: "make the folders above"}, {Short: 'm', Long: "mode", Arg: "MODE", Help: "permissions, where there are any"}, {Short: 'v', Long: "verbose", Help: "accepted"}, {Short: 't', Long: "target-directory", Arg: "DIR", Help: "into DIR"},
		}},
	}
}

func rm(c *tool.Call) int {
	status := 0
	if len(c.Args) == 0 && !c.Has("f") {
		return c.Fail("missing operand")
	}
	for _, name := range c.Args {
		path := c.Path(name)
		info, err := os.Lstat(path)
		base := filepath.Base(name)
		switch {
		case err != nil:
			if !c.Has("f") || !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
				c.Errorf("cannot remove '%s': %s", name, tool.Reason(err))
				status = 1
			}
			continue
		case base == "." || base == ".." || path == "/":
			c.Errorf("refusing to remove '%s'", name)
			status = 1
			continue
		case info.IsDir() && !c.Has("r") && !c.Has("R") && !c.Has("d"):
			c.Errorf("cannot remove '%s': Is a directory", name)
			status = 1
			continue
		case info.IsDir() && (c.Has("r") || c.Has("R")):
			err = os.RemoveAll(path)
		default:
			err = os.Remove(path)
		}
		if err != nil {
			c.Errorf("cannot remove '%s': %s", name, tool.Reason(err))
			status = 1
		} else if c.Has("v") {
			fmt.Fprintf(c.Out, "removed '%s'\n", name)
		}
	}
	return status
}

func mkdir(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing operand")
	}
	status := 0
	for _, name := range c.Args {
		make := os.Mkdir
		if c.Has("p") {
			make = os.MkdirAll
		}
		if err := make(c.Path(name), 0o777); err != nil {
			c.Errorf("cannot create directory '%s': %s", name, tool.Reason(err))
			status = 1
		} else if c.Has("v") {
			fmt.Fprintf(c.Out, "mkdir: created directory '%s'\n", name)
		}
	}
	return status
}

func rmdir(c *tool.Call) int {
	status := 0
	for _, name := range c.Args {
		for {
			info, err := os.Lstat(c.Path(name))
			if err == nil && !info.IsDir() {
				err = errors.New("Not a directory") //nolint:staticcheck // as the command says it
			}
			if err == nil {
				err = os.Remove(c.Path(name))
			}
			if err != nil {
				if !c.Has("ignore-fail-on-non-empty") {
					c.Errorf("failed to remove '%s': %s", name, tool.Reason(err))
					status = 1
				}
				break
			}
			if name = filepath.Dir(name); !c.Has("p") || name == "." || name == "/" {
				break
			}
		}
	}
	return status
}

func ln(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing file operand")
	}
	targets, link := c.Args[:1], filepath.Base(c.Args[0])
	if n := len(c.Args); n > 1 {
		targets, link = c.Args[:n-1], c.Args[n-1]
	}
	status := 0
	for _, target := range targets {
		to := link
		if info, err := os.Lstat(c.Path(link)); isDir(c, link) && !c.Has("T") && !(c.Has("n") && err == nil && info.Mode()&fs.ModeSymlink != 0) {
			to = filepath.Join(link, filepath.Base(target))
		}
		if c.Has("f") {
			_ = os.Remove(c.Path(to))
		}
		var err error
		if c.Has("s") {
			text := target
			if c.Has("r") {
				if rel, rerr := filepath.Rel(filepath.Dir(c.Path(to)), c.Path(target)); rerr == nil {
					text = rel
				}
			}
			err = os.Symlink(text, c.Path(to))
		} else {
			err = os.Link(c.Path(target), c.Path(to))
		}
		if err != nil {
			c.Errorf("failed to create link '%s': %s", to, tool.Reason(err))
			status = 1
		} else if c.Has("v") {
			fmt.Fprintf(c.Out, "'%s' -> '%s'\n", to, target)
		}
	}
	return status
}

func touch(c *tool.Call) int {
	when := time.Now()
	var err error
	switch c.Last("d", "t", "r") {
	case "d":
		when, err = parseDate(c.Value("d"), when)
	case "t":
		when, err = parseStamp(c.Value("t"), when)
	case "r":
		var info fs.FileInfo
		if info, err = os.Stat(c.Path(c.Value("r"))); err == nil {
			when = info.ModTime()
		}
	}
	if err != nil {
		return c.Fail("%v", err)
	}
	status := 0
	for _, name := range c.Args {
		err := os.Chtimes(c.Path(name), when, when)
		if errors.Is(err, fs.ErrNotExist) {
			if c.Has("c") {
				continue
			}
			var f io.WriteCloser
			if f, err = c.OpenFile(name, appendFlags, 0o666); err == nil {
				f.Close()
				if c.Last("d", "t", "r") != "" {
					err = os.Chtimes(c.Path(name), when, when)
				}
			}
		}
		if err != nil {
			c.Errorf("cannot touch '%s': %s", name, tool.Reason(err))
			status = 1
		}
	}
	return status
}

func parseStamp(s string, now time.Time) (time.Time, error) {
	main, sec, _ := strings.Cut(s, ".")
	layout := map[int]string{8: "01021504", 10: "0601021504", 12: "200601021504"}[len(main)]
	t, err := time.Parse(layout, main)
	if layout == "" || err != nil {
		return now, fmt.Errorf("invalid date format '%s'", s)
	}
	if len(main) == 8 {
		t = t.AddDate(now.Year()-t.Year(), 0, 0)
	}
	n, _ := strconv.Atoi(sec)
	return t.Add(time.Duration(n) * time.Second), nil
}

func mktemp(c *tool.Call) int {
	dir := c.Getenv("TMPDIR")
	if dir == "" {
		dir = "/tmp"
	}
	if v := c.Value("p"); v != "" {
		dir = v
	}
	template := "tmp.XXXXXXXXXX"
	if len(c.Args) > 0 {
		template = c.Args[0]
		if !c.Has("p") && !c.Has("t") {
			dir = ""
		}
	}
	end := strings.LastIndex(template, "X") + 1
	start := end
	for start > 0 && template[start-1] == 'X' {
		start--
	}
	if end-start < 3 {
		return c.Fail("too few X's in template '%s'", template)
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for range 100 {
		random := make([]byte, end-start)
		for i := range random {
			random[i] = letters[rand.IntN(len(letters))]
		}
		name := filepath.Join(dir, template[:start]+string(random)+template[end:]+c.Value("suffix"))
		if dir == "" && !strings.Contains(template, "/") {
			name = template[:start] + string(random) + template[end:] + c.Value("suffix")
		}
		var err error
		switch {
		case c.Has("u"):
		case c.Has("d"):
			err = os.Mkdir(c.Path(name), 0o700)
		default:
			var f *os.File
			if f, err = os.OpenFile(c.Path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.Close()
			}
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return c.Fail("failed to create file via template '%s': %s", template, tool.Reason(err))
		}
		fmt.Fprintln(c.Out, name)
		return 0
	}
	return c.Fail("failed to create file via template '%s'", template)
}

func truncate(c *tool.Call) int {
	n, err := size(c.Value("s"))
	if err != nil {
		return c.Fail("%v", err)
	}
	status := 0
	for _, name := range c.Args {
		if _, err := os.Stat(c.Path(name)); err != nil {
			if c.Has("c") {
				continue
			}
			if f, err := c.Create(name); err == nil {
				f.Close()
			}
		}
		if err := os.Truncate(c.Path(name), n); err != nil {
			c.FileError(name, err)
			status = 1
		}
	}
	return status
}
