package tools

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"otelrunner/sandbox/wasm/guest/tool"
)

const appendFlags = os.O_WRONLY | os.O_CREATE | os.O_APPEND

func textTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "cat", Usage: "[OPTION]... [FILE]...", Short: "write files one after the other", Run: cat, Options: []tool.Option{
			{Short: 'n', Long: "number", Help: "number lines"}, {Short: 'b', Long: "number-nonblank", Help: "number lines that are not empty"},
			{Short: 's', Long: "squeeze-blank", Help: "one empty line for many"}, {Short: 'E', Long: "show-ends", Help: "$ at line ends"},
			{Short: 'T', Long: "show-tabs", Help: "tabs as ^I"}, {Short: 'v', Long: "show-nonprinting", Help: "control characters as ^X"},
			{Short: 'A', Long: "show-all", Help: "-vET"}, {Short: 'e', Help: "-vE"}, {Short: 't', Help: "-vT"}, {Short: 'u', Help: "accepted"},
		}},
		{Name: "cut", Usage: "OPTION... [FILE]...", Short: "write parts of lines", Run: cut, Options: []tool.Option{
			{Short: 'f', Long: "fields", Arg: "LIST", Help: "these fields"}, {Short: 'd', Long: "delimiter", Arg: "C", Help: "what separates them (tab)"},
			{Short: 'c', Long: "characters", Arg: "LIST", Help: "these characters"}, {Short: 'b', Long: "bytes", Arg: "LIST", Help: "these bytes"},
			{Short: 's', Long: "only-delimited", Help: "no lines without a delimiter"}, {Long: "complement", Help: "all others"},
			{Long: "output-delimiter", Arg: "TEXT", Help: "between the fields written"}, {Short: 'z', Long: "zero-terminated", Help: "lines end with NUL"}, {Short: 'n', Help: "accepted"},
		}},
		{Name: "paste", Usage: "[OPTION]... [FILE]...", Short: "put lines of files side by side", Run: paste, Options: []tool.Option{
			{Short: 'd', Long: "delimiters", Arg: "LIST", Help: "between them, in turn (tab)"}, {Short: 's', Long: "serial", Help: "one file a line"},
		}},
		{Name: "tr", Usage: "[OPTION]... SET1 [SET2]", Short: "replace, squeeze or delete characters", Run: tr, Options: []tool.Option{
			{Short: 'd', Long: "delete", Help: "delete SET1"}, {Short: 's', Long: "squeeze-repeats", Help: "one of a repeated character"},
			{Short: 'c', Long: "complement", Help: "all characters but SET1"}, {Short: 'C', Help: "as -c"}, {Short: 't', Long: "truncate-set1", Help: "cut SET1 to SET2's length"},
		}, Posix: true},
		{Name: "seq", Usage: "[OPTION]... [FIRST [STEP]] LAST", Short: "write numbers", Run: seq, Raw: true,
			Notes: []string{"Options: -s SEPARATOR, -w (equal width), -f FORMAT."}},
		{Name: "yes", Usage: "[STRING]...", Short: "write a line for ever", Raw: true, Run: yes},
	}
}

func cat(c *tool.Call) int {
	if len(c.Opts) == 0 || len(c.Opts) == 1 && c.Has("u") {
		out := c.Stdout()
		return c.Inputs(c.Args, func(_ string, r io.Reader) error {
			_, err := io.Copy(out, r)
			return err
		})
	}
	ends := c.Has("E") || c.Has("A") || c.Has("e")
	tabs := c.Has("T") || c.Has("A") || c.Has("t")
	visible := c.Has("v") || c.Has("A") || c.Has("e") || c.Has("t")
	n, blank := 0, false
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, ended bool) bool {
			if c.Has("s") && l == "" && blank {
				return true
			}
			blank = l == ""
			if c.Has("b") && l != "" || c.Has("n") && !c.Has("b") {
				n++
				fmt.Fprintf(c.Out, "%6d\t", n)
			}
			for i := 0; i < len(l); i++ {
				b := l[i]
				switch {
				case b == '\t' && tabs:
					c.Out.WriteString("^I")
				case b == '\t' || !visible:
					c.Out.WriteByte(b)
				default:
					if b >= 128 {
						c.Out.WriteString("M-")
						b -= 128
					}
					switch {
					case b < 32:
						c.Out.WriteString("^" + string(rune(b+64)))
					case b == 127:
						c.Out.WriteString("^?")
					default:
						c.Out.WriteByte(b)
					}
				}
			}
			if ended {
				if ends {
					c.Out.WriteByte('$')
				}
				c.Out.WriteByte('\n')
			}
			return true
		})
	})
}

