// Package sed is a stream editor: POSIX's commands and the GNU extensions that
// scripts use.
package sed

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"otelrunner/sandbox/wasm/guest/posix"
)

// Script is a parsed program; it may be run many times, one at a time.
type Script struct {
	cmds  []command
	quiet bool // "#n" as its first line
}

// Quiet reports whether the script's first line asks for -n.
func (s *Script) Quiet() bool { return s.quiet }

type addrKind int

const (
	noAddr addrKind = iota
	lineAddr
	lastAddr
	regexAddr
	stepAddr  // first~step
	plusAddr  // addr,+n
	multAddr  // addr,~n
	zeroAddr  // 0,/re/
	maxScript = 4 << 20
)

type addr struct {
	kind addrKind
	n, m int
	re   *posix.Regexp // nil: the last one used
}

type command struct {
	a1, a2 addr
	not    bool
	name   byte
	text   string // a i c, label, file
	n      int    // q Q exit status, l width
	sub    *substitution
	table  map[rune]rune // y
	jump   int           // b t T {: where to go

	// state of a range
	active bool
	until  int
}

type substitution struct {
	re     *posix.Regexp
	with   []piece
	global bool
	nth    int
	print  int
	file   string
}

// piece is a part of a replacement.
type piece struct {
	text  string
	group int  // -1: text
	mode  byte // U L E u l: a change of case from here
}

type parser struct {
	s        string
	i        int
	extended bool
	cmds     []command
	blocks   []int
	labels   map[string]int
	jumps    map[int]string
}

// Parse parses a script; extended chooses the syntax of its expressions.
func Parse(src string, extended bool) (*Script, error) {
	if len(src) > maxScript {
		return nil, errors.New("script is larger than 4 MiB")
	}
	p := &parser{s: src, extended: extended, labels: map[string]int{}, jumps: map[int]string{}}
	for {
		p.spaces("; \t\n")
		if p.i >= len(p.s) {
			break
		}
		if err := p.command(); err != nil {
			return nil, fmt.Errorf("-e expression, char %d: %w", p.i, err)
		}
	}
	if len(p.blocks) > 0 {
		return nil, errors.New("unmatched `{'")
	}
	for at, label := range p.jumps {
		to, ok := p.labels[label]
		if !ok {
			return nil, fmt.Errorf("can't find label for jump to `%s'", label)
		}
		p.cmds[at].jump = to
	}
	return &Script{cmds: p.cmds, quiet: strings.HasPrefix(src, "#n\n")}, nil
}

