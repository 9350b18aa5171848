package tools

import (
	"slices"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

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
