package sed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"otelrunner/sandbox/wasm/guest/posix"
)

// Files opens what r, R, w and W name. Write is called once for a name.
type Files interface {
	Read(name string) (io.ReadCloser, error)
	Write(name string) (io.Writer, error)
}

// Options of a run.
type Options struct {
	Quiet bool // -n
	Null  bool // -z: lines end with NUL
	Files Files
}

// Input gives the lines of one file after the other.
type Input interface {
	// Next returns the next file's reader and its name, or io.EOF.
	Next() (io.Reader, string, error)
}

type machine struct {
	*Script
	o      Options
	in     Input
	r      *bufio.Reader
	name   string
	out    *bufio.Writer
	delim  byte
	line   int
	space  string
	hold   string
	noEOL  bool // the current line has no newline
	owed   bool // what was written last lacks its newline
	ahead  *string
	aheadN bool
	done   bool
	queue  []queued
	last   *posix.Regexp
	subst  bool
	files  map[string]io.Writer
	reads  map[string]*bufio.Reader
}

type queued struct {
	text string
	file string
	line bool
}

var errNoFiles = errors.New("no file")

// Run edits what in gives to out, and returns the exit status that q asked for.
func (s *Script) Run(in Input, out io.Writer, o Options) (int, error) {
	m := &machine{Script: s, o: o, in: in, delim: '\n', files: map[string]io.Writer{}, reads: map[string]*bufio.Reader{}}
	if o.Null {
		m.delim = 0
	}
	m.o.Quiet = o.Quiet || s.quiet
	m.out = bufio.NewWriter(out)
	for i := range s.cmds {
		c := &s.cmds[i]
		c.active = c.a1.kind == zeroAddr
		for _, name := range []string{wName(c), sName(c)} {
			if name != "" {
				if err := m.openWrite(name); err != nil {
					return 4, err
				}
			}
		}
	}
	status, err := m.run()
	if ferr := m.out.Flush(); err == nil && ferr != nil {
		return 4, ferr
	}
	return status, err
}

func wName(c *command) string {
	if c.name == 'w' || c.name == 'W' {
		return c.text
	}
	return ""
}

func sName(c *command) string {
	if c.sub != nil {
		return c.sub.file
	}
	return ""
}

func (m *machine) openWrite(name string) error {
	if m.files[name] != nil {
		return nil
	}
	if name == "/dev/stdout" {
		m.files[name] = m.out
		return nil
	}
	if m.o.Files == nil {
		return errNoFiles
	}
	w, err := m.o.Files.Write(name)
	m.files[name] = w
	return err
}

// fill reads one line ahead, over the ends of files.
func (m *machine) fill() error {
	if m.ahead != nil || m.done {
		return nil
	}
	for {
		if m.r == nil {
			r, name, err := m.in.Next()
			if err == io.EOF {
				m.done = true
				return nil
			}
			if err != nil {
				return err
			}
			m.r, m.name = bufio.NewReader(r), name
		}
		text, err := m.r.ReadString(m.delim)
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF {
			m.r = nil
			if text == "" {
				continue
			}
		}
		m.aheadN = !strings.HasSuffix(text, string(m.delim))
		text = strings.TrimSuffix(text, string(m.delim))
		m.ahead = &text
		return nil
	}
}

func (m *machine) next() (string, bool, error) {
	if err := m.fill(); err != nil || m.ahead == nil {
		return "", false, err
	}
	text := *m.ahead
	m.ahead = nil
	m.noEOL = m.aheadN
	m.line++
	return text, true, nil
}

func (m *machine) isLast() bool {
	return m.fill() == nil && m.ahead == nil
}

func (m *machine) write(text string, noEOL bool) {
	m.put(text)
	if !noEOL {
		m.out.WriteByte(m.delim)
	}
	m.owed = noEOL
}

// put writes text, after the newline that a last line without one still owes
// to whatever follows it.
func (m *machine) put(text string) {
	if m.owed {
		m.out.WriteByte(m.delim)
		m.owed = false
	}
	m.out.WriteString(text)
}

func (m *machine) print() {
	m.write(m.space, m.noEOL && m.isLast())
}

type step int

const (
	onward   step = iota
	newCycle      // end of script, autoprint
	noPrint       // d
	restart       // D
	quit
	quitSilent
)

