package tools

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

func bytesTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "od", Usage: "[OPTION]... [FILE]...", Short: "dump bytes", Run: od, Options: []tool.Option{
			{Short: 'A', Long: "address-radix", Arg: "BASE", Help: "o, d, x or n"}, {Short: 't', Long: "format", Arg: "TYPE", Help: "a letter of odux with a size, or c"},
			{Short: 'N', Long: "read-bytes", Arg: "N", Help: "at most N bytes"}, {Short: 'j', Long: "skip-bytes", Arg: "N", Help: "pass over N bytes"}, {Short: 'v', Long: "output-duplicates", Help: "repeated lines too"},
			{Short: 'w', Long: "width", Arg: "[N]", Help: "bytes a line (16)"}, {Short: 'c', Help: "as -t c"}, {Short: 'x', Help: "as -t x2"}, {Short: 'b', Help: "as -t o1"}, {Short: 'd', Help: "as -t u2"}, {Short: 'o', Help: "as -t o2"},
		}},
		{Name: "hexdump", Aliases: []string{"hd"}, Usage: "[-C] [-n N] [-s N] [-v] [FILE]...", Short: "dump bytes in hexadecimal", Run: hexdump, Options: []tool.Option{
			{Short: 'C', Help: "with characters"}, {Short: 'n', Arg: "N", Help: "at most N bytes"}, {Short: 's', Arg: "N", Help: "pass over N bytes"}, {Short: 'v', Help: "repeated lines too"},
		}, Notes: []string{"No -e."}},
		{Name: "xxd", Usage: "[-p] [-r] [-l N] [-s N] [-c N] [-u] [FILE]", Short: "dump bytes, or turn a dump back", Run: xxd, Options: []tool.Option{
			{Short: 'p', Long: "plain", Help: "only digits"}, {Short: 'r', Long: "reverse", Help: "turn a dump back"}, {Short: 'l', Arg: "N", Help: "at most N bytes"}, {Short: 's', Arg: "N", Help: "pass over N bytes"}, {Short: 'c', Arg: "N", Help: "bytes a line"}, {Short: 'u', Help: "upper case"}, {Short: 'g', Arg: "N", Help: "bytes a group (2)"},
		}},
	}
}

func dumpInput(c *tool.Call, skip, limit int64) ([]byte, int) {
	var all []byte
	status := c.Inputs(c.Args, func(_ string, r io.Reader) error {
		// Never more than asked for: the input may be endless.
		if limit >= 0 {
			r = io.LimitReader(r, skip+limit-int64(len(all)))
		}
		data, err := io.ReadAll(r)
		all = append(all, data...)
		return err
	})
	all = all[min(int64(len(all)), skip):]
	return all, status
}

func offsets(c *tool.Call, skipKey, limitKey string) (skip, limit int64) {
	limit = -1
	for key, to := range map[string]*int64{skipKey: &skip, limitKey: &limit} {
		if c.Has(key) {
			n, err := strconv.ParseInt(c.Value(key), 0, 64)
			if err != nil {
				c.Errorf("invalid number: '%s'", c.Value(key))
				c.Exit(1)
			}
			*to = n
		}
	}
	return max(0, skip), limit
}

func od(c *tool.Call) int {
	skip, limit := offsets(c, "j", "N")
	data, status := dumpInput(c, skip, limit)
	format := "o2"
	for _, o := range c.Opts {
		switch o.Key {
		case "t":
			format = o.Value
		case "c":
			format = "c"
		case "x":
			format = "x2"
		case "b":
			format = "o1"
		case "d":
			format = "u2"
		case "o":
			format = "o2"
		}
	}
	kind := format[0]
	unit := 4
	if kind == 'c' {
		unit = 1
	}
	if len(format) > 1 {
		switch format[1:] {
		case "1", "C":
			unit = 1
		case "2", "S":
			unit = 2
		case "4", "I":
			unit = 4
		case "8", "L":
			unit = 8
		default:
			return c.Fail("invalid type string '%s'", format)
		}
	}
	if strings.IndexByte("oduxc", kind) < 0 {
		return c.Fail("invalid type string '%s'", format)
	}
	address := "%07o"
	switch c.Value("A") {
	case "d":
		address = "%07d"
	case "x":
		address = "%06x"
	case "n":
		address = ""
	}
	width := 16
	if c.Has("w") {
		width = 32
		if c.Value("w") != "" {
			width = max(1, atoi(c, "w", 16))
		}
	}
	lines(c, data, width, !c.Has("v"), func(at int, line []byte) {
		if address != "" {
			fmt.Fprintf(c.Out, address, int64(at)+skip)
		}
		for i := 0; i < len(line); i += unit {
			c.Out.WriteString(odUnit(line[i:min(len(line), i+unit)], kind, unit))
		}
		c.Out.WriteByte('\n')
	})
	if address != "" {
		fmt.Fprintf(c.Out, address+"\n", int64(len(data))+skip)
	}
	return status
}

