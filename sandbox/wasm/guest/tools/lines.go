package tools

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

// eachLine calls do with every line without its end; ended is false for a last
// line that has none. do returns false to stop.
func eachLine(r io.Reader, delim byte, do func(line string, ended bool) bool) error {
	br := bufio.NewReaderSize(r, 32<<10)
	for {
		line, err := br.ReadString(delim)
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF && line == "" {
			return nil
		}
		ended := err == nil
		if ended {
			line = line[:len(line)-1]
		}
		if !do(line, ended) || !ended {
			return nil
		}
	}
}

func readLines(r io.Reader, delim byte) ([]string, error) {
	var all []string
	err := eachLine(r, delim, func(l string, _ bool) bool {
		all = append(all, l)
		return true
	})
	return all, err
}

// size reads a count with a unit: b 512, k, M, G 1024s, kB MB GB 1000s.
func size(s string) (int64, error) {
	units := map[string]int64{"": 1, "b": 512, "k": 1 << 10, "K": 1 << 10, "KiB": 1 << 10, "kB": 1000, "KB": 1000, "M": 1 << 20, "MiB": 1 << 20, "MB": 1e6, "G": 1 << 30, "GiB": 1 << 30, "GB": 1e9, "c": 1, "w": 2}
	end := len(s)
	for end > 0 && (s[end-1] < '0' || s[end-1] > '9') {
		end--
	}
	unit, ok := units[s[end:]]
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil || !ok {
		return 0, fmt.Errorf("invalid number: '%s'", s)
	}
	return n * unit, nil
}

func lineTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "head", Usage: "[OPTION]... [FILE]...", Short: "write the first lines of files", Run: head, Options: []tool.Option{
			{Short: 'n', Long: "lines", Arg: "N", Help: "N lines (10); -N: all but the last N"},
			{Short: 'c', Long: "bytes", Arg: "N", Help: "N bytes; -N: all but the last N"},
			{Short: 'q', Long: "quiet", Help: "no headers"},
			{Short: 'v', Long: "verbose", Help: "always headers"},
			{Short: 'z', Long: "zero-terminated", Help: "lines end with NUL"},
			{Short: '#', Arg: "N", Help: "N lines"},
		}},
		{Name: "tail", Usage: "[OPTION]... [FILE]...", Short: "write the last lines of files", Run: tail, Options: []tool.Option{
			{Short: 'n', Long: "lines", Arg: "N", Help: "N lines (10); +N: from line N on"},
			{Short: 'c', Long: "bytes", Arg: "N", Help: "N bytes; +N: from byte N on"},
			{Short: 'q', Long: "quiet", Help: "no headers"},
			{Short: 'v', Long: "verbose", Help: "always headers"},
			{Short: 'z', Long: "zero-terminated", Help: "lines end with NUL"},
			{Short: '#', Arg: "N", Help: "N lines"},
		}, Notes: []string{"No -f: a job's log is no place to follow a file."}},
		{Name: "tac", Usage: "[FILE]...", Short: "write files with their lines in reverse order", Run: tac},
		{Name: "nl", Usage: "[OPTION]... [FILE]...", Short: "number lines", Run: nl, Options: []tool.Option{
			{Short: 'b', Long: "body-numbering", Arg: "STYLE", Help: "a: all lines, t: not empty ones (t), n: none"},
			{Short: 'w', Long: "number-width", Arg: "N", Help: "width of numbers (6)"},
			{Short: 's', Long: "number-separator", Arg: "TEXT", Help: "between number and line (tab)"},
			{Short: 'v', Long: "starting-line-number", Arg: "N", Help: "first number (1)"},
			{Short: 'i', Long: "line-increment", Arg: "N", Help: "step (1)"},
			{Short: 'n', Long: "number-format", Arg: "FORMAT", Help: "ln, rn (default) or rz"},
		}},
		{Name: "wc", Usage: "[OPTION]... [FILE]...", Short: "count lines, words and bytes", Run: wc, Options: []tool.Option{
			{Short: 'l', Long: "lines", Help: "lines"}, {Short: 'w', Long: "words", Help: "words"},
			{Short: 'c', Long: "bytes", Help: "bytes"}, {Short: 'm', Long: "chars", Help: "characters"},
			{Short: 'L', Long: "max-line-length", Help: "length of the longest line"},
		}},
		{Name: "tee", Usage: "[OPTION]... [FILE]...", Short: "copy input to output and to files", Run: tee, Options: []tool.Option{
			{Short: 'a', Long: "append", Help: "append"}, {Short: 'i', Long: "ignore-interrupts", Help: "accepted"},
		}},
		{Name: "fold", Usage: "[OPTION]... [FILE]...", Short: "break long lines", Run: fold, Options: []tool.Option{
			{Short: 'w', Long: "width", Arg: "N", Help: "width (80)"}, {Short: 's', Long: "spaces", Help: "break at spaces"},
			{Short: 'b', Long: "bytes", Help: "count bytes"}, {Short: '#', Arg: "N", Help: "width"},
		}},
		{Name: "rev", Usage: "[FILE]...", Short: "reverse each line", Run: rev},
		{Name: "expand", Usage: "[OPTION]... [FILE]...", Short: "turn tabs into spaces", Run: expand, Options: []tool.Option{
			{Short: 't', Long: "tabs", Arg: "N", Help: "distance of tab stops (8)"}, {Short: 'i', Long: "initial", Help: "only at the start of lines"},
		}},
		{Name: "split", Usage: "[OPTION]... [FILE [PREFIX]]", Short: "split a file into pieces", Run: split, Options: []tool.Option{
			{Short: 'l', Long: "lines", Arg: "N", Help: "lines a piece (1000)"}, {Short: 'b', Long: "bytes", Arg: "N", Help: "bytes a piece"},
			{Short: 'a', Long: "suffix-length", Arg: "N", Help: "length of suffixes (2)"}, {Short: 'd', Long: "numeric-suffixes", Help: "suffixes are numbers"},
			{Long: "additional-suffix", Arg: "TEXT", Help: "after the suffix"},
		}},
	}
}

