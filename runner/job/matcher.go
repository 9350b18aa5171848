package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// matchers are the problem matchers in force: patterns that turn lines of output
// into annotations. The file's format is that of GitHub's runner (toolkit docs:
// "Problem matchers").
//
// A job has one set, since a step may add a matcher for those after it. It is
// used by one goroutine at a time.
type matchers struct {
	list []*problemMatcher
	// tooSlow are the owners of those that were given up, and not yet told of.
	tooSlow []string
}

// problem is what a matcher found.
type problem struct {
	severity                      string // error, warning or notice
	file, line, column, code, msg string
}

type problemMatcher struct {
	owner    string
	severity string
	patterns []problemPattern

	// How far into patterns the lines before have come, and what was found
	// in them.
	next  int
	found problem
}

type problemPattern struct {
	re    linePattern
	field [8]int // groups, in the order of problemFields
	loop  bool
}

// problemFields are the fields of a pattern that name a group.
var problemFields = [8]string{"file", "fromPath", "line", "column", "endLine", "severity", "code", "message"}

const (
	fieldFile     = 0
	fieldLine     = 2
	fieldColumn   = 3
	fieldSeverity = 5
	fieldCode     = 6
	fieldMessage  = 7
)

// maxMatchedLine bounds the lines that matchers look at, in bytes.
const maxMatchedLine = 16 << 10

// add reads a matcher file. Owners that it names replace older ones.
func (m *matchers) add(data []byte) error {
	list, err := parseMatchers(data)
	if err != nil {
		return err
	}
	for _, p := range list {
		m.remove(p.owner)
		m.list = append(m.list, p)
	}
	return nil
}

// remove forgets the matcher of an owner and reports whether there was one.
func (m *matchers) remove(owner string) bool {
	for i, p := range m.list {
		if strings.EqualFold(p.owner, owner) {
			m.list = append(m.list[:i:i], m.list[i+1:]...)
			return true
		}
	}
	return false
}

// reset forgets what the lines before have matched; a step starts anew.
func (m *matchers) reset() {
	for _, p := range m.list {
		p.next = 0
	}
}

// match looks at one line. The first matcher that has its whole sequence of
// patterns takes the line, and the others start anew.
func (m *matchers) match(line []byte) (problem, bool) {
	if len(m.list) == 0 || len(line) > maxMatchedLine {
		return problem{}, false
	}
	line = stripColours(line)
	for i, p := range m.list {
		found, ok, err := p.match(line)
		if err != nil {
			// The others see the next line: this one's order of the list is about to change.
			m.tooSlow = append(m.tooSlow, p.owner)
			m.remove(p.owner)
			return problem{}, false
		}
		if !ok {
			continue
		}
		for j, other := range m.list {
			if j != i {
				other.next = 0
			}
		}
		return found, true
	}
	return problem{}, false
}

func (p *problemMatcher) match(line []byte) (found problem, done bool, err error) {
	if p.next > 0 {
		found, done, ok, err := p.try(line, p.next)
		if ok || err != nil {
			return found, done, err
		}
		p.next = 0
	}
	found, done, _, err = p.try(line, 0)
	return found, done, err
}

// try matches one pattern. The last one, when it loops, stays the next to be
// tried, with what the lines before it have found.
func (p *problemMatcher) try(line []byte, at int) (found problem, done, ok bool, err error) {
	pattern := &p.patterns[at]
	groups, err := pattern.re.find(line)
	if groups == nil {
		return problem{}, false, false, err
	}
	if at == 0 {
		p.found = problem{severity: p.severity}
	}
	now := p.found
	pattern.fill(&now, groups)
	if at < len(p.patterns)-1 {
		p.found, p.next = now, at+1
		return problem{}, false, true, nil
	}
	p.next = 0
	if pattern.loop {
		p.next = at
	}
	return now, now.msg != "", true, nil
}