func (m *machine) run() (int, error) {
	keep := false
	for {
		if !keep {
			text, ok, err := m.next()
			if err != nil || !ok {
				return 0, err
			}
			m.space = text
		}
		keep = false
		m.subst = false
		st, status, err := m.cycle()
		if err != nil {
			return 4, err
		}
		if !m.o.Quiet && (st == newCycle || st == quit) {
			m.print()
		}
		if err := m.flushQueue(); err != nil {
			return 4, err
		}
		switch st {
		case quit, quitSilent:
			return status, nil
		case restart:
			keep = true
		}
	}
}

// maxSteps bounds one cycle, so that `:a;ba` ends with an error.
const maxSteps = 100_000_000

func (m *machine) cycle() (step, int, error) {
	pc := 0
	for steps := 0; pc < len(m.cmds); steps++ {
		if steps > maxSteps {
			return quitSilent, 4, errors.New("endless loop in the script")
		}
		c := &m.cmds[pc]
		pc++
		if m.selected(c) == c.not {
			if c.name == '{' {
				pc = c.jump
			}
			continue
		}
		switch c.name {
		case 'b', 't', 'T':
			if c.name == 't' && !m.subst || c.name == 'T' && m.subst {
				if c.name == 'T' {
					m.subst = false
				}
				continue
			}
			if c.name == 't' {
				m.subst = false
			}
			if c.jump < 0 {
				return newCycle, 0, nil
			}
			pc = c.jump
			continue
		}
		st, err := m.exec(c)
		if err != nil || st != onward {
			return st, max(0, c.n), err
		}
	}
	return newCycle, 0, nil
}

func (m *machine) selected(c *command) bool {
	if c.a1.kind == noAddr {
		return true
	}
	if c.a2.kind == noAddr {
		return m.matches(c.a1)
	}
	if c.active {
		switch c.a2.kind {
		case lineAddr, plusAddr, multAddr:
			if m.line >= c.until {
				c.active = false
			}
			if c.a2.kind == lineAddr && m.line > c.until {
				return m.starts(c)
			}
			return true
		}
		if m.matches(c.a2) {
			c.active = false
		}
		return true
	}
	return m.starts(c)
}

// starts checks whether a range begins at this line.
func (m *machine) starts(c *command) bool {
	if c.a1.kind == zeroAddr || !m.matches(c.a1) {
		return false
	}
	switch c.a2.kind {
	case lineAddr:
		c.until = c.a2.n
	case plusAddr:
		c.until = m.line + c.a2.n
	case multAddr:
		c.until = m.line
		if c.a2.n > 0 && m.line%c.a2.n != 0 {
			c.until = m.line + c.a2.n - m.line%c.a2.n
		}
	case lastAddr:
		c.active = !m.isLast()
		return true
	default:
		c.active = true
		return true
	}
	c.active = c.until > m.line
	return true
}

func (m *machine) matches(a addr) bool {
	switch a.kind {
	case lineAddr:
		return m.line == a.n
	case lastAddr:
		return m.isLast()
	case stepAddr:
		if a.m <= 0 {
			return m.line == a.n
		}
		return m.line >= a.n && (m.line-a.n)%a.m == 0
	case regexAddr:
		re := m.regex(a.re)
		return re != nil && re.Match(m.space)
	}
	return false
}

// regex gives the last expression used for an empty one.
func (m *machine) regex(re *posix.Regexp) *posix.Regexp {
	if re != nil {
		m.last = re
	}
	return m.last
}

func (m *machine) exec(c *command) (step, error) {
	switch c.name {
	case '=':
		m.put(fmt.Sprintf("%d\n", m.line))
	case 'a':
		m.queue = append(m.queue, queued{text: c.text})
	case 'i':
		m.put(c.text)
	case 'c':
		if c.a2.kind == noAddr || c.not || !c.active {
			m.put(c.text)
		}
		return noPrint, nil
	case 'd':
		return noPrint, nil
	case 'D':
		i := strings.IndexByte(m.space, '\n')
		if i < 0 {
			return noPrint, nil
		}
		m.space = m.space[i+1:]
		return restart, nil
	case 'F':
		m.write(m.name, false)
	case 'g':
		m.space = m.hold
	case 'G':
		m.space += "\n" + m.hold
	case 'h':
		m.hold = m.space
	case 'H':
		m.hold += "\n" + m.space
	case 'x':
		m.space, m.hold = m.hold, m.space
	case 'l':
		m.list(c.n)
	case 'n', 'N':
		return m.readNext(c.name)
	case 'p':
		m.print()
	case 'P':
		first, _, _ := strings.Cut(m.space, "\n")
		m.write(first, false)
	case 'q':
		return quit, nil
	case 'Q':
		return quitSilent, nil
	case 'r':
		m.queue = append(m.queue, queued{file: c.text})
	case 'R':
		m.queue = append(m.queue, queued{file: c.text, line: true})
	case 'w':
		_, err := io.WriteString(m.files[c.text], m.space+"\n")
		return onward, err
	case 'W':
		first, _, _ := strings.Cut(m.space, "\n")
		_, err := io.WriteString(m.files[c.text], first+"\n")
		return onward, err
	case 'y':
		m.space = strings.Map(func(r rune) rune {
			if to, ok := c.table[r]; ok {
				return to
			}
			return r
		}, m.space)
	case 'z':
		m.space = ""
	case 's':
		return onward, m.substitute(c.sub)
	}
	return onward, nil
}