func lineEnd(c *tool.Call) byte {
	if c.Has("z") {
		return 0
	}
	return '\n'
}

func headers(c *tool.Call) func(name string) {
	show := len(c.Args) > 1 && !c.Has("q") || c.Has("v")
	first := true
	return func(name string) {
		if !show {
			return
		}
		if name == "-" {
			name = "standard input"
		}
		if !first {
			c.Out.WriteString("\n")
		}
		first = false
		fmt.Fprintf(c.Out, "==> %s <==\n", name)
	}
}

func count(c *tool.Call, fallback string) (bytes bool, text string) {
	switch c.Last("n", "c", "#") {
	case "n":
		return false, c.Value("n")
	case "c":
		return true, c.Value("c")
	case "#":
		return false, c.Value("#")
	}
	return false, fallback
}

func head(c *tool.Call) int {
	bytes, text := count(c, "10")
	but := strings.HasPrefix(text, "-")
	n, err := size(strings.TrimPrefix(text, "-"))
	if err != nil {
		return c.Fail("%v", err)
	}
	delim := lineEnd(c)
	header := headers(c)
	return c.Inputs(c.Args, func(name string, r io.Reader) error {
		header(name)
		switch {
		case bytes && !but:
			_, err := io.CopyN(c.Out, r, n)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		case bytes:
			data, err := io.ReadAll(r)
			c.Out.Write(data[:max(0, len(data)-int(n))])
			return err
		case but:
			var kept []string
			return eachLine(r, delim, func(l string, ended bool) bool {
				if ended {
					l += string(delim)
				}
				if kept = append(kept, l); int64(len(kept)) > n {
					c.Out.WriteString(kept[0])
					kept = kept[1:]
				}
				return true
			})
		case n == 0:
			return nil
		}
		var done int64
		return eachLine(r, delim, func(l string, ended bool) bool {
			c.Out.WriteString(l)
			if ended {
				c.Out.WriteByte(delim)
			}
			done++
			return done < n
		})
	})
}

