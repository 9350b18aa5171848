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

func chmod(c *tool.Call) int {
	recursive := false
	args := c.Args
	for len(args) > 0 && (args[0] == "-R" || args[0] == "-v" || args[0] == "-f" || args[0] == "-c" || args[0] == "--") {
		recursive = recursive || args[0] == "-R"
		args = args[1:]
	}
	if len(args) < 2 {
		return c.Fail("missing operand")
	}
	change, err := parseMode(args[0])
	if err != nil {
		return c.Fail("%v", err)
	}
	status := 0
	apply := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		err = os.Chmod(path, change(info.Mode()))
		if err != nil && !permissions {
			return nil
		}
		return err
	}
	for _, name := range args[1:] {
		err := apply(c.Path(name))
		if err == nil && recursive {
			err = filepath.WalkDir(c.Path(name), func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.Type()&fs.ModeSymlink != 0 {
					return err
				}
				return apply(p)
			})
		}
		if err != nil {
			c.Errorf("cannot access '%s': %s", name, tool.Reason(err))
			status = 1
		}
	}
	return status
}

// parseMode reads 755 or u+x,go-w.
func parseMode(s string) (func(fs.FileMode) fs.FileMode, error) {
	if n, err := strconv.ParseUint(s, 8, 12); err == nil {
		return func(fs.FileMode) fs.FileMode { return fs.FileMode(n) & 0o777 }, nil
	}
	var steps []func(fs.FileMode) fs.FileMode
	for part := range strings.SplitSeq(s, ",") {
		i := strings.IndexAny(part, "+-=")
		if i < 0 || strings.Trim(part[:i], "ugoa") != "" || strings.Trim(part[i+1:], "rwxXst") != "" {
			return nil, fmt.Errorf("invalid mode: '%s'", s)
		}
		who, op, perms := part[:i], part[i], part[i+1:]
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		steps = append(steps, func(m fs.FileMode) fs.FileMode {
			var bits, mask fs.FileMode
			for _, w := range who {
				shift := map[rune]uint{'u': 6, 'g': 3, 'o': 0}[w]
				mask |= 7 << shift
				for _, p := range perms {
					v := map[rune]fs.FileMode{'r': 4, 'w': 2, 'x': 1}[p]
					if p == 'X' && (m.IsDir() || m&0o111 != 0) {
						v = 1
					}
					bits |= v << shift
				}
			}
			switch op {
			case '+':
				return m | bits
			case '-':
				return m &^ bits
			}
			return m&^mask | bits
		})
	}
	return func(m fs.FileMode) fs.FileMode {
		for _, s := range steps {
			m = s(m)
		}
		return m.Perm()
	}, nil
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
