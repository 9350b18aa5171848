package tools

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func compareTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "cmp", Usage: "[-ls] FILE1 [FILE2]", Short: "compare two files byte by byte", Run: cmpFiles, Options: []tool.Option{
			{Short: 's', Long: "quiet", Help: "only the exit status"}, {Long: "silent", Help: "as -s"}, {Short: 'l', Long: "verbose", Help: "every difference"},
		}},
		{Name: "diff", Usage: "[OPTION]... FILE1 FILE2", Short: "compare files line by line", Run: diff, Options: []tool.Option{
			{Short: 'u', Help: "unified, with 3 lines around"}, {Short: 'U', Long: "unified", Arg: "[N]", Help: "unified, with N lines around"}, {Short: 'q', Long: "brief", Help: "only whether they differ"},
			{Short: 's', Long: "report-identical-files", Help: "say so when they are the same"}, {Short: 'r', Long: "recursive", Help: "folders too"}, {Short: 'N', Long: "new-file", Help: "a missing file is empty"},
			{Short: 'i', Long: "ignore-case", Help: "ignore case"}, {Short: 'w', Long: "ignore-all-space", Help: "ignore white space"}, {Short: 'b', Long: "ignore-space-change", Help: "ignore changes of white space"},
			{Short: 'B', Long: "ignore-blank-lines", Help: "accepted"}, {Short: 'a', Long: "text", Help: "accepted"}, {Long: "label", Arg: "NAME", Help: "name in the header"}, {Long: "color", Arg: "[WHEN]", Help: "accepted"}, {Long: "strip-trailing-cr", Help: "ignore CR at line ends"},
		}},
	}
}

func readAll(c *tool.Call, name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func cmpFiles(c *tool.Call) int {
	if len(c.Args) == 1 {
		c.Args = append(c.Args, "-")
	}
	if len(c.Args) != 2 {
		c.Errorf("two files are needed")
		return 2
	}
	var data [2][]byte
	for i, name := range c.Args {
		var err error
		if data[i], err = readAll(c, name); err != nil {
			c.FileError(name, err)
			return 2
		}
	}
	silent := c.Has("s") || c.Has("silent")
	line, status := 1, 0
	for i := range min(len(data[0]), len(data[1])) {
		a, b := data[0][i], data[1][i]
		if a != b {
			status = 1
			if silent {
				return 1
			}
			if !c.Has("l") {
				fmt.Fprintf(c.Out, "%s %s differ: byte %d, line %d\n", c.Args[0], c.Args[1], i+1, line)
				return 1
			}
			fmt.Fprintf(c.Out, "%d %3o %3o\n", i+1, a, b)
		}
		if a == '\n' {
			line++
		}
	}
	if len(data[0]) != len(data[1]) {
		if !silent {
			short := 0
			if len(data[1]) < len(data[0]) {
				short = 1
			}
			c.Errorf("EOF on %s after byte %d", c.Args[short], len(data[short]))
		}
		return 1
	}
	return status
}

// hunk is a change: lines a1..a2 of the first file become b1..b2 of the second.
type hunk struct{ a1, a2, b1, b2 int }

// diffLines finds a shortest set of changes (Myers), with a bound on its work:
// beyond it, all that is left counts as changed.
func diffLines(a, b []int) []hunk {
	pre := 0
	for pre < len(a) && pre < len(b) && a[pre] == b[pre] {
		pre++
	}
	enda, endb := len(a), len(b)
	for enda > pre && endb > pre && a[enda-1] == b[endb-1] {
		enda--
		endb--
	}
	return merge(myers(a, b, pre, enda, pre, endb))
}

// maxEdits bounds the search: 2·maxEdits² numbers of memory in the worst case.
const maxEdits = 3000

func myers(a, b []int, a1, a2, b1, b2 int) []hunk {
	n, m := a2-a1, b2-b1
	if n == 0 && m == 0 {
		return nil
	}
	if n == 0 || m == 0 {
		return []hunk{{a1, a2, b1, b2}}
	}
	limit := min(n+m, maxEdits)
	v := make([]int, 2*limit+2)
	var trace [][]int
	found := -1
search:
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(v[limit-d:limit+d+1]))
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || k != d && v[limit+k-1] < v[limit+k+1] {
				x = v[limit+k+1]
			} else {
				x = v[limit+k-1] + 1
			}
			y := x - k
			for x < n && y < m && a[a1+x] == b[b1+y] {
				x++
				y++
			}
			v[limit+k] = x
			if x >= n && y >= m {
				found = d
				break search
			}
		}
	}
	if found < 0 {
		return []hunk{{a1, a2, b1, b2}}
	}
	var out []hunk
	x, y := n, m
	for d := found; d > 0; d-- {
		prev := trace[d] // v before step d, for k from -d to d
		at := func(k int) int { return prev[k+d] }
		k := x - y
		var pk int
		if k == -d || k != d && at(k-1) < at(k+1) {
			pk = k + 1
		} else {
			pk = k - 1
		}
		px := at(pk)
		py := px - pk
		if pk > k {
			out = append(out, hunk{a1 + px, a1 + px, b1 + py, b1 + py + 1})
		} else {
			out = append(out, hunk{a1 + px, a1 + px + 1, b1 + py, b1 + py})
		}
		x, y = px, py
	}
	slices.Reverse(out)
	return out
}