func tail(c *tool.Call) int {
	bytes, text := count(c, "10")
	from := strings.HasPrefix(text, "+")
	n, err := size(strings.TrimLeft(text, "+-"))
	if err != nil {
		return c.Fail("%v", err)
	}
	delim := lineEnd(c)
	header := headers(c)
	return c.Inputs(c.Args, func(name string, r io.Reader) error {
		header(name)
		switch {
		case bytes && from:
			if _, err := io.CopyN(io.Discard, r, max(0, n-1)); err != nil {
				return nil
			}
			_, err := io.Copy(c.Out, r)
			return err
		case bytes:
			data, err := io.ReadAll(r)
			c.Out.Write(data[max(0, len(data)-int(n)):])
			return err
		}
		var kept []string
		var line int64
		err := eachLine(r, delim, func(l string, ended bool) bool {
			line++
			if ended {
				l += string(delim)
			}
			if from {
				if line >= n {
					c.Out.WriteString(l)
				}
				return true
			}
			if kept = append(kept, l); int64(len(kept)) > n {
				kept = kept[1:]
			}
			return true
		})
		for _, l := range kept {
			c.Out.WriteString(l)
		}
		return err
	})
}

func tac(c *tool.Call) int {
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		data, err := io.ReadAll(r)
		lines := strings.SplitAfter(string(data), "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			c.Out.WriteString(lines[i])
		}
		return err
	})
}

func atoi(c *tool.Call, key string, fallback int) int {
	if !c.Has(key) {
		return fallback
	}
	n, err := strconv.Atoi(c.Value(key))
	if err != nil {
		c.Errorf("invalid number: '%s'", c.Value(key))
		c.Exit(1)
	}
	return n
}

func nl(c *tool.Call) int {
	style, width, sep := "t", atoi(c, "w", 6), "\t"
	if c.Has("b") {
		style = c.Value("b")
	}
	if c.Has("s") {
		sep = c.Value("s")
	}
	format := map[string]string{"ln": "%-*d", "rz": "%0*d"}[c.Value("n")]
	if format == "" {
		format = "%*d"
	}
	n, step := atoi(c, "v", 1), atoi(c, "i", 1)
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, _ bool) bool {
			if style == "a" || style == "t" && l != "" {
				fmt.Fprintf(c.Out, format+"%s%s\n", width, n, sep, l)
				n += step
			} else {
				fmt.Fprintf(c.Out, "%*s%s%s\n", width, "", strings.Repeat(" ", len(sep)), l)
			}
			return true
		})
	})
}

type counts struct{ lines, words, bytes, chars, longest int64 }

func wcCount(r io.Reader) (counts, error) {
	var t counts
	var inWord bool
	var col int64
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b&0xc0 != 0x80 {
				t.chars++
			}
			space := b == ' ' || b >= '\t' && b <= '\r'
			switch {
			case b == '\n':
				t.lines++
				t.longest = max(t.longest, col)
				col = 0
			case b == '\t':
				col += 8 - col%8
			case b&0xc0 != 0x80:
				col++
			}
			if !space && !inWord {
				t.words++
			}
			inWord = !space
		}
		t.bytes += int64(n)
		if err == io.EOF {
			t.longest = max(t.longest, col)
			return t, nil
		}
		if err != nil {
			return t, err
		}
	}
}

func wc(c *tool.Call) int {
	all := len(c.Opts) == 0
	type row struct {
		counts
		name string
	}
	var rows []row
	var total counts
	status := c.Inputs(c.Args, func(name string, r io.Reader) error {
		t, err := wcCount(r)
		if len(c.Args) == 0 {
			name = ""
		}
		rows = append(rows, row{t, name})
		total = counts{total.lines + t.lines, total.words + t.words, total.bytes + t.bytes, total.chars + t.chars, max(total.longest, t.longest)}
		return err
	})
	if len(c.Args) > 1 {
		rows = append(rows, row{total, "total"})
	}
	columns := func(t counts) []int64 {
		var v []int64
		for _, col := range []struct {
			key string
			n   int64
		}{{"l", t.lines}, {"w", t.words}, {"m", t.chars}, {"c", t.bytes}, {"L", t.longest}} {
			if c.Has(col.key) || all && strings.Contains("lwc", col.key) {
				v = append(v, col.n)
			}
		}
		return v
	}
	// As wide as the total; 7 where a size is not known before, as with pipes.
	width := len(strconv.FormatInt(total.bytes, 10))
	if len(columns(total)) == 1 && len(rows) == 1 {
		width = 1
	} else if len(c.Args) == 0 || strings.Contains(" "+strings.Join(c.Args, " ")+" ", " - ") {
		width = 7
	}
	for _, r := range rows {
		for i, n := range columns(r.counts) {
			if i > 0 {
				c.Out.WriteByte(' ')
			}
			fmt.Fprintf(c.Out, "%*d", width, n)
		}
		if r.name != "" {
			c.Out.WriteString(" " + r.name)
		}
		c.Out.WriteByte('\n')
	}
	return status
}

