package tools

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func sortTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "sort", Usage: "[OPTION]... [FILE]...", Short: "sort lines", Run: sortLines, Options: []tool.Option{
			{Short: 'r', Long: "reverse", Help: "reverse"}, {Short: 'n', Long: "numeric-sort", Help: "by numbers"},
			{Short: 'g', Long: "general-numeric-sort", Help: "by floating-point numbers"}, {Short: 'h', Long: "human-numeric-sort", Help: "by sizes like 2K"},
			{Short: 'V', Long: "version-sort", Help: "by version numbers"}, {Short: 'M', Long: "month-sort", Help: "by months"},
			{Short: 'f', Long: "ignore-case", Help: "upper and lower case are one"}, {Short: 'd', Long: "dictionary-order", Help: "only blanks, letters and digits count"},
			{Short: 'b', Long: "ignore-leading-blanks", Help: "leading blanks do not count"}, {Short: 'i', Long: "ignore-nonprinting", Help: "accepted"},
			{Short: 'u', Long: "unique", Help: "one of equal lines"}, {Short: 's', Long: "stable", Help: "keep the order of equal lines"},
			{Short: 'k', Long: "key", Arg: "KEY", Help: "sort by F[.C][OPTS][,F[.C][OPTS]]"}, {Short: 't', Long: "field-separator", Arg: "C", Help: "what separates fields"},
			{Short: 'o', Long: "output", Arg: "FILE", Help: "write to FILE"}, {Short: 'c', Long: "check", Help: "only check"}, {Short: 'C', Help: "only check, quietly"},
			{Short: 'm', Long: "merge", Help: "accepted: sorts"}, {Short: 'z', Long: "zero-terminated", Help: "lines end with NUL"}, {Short: 'R', Long: "random-sort", Help: "shuffle"},
			{Short: 'S', Long: "buffer-size", Arg: "N", Help: "accepted"}, {Short: 'T', Long: "temporary-directory", Arg: "DIR", Help: "accepted"}, {Long: "parallel", Arg: "N", Help: "accepted"},
		}, Notes: []string{"Bytes decide the order, as with LC_ALL=C."}},
		{Name: "uniq", Usage: "[OPTION]... [INPUT [OUTPUT]]", Short: "drop repeated lines", Run: uniq, Options: []tool.Option{
			{Short: 'c', Long: "count", Help: "say how often"}, {Short: 'd', Long: "repeated", Help: "only repeated ones"}, {Short: 'u', Long: "unique", Help: "only single ones"},
			{Short: 'i', Long: "ignore-case", Help: "upper and lower case are one"}, {Short: 'f', Long: "skip-fields", Arg: "N", Help: "the first N fields do not count"},
			{Short: 's', Long: "skip-chars", Arg: "N", Help: "the first N characters do not count"}, {Short: 'w', Long: "check-chars", Arg: "N", Help: "only N characters count"}, {Short: 'z', Long: "zero-terminated", Help: "lines end with NUL"},
		}},
		{Name: "comm", Usage: "[-123] FILE1 FILE2", Short: "compare two sorted files", Run: comm, Options: []tool.Option{
			{Short: '1', Help: "no lines of FILE1 alone"}, {Short: '2', Help: "no lines of FILE2 alone"}, {Short: '3', Help: "no lines of both"},
			{Long: "output-delimiter", Arg: "TEXT", Help: "between columns"}, {Long: "nocheck-order", Help: "accepted"},
		}},
		{Name: "join", Usage: "[OPTION]... FILE1 FILE2", Short: "join lines of two sorted files by a field", Run: join, Options: []tool.Option{
			{Short: '1', Arg: "N", Help: "field of FILE1"}, {Short: '2', Arg: "N", Help: "field of FILE2"}, {Short: 'j', Arg: "N", Help: "field of both"},
			{Short: 't', Arg: "C", Help: "what separates fields"}, {Short: 'a', Arg: "N", Help: "also lines of file N alone"}, {Short: 'v', Arg: "N", Help: "only lines of file N alone"},
		}},
		{Name: "shuf", Usage: "[OPTION]... [FILE]", Short: "shuffle lines", Run: shuf, Options: []tool.Option{
			{Short: 'n', Long: "head-count", Arg: "N", Help: "at most N lines"}, {Short: 'e', Long: "echo", Help: "the arguments are the lines"}, {Short: 'i', Long: "input-range", Arg: "LO-HI", Help: "the lines are numbers"},
		}},
	}
}