func (m *machine) readNext(name byte) (step, error) {
	if m.isLast() {
		// GNU prints the pattern space when there is no next line.
		return quit, nil
	}
	if name == 'n' && !m.o.Quiet {
		m.print()
	}
	if err := m.flushQueue(); err != nil {
		return onward, err
	}
	text, _, err := m.next()
	if err != nil {
		return onward, err
	}
	if name == 'n' {
		m.space = text
	} else {
		m.space += "\n" + text
	}
	return onward, nil
}

func (m *machine) flushQueue() error {
	for _, q := range m.queue {
		if q.file == "" {
			m.put(q.text)
			continue
		}
		if m.o.Files == nil {
			continue
		}
		r := m.reads[q.file]
		if r == nil {
			f, err := m.o.Files.Read(q.file)
			if err != nil {
				continue // as POSIX says: an empty file
			}
			if !q.line {
				m.put("")
				_, err = io.Copy(m.out, f)
				f.Close()
				if err != nil {
					return err
				}
				continue
			}
			r = bufio.NewReader(f)
			m.reads[q.file] = r
		}
		if line, _ := r.ReadString('\n'); line != "" {
			m.write(strings.TrimSuffix(line, "\n"), false)
		}
	}
	m.queue = m.queue[:0]
	return nil
}

func (m *machine) substitute(s *substitution) error {
	re := m.regex(s.re)
	if re == nil {
		return errors.New("no previous regular expression")
	}
	n := s.nth
	if s.global {
		n = -1
	}
	all := re.All(m.space, n)
	if len(all) < s.nth {
		return nil
	}
	var b strings.Builder
	at := 0
	for i, match := range all {
		if i+1 < s.nth {
			continue
		}
		b.WriteString(m.space[at:match[0]])
		expand(&b, s.with, m.space, match)
		at = match[1]
	}
	b.WriteString(m.space[at:])
	m.space = b.String()
	m.subst = true
	for range s.print {
		m.print()
	}
	if s.file != "" {
		_, err := io.WriteString(m.files[s.file], m.space+"\n")
		return err
	}
	return nil
}

// expand writes a replacement, with its changes of case.
func expand(b *strings.Builder, with []piece, s string, match []int) {
	var mode, once byte
	for _, p := range with {
		if p.mode != 0 {
			switch p.mode {
			case 'u', 'l':
				once = p.mode
			default:
				mode, once = p.mode, 0
			}
			continue
		}
		text := p.text
		if p.group >= 0 {
			text = ""
			if 2*p.group+1 < len(match) && match[2*p.group] >= 0 {
				text = s[match[2*p.group]:match[2*p.group+1]]
			}
		}
		if text == "" {
			continue
		}
		switch mode {
		case 'U':
			text = strings.ToUpper(text)
		case 'L':
			text = strings.ToLower(text)
		}
		if once != 0 {
			r, size := utf8.DecodeRuneInString(text)
			if once == 'u' {
				r = unicode.ToUpper(r)
			} else {
				r = unicode.ToLower(r)
			}
			text = string(r) + text[size:]
			once = 0
		}
		b.WriteString(text)
	}
}

// list is the command l.
func (m *machine) list(width int) {
	if width < 0 {
		width = 70
	}
	col := 0
	put := func(s string) {
		if width > 1 && col+len(s) > width-1 {
			m.put("\\\n")
			col = 0
		}
		m.put(s)
		col += len(s)
	}
	for i := 0; i < len(m.space); i++ {
		c := m.space[i]
		if j := strings.IndexByte("\\\a\b\f\n\r\t\v", c); j >= 0 {
			put(`\` + `\abfnrtv`[j:j+1])
		} else if c < ' ' || c > '~' {
			put(fmt.Sprintf(`\%03o`, c))
		} else {
			put(string(c))
		}
	}
	m.put("$\n")
}