func tee(c *tool.Call) int {
	status := 0
	writers := []io.Writer{c.Stdout()}
	for _, name := range c.Args {
		var f io.WriteCloser
		var err error
		if c.Has("a") {
			f, err = c.OpenFile(name, appendFlags, 0o666)
		} else {
			f, err = c.Create(name)
		}
		if err != nil {
			c.FileError(name, err)
			status = 1
			continue
		}
		defer f.Close()
		writers = append(writers, f)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Stdin.Read(buf)
		for i := len(writers) - 1; i >= 0 && n > 0; i-- {
			if _, werr := writers[i].Write(buf[:n]); werr != nil {
				status = 1
			}
		}
		if err != nil {
			return status
		}
	}
}

func fold(c *tool.Call) int {
	width := atoi(c, "w", atoi(c, "#", 80))
	if width < 1 {
		return c.Fail("invalid number of columns: '%d'", width)
	}
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, ended bool) bool {
			runes := []rune(l)
			for len(runes) > width {
				cut := width
				if c.Has("s") {
					for i := width - 1; i >= 0; i-- {
						if runes[i] == ' ' {
							cut = i + 1
							break
						}
					}
				}
				c.Out.WriteString(string(runes[:cut]) + "\n")
				runes = runes[cut:]
			}
			c.Out.WriteString(string(runes))
			if ended {
				c.Out.WriteByte('\n')
			}
			return true
		})
	})
}

func rev(c *tool.Call) int {
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, ended bool) bool {
			runes := []rune(l)
			for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
				runes[i], runes[j] = runes[j], runes[i]
			}
			c.Out.WriteString(string(runes))
			if ended {
				c.Out.WriteByte('\n')
			}
			return true
		})
	})
}

func expand(c *tool.Call) int {
	stop := atoi(c, "t", 8)
	if stop < 1 {
		return c.Fail("tab size cannot be 0")
	}
	return c.Inputs(c.Args, func(_ string, r io.Reader) error {
		return eachLine(r, '\n', func(l string, ended bool) bool {
			col, text := 0, false
			for _, r := range l {
				if r == '\t' && !(text && c.Has("i")) {
					n := stop - col%stop
					c.Out.WriteString(strings.Repeat(" ", n))
					col += n
					continue
				}
				text = text || r != ' '
				c.Out.WriteRune(r)
				col++
			}
			if ended {
				c.Out.WriteByte('\n')
			}
			return true
		})
	})
}

func split(c *tool.Call) int {
	name, prefix := "-", "x"
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	if len(c.Args) > 1 {
		prefix = c.Args[1]
	}
	length := atoi(c, "a", 2)
	letters := "abcdefghijklmnopqrstuvwxyz"
	if c.Has("d") {
		letters = "0123456789"
	}
	var f io.WriteCloser
	piece := 0
	open := func() error {
		if f != nil {
			f.Close()
		}
		n, suffix := piece, ""
		for range length {
			suffix = letters[n%len(letters):][:1] + suffix
			n /= len(letters)
		}
		if n > 0 {
			return errors.New("output file suffixes exhausted")
		}
		piece++
		var err error
		f, err = c.Create(prefix + suffix + c.Value("additional-suffix"))
		return err
	}
	status := c.Inputs([]string{name}, func(_ string, r io.Reader) (err error) {
		if c.Has("b") {
			n, serr := size(c.Value("b"))
			if serr != nil || n < 1 {
				return fmt.Errorf("invalid number of bytes: '%s'", c.Value("b"))
			}
			br := bufio.NewReader(r)
			for {
				if _, err := br.Peek(1); err != nil {
					return nil
				}
				if err := open(); err != nil {
					return err
				}
				if _, err := io.CopyN(f, br, n); err != nil && err != io.EOF {
					return err
				}
			}
		}
		per, lines := atoi(c, "l", 1000), 0
		rerr := eachLine(r, '\n', func(l string, ended bool) bool {
			if lines%max(1, per) == 0 {
				if err = open(); err != nil {
					return false
				}
			}
			lines++
			if ended {
				l += "\n"
			}
			_, err = io.WriteString(f, l)
			return err == nil
		})
		if err == nil {
			err = rerr
		}
		return err
	})
	if f != nil {
		f.Close()
	}
	return status
}