func odUnit(b []byte, kind byte, unit int) string {
	if kind == 'c' {
		names := map[byte]string{0: `\0`, 7: `\a`, 8: `\b`, 9: `\t`, 10: `\n`, 11: `\v`, 12: `\f`, 13: `\r`}
		s, ok := names[b[0]]
		switch {
		case ok:
		case b[0] >= ' ' && b[0] < 127:
			s = string(rune(b[0]))
		default:
			s = fmt.Sprintf("%03o", b[0])
		}
		return fmt.Sprintf("%4s", s)
	}
	var full [8]byte
	copy(full[:], b)
	n := binary.LittleEndian.Uint64(full[:])
	switch kind {
	case 'x':
		return fmt.Sprintf(" %0*x", unit*2, n)
	case 'o':
		return fmt.Sprintf(" %0*o", map[int]int{1: 3, 2: 6, 4: 11, 8: 22}[unit], n)
	case 'd':
		shift := 64 - unit*8
		return fmt.Sprintf(" %*d", map[int]int{1: 4, 2: 6, 4: 11, 8: 20}[unit], int64(n<<shift)>>shift)
	}
	return fmt.Sprintf(" %*d", map[int]int{1: 3, 2: 5, 4: 10, 8: 20}[unit], n)
}

// lines calls put for each line of a dump, with a * for repeated ones.
func lines(c *tool.Call, data []byte, width int, squeeze bool, put func(at int, line []byte)) {
	previous, starred := "", false
	for at := 0; at < len(data); at += width {
		line := data[at:min(len(data), at+width)]
		if squeeze && at > 0 && string(line) == previous && len(line) == width {
			if !starred {
				c.Out.WriteString("*\n")
			}
			starred = true
			continue
		}
		previous, starred = string(line), false
		put(at, line)
	}
}

func printable(line []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, latin1(line))
}

func latin1(line []byte) string {
	var b strings.Builder
	for _, c := range line {
		b.WriteRune(rune(c))
	}
	return b.String()
}

func hexdump(c *tool.Call) int {
	skip, limit := offsets(c, "s", "n")
	data, status := dumpInput(c, skip, limit)
	canonical := c.Has("C") || c.Name == "hd"
	digits := 7
	if canonical {
		digits = 8
	}
	lines(c, data, 16, !c.Has("v"), func(at int, line []byte) {
		fmt.Fprintf(c.Out, "%0*x", digits, int64(at)+skip)
		if !canonical {
			for i := 0; i < 16; i += 2 {
				if i < len(line) {
					c.Out.WriteString(odUnit(line[i:min(len(line), i+2)], 'x', 2))
				} else {
					c.Out.WriteString("     ")
				}
			}
			c.Out.WriteByte('\n')
			return
		}
		var b strings.Builder
		for i, x := range line {
			if i == 8 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, " %02x", x)
		}
		fmt.Fprintf(c.Out, " %-50s |%s|\n", b.String(), printable(line))
	})
	if len(data) > 0 {
		fmt.Fprintf(c.Out, "%0*x\n", digits, int64(len(data))+skip)
	}
	return status
}

func xxd(c *tool.Call) int {
	if c.Has("r") {
		return xxdReverse(c)
	}
	skip, limit := offsets(c, "s", "l")
	data, status := dumpInput(c, skip, limit)
	verb := "%02x"
	if c.Has("u") {
		verb = "%02X"
	}
	if c.Has("p") {
		width := atoi(c, "c", 30)
		for at := 0; at < len(data); at += max(1, width) {
			for _, b := range data[at:min(len(data), at+max(1, width))] {
				fmt.Fprintf(c.Out, verb, b)
			}
			c.Out.WriteByte('\n')
		}
		return status
	}
	width, group := max(1, atoi(c, "c", 16)), max(1, atoi(c, "g", 2))
	total := width*2 + (width+group-1)/group
	lines(c, data, width, false, func(at int, line []byte) {
		var b strings.Builder
		for i, x := range line {
			fmt.Fprintf(&b, verb, x)
			if i%group == group-1 {
				b.WriteByte(' ')
			}
		}
		fmt.Fprintf(c.Out, "%08x: %-*s %s\n", int64(at)+skip, total, b.String(), printable(line))
	})
	return status
}

func xxdReverse(c *tool.Call) int {
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, _ bool) bool {
			if !c.Has("p") {
				_, rest, ok := strings.Cut(l, ": ")
				if !ok {
					return true
				}
				l, _, _ = strings.Cut(rest, "  ")
			}
			l = strings.Join(strings.Fields(l), "")
			data, _ := hex.DecodeString(l[:len(l)&^1])
			c.Out.Write(data)
			return true
		})
	})
}