func merge(hs []hunk) []hunk {
	var out []hunk
	for _, h := range hs {
		if n := len(out); n > 0 && out[n-1].a2 == h.a1 && out[n-1].b2 == h.b1 {
			out[n-1].a2, out[n-1].b2 = h.a2, h.b2
			continue
		}
		out = append(out, h)
	}
	return out
}

func diff(c *tool.Call) int {
	if len(c.Args) != 2 {
		c.Errorf("two files are needed")
		return 2
	}
	return diffPaths(c, c.Args[0], c.Args[1], false)
}

func isDir(c *tool.Call, name string) bool {
	info, err := os.Stat(c.Path(name))
	return err == nil && info.IsDir() && name != "-"
}

func diffPaths(c *tool.Call, a, b string, inside bool) int {
	da, db := isDir(c, a), isDir(c, b)
	switch {
	case da && db:
		return diffFolders(c, a, b)
	case da && !inside:
		return diffPaths(c, filepath.Join(a, filepath.Base(b)), b, true)
	case db && !inside:
		return diffPaths(c, a, filepath.Join(b, filepath.Base(a)), true)
	}
	da1, err1 := readAll(c, a)
	da2, err2 := readAll(c, b)
	if c.Has("N") {
		if os.IsNotExist(err1) {
			err1 = nil
		}
		if os.IsNotExist(err2) {
			err2 = nil
		}
	}
	if err1 != nil || err2 != nil {
		if err1 != nil {
			c.FileError(a, err1)
		}
		if err2 != nil {
			c.FileError(b, err2)
		}
		return 2
	}
	if inside {
		return diffFiles(c, a, b, da1, da2, fmt.Sprintf("diff %s%s %s\n", optionText(c), a, b))
	}
	return diffFiles(c, a, b, da1, da2, "")
}

func optionText(c *tool.Call) string {
	var b strings.Builder
	for _, o := range c.Opts {
		if len(o.Key) == 1 {
			b.WriteString("-" + o.Key + o.Value + " ")
		}
	}
	return b.String()
}

func diffFolders(c *tool.Call, a, b string) int {
	names := map[string]int{}
	for i, dir := range []string{a, b} {
		entries, err := os.ReadDir(c.Path(dir))
		if err != nil {
			c.FileError(dir, err)
			return 2
		}
		for _, e := range entries {
			names[e.Name()] |= 1 << i
		}
	}
	status := 0
	var sorted []string
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	for _, n := range sorted {
		x, y := filepath.Join(a, n), filepath.Join(b, n)
		if strings.HasPrefix(a, "./") {
			x = "./" + x
		}
		switch {
		case names[n] != 3 && !c.Has("N"):
			dir := a
			if names[n] == 2 {
				dir = b
			}
			fmt.Fprintf(c.Out, "Only in %s: %s\n", dir, n)
			status = max(status, 1)
		case isDir(c, x) && isDir(c, y):
			if !c.Has("r") {
				fmt.Fprintf(c.Out, "Common subdirectories: %s and %s\n", x, y)
				continue
			}
			status = max(status, diffFolders(c, x, y))
		default:
			status = max(status, diffPaths(c, x, y, true))
		}
	}
	return status
}