func (p *parser) spaces(set string) {
	for p.i < len(p.s) && strings.IndexByte(set, p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *parser) number() int {
	j := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	n, _ := strconv.Atoi(p.s[j:p.i])
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func (p *parser) address(second bool) (addr, error) {
	c := p.peek()
	switch {
	case digit(c):
		n := p.number()
		if p.peek() == '~' && !second {
			p.i++
			return addr{kind: stepAddr, n: n, m: p.number()}, nil
		}
		if n == 0 && !second {
			return addr{kind: zeroAddr}, nil
		}
		return addr{kind: lineAddr, n: n}, nil
	case c == '$':
		p.i++
		return addr{kind: lastAddr}, nil
	case second && (c == '+' || c == '~'):
		p.i++
		k := plusAddr
		if c == '~' {
			k = multAddr
		}
		return addr{kind: k, n: p.number()}, nil
	case c == '/' || c == '\\':
		if c == '\\' {
			p.i++
		}
		text, err := p.delimited(true)
		if err != nil {
			return addr{}, errors.New("unterminated address regex")
		}
		var f posix.Flags
		for p.peek() == 'I' || p.peek() == 'M' {
			if p.s[p.i] == 'I' {
				f.IgnoreCase = true
			} else {
				f.Multiline = true
			}
			p.i++
		}
		re, err := p.compile(text, f)
		return addr{kind: regexAddr, re: re}, err
	}
	return addr{}, nil
}

func (p *parser) compile(text string, f posix.Flags) (*posix.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	syntax := posix.Basic
	if p.extended {
		syntax = posix.Extended
	}
	return posix.Compile(text, syntax, f)
}

// delimited reads up to the delimiter that the next character is. In an
// expression, a bracket hides the delimiter, and \n there is a newline.
func (p *parser) delimited(regex bool) (string, error) {
	if p.i >= len(p.s) {
		return "", errors.New("unterminated")
	}
	d := p.s[p.i]
	if d == '\n' || d == '\\' {
		return "", errors.New("delimiter is a newline or a backslash")
	}
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == d:
			p.i++
			return b.String(), nil
		case c == '\\' && p.i+1 < len(p.s):
			e := p.s[p.i+1]
			p.i += 2
			switch {
			case e == d && regex && strings.IndexByte(`|(){}+?.*^$`, d) >= 0:
				// \d is the character itself, not the operator.
				b.WriteString("[" + string(d) + "]")
				if d == '^' {
					s := b.String()
					b.Reset()
					b.WriteString(strings.TrimSuffix(s, "[^]") + `\^`)
				}
			case e == d:
				b.WriteByte(d)
			case e == '\n' && regex:
				b.WriteByte('\n')
			default:
				b.WriteByte('\\')
				b.WriteByte(e)
			}
		case c == '[' && regex:
			end := bracketEnd(p.s[p.i:])
			if end < 0 {
				b.WriteByte(c)
				p.i++
				continue
			}
			set := p.s[p.i : p.i+end]
			set = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\]`, `\]`).Replace(set)
			b.WriteString(set)
			p.i += end
		case c == '\n' && regex:
			return "", errors.New("unterminated")
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	return "", errors.New("unterminated")
}

// bracketEnd is the length of the bracket expression at the start of s, or -1.
func bracketEnd(s string) int {
	i := 1
	if i < len(s) && s[i] == '^' {
		i++
	}
	if i < len(s) && s[i] == ']' {
		i++
	}
	for i < len(s) && s[i] != '\n' {
		if s[i] == '[' && i+1 < len(s) && strings.IndexByte(":.=", s[i+1]) >= 0 {
			if end := strings.Index(s[i+2:], s[i+1:i+2]+"]"); end >= 0 {
				i += end + 4
				continue
			}
		}
		if s[i] == ']' {
			return i + 1
		}
		i++
	}
	return -1
}

func (p *parser) command() error {
	var c command
	var err error
	if c.a1, err = p.address(false); err != nil {
		return err
	}
	if c.a1.kind != noAddr {
		p.spaces(" \t")
		if p.peek() == ',' {
			p.i++
			p.spaces(" \t")
			if c.a2, err = p.address(true); err != nil {
				return err
			}
			if c.a2.kind == noAddr {
				return errors.New("unexpected `,'")
			}
		}
	}
	if c.a1.kind == zeroAddr && c.a2.kind != regexAddr {
		return errors.New("invalid usage of line address 0")
	}
	p.spaces(" \t")
	for p.peek() == '!' {
		c.not = true
		p.i++
		p.spaces(" \t")
	}
	if p.i >= len(p.s) {
		return errors.New("missing command")
	}
	c.name = p.s[p.i]
	p.i++
	return p.body(c)
}

func (p *parser) body(c command) error {
	add := func() { p.cmds = append(p.cmds, c) }
	switch c.name {
	case '#':
		if c.a1.kind != noAddr {
			return errors.New("comments don't accept any addresses")
		}
		p.restOfLine()
		return nil
	case '{':
		p.blocks = append(p.blocks, len(p.cmds))
		add()
		return nil
	case '}':
		if len(p.blocks) == 0 {
			return errors.New("unexpected `}'")
		}
		if c.a1.kind != noAddr {
			return errors.New("} doesn't want any addresses")
		}
		last := len(p.blocks) - 1
		p.cmds[p.blocks[last]].jump = len(p.cmds)
		p.blocks = p.blocks[:last]
		return p.end()
	case ':':
		p.spaces(" \t")
		label := strings.TrimRight(p.until("\n;"), " \t")
		if label == "" {
			return errors.New("\":\" lacks a label")
		}
		p.labels[label] = len(p.cmds)
		return nil
	case 'b', 't', 'T':
		p.spaces(" \t")
		label := strings.TrimRight(p.until("\n;}"), " \t")
		c.jump = -1
		if label != "" {
			p.jumps[len(p.cmds)] = label
		}
		add()
		return nil
	case 'a', 'i', 'c':
		text, err := p.text()
		if err != nil {
			return err
		}
		c.text = text
		add()
		return nil
	case 'r', 'R', 'w', 'W':
		p.spaces(" \t")
		if c.text = p.restOfLine(); c.text == "" {
			return errors.New("missing filename in r/R/w/W commands")
		}
		add()
		return nil
	case 's':
		sub, err := p.substitute()
		if err != nil {
			return err
		}
		c.sub = sub
		add()
		return p.end()
	case 'y':
		if err := p.transliterate(&c); err != nil {
			return err
		}
		add()
		return p.end()
	case 'q', 'Q', 'l', 'L':
		p.spaces(" \t")
		c.n = -1
		if digit(p.peek()) {
			c.n = p.number()
		}
		add()
		return p.end()
	case '=', 'd', 'D', 'g', 'G', 'h', 'H', 'n', 'N', 'p', 'P', 'x', 'z', 'F':
		add()
		return p.end()
	}
	return fmt.Errorf("unknown command: `%c'", c.name)
}