// positions is a LIST like 1,3-5,7-.
type positions [][2]int

func parsePositions(s string) (positions, error) {
	var all positions
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		from, to, ranged := strings.Cut(part, "-")
		lo, hi := 1, math.MaxInt
		var err error
		if from != "" {
			if lo, err = strconv.Atoi(from); err != nil || lo < 1 {
				return nil, fmt.Errorf("invalid list: '%s' (positions are numbered from 1)", s)
			}
		}
		if !ranged {
			hi = lo
		} else if to != "" {
			if hi, err = strconv.Atoi(to); err != nil || hi < lo {
				return nil, fmt.Errorf("invalid range: '%s'", part)
			}
		}
		if from == "" && to == "" {
			return nil, fmt.Errorf("invalid range with no endpoint: -")
		}
		all = append(all, [2]int{lo, hi})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("fields are numbered from 1")
	}
	return all, nil
}

func (p positions) has(n int) bool {
	for _, r := range p {
		if n >= r[0] && n <= r[1] {
			return true
		}
	}
	return false
}

func cut(c *tool.Call) int {
	mode := c.Last("f", "c", "b")
	if mode == "" {
		return c.Fail("you must specify a list of bytes, characters, or fields")
	}
	list, err := parsePositions(c.Value(mode))
	if err != nil {
		return c.Fail("%v", err)
	}
	wanted := func(n int) bool { return list.has(n) != c.Has("complement") }
	sep := "\t"
	if c.Has("d") {
		if sep = c.Value("d"); sep == "" {
			sep = "\x00"
		}
		if utf8.RuneCountInString(sep) != 1 {
			return c.Fail("the delimiter must be a single character")
		}
	}
	between := sep
	if mode != "f" {
		between = ""
	}
	if c.Has("output-delimiter") {
		between = c.Value("output-delimiter")
	}
	delim := lineEnd(c)
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, delim, func(l string, _ bool) bool {
			if mode == "f" {
				if !strings.Contains(l, sep) {
					if !c.Has("s") {
						c.Out.WriteString(l)
						c.Out.WriteByte(delim)
					}
					return true
				}
				first := true
				for i, f := range strings.Split(l, sep) {
					if wanted(i + 1) {
						if !first {
							c.Out.WriteString(between)
						}
						first = false
						c.Out.WriteString(f)
					}
				}
			} else {
				// GNU's cut -c counts bytes; characters are what is meant.
				units := strings.Split(l, "")
				if mode == "b" {
					units = units[:0]
					for i := range len(l) {
						units = append(units, l[i:i+1])
					}
				}
				last := 0
				for i, u := range units {
					if wanted(i + 1) {
						if last > 0 && last != i {
							c.Out.WriteString(between)
						}
						last = i + 1
						c.Out.WriteString(u)
					}
				}
			}
			c.Out.WriteByte(delim)
			return true
		})
	})
}

