package shell

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// printf formats as bash's printf does: the format is used again while there
// are arguments. It returns the output, and the complaints about arguments that
// are no numbers.
func printf(format string, args []string) (string, []string) {
	p := &printer{args: args}
	for {
		before := len(p.args)
		p.once(format)
		if p.stop || len(p.args) == 0 || len(p.args) == before {
			return p.out.String(), p.complaints
		}
	}
}

type printer struct {
	out        strings.Builder
	args       []string
	complaints []string
	stop       bool // \c
}

func (p *printer) next() (string, bool) {
	if len(p.args) == 0 {
		return "", false
	}
	a := p.args[0]
	p.args = p.args[1:]
	return a, true
}

func (p *printer) once(format string) {
	for i := 0; i < len(format) && !p.stop; {
		switch format[i] {
		case '\\':
			text, n, _ := escape(format[i:], false)
			p.out.WriteString(text)
			i += n
		case '%':
			i += p.verb(format[i:])
		default:
			p.out.WriteByte(format[i])
			i++
		}
	}
}

// verb handles one % and what belongs to it; it returns their length.
func (p *printer) verb(s string) int {
	i := 1
	flags := ""
	for i < len(s) && strings.IndexByte("-+ #0'", s[i]) >= 0 {
		if s[i] != '\'' {
			flags += s[i : i+1]
		}
		i++
	}
	number := func() (string, bool) {
		if i < len(s) && s[i] == '*' {
			i++
			a, _ := p.next()
			return strconv.FormatInt(p.integer(a), 10), true
		}
		j := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return s[j:i], i > j
	}
	width, _ := number()
	if strings.HasPrefix(width, "-") {
		flags, width = flags+"-", width[1:]
	}
	precision, hasPrecision := "", false
	if i < len(s) && s[i] == '.' {
		i++
		precision, _ = number()
		hasPrecision = !strings.HasPrefix(precision, "-")
	}
	timeFormat := ""
	if i < len(s) && s[i] == '(' {
		if end := strings.Index(s[i:], ")T"); end > 0 {
			timeFormat = s[i+1 : i+end]
			i += end + 1
		}
	}
	for i < len(s) && strings.IndexByte("hlLqjzt", s[i]) >= 0 && i+1 < len(s) && strings.IndexByte("diouxXeEfFgGaAc", s[i+1]) >= 0 {
		i++
	}
	if i >= len(s) {
		p.complaints = append(p.complaints, "`"+s+"': missing format character")
		p.stop = true
		return len(s)
	}
	verb := s[i]
	i++
	spec := "%" + flags + width
	if hasPrecision {
		spec += "." + precision
	}
	p.write(verb, spec, flags, width, precision, hasPrecision, timeFormat)
	return i
}

func (p *printer) write(verb byte, spec, flags, width, precision string, hasPrecision bool, timeFormat string) {
	switch verb {
	case '%':
		p.out.WriteByte('%')
	case 's', 'b', 'q', 'c', 'T':
		a, given := p.next()
		switch verb {
		case 'b':
			a = p.expand(a)
		case 'q':
			a = quote(a)
			hasPrecision = false
		case 'c':
			if len(a) > 1 {
				a = a[:1]
			}
		case 'T':
			t := time.Now()
			if n, err := strconv.ParseInt(a, 10, 64); given && err == nil && n >= 0 {
				t = time.Unix(n, 0)
			}
			a = Strftime(t.UTC(), timeFormat)
		}
		if hasPrecision {
			if n, _ := strconv.Atoi(precision); n < len(a) {
				a = a[:n]
			}
		}
		p.pad(a, width, flags)
	case 'd', 'i':
		a, _ := p.next()
		fmt.Fprintf(&p.out, intSpec(spec, hasPrecision)+"d", p.integer(a))
	case 'u', 'o', 'x', 'X':
		a, _ := p.next()
		v := verb
		if v == 'u' {
			v = 'd'
		}
		n := uint64(p.integer(a))
		if v == 'o' && strings.Contains(spec, "#") && n == 0 {
			spec = strings.ReplaceAll(spec, "#", "")
		}
		fmt.Fprintf(&p.out, intSpec(spec, hasPrecision)+string(v), n)
	case 'e', 'E', 'f', 'F', 'g', 'G':
		a, _ := p.next()
		text := fmt.Sprintf(spec+string(verb), p.float(a))
		text = strings.NewReplacer("+Inf", "inf", "Inf", "inf", "NaN", "nan").Replace(text)
		p.out.WriteString(text)
	default:
		p.complaints = append(p.complaints, fmt.Sprintf("`%c': invalid format character", verb))
		p.stop = true
	}
}

