package tools

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/guest/tool"
)

// permissions says whether the file system has them; WASI preview 1 has not.
const permissions = runtime.GOOS != "wasip1"

func listTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "ls", Usage: "[OPTION]... [FILE]...", Short: "list files", Run: ls, Options: []tool.Option{
			{Short: 'a', Long: "all", Help: "hidden ones too"}, {Short: 'A', Long: "almost-all", Help: "hidden ones, but not . and .."}, {Short: 'l', Help: "long"}, {Short: '1', Help: "one a line (always)"}, {Short: 'd', Long: "directory", Help: "folders themselves"},
			{Short: 'R', Long: "recursive", Help: "folders below too"}, {Short: 't', Help: "newest first"}, {Short: 'S', Help: "largest first"}, {Short: 'r', Long: "reverse", Help: "reverse"}, {Short: 'F', Long: "classify", Help: "mark kinds"}, {Short: 'p', Help: "mark folders"}, {Short: 'h', Long: "human-readable", Help: "sizes like 2K"},
			{Short: 's', Long: "size", Help: "accepted"}, {Short: 'n', Help: "as -l"}, {Short: 'g', Help: "as -l"}, {Short: 'i', Help: "accepted"}, {Short: 'U', Help: "accepted"}, {Short: 'L', Help: "follow links"}, {Short: 'C', Help: "accepted"}, {Long: "color", Arg: "[WHEN]", Help: "accepted"}, {Long: "full-time", Help: "as -l"},
		}},
		{Name: "stat", Usage: "[-L] [-c FORMAT] FILE...", Short: "describe files", Run: stat, Options: []tool.Option{{Short: 'c', Long: "format", Arg: "FORMAT", Help: "%n %N %s %F %f %a %A %Y %y %X %Z %U %G %u %g %i %h %%"}, {Long: "printf", Arg: "FORMAT", Help: "as -c with escapes, without a newline"}, {Short: 'L', Long: "dereference", Help: "follow links"}}},
		{Name: "du", Usage: "[-s] [-h] [-k] [-b] [-a] [-c] [FILE]...", Short: "size of trees", Run: du, Options: []tool.Option{{Short: 's', Long: "summarize", Help: "only the operands"}, {Short: 'h', Long: "human-readable", Help: "sizes like 2K"}, {Short: 'k', Help: "in KiB (the default)"}, {Short: 'm', Help: "in MiB"}, {Short: 'b', Long: "bytes", Help: "in bytes"}, {Short: 'a', Long: "all", Help: "files too"}, {Short: 'c', Long: "total", Help: "a total"}, {Short: 'd', Long: "max-depth", Arg: "N", Help: "only N levels"}}, Notes: []string{"Counts the bytes of files, not blocks."}},
	}
}

type entry struct {
	name string
	info fs.FileInfo
	path string
}

func ls(c *tool.Call) int {
	args := c.Args
	if len(args) == 0 {
		args = []string{"."}
	}
	status := 0
	var files, folders []entry
	for _, name := range args {
		info, err := os.Lstat(c.Path(name))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 && (!c.Has("l") && !c.Has("d") || c.Has("L")) {
			if followed, ferr := os.Stat(c.Path(name)); ferr == nil {
				info = followed
			}
		}
		if err != nil {
			c.Errorf("cannot access '%s': %s", name, tool.Reason(err))
			status = 2
			continue
		}
		e := entry{name, info, c.Path(name)}
		if info.IsDir() && !c.Has("d") {
			folders = append(folders, e)
		} else {
			files = append(files, e)
		}
	}
	sortEntries(c, files)
	sortEntries(c, folders)
	put(c, files)
	for i, d := range folders {
		if len(args) > 1 || c.Has("R") {
			if i > 0 || len(files) > 0 {
				c.Out.WriteByte('\n')
			}
			c.Out.WriteString(d.name + ":\n")
		}
		status = max(status, lsFolder(c, d))
	}
	return status
}