func paste(c *tool.Call) int {
	delims := []string{"\t"}
	if c.Has("d") {
		delims = strings.Split(strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`, `\0`, "\x00").Replace(c.Value("d")), "")
		for i, d := range delims {
			if d == "\x00" {
				delims[i] = ""
			}
		}
		if len(delims) == 0 {
			delims = []string{""}
		}
	}
	var files [][]string
	var stdin []string
	stdinFiles, readStdin := []int{}, false
	args := c.Args
	if len(args) == 0 {
		args = []string{"-"}
	}
	for i, name := range args {
		if name == "-" {
			stdinFiles = append(stdinFiles, i)
			files = append(files, nil)
			readStdin = true
			continue
		}
		f, err := c.Open(name)
		if err != nil {
			c.FileError(name, err)
			return 1
		}
		lines, _ := readLines(f, '\n')
		f.Close()
		files = append(files, lines)
	}
	if readStdin {
		stdin, _ = readLines(c.Stdin, '\n')
		// Several "-" take lines in turn, unless each file is a line.
		for j, l := range stdin {
			k := stdinFiles[j%len(stdinFiles)]
			if c.Has("s") {
				k = stdinFiles[0]
			}
			files[k] = append(files[k], l)
		}
	}
	if c.Has("s") {
		for _, lines := range files {
			for i, l := range lines {
				if i > 0 {
					c.Out.WriteString(delims[(i-1)%len(delims)])
				}
				c.Out.WriteString(l)
			}
			c.Out.WriteByte('\n')
		}
		return 0
	}
	for row := 0; ; row++ {
		more := false
		for _, lines := range files {
			more = more || row < len(lines)
		}
		if !more {
			return 0
		}
		for i, lines := range files {
			if i > 0 {
				c.Out.WriteString(delims[(i-1)%len(delims)])
			}
			if row < len(lines) {
				c.Out.WriteString(lines[row])
			}
		}
		c.Out.WriteByte('\n')
	}
}

// trSet expands a set of tr into its characters. pad is the length that [c*]
// fills up to.
func trSet(s string, pad int) ([]rune, error) {
	var out []rune
	rs := []rune(s)
	char := func(i int) (rune, int) {
		if rs[i] != '\\' || i+1 == len(rs) {
			return rs[i], i + 1
		}
		if j := strings.IndexRune(`abfnrtv\`, rs[i+1]); j >= 0 {
			return []rune("\a\b\f\n\r\t\v\\")[j], i + 2
		}
		j := i + 1
		for j < len(rs) && j < i+4 && rs[j] >= '0' && rs[j] <= '7' {
			j++
		}
		if j > i+1 {
			n, _ := strconv.ParseUint(string(rs[i+1:j]), 8, 16)
			return rune(n), j
		}
		return rs[i+1], i + 2
	}
	for i := 0; i < len(rs); {
		rest := string(rs[i:])
		if strings.HasPrefix(rest, "[:") {
			if end := strings.Index(rest, ":]"); end > 0 {
				set, ok := trClass(rest[2:end])
				if !ok {
					return nil, fmt.Errorf("invalid character class '%s'", rest[2:end])
				}
				out = append(out, set...)
				i += utf8.RuneCountInString(rest[:end+2])
				continue
			}
		}
		if rs[i] == '[' && i+2 < len(rs) {
			r, j := char(i + 1)
			if j < len(rs) && rs[j] == '*' {
				if end := strings.IndexRune(string(rs[j:]), ']'); end > 0 {
					n, _ := strconv.Atoi(string(rs[j+1 : j+end]))
					if n == 0 {
						n = max(0, pad-len(out))
					}
					for range min(n, 1<<16) {
						out = append(out, r)
					}
					i = j + end + 1
					continue
				}
			}
			if j+1 < len(rs) && i+1 < len(rs) && rs[i+1] == '=' {
				if strings.HasSuffix(string(rs[i:min(len(rs), i+5)]), "=]") {
					out = append(out, rs[i+2])
					i += 5
					continue
				}
			}
		}
		lo, j := char(i)
		if j+1 < len(rs) && rs[j] == '-' {
			hi, k := char(j + 1)
			if hi < lo {
				return nil, fmt.Errorf("range-endpoints of '%c-%c' are in reverse collating sequence order", lo, hi)
			}
			for r := lo; r <= hi; r++ {
				out = append(out, r)
			}
			i = k
			continue
		}
		out = append(out, lo)
		i = j
	}
	return out, nil
}

func trClass(name string) ([]rune, bool) {
	between := func(pairs ...rune) []rune {
		var out []rune
		for i := 0; i < len(pairs); i += 2 {
			for r := pairs[i]; r <= pairs[i+1]; r++ {
				out = append(out, r)
			}
		}
		return out
	}
	switch name {
	case "alpha":
		return between('A', 'Z', 'a', 'z'), true
	case "digit":
		return between('0', '9'), true
	case "alnum":
		return between('0', '9', 'A', 'Z', 'a', 'z'), true
	case "upper":
		return between('A', 'Z'), true
	case "lower":
		return between('a', 'z'), true
	case "space":
		return between('\t', '\r', ' ', ' '), true
	case "blank":
		return []rune("\t "), true
	case "punct":
		return between('!', '/', ':', '@', '[', '`', '{', '~'), true
	case "print":
		return between(' ', '~'), true
	case "graph":
		return between('!', '~'), true
	case "cntrl":
		return between(0, 31, 127, 127), true
	case "xdigit":
		return between('0', '9', 'A', 'F', 'a', 'f'), true
	}
	return nil, false
}

func tr(c *tool.Call) int {
	complement := c.Has("c") || c.Has("C")
	del, squeeze := c.Has("d"), c.Has("s")
	if len(c.Args) == 0 || len(c.Args) == 1 && !del && !squeeze || len(c.Args) > 2 {
		return c.Fail("one or two sets are needed")
	}
	set1, err := trSet(c.Args[0], 0)
	if err != nil {
		return c.Fail("%v", err)
	}
	var set2 []rune
	if len(c.Args) == 2 {
		if set2, err = trSet(c.Args[1], len(set1)); err != nil {
			return c.Fail("%v", err)
		}
		if len(set2) == 0 && !del {
			return c.Fail("when not truncating set1, string2 must be non-empty")
		}
	}
	in1 := map[rune]int{}
	for i, r := range set1 {
		in1[r] = i
	}
	member := func(r rune) bool {
		_, ok := in1[r]
		return ok != complement
	}
	translate := func(r rune) rune {
		if !member(r) || len(set2) == 0 || del {
			return r
		}
		i := len(set2) - 1
		if !complement {
			if j := in1[r]; j < len(set2) {
				i = j
			} else if c.Has("t") {
				return r
			}
		}
		return set2[i]
	}
	squeezed := map[rune]bool{}
	for _, r := range set2 {
		squeezed[r] = true
	}
	inSqueeze := func(r rune) bool {
		if len(c.Args) == 1 {
			return member(r)
		}
		return squeezed[r]
	}
	last := rune(-1)
	buf := make([]byte, 0, 32<<10)
	chunk := make([]byte, 16<<10)
	for {
		n, err := c.Stdin.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for len(buf) > 0 && (utf8.FullRune(buf) || err != nil) {
			r, size := utf8.DecodeRune(buf)
			raw := buf[:size]
			buf = buf[size:]
			if r == utf8.RuneError && size == 1 {
				c.Out.Write(raw)
				last = -1
				continue
			}
			if del && member(r) {
				continue
			}
			r = translate(r)
			if squeeze && r == last && inSqueeze(r) {
				continue
			}
			last = r
			c.Out.WriteRune(r)
		}
		if err != nil {
			return 0
		}
	}
}

func seq(c *tool.Call) int {
	sep, format, equal := "\n", "", false
	args := c.Args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && !strings.ContainsAny(args[0][1:2], "0123456789.") {
		a := args[0]
		args = args[1:]
		value := func(prefix string) string {
			if v := strings.TrimPrefix(a, prefix); v != "" {
				return v
			}
			if len(args) == 0 {
				c.Errorf("option requires an argument -- '%s'", prefix[1:])
				c.Exit(1)
			}
			v := args[0]
			args = args[1:]
			return v
		}
		switch {
		case a == "-w" || a == "--equal-width":
			equal = true
		case strings.HasPrefix(a, "--separator="):
			sep = a[len("--separator="):]
		case strings.HasPrefix(a, "-s"):
			sep = value("-s")
		case strings.HasPrefix(a, "-f"):
			format = value("-f")
		default:
			return c.Fail("invalid option -- '%s'; options are -s -w -f", a)
		}
	}
	nums := []float64{}
	decimals := 0
	for _, a := range args {
		f, err := strconv.ParseFloat(a, 64)
		if err != nil || math.IsNaN(f) {
			return c.Fail("invalid floating point argument: '%s'", a)
		}
		if _, frac, ok := strings.Cut(a, "."); ok {
			decimals = max(decimals, len(frac))
		}
		nums = append(nums, f)
	}
	first, step, lastN := 1.0, 1.0, 0.0
	switch len(nums) {
	case 1:
		lastN = nums[0]
	case 2:
		first, lastN = nums[0], nums[1]
	case 3:
		first, step, lastN = nums[0], nums[1], nums[2]
	default:
		return c.Fail("one to three numbers are needed")
	}
	if step == 0 {
		return c.Fail("invalid Zero increment value: '0'")
	}
	text := func(f float64) string {
		if format != "" {
			return fmt.Sprintf(strings.Replace(format, "%i", "%d", 1), f)
		}
		return strconv.FormatFloat(f, 'f', decimals, 64)
	}
	width := 0
	if equal {
		width = max(len(text(first)), len(text(lastN)))
	}
	for i := 0; ; i++ {
		v := first + float64(i)*step
		if step > 0 && v > lastN+step*1e-9 || step < 0 && v < lastN+step*1e-9 {
			if i > 0 {
				c.Out.WriteByte('\n')
			}
			return 0
		}
		if i > 0 {
			c.Out.WriteString(sep)
		}
		s := text(v)
		if pad := width - len(s); pad > 0 {
			sign := ""
			if s[0] == '-' {
				sign, s = "-", s[1:]
			}
			s = sign + strings.Repeat("0", pad) + s
		}
		c.Out.WriteString(s)
	}
}

func yes(c *tool.Call) int {
	line := "y\n"
	if len(c.Args) > 0 {
		line = strings.Join(c.Args, " ") + "\n"
	}
	for c.Context.Err() == nil {
		c.Out.WriteString(line)
	}
	return tool.ExitBroken
}