func (p *parser) until(stop string) string {
	j := p.i
	for p.i < len(p.s) && strings.IndexByte(stop, p.s[p.i]) < 0 {
		p.i++
	}
	return p.s[j:p.i]
}

func (p *parser) restOfLine() string { return p.until("\n") }

func (p *parser) end() error {
	p.spaces(" \t")
	switch p.peek() {
	case 0, ';', '\n', '}', '#':
		return nil
	}
	return errors.New("extra characters after command")
}

// text reads the text of a, i and c: after a backslash and newline, or, GNU's
// way, on the same line; a backslash continues it on the next line.
func (p *parser) text() (string, error) {
	p.spaces(" \t")
	if p.i >= len(p.s) {
		return "", errors.New("expected \\ after `a', `c' or `i'")
	}
	if p.peek() == '\\' {
		p.i++
		j := p.i
		p.spaces(" \t")
		if p.peek() == '\n' {
			p.i++
		} else {
			p.i = j
		}
	}
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c == '\\' && p.i < len(p.s) {
			switch p.s[p.i] {
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(p.s[p.i])
			}
			p.i++
			continue
		}
		if c == '\n' {
			break
		}
		b.WriteByte(c)
	}
	return b.String() + "\n", nil
}

func (p *parser) substitute() (*substitution, error) {
	d := p.peek()
	re, err := p.delimited(true)
	if err != nil {
		return nil, errors.New("unterminated `s' command")
	}
	p.i-- // the delimiter begins the second part too
	if p.s[p.i] != d {
		return nil, errors.New("unterminated `s' command")
	}
	with, err := p.delimited(false)
	if err != nil {
		return nil, errors.New("unterminated `s' command")
	}
	s := &substitution{nth: 1}
	var f posix.Flags
	for {
		c := p.peek()
		switch {
		case c == 'g':
			s.global = true
		case c == 'p':
			s.print++
		case c == 'i' || c == 'I':
			f.IgnoreCase = true
		case c == 'm' || c == 'M':
			f.Multiline = true
		case digit(c):
			if s.nth = p.number(); s.nth == 0 {
				return nil, errors.New("number option to `s' command may not be zero")
			}
			continue
		case c == 'w':
			p.i++
			p.spaces(" \t")
			if s.file = p.restOfLine(); s.file == "" {
				return nil, errors.New("missing filename in r/R/w/W commands")
			}
			return p.finish(s, re, with, f)
		case c == 'e':
			return nil, errors.New("the e flag is not supported")
		default:
			return p.finish(s, re, with, f)
		}
		p.i++
	}
}

func (p *parser) finish(s *substitution, re, with string, f posix.Flags) (*substitution, error) {
	var err error
	if s.re, err = p.compile(re, f); err != nil {
		return nil, err
	}
	s.with = replacement(with)
	if s.re != nil {
		for _, w := range s.with {
			if w.group > s.re.Groups() {
				return nil, fmt.Errorf("invalid reference \\%d on `s' command's RHS", w.group)
			}
		}
	}
	return s, nil
}

func replacement(s string) []piece {
	var out []piece
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, piece{text: b.String(), group: -1})
			b.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '&':
			flush()
			out = append(out, piece{group: 0})
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		default:
			i++
			switch e := s[i]; {
			case digit(e):
				flush()
				out = append(out, piece{group: int(e - '0')})
			case strings.IndexByte("ULEul", e) >= 0:
				flush()
				out = append(out, piece{group: -1, mode: e})
			case e == 'n':
				b.WriteByte('\n')
			case e == 't':
				b.WriteByte('\t')
			case e == 'r':
				b.WriteByte('\r')
			default:
				b.WriteByte(e)
			}
		}
	}
	flush()
	return out
}

func (p *parser) transliterate(c *command) error {
	from, err := p.delimited(false)
	if err != nil {
		return errors.New("unterminated `y' command")
	}
	p.i--
	to, err := p.delimited(false)
	if err != nil {
		return errors.New("unterminated `y' command")
	}
	un := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t")
	a, b := []rune(un.Replace(from)), []rune(un.Replace(to))
	if len(a) != len(b) {
		return errors.New("strings for `y' command are different lengths")
	}
	c.table = map[rune]rune{}
	for i, r := range a {
		if _, ok := c.table[r]; !ok {
			c.table[r] = b[i]
		}
	}
	return nil
}