func lsFolder(c *tool.Call, d entry) int {
	list, err := os.ReadDir(d.path)
	if err != nil {
		c.Errorf("cannot open directory '%s': %s", d.name, tool.Reason(err))
		return 2
	}
	var all []entry
	if c.Has("a") {
		for _, name := range []string{".", ".."} {
			if info, err := os.Stat(filepath.Join(d.path, name)); err == nil {
				all = append(all, entry{name, info, filepath.Join(d.path, name)})
			}
		}
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") && !c.Has("a") && !c.Has("A") {
			continue
		}
		if info, err := e.Info(); err == nil {
			all = append(all, entry{e.Name(), info, filepath.Join(d.path, e.Name())})
		}
	}
	sortEntries(c, all)
	if c.Has("l") || c.Has("n") || c.Has("g") {
		var total int64
		for _, e := range all {
			total += (e.info.Size() + 4095) / 4096 * 4
		}
		fmt.Fprintf(c.Out, "total %d\n", total)
	}
	put(c, all)
	status := 0
	if c.Has("R") {
		for _, e := range all {
			if e.info.IsDir() && e.name != "." && e.name != ".." {
				name := strings.TrimSuffix(d.name, "/") + "/" + e.name
				c.Out.WriteString("\n" + name + ":\n")
				status = max(status, lsFolder(c, entry{name, e.info, e.path}))
			}
		}
	}
	return status
}

func sortEntries(c *tool.Call, all []entry) {
	slices.SortStableFunc(all, func(a, b entry) int {
		o := 0
		switch c.Last("t", "S") {
		case "t":
			o = b.info.ModTime().Compare(a.info.ModTime())
		case "S":
			o = int(max(-1, min(1, b.info.Size()-a.info.Size())))
		}
		if o == 0 {
			o = strings.Compare(a.name, b.name)
		}
		if c.Has("r") {
			o = -o
		}
		return o
	})
}

func put(c *tool.Call, all []entry) {
	long := c.Has("l") || c.Has("n") || c.Has("g") || c.Has("full-time")
	width := 1
	text := func(e entry) string {
		if c.Has("h") {
			return humanSize(e.info.Size())
		}
		return fmt.Sprint(e.info.Size())
	}
	for _, e := range all {
		width = max(width, len(text(e)))
	}
	for _, e := range all {
		name := e.name
		m := e.info.Mode()
		switch {
		case m.IsDir() && (c.Has("F") || c.Has("p")):
			name += "/"
		case m&fs.ModeSymlink != 0 && long:
			dest, _ := os.Readlink(e.path)
			name += " -> " + dest
		case m&fs.ModeSymlink != 0 && c.Has("F"):
			name += "@"
		case m&0o111 != 0 && m.IsRegular() && c.Has("F"):
			name += "*"
		}
		if long {
			t := e.info.ModTime()
			when := t.Format("Jan _2 15:04")
			if age := time.Since(t); age > 180*24*time.Hour || age < -time.Hour {
				when = t.Format("Jan _2  2006")
			}
			fmt.Fprintf(c.Out, "%s 1 root root %*s %s %s\n", modeText(m), width, text(e), when, name)
			continue
		}
		c.Out.WriteString(name + "\n")
	}
}

func modeText(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	case m&fs.ModeNamedPipe != 0:
		kind = "p"
	case m&fs.ModeCharDevice != 0:
		kind = "c"
	}
	return kind + m.Perm().String()[1:]
}

func humanSize(n int64) string {
	if n < 1024 {
		return fmt.Sprint(n)
	}
	f, unit := float64(n), 0
	for f >= 1024 && unit < 6 {
		f /= 1024
		unit++
	}
	if f < 10 {
		return fmt.Sprintf("%.1f%c", f, "KMGTPE"[unit-1])
	}
	return fmt.Sprintf("%.0f%c", f, "KMGTPE"[unit-1])
}

