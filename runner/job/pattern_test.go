package job

import (
	"strings"
	"testing"
	"time"
)

// What Go's regular expressions do not know works as in the dialect of GitHub's
// runner.
func TestMatcherDialect(t *testing.T) {
	for _, c := range []struct{ pattern, line, want string }{
		{`^(?!note)(\\w+):(\\d+): (.*)$`, "a.c:1: x", ""},
		{`^(?!note)([\\w.]+):(\\d+): (.*)$`, "a.c:12: broken", "##[error]a.c:12: broken"},
		{`^(?!note)([\\w.]+):(\\d+): (.*)$`, "note:12: broken", ""},
		{`^(?<=)(.+?)\\((\\d+)\\): ((?:error|fatal) .*)$`, "b.cs(7): error CS1", "##[error]b.cs(7): error CS1"},
		{`^([^:]+):(\\d+): (('|\").*\\4 .*)$`, `c.py:3: "x" is odd`, `##[error]c.py:3: "x" is odd`},
		{`^(?:\\s*)(?<!x)(.+):(\\d+) (.+)$`, "ü.py:4 größer", "##[error]ü.py:4 größer"},
	} {
		m := &matchers{}
		err := m.add([]byte(`{"problemMatcher":[{"owner":"o","pattern":[{"regexp":"` + c.pattern + `","file":1,"line":2,"message":3}]}]}`))
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got := ""
		if p, ok := m.match([]byte(c.line)); ok {
			got = p.row(c.line)
		}
		if got != c.want {
			t.Errorf("%s on %q: %q, want %q", c.pattern, c.line, got, c.want)
		}
	}
}

// A pattern that would look at a line for ages is given up, and told of.
func TestMatcherTimeLimit(t *testing.T) {
	s := &rowSink{rows: []string{}}
	o := testOutput(s, false)
	if err := o.matchers.add([]byte(`{"problemMatcher":[{"owner":"evil","pattern":[{"regexp":"^(?!x)((a|aa)+)+$","message":1}]}, {"owner":"good","pattern":[{"regexp":"^(found)$","message":1}]}]}`)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := o.Write([]byte(strings.Repeat("a", 60) + "!\nfound\n")); err != nil {
		t.Fatal(err)
	}
	o.close()
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	rows := strings.Join(s.rows, "\n")
	if !strings.Contains(rows, `##[warning]The problem matcher "evil" looked at the line above`) || !strings.Contains(rows, "##[error]found") {
		t.Errorf("rows:\n%s", rows)
	}
}