func diffFiles(c *tool.Call, nameA, nameB string, a, b []byte, header string) int {
	la, endA := splitLines(a)
	lb, endB := splitLines(b)
	same := bytes.Equal(a, b)
	var hs []hunk
	if !same {
		ids := map[string]int{}
		number := func(lines []string, ended bool) []int {
			out := make([]int, len(lines))
			for i, l := range lines {
				l = normalLine(c, l)
				if i == len(lines)-1 && !ended {
					l += "\x00no newline"
				}
				id, ok := ids[l]
				if !ok {
					id = len(ids)
					ids[l] = id
				}
				out[i] = id
			}
			return out
		}
		hs = diffLines(number(la, endA), number(lb, endB))
		same = len(hs) == 0
	}
	switch {
	case same:
		if c.Has("s") {
			fmt.Fprintf(c.Out, "Files %s and %s are identical\n", nameA, nameB)
		}
		return 0
	case c.Has("q"):
		fmt.Fprintf(c.Out, "Files %s and %s differ\n", nameA, nameB)
		return 1
	case !c.Has("a") && (bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0):
		fmt.Fprintf(c.Out, "Binary files %s and %s differ\n", nameA, nameB)
		return 1
	}
	c.Out.WriteString(header)
	d := differ{c, la, lb, endA, endB}
	if c.Has("u") || c.Has("U") {
		around := 3
		if c.Value("U") != "" {
			around = atoi(c, "U", 3)
		}
		labels := []string{d.label(nameA), d.label(nameB)}
		copy(labels, c.Values("label"))
		fmt.Fprintf(c.Out, "--- %s\n+++ %s\n", labels[0], labels[1])
		d.unified(hs, around)
	} else {
		d.normal(hs)
	}
	return 1
}

func normalLine(c *tool.Call, l string) string {
	if c.Has("strip-trailing-cr") {
		l = strings.TrimSuffix(l, "\r")
	}
	switch {
	case c.Has("w"):
		l = strings.Join(strings.Fields(l), "")
	case c.Has("b"):
		lead := ""
		if strings.TrimLeft(l, " \t") != l {
			lead = " "
		}
		l = lead + strings.Join(strings.Fields(l), " ")
	}
	if c.Has("i") {
		l = strings.ToLower(l)
	}
	return l
}

func splitLines(data []byte) (lines []string, ended bool) {
	if len(data) == 0 {
		return nil, true
	}
	s := string(data)
	ended = strings.HasSuffix(s, "\n")
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n"), ended
}

type differ struct {
	c          *tool.Call
	a, b       []string
	endA, endB bool
}

func (d differ) label(name string) string {
	when := "1970-01-01 00:00:00.000000000 +0000"
	if info, err := os.Stat(d.c.Path(name)); err == nil {
		when = info.ModTime().UTC().Format("2006-01-02 15:04:05.000000000 -0700")
	}
	return name + "\t" + when
}

func (d differ) put(mark string, lines []string, i int, ended bool) {
	d.c.Out.WriteString(mark + lines[i] + "\n")
	if i == len(lines)-1 && !ended {
		d.c.Out.WriteString("\\ No newline at end of file\n")
	}
}

func (d differ) normal(hs []hunk) {
	span := func(from, to int) string {
		if to-from <= 1 {
			return fmt.Sprint(max(from+1, to))
		}
		return fmt.Sprintf("%d,%d", from+1, to)
	}
	for _, h := range hs {
		switch {
		case h.a1 == h.a2:
			fmt.Fprintf(d.c.Out, "%da%s\n", h.a1, span(h.b1, h.b2))
		case h.b1 == h.b2:
			fmt.Fprintf(d.c.Out, "%sd%d\n", span(h.a1, h.a2), h.b1)
		default:
			fmt.Fprintf(d.c.Out, "%sc%s\n", span(h.a1, h.a2), span(h.b1, h.b2))
		}
		for i := h.a1; i < h.a2; i++ {
			d.put("< ", d.a, i, d.endA)
		}
		if h.a1 != h.a2 && h.b1 != h.b2 {
			d.c.Out.WriteString("---\n")
		}
		for i := h.b1; i < h.b2; i++ {
			d.put("> ", d.b, i, d.endB)
		}
	}
}

func (d differ) unified(hs []hunk, around int) {
	span := func(from, to int) string {
		switch to - from {
		case 0:
			return fmt.Sprintf("%d,0", from)
		case 1:
			return fmt.Sprint(from + 1)
		}
		return fmt.Sprintf("%d,%d", from+1, to-from)
	}
	for len(hs) > 0 {
		n := 1
		for n < len(hs) && hs[n].a1-hs[n-1].a2 <= 2*around {
			n++
		}
		first, last := hs[0], hs[n-1]
		lead := min(around, first.a1)
		tail := min(around, len(d.a)-last.a2)
		fmt.Fprintf(d.c.Out, "@@ -%s +%s @@\n", span(first.a1-lead, last.a2+tail), span(first.b1-lead, last.b2+tail))
		at := first.a1 - lead
		for _, h := range hs[:n] {
			for ; at < h.a1; at++ {
				d.put(" ", d.a, at, d.endA)
			}
			for ; at < h.a2; at++ {
				d.put("-", d.a, at, d.endA)
			}
			for i := h.b1; i < h.b2; i++ {
				d.put("+", d.b, i, d.endB)
			}
		}
		for ; at < last.a2+tail; at++ {
			d.put(" ", d.a, at, d.endA)
		}
		hs = hs[n:]
	}
}
