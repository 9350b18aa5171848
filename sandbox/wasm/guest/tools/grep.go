package tools

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"otelrunner/sandbox/wasm/guest/posix"
	"otelrunner/sandbox/wasm/guest/tool"
)

func grepTools() []*tool.Tool {
	return []*tool.Tool{{
		Name: "grep", Aliases: []string{"egrep", "fgrep"}, Usage: "[OPTION]... PATTERNS [FILE]...", Short: "write lines that match", Run: grep,
		Options: []tool.Option{
			{Short: 'E', Long: "extended-regexp", Help: "extended expressions"}, {Short: 'F', Long: "fixed-strings", Help: "plain strings"},
			{Short: 'G', Long: "basic-regexp", Help: "basic expressions (the default)"}, {Short: 'P', Long: "perl-regexp", Help: "Perl's expressions: what RE2 lacks (look-around, \\K …) runs on a backtracker"},
			{Short: 'e', Long: "regexp", Arg: "PATTERNS", Help: "match these"}, {Short: 'f', Long: "file", Arg: "FILE", Help: "match the lines of FILE"},
			{Short: 'i', Long: "ignore-case", Help: "ignore case"}, {Short: 'y', Help: "as -i"}, {Short: 'v', Long: "invert-match", Help: "lines that do not match"},
			{Short: 'w', Long: "word-regexp", Help: "whole words"}, {Short: 'x', Long: "line-regexp", Help: "whole lines"},
			{Short: 'c', Long: "count", Help: "only count"}, {Short: 'l', Long: "files-with-matches", Help: "only names of files with a match"},
			{Short: 'L', Long: "files-without-match", Help: "only names of files without one"}, {Short: 'q', Long: "quiet", Help: "only the exit status"}, {Long: "silent", Help: "as -q"},
			{Short: 's', Long: "no-messages", Help: "no errors about files"}, {Short: 'o', Long: "only-matching", Help: "only what matched"},
			{Short: 'n', Long: "line-number", Help: "with line numbers"}, {Short: 'b', Long: "byte-offset", Help: "with offsets"}, {Short: 'H', Long: "with-filename", Help: "with file names"},
			{Short: 'h', Long: "no-filename", Help: "without file names"}, {Short: 'm', Long: "max-count", Arg: "N", Help: "stop after N lines"},
			{Short: 'A', Long: "after-context", Arg: "N", Help: "N lines after"}, {Short: 'B', Long: "before-context", Arg: "N", Help: "N lines before"},
			{Short: 'C', Long: "context", Arg: "N", Help: "N lines around"}, {Short: '#', Arg: "N", Help: "N lines around"}, {Short: 'r', Long: "recursive", Help: "folders too"}, {Short: 'R', Long: "dereference-recursive", Help: "as -r"},
			{Long: "group-separator", Arg: "TEXT", Help: "TEXT between groups of lines, for --"}, {Long: "no-group-separator", Help: "nothing between groups of lines"},
			{Long: "include", Arg: "GLOB", Help: "with -r: only these files"}, {Long: "exclude", Arg: "GLOB", Help: "with -r: not these files"}, {Long: "exclude-dir", Arg: "GLOB", Help: "with -r: not these folders"},
			{Short: 'a', Long: "text", Help: "binary files are text"}, {Short: 'I', Help: "skip binary files"}, {Short: 'z', Long: "null-data", Help: "lines end with NUL"}, {Short: 'Z', Long: "null", Help: "NUL after file names"},
			{Long: "color", Arg: "[WHEN]", Help: "accepted"}, {Long: "colour", Arg: "[WHEN]", Help: "accepted"}, {Long: "line-buffered", Help: "accepted"}, {Short: 'U', Long: "binary", Help: "accepted"}, {Long: "label", Arg: "NAME", Help: "name of standard input"},
		},
		Notes: []string{"Back-references work, on a backtracker whose steps are bounded."},
	}}
}

type grepper struct {
	c             *tool.Call
	patterns      []*posix.Regexp
	names         bool
	matched       bool
	before, after int
	max           int
	printed       bool // something, for the -- between groups
}

