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

// sortKey is one -k; its flags replace the global ones when it has any.
type sortKey struct {
	f1, c1, f2, c2 int
	flags          string
}

func parseKey(s, global string) (sortKey, error) {
	k := sortKey{f2: 0}
	bad := fmt.Errorf("invalid field specification '%s'", s)
	from, to, hasTo := strings.Cut(s, ",")
	parse := func(p string) (field, char int, flags string, err error) {
		i := 0
		for i < len(p) && (p[i] >= '0' && p[i] <= '9' || p[i] == '.') {
			i++
		}
		flags = p[i:]
		if strings.Trim(flags, "bdfginhrVMR") != "" {
			return 0, 0, "", bad
		}
		f, c, hasChar := strings.Cut(p[:i], ".")
		if field, err = strconv.Atoi(f); err != nil || field < 1 {
			return 0, 0, "", bad
		}
		if hasChar {
			if char, err = strconv.Atoi(c); err != nil {
				return 0, 0, "", bad
			}
		}
		return field, char, flags, nil
	}
	var err error
	if k.f1, k.c1, k.flags, err = parse(from); err != nil {
		return k, err
	}
	if hasTo {
		var flags string
		if k.f2, k.c2, flags, err = parse(to); err != nil {
			return k, err
		}
		k.flags += flags
	}
	if k.flags == "" {
		k.flags = global
	}
	return k, nil
}

// extract gives the part of a line that a key means.
func (k sortKey) extract(line, sep string) string {
	if k.f1 == 0 {
		return line
	}
	starts := fieldStarts(line, sep)
	begin := len(line)
	if k.f1 <= len(starts) {
		begin = starts[k.f1-1]
	}
	end := len(line)
	if k.f2 > 0 && k.f2 <= len(starts) {
		if k.c2 > 0 {
			from := starts[k.f2-1]
			if sep == "" && strings.Contains(k.flags, "b") {
				for from < len(line) && (line[from] == ' ' || line[from] == '\t') {
					from++
				}
			}
			end = min(len(line), from+k.c2)
		} else if k.f2 < len(starts) {
			end = starts[k.f2] - len(sep)
		}
	}
	if strings.Contains(k.flags, "b") {
		for begin < end && (line[begin] == ' ' || line[begin] == '\t') {
			begin++
		}
	}
	if k.c1 > 1 {
		begin += k.c1 - 1
	}
	if begin >= end {
		return ""
	}
	return line[begin:end]
}

func fieldStarts(line, sep string) []int {
	starts := []int{0}
	if sep != "" {
		for i := 0; i+len(sep) <= len(line); i++ {
			if line[i:i+len(sep)] == sep {
				starts = append(starts, i+len(sep))
			}
		}
		return starts
	}
	// A field begins with the blanks before it.
	for i := 1; i < len(line); i++ {
		blank := line[i] == ' ' || line[i] == '\t'
		before := line[i-1] == ' ' || line[i-1] == '\t'
		if blank && !before {
			starts = append(starts, i)
		}
	}
	return starts
}

func leadingNumber(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	for i < len(s) && (s[i] >= '0' && s[i] <= '9') {
		i++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		}
	}
	f, _ := strconv.ParseFloat(s[:i], 64)
	return f
}

func human(s string) float64 {
	f := leadingNumber(s)
	t := strings.TrimLeft(strings.TrimLeft(s, " \t"), "-0123456789.")
	if t != "" {
		if i := strings.IndexByte("KMGTPE", t[0]&^0x20); i >= 0 {
			// The unit decides before the number does.
			for range i + 1 {
				f *= 1024
			}
		}
	}
	return f
}

var months = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"

func compareKeys(a, b, flags string) int {
	has := func(f string) bool { return strings.Contains(flags, f) }
	order := 0
	numeric := func(f func(string) float64) {
		x, y := f(a), f(b)
		switch {
		case x < y:
			order = -1
		case x > y:
			order = 1
		}
	}
	switch {
	case has("n"):
		numeric(leadingNumber)
	case has("h"):
		numeric(human)
	case has("g"):
		numeric(func(s string) float64 {
			s = strings.TrimSpace(s)
			for n := len(s); n > 0; n-- {
				if f, err := strconv.ParseFloat(s[:n], 64); err == nil {
					return f
				}
			}
			return 0
		})
	case has("M"):
		numeric(func(s string) float64 {
			s = strings.ToUpper(strings.TrimSpace(s))
			if len(s) < 3 {
				return -1
			}
			return float64(strings.Index(months, s[:3]))
		})
	case has("V"):
		order = compareVersions(a, b)
	default:
		if has("d") {
			keep := func(r rune) rune {
				if r == ' ' || r == '\t' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}
			a, b = strings.Map(keep, a), strings.Map(keep, b)
		}
		if has("f") {
			a, b = strings.ToUpper(a), strings.ToUpper(b)
		}
		order = strings.Compare(a, b)
	}
	if has("r") {
		order = -order
	}
	return order
}

