package job

import (
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// A linePattern is the regular expression of a problem matcher. Those that Go's
// package reads take time in proportion to the line; others, with look-ahead,
// look-behind and back references, are left to one that follows the dialect of
// GitHub's runner (.NET, as ECMAScript) and may take a time out of all proportion,
// so that it has a limit.
type linePattern struct {
	fast *regexp.Regexp
	slow *regexp2.Regexp // where fast is nil
}

// patternTime is how long one pattern may look at one line.
const patternTime = 100 * time.Millisecond

var errPatternTime = errors.New("it took too long over a line")

func compilePattern(text string) (linePattern, error) {
	if re, err := regexp.Compile(text); err == nil {
		return linePattern{fast: re}, nil
	}
	re, err := regexp2.Compile(text, regexp2.ECMAScript)
	if err != nil {
		// Some constructs are not for the ECMAScript option, though they are JavaScript.
		if re, err = regexp2.Compile(text, regexp2.None); err != nil {
			return linePattern{}, fmt.Errorf("regexp %s cannot be read: %w", excerpt(text), err)
		}
	}
	re.MatchTimeout = patternTime
	return linePattern{slow: re}, nil
}

// groups is the number of the last group.
func (p linePattern) groups() int {
	if p.fast != nil {
		return p.fast.NumSubexp()
	}
	last := 0
	for _, n := range p.slow.GetGroupNumbers() {
		last = max(last, n)
	}
	return last
}

// find returns the groups of the first match, the whole of it first; nil where
// there is none. The error is errPatternTime.
func (p linePattern) find(line []byte) ([][]byte, error) {
	if p.fast != nil {
		return p.fast.FindSubmatch(line), nil
	}
	if !utf8.Valid(line) {
		return nil, nil // as text it would be another line
	}
	m, err := p.slow.FindStringMatch(string(line))
	if err != nil {
		return nil, errPatternTime // the only error that there is
	}
	if m == nil {
		return nil, nil
	}
	found := make([][]byte, p.groups()+1)
	for i := range found {
		if g := m.GroupByNumber(i); g != nil && len(g.Captures) > 0 {
			found[i] = []byte(g.String())
		}
	}
	return found, nil
}