func sortLines(c *tool.Call) int {
	global := ""
	for _, f := range "bdfginhrVM" {
		if c.Has(string(f)) {
			global += string(f)
		}
	}
	sep := c.Value("t")
	if sep == `\0` {
		sep = "\x00"
	}
	var keys []sortKey
	for _, text := range c.Values("k") {
		k, err := parseKey(text, global)
		if err != nil {
			c.Errorf("%v", err)
			return 2
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		keys = []sortKey{{flags: global}}
	}
	compare := func(a, b string) int {
		for _, k := range keys {
			x, y := k.extract(a, sep), k.extract(b, sep)
			if k.f1 == 0 && strings.Contains(k.flags, "b") {
				x, y = strings.TrimLeft(x, " \t"), strings.TrimLeft(y, " \t")
			}
			if o := compareKeys(x, y, k.flags); o != 0 {
				return o
			}
		}
		return 0
	}
	full := func(a, b string) int {
		o := compare(a, b)
		if o == 0 && !c.Has("s") && !c.Has("u") {
			if o = strings.Compare(a, b); c.Has("r") {
				o = -o
			}
		}
		return o
	}
	delim := lineEnd(c)
	var lines []string
	status := c.Inputs(c.Args, func(_ string, r io.Reader) error {
		some, err := readLines(r, delim)
		lines = append(lines, some...)
		return err
	})
	if status != 0 {
		return 2
	}
	if c.Has("c") || c.Has("C") {
		for i := 1; i < len(lines); i++ {
			if o := full(lines[i-1], lines[i]); o > 0 || o == 0 && c.Has("u") {
				if c.Has("c") {
					c.Errorf("-:%d: disorder: %s", i+1, lines[i])
				}
				return 1
			}
		}
		return 0
	}
	if c.Has("R") {
		rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	} else {
		slices.SortStableFunc(lines, full)
	}
	if c.Has("u") {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return compare(a, b) == 0 })
	}
	var out io.Writer = c.Out
	if c.Has("o") {
		f, err := c.Create(c.Value("o"))
		if err != nil {
			c.FileError(c.Value("o"), err)
			return 2
		}
		defer f.Close()
		out = f
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte(delim)
		if b.Len() > 64<<10 {
			io.WriteString(out, b.String())
			b.Reset()
		}
	}
	io.WriteString(out, b.String())
	return 0
}

func uniq(c *tool.Call) int {
	var in []string
	if len(c.Args) > 0 {
		in = c.Args[:1]
	}
	var out io.Writer = c.Out
	if len(c.Args) > 1 {
		f, err := c.Create(c.Args[1])
		if err != nil {
			c.FileError(c.Args[1], err)
			return 1
		}
		defer f.Close()
		out = f
	}
	delim := lineEnd(c)
	fields, chars, width := atoi(c, "f", 0), atoi(c, "s", 0), atoi(c, "w", -1)
	key := func(l string) string {
		for range fields {
			l = strings.TrimLeft(l, " \t")
			if i := strings.IndexAny(l, " \t"); i >= 0 {
				l = l[i:]
			} else {
				l = ""
			}
		}
		l = l[min(len(l), chars):]
		if width >= 0 {
			l = l[:min(len(l), width)]
		}
		if c.Has("i") {
			l = strings.ToLower(l)
		}
		return l
	}
	line, n := "", 0
	flush := func() {
		if n == 0 || c.Has("d") && n == 1 || c.Has("u") && n > 1 {
			return
		}
		if c.Has("c") {
			fmt.Fprintf(out, "%7d ", n)
		}
		io.WriteString(out, line+string(delim))
	}
	status := c.Inputs(in, func(_ string, r io.Reader) error {
		return eachLine(r, delim, func(l string, _ bool) bool {
			if n > 0 && key(l) == key(line) {
				n++
				return true
			}
			flush()
			line, n = l, 1
			return true
		})
	})
	flush()
	return status
}

func shuf(c *tool.Call) int {
	var lines []string
	status := 0
	switch {
	case c.Has("e"):
		lines = c.Args
	case c.Has("i"):
		var lo, hi int
		if _, err := fmt.Sscanf(c.Value("i"), "%d-%d", &lo, &hi); err != nil || hi-lo > 10_000_000 {
			return c.Fail("invalid input range: '%s'", c.Value("i"))
		}
		for n := lo; n <= hi; n++ {
			lines = append(lines, strconv.Itoa(n))
		}
	default:
		status = c.Inputs(c.Args, func(_ string, r io.Reader) (err error) {
			lines, err = readLines(r, '\n')
			return err
		})
	}
	rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for _, l := range lines[:min(len(lines), max(0, atoi(c, "n", len(lines))))] {
		c.Out.WriteString(l + "\n")
	}
	return status
}