// compareVersions compares runs of digits as numbers and the rest as text,
// letters before other characters and ~ before everything.
func compareVersions(a, b string) int {
	weight := func(s string, i int) int {
		switch {
		case i >= len(s) || s[i] >= '0' && s[i] <= '9':
			return 0
		case s[i] == '~':
			return -1
		case s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	digit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !digit(a, i) || j < len(b) && !digit(b, j) {
			if x, y := weight(a, i), weight(b, j); x != y {
				return x - y
			}
			i++
			j++
		}
		for i < len(a) && a[i] == '0' {
			i++
		}
		for j < len(b) && b[j] == '0' {
			j++
		}
		first := 0
		for digit(a, i) && digit(b, j) {
			if first == 0 {
				first = int(a[i]) - int(b[j])
			}
			i++
			j++
		}
		if digit(a, i) {
			return 1
		}
		if digit(b, j) {
			return -1
		}
		if first != 0 {
			return first
		}
	}
	return 0
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

// twoFiles reads both operands.
func twoFiles(c *tool.Call) (a, b []string, status int) {
	if len(c.Args) != 2 {
		return nil, nil, c.Fail("two files are needed")
	}
	var both [2][]string
	for i, name := range c.Args {
		f, err := c.Open(name)
		if err != nil {
			c.FileError(name, err)
			return nil, nil, 1
		}
		both[i], _ = readLines(f, '\n')
		f.Close()
	}
	return both[0], both[1], 0
}

func comm(c *tool.Call) int {
	a, b, status := twoFiles(c)
	if status != 0 {
		return status
	}
	sep := "\t"
	if c.Has("output-delimiter") {
		sep = c.Value("output-delimiter")
	}
	put := func(column, line string) {
		if c.Has(column) {
			return
		}
		for _, before := range []string{"1", "2"} {
			if before < column && !c.Has(before) {
				c.Out.WriteString(sep)
			}
		}
		c.Out.WriteString(line + "\n")
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			put("1", a[0])
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			put("2", b[0])
			b = b[1:]
		default:
			put("3", a[0])
			a, b = a[1:], b[1:]
		}
	}
	return 0
}

func join(c *tool.Call) int {
	a, b, status := twoFiles(c)
	if status != 0 {
		return status
	}
	f1, f2 := atoi(c, "1", atoi(c, "j", 1)), atoi(c, "2", atoi(c, "j", 1))
	if f1 < 1 || f2 < 1 {
		return c.Fail("fields are numbered from 1")
	}
	sep := c.Value("t")
	fields := func(l string) []string {
		if sep == "" {
			return strings.Fields(l)
		}
		return strings.Split(l, sep)
	}
	between := sep
	if between == "" {
		between = " "
	}
	key := func(l string, n int) string {
		if f := fields(l); n <= len(f) {
			return f[n-1]
		}
		return ""
	}
	rest := func(l string, n int) []string {
		f := fields(l)
		if n <= len(f) {
			return slices.Delete(f, n-1, n)
		}
		return f
	}
	alone := func(which string) bool {
		return slices.Contains(c.Values("a"), which) || slices.Contains(c.Values("v"), which)
	}
	single := func(which, l string, n int) {
		if alone(which) {
			c.Out.WriteString(strings.Join(slices.Concat([]string{key(l, n)}, rest(l, n)), between) + "\n")
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x, y := key(a[i], f1), key(b[j], f2)
		switch {
		case x < y:
			single("1", a[i], f1)
			i++
		case x > y:
			single("2", b[j], f2)
			j++
		default:
			end := j
			for end < len(b) && key(b[end], f2) == x {
				end++
			}
			for ; i < len(a) && key(a[i], f1) == x; i++ {
				for k := j; k < end && !c.Has("v"); k++ {
					c.Out.WriteString(strings.Join(slices.Concat([]string{x}, rest(a[i], f1), rest(b[k], f2)), between) + "\n")
				}
			}
			j = end
		}
	}
	for ; i < len(a); i++ {
		single("1", a[i], f1)
	}
	for ; j < len(b); j++ {
		single("2", b[j], f2)
	}
	return 0
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