func grep(c *tool.Call) int {
	g := &grepper{c: c, max: atoi(c, "m", -1)}
	around := atoi(c, "C", atoi(c, "#", 0))
	g.before, g.after = atoi(c, "B", around), atoi(c, "A", around)
	files, err := g.compile()
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	recursive := c.Has("r") || c.Has("R")
	if len(files) == 0 {
		files = []string{"-"}
		if recursive {
			files = []string{"."}
		}
	}
	g.names = len(files) > 1 || recursive
	switch c.Last("H", "h") {
	case "H":
		g.names = true
	case "h":
		g.names = false
	}
	failed := false
	for _, name := range files {
		if !g.path(name, recursive, len(files) == 1 && name == "." && !contains(c.Args, ".")) {
			failed = true
		}
		if g.matched && c.Has("q") {
			return 0
		}
	}
	switch {
	case failed && !(g.matched && c.Has("q")):
		return 2
	case g.matched:
		return 0
	}
	return 1
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func (g *grepper) compile() (files []string, err error) {
	c := g.c
	files = c.Args
	var sources []string
	for _, e := range c.Values("e") {
		sources = append(sources, strings.Split(e, "\n")...)
	}
	for _, name := range c.Values("f") {
		f, err := c.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", name, tool.Reason(err))
		}
		lines, err := readLines(f, '\n')
		f.Close()
		if err != nil {
			return nil, err
		}
		sources = append(sources, lines...)
	}
	if !c.Has("e") && !c.Has("f") {
		if len(files) == 0 {
			return nil, fmt.Errorf("a pattern is needed")
		}
		sources, files = strings.Split(files[0], "\n"), files[1:]
	}
	flags := posix.Flags{IgnoreCase: c.Has("i") || c.Has("y"), Word: c.Has("w"), Line: c.Has("x")}
	syntax := posix.Basic
	switch c.Last("E", "F", "G", "P") {
	case "E":
		syntax = posix.Extended
	case "F":
		syntax = posix.Fixed
	case "P":
		syntax = posix.Perl
	case "":
		switch c.Name {
		case "egrep":
			syntax = posix.Extended
		case "fgrep":
			syntax = posix.Fixed
		}
	}
	for _, s := range sources {
		re, err := posix.Compile(s, syntax, flags)
		if err != nil {
			return nil, err
		}
		g.patterns = append(g.patterns, re)
	}
	return files, nil
}

// path searches a file or, with -r, a folder; it reports whether that worked.
// bare folders' names are left out of results.
func (g *grepper) path(name string, recursive, bare bool) bool {
	c := g.c
	if name != "-" {
		if info, err := os.Stat(c.Path(name)); err == nil && info.IsDir() {
			if !recursive {
				if !c.Has("s") {
					c.Errorf("%s: Is a directory", name)
				}
				return true
			}
			return g.folder(name, bare)
		}
	}
	f, err := c.Open(name)
	if err != nil {
		if !c.Has("s") {
			c.FileError(name, err)
		}
		return false
	}
	defer f.Close()
	if name == "-" {
		name = "(standard input)"
		if c.Has("label") {
			name = c.Value("label")
		}
	}
	if err := g.file(name, f); err != nil {
		c.FileError(name, err)
		return false
	}
	return true
}

func (g *grepper) folder(dir string, bare bool) bool {
	entries, err := os.ReadDir(g.c.Path(dir))
	if err != nil {
		g.c.FileError(dir, err)
		return false
	}
	ok := true
	globbed := func(key, name string) bool {
		for _, p := range g.c.Values(key) {
			if m, _ := path.Match(p, name); m {
				return true
			}
		}
		return false
	}
	for _, e := range entries {
		name := dir + "/" + e.Name()
		if strings.HasSuffix(dir, "/") {
			name = dir + e.Name()
		}
		if bare {
			name = e.Name()
		}
		switch {
		case e.IsDir():
			if !globbed("exclude-dir", e.Name()) {
				ok = g.folder(name, false) && ok
			}
		case e.Type()&os.ModeSymlink != 0 && !g.c.Has("R"):
		case g.c.Has("include") && !globbed("include", e.Name()) || globbed("exclude", filepath.Base(name)):
		default:
			ok = g.path(name, false, false) && ok
		}
	}
	return ok
}