func stat(c *tool.Call) int {
	status := 0
	for _, name := range c.Args {
		f := os.Lstat
		if c.Has("L") {
			f = os.Stat
		}
		info, err := f(c.Path(name))
		if err != nil {
			c.Errorf("cannot statx '%s': %s", name, tool.Reason(err))
			status = 1
			continue
		}
		switch c.Last("c", "printf") {
		case "c":
			c.Out.WriteString(statFormat(c, c.Value("c"), name, info) + "\n")
		case "printf":
			format := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(c.Value("printf"))
			c.Out.WriteString(statFormat(c, format, name, info))
		default:
			c.Out.WriteString(statFormat(c, "  File: %N\n  Size: %s\t%F\nAccess: (%a/%A)\nModify: %y\n", name, info))
		}
	}
	return status
}

func statFormat(c *tool.Call, format, name string, info fs.FileInfo) string {
	kind := "regular file"
	raw := uint32(0o100000)
	switch m := info.Mode(); {
	case m.IsDir():
		kind, raw = "directory", 0o040000
	case m&fs.ModeSymlink != 0:
		kind, raw = "symbolic link", 0o120000
	case m.IsRegular() && info.Size() == 0:
		kind = "regular empty file"
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		t := info.ModTime()
		switch format[i] {
		case 'n':
			b.WriteString(name)
		case 'N':
			b.WriteString("'" + name + "'")
		case 's':
			fmt.Fprint(&b, info.Size())
		case 'F':
			b.WriteString(kind)
		case 'f':
			fmt.Fprintf(&b, "%x", raw|uint32(info.Mode().Perm()))
		case 'a':
			fmt.Fprintf(&b, "%o", info.Mode().Perm())
		case 'A':
			b.WriteString(modeText(info.Mode()))
		case 'X', 'Y', 'Z':
			fmt.Fprint(&b, t.Unix())
		case 'x', 'y', 'z':
			b.WriteString(t.Format("2006-01-02 15:04:05.000000000 -0700"))
		case 'U', 'G':
			b.WriteString("root")
		case 'u', 'g':
			b.WriteString("0")
		case 'h', 'i':
			b.WriteString("1")
		case 'b':
			fmt.Fprint(&b, (info.Size()+511)/512)
		case 'B':
			b.WriteString("512")
		case '%':
			b.WriteByte('%')
		default:
			b.WriteString("?")
		}
	}
	return b.String()
}

func du(c *tool.Call) int {
	args := c.Args
	if len(args) == 0 {
		args = []string{"."}
	}
	text := func(n int64) string {
		switch c.Last("h", "k", "m", "b") {
		case "h":
			return humanSize(n)
		case "m":
			return fmt.Sprint((n + 1<<20 - 1) >> 20)
		case "b":
			return fmt.Sprint(n)
		}
		return fmt.Sprint((n + 1023) >> 10)
	}
	depth := atoi(c, "d", 1<<30)
	if c.Has("s") {
		depth = 0
	}
	status := 0
	var sum func(name string, level int) int64
	sum = func(name string, level int) int64 {
		info, err := os.Lstat(c.Path(name))
		if err != nil {
			c.Errorf("cannot access '%s': %s", name, tool.Reason(err))
			status = 1
			return 0
		}
		total := int64(0)
		if !info.IsDir() {
			total = info.Size()
		} else {
			entries, _ := os.ReadDir(c.Path(name))
			for _, e := range entries {
				total += sum(strings.TrimSuffix(name, "/")+"/"+e.Name(), level+1)
			}
		}
		if level <= depth && (info.IsDir() || c.Has("a") || level == 0) {
			fmt.Fprintf(c.Out, "%s\t%s\n", text(total), name)
		}
		return total
	}
	total := int64(0)
	for _, name := range args {
		total += sum(name, 0)
	}
	if c.Has("c") {
		fmt.Fprintf(c.Out, "%s\ttotal\n", text(total))
	}
	return status
}