// intSpec drops the zero flag when there is a precision, as C does.
func intSpec(spec string, hasPrecision bool) string {
	if !hasPrecision {
		return spec
	}
	i := 1
	for i < len(spec) && strings.IndexByte("-+ #0", spec[i]) >= 0 {
		i++
	}
	return "%" + strings.ReplaceAll(spec[1:i], "0", "") + spec[i:]
}

func (p *printer) pad(s, width, flags string) {
	w, _ := strconv.Atoi(width)
	fill := strings.Repeat(" ", max(0, w-len(s)))
	if strings.Contains(flags, "-") {
		p.out.WriteString(s + fill)
	} else {
		p.out.WriteString(fill + s)
	}
}

func (p *printer) integer(s string) int64 {
	s = strings.TrimLeft(s, " \t\n")
	if s == "" {
		return 0
	}
	if s[0] == '\'' || s[0] == '"' {
		r, size := utf8.DecodeRuneInString(s[1:])
		if r == utf8.RuneError && size <= 1 && len(s) > 1 {
			return int64(s[1])
		}
		if size == 0 {
			return 0
		}
		return int64(r)
	}
	// Go's base 0 knows 0b and 0o, which C does not; bash's printf is C's.
	end := len(s)
	for end > 0 {
		t := strings.ReplaceAll(s[:end], "_", "!")
		if strings.ContainsAny(t, "bBoO") && !strings.ContainsAny(t, "xX") {
			end--
			continue
		}
		n, err := strconv.ParseInt(t, 0, 64)
		if err == nil {
			break
		}
		if u, uerr := strconv.ParseUint(t, 0, 64); uerr == nil {
			n = int64(u)
			return n
		}
		if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
			p.complaints = append(p.complaints, s+": Numerical result out of range")
			return n
		}
		end--
	}
	n, _ := strconv.ParseInt(s[:end], 0, 64)
	if end != len(s) {
		p.complaints = append(p.complaints, s+": invalid number")
	}
	return n
}

func (p *printer) float(s string) float64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if s[0] == '\'' || s[0] == '"' {
		return float64(p.integer(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		p.complaints = append(p.complaints, s+": invalid number")
		for end := len(s) - 1; end > 0; end-- {
			if f, err := strconv.ParseFloat(s[:end], 64); err == nil {
				return f
			}
		}
	}
	return f
}

// expand handles %b.
func (p *printer) expand(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			i++
			continue
		}
		text, n, stop := escape(s[i:], true)
		b.WriteString(text)
		i += n
		if stop {
			p.stop = true
			break
		}
	}
	return b.String()
}

// escape decodes the backslash escape at the start of s and returns its text
// and length. In %b, octal digits follow a 0, and \c stops all output.
func escape(s string, inB bool) (text string, n int, stop bool) {
	if len(s) < 2 {
		return s, len(s), false
	}
	const from, to = `abefnrtvE\"'?`, "\a\b\x1b\f\n\r\t\v\x1b\\\"'?"
	c := s[1]
	if i := strings.IndexByte(from, c); i >= 0 {
		return to[i : i+1], 2, false
	}
	digits := func(at, most, base int) (string, int) {
		end := at
		for end < len(s) && end-at < most {
			if _, err := strconv.ParseUint(s[end:end+1], base, 8); err != nil {
				break
			}
			end++
		}
		return s[at:end], end
	}
	switch {
	case c == 'c' && inB:
		return "", 2, true
	case c >= '0' && c <= '7':
		at := 1
		if inB && c == '0' {
			at = 2
		}
		d, end := digits(at, 3, 8)
		v, _ := strconv.ParseUint("0"+d, 8, 16)
		return string([]byte{byte(v)}), end, false
	case c == 'x' || c == 'u' || c == 'U':
		most := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
		d, end := digits(2, most, 16)
		if d == "" {
			return s[:2], 2, false
		}
		v, _ := strconv.ParseUint(d, 16, 32)
		if c == 'x' {
			return string([]byte{byte(v)}), end, false
		}
		return string(rune(v)), end, false
	}
	return s[:2], 2, false
}

// quote is %q: the text as a shell would read it back.
func quote(s string) string {
	if s == "" {
		return "''"
	}
	control := false
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			control = true
		}
	}
	var b strings.Builder
	if control {
		b.WriteString("$'")
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case strings.IndexByte("\a\b\x1b\f\n\r\t\v", c) >= 0:
				b.WriteByte('\\')
				b.WriteByte("abEfnrtv"[strings.IndexByte("\a\b\x1b\f\n\r\t\v", c)])
			case c == '\'' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c == 0x7f:
				fmt.Fprintf(&b, `\%03o`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteString("'")
		return b.String()
	}
	for i, r := range s {
		if strings.ContainsRune(" \t!\"$&'()*,;<>?[\\]^`{|}", r) || i == 0 && (r == '~' || r == '#') {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