func (g *grepper) find(line string) bool {
	for _, re := range g.patterns {
		if re.Match(line) {
			return true
		}
	}
	return false
}

func (g *grepper) prefix(name string, n int, offset int, sep string) {
	out := g.c.Out
	if g.names {
		out.WriteString(name)
		if g.c.Has("Z") {
			out.WriteByte(0)
		} else {
			out.WriteString(sep)
		}
	}
	if g.c.Has("n") {
		fmt.Fprintf(out, "%d%s", n, sep)
	}
	if g.c.Has("b") {
		fmt.Fprintf(out, "%d%s", offset, sep)
	}
}

func (g *grepper) file(name string, r io.Reader) error {
	c := g.c
	delim := lineEnd(c)
	only := c.Has("c") || c.Has("l") || c.Has("L") || c.Has("q") || c.Has("silent")
	type kept struct {
		text   string
		n, off int
	}
	var previous []kept
	matches, n, offset, trailing, lastPrinted := 0, 0, 0, 0, 0
	binary := false
	put := func(k kept, sep string) {
		if (g.before > 0 || g.after > 0) && g.printed && (lastPrinted == 0 || k.n > lastPrinted+1) && !c.Has("no-group-separator") {
			separator := "--"
			if c.Has("group-separator") {
				separator = c.Value("group-separator")
			}
			c.Out.WriteString(separator + "\n")
		}
		g.printed = true
		lastPrinted = k.n
		g.prefix(name, k.n, k.off, sep)
		c.Out.WriteString(k.text)
		c.Out.WriteByte(delim)
	}
	err := eachLine(r, delim, func(line string, _ bool) bool {
		n++
		k := kept{line, n, offset}
		offset += len(line) + 1
		if delim != 0 && !c.Has("a") && strings.IndexByte(line, 0) >= 0 {
			binary = true
			if c.Has("I") {
				return false
			}
		}
		if g.max >= 0 && matches >= g.max {
			if trailing > 0 && !only {
				put(k, "-")
				trailing--
				return true
			}
			return false
		}
		if g.find(line) == c.Has("v") {
			switch {
			case only || c.Has("o"):
			case trailing > 0:
				put(k, "-")
				trailing--
			case g.before > 0:
				if previous = append(previous, k); len(previous) > g.before {
					previous = previous[1:]
				}
			}
			return true
		}
		matches++
		g.matched = true
		if only {
			return !(c.Has("q") || c.Has("silent") || c.Has("l") || c.Has("L"))
		}
		if binary {
			fmt.Fprintf(c.Out, "Binary file %s matches\n", name)
			return false
		}
		if c.Has("o") {
			if !c.Has("v") {
				g.onlyMatching(name, line, k.n, k.off, delim)
			}
			return true
		}
		for _, p := range previous {
			put(p, "-")
		}
		previous = previous[:0]
		put(k, ":")
		trailing = g.after
		return true
	})
	end := "\n"
	if c.Has("Z") {
		end = "\x00"
	}
	switch {
	case c.Has("q") || c.Has("silent"):
	case c.Has("L"):
		if matches == 0 {
			c.Out.WriteString(name + end)
		}
		// Its status is about what was listed.
		g.matched = g.matched || matches == 0
	case c.Has("l"):
		if matches > 0 {
			c.Out.WriteString(name + end)
		}
	case c.Has("c"):
		if g.names {
			c.Out.WriteString(name + ":")
		}
		fmt.Fprintln(c.Out, matches)
	}
	return err
}

func (g *grepper) onlyMatching(name, line string, n, offset int, delim byte) {
	at := 0
	for at <= len(line) {
		// The leftmost match of any pattern, the longest of those.
		var best []int
		for _, re := range g.patterns {
			for _, m := range re.All(line, -1) {
				if m[0] < at || m[1] == m[0] {
					continue
				}
				if best == nil || m[0] < best[0] || m[0] == best[0] && m[1] > best[1] {
					best = m
				}
				break
			}
		}
		if best == nil {
			return
		}
		g.prefix(name, n, offset+best[0], ":")
		g.c.Out.WriteString(line[best[0]:best[1]])
		g.c.Out.WriteByte(delim)
		at = best[1]
	}
}