func (p *problemPattern) fill(to *problem, groups [][]byte) {
	for i, dest := range map[int]*string{
		fieldFile: &to.file, fieldLine: &to.line, fieldColumn: &to.column,
		fieldSeverity: &to.severity, fieldCode: &to.code, fieldMessage: &to.msg,
	} {
		if g := p.field[i]; g > 0 && g < len(groups) && len(groups[g]) > 0 {
			*dest = string(groups[g])
		}
	}
}

type matcherFile struct {
	ProblemMatcher []struct {
		Owner    string           `json:"owner"`
		Severity string           `json:"severity"`
		Pattern  []map[string]any `json:"pattern"`
	} `json:"problemMatcher"`
}

func parseMatchers(data []byte) ([]*problemMatcher, error) {
	var file matcherFile
	if err := json.Unmarshal(trimBOM(data), &file); err != nil {
		return nil, fmt.Errorf("expected JSON with a list problemMatcher: %w", err)
	}
	if len(file.ProblemMatcher) == 0 {
		return nil, errors.New("expected JSON with a list problemMatcher, found none in it")
	}
	var list []*problemMatcher
	for i, in := range file.ProblemMatcher {
		p := &problemMatcher{owner: in.Owner, severity: "error"}
		if in.Owner == "" {
			return nil, fmt.Errorf("problem matcher %d has no owner", i+1)
		}
		if in.Severity != "" {
			p.severity = in.Severity
		}
		for n, entry := range in.Pattern {
			pattern, err := newPattern(entry)
			if err == nil && pattern.loop && (n != len(in.Pattern)-1 || n == 0) {
				err = errors.New("only the last of several patterns may have loop")
			}
			if err != nil {
				return nil, fmt.Errorf("problem matcher %q, pattern %d: %w", in.Owner, n+1, err)
			}
			p.patterns = append(p.patterns, pattern)
		}
		if len(p.patterns) == 0 {
			return nil, fmt.Errorf("problem matcher %q has no pattern", in.Owner)
		}
		list = append(list, p)
	}
	return list, nil
}

func newPattern(entry map[string]any) (problemPattern, error) {
	text, _ := entry["regexp"].(string)
	if text == "" {
		return problemPattern{}, errors.New("has no regexp")
	}
	re, err := compilePattern(text)
	if err != nil {
		return problemPattern{}, err
	}
	p := problemPattern{re: re}
	p.loop, _ = entry["loop"].(bool)
	for i, name := range problemFields {
		group, ok := entry[name].(float64)
		if !ok {
			continue
		}
		if int(group) > re.groups() || group < 0 {
			return problemPattern{}, fmt.Errorf("%s is group %d, but the regexp has %d groups", name, int(group), re.groups())
		}
		p.field[i] = int(group)
	}
	return p, nil
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func stripColours(line []byte) []byte {
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	return colours.ReplaceAll(line, nil)
}

// annotates reports whether the problem becomes an annotation. A severity that
// the line itself names may be another word, such as a compiler's "note": GitHub
// shows such a line as it is.
func (p problem) annotates() bool {
	switch strings.ToLower(p.severity) {
	case "", "error", "warning", "notice", "info":
		return true
	}
	return false
}

// prefix returns the row prefix of a severity.
func severityPrefix(severity string) string {
	switch strings.ToLower(severity) {
	case "warning":
		return RowWarning
	case "notice", "info":
		return RowNotice
	}
	return RowError
}

// place joins file, line and column as compilers print them; "" without a file.
func place(file, line, column string) string {
	if file == "" {
		return ""
	}
	for _, n := range []string{line, column} {
		if _, err := strconv.Atoi(n); err != nil {
			break
		}
		file += ":" + n
	}
	return file
}

// row returns the annotation for the line in which the problem was found: the
// line itself, with the place before it where the line does not name the file.
func (p problem) row(line string) string {
	line = strings.ToValidUTF8(line, string(utf8.RuneError))
	if at := place(p.file, p.line, p.column); at != "" && !strings.Contains(line, p.file) {
		line = at + ": " + line
	}
	return severityPrefix(p.severity) + line
}
