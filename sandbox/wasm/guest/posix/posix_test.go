package posix_test

import (
	"fmt"
	"testing"
	"time"

	"otelrunner/sandbox/wasm/guest/posix"
)

func TestFind(t *testing.T) {
	for _, c := range []struct {
		syntax  posix.Syntax
		pattern string
		text    string
		want    string // offsets; "" for no match
	}{
		{posix.Basic, `a\+`, "xaay", "[1 3]"},
		{posix.Basic, `a+`, "aa+", "[1 3]"},
		{posix.Basic, `\(a\)\(b\)`, "ab", "[0 2 0 1 1 2]"},
		{posix.Basic, `*a`, "*a", "[0 2]"},
		{posix.Basic, `^*a`, "*a", "[0 2]"},
		{posix.Basic, `a\{2,3\}`, "aaaa", "[0 3]"},
		{posix.Basic, `a{2}`, "a{2}", "[0 4]"},
		{posix.Basic, `x$y`, "x$y", "[0 3]"},
		{posix.Basic, `a\|b`, "cb", "[1 2]"},
		{posix.Extended, `a|ab`, "ab", "[0 2]"}, // leftmost, longest
		{posix.Extended, `(a)(b)?`, "a", "[0 1 0 1 -1 -1]"},
		{posix.Extended, `a{,2}`, "aaa", "[0 2]"},
		{posix.Extended, `a{x`, "a{x", "[0 3]"},
		{posix.Extended, `[]a]+`, "]a", "[0 2]"},
		{posix.Extended, `[^]a]`, "]b", "[1 2]"},
		{posix.Extended, `[[:digit:]a-c]+`, "x1b2", "[1 4]"},
		{posix.Extended, `[\n]`, "n", "[0 1]"},
		{posix.Extended, `(.)\1`, "abccd", "[2 4 2 3]"},
		{posix.Extended, `^(a*)b\1$`, "aabaa", "[0 5 0 2]"},
		{posix.Extended, `\bfoo\b`, "a foo", "[2 5]"},
		{posix.Extended, `\<o`, "foo o", "[4 5]"},
		{posix.Extended, `\w+\s\S`, "ab c", "[0 4]"},
		{posix.Fixed, `a.b`, "axb a.b", "[4 7]"},
		{posix.Perl, `\d+?`, "a12", "[1 2]"},
		{posix.Extended, `é+`, "aéé", "[1 5]"},
	} {
		re, err := posix.Compile(c.pattern, c.syntax, posix.Flags{})
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		got := ""
		if m := re.Find(c.text); m != nil {
			got = fmt.Sprint(m)
		}
		if got != c.want {
			t.Errorf("%q in %q: %s, want %s", c.pattern, c.text, got, c.want)
		}
	}
}

func TestWordAndLine(t *testing.T) {
	for _, c := range []struct {
		flags posix.Flags
		text  string
		want  bool
	}{
		{posix.Flags{Word: true}, "foobar", false},
		{posix.Flags{Word: true}, "a foo.", true},
		{posix.Flags{Word: true}, "foox foo", true},
		{posix.Flags{Line: true}, "foo", true},
		{posix.Flags{Line: true}, "foo ", false},
		{posix.Flags{IgnoreCase: true}, "FOO", true},
	} {
		re, err := posix.Compile("foo", posix.Basic, c.flags)
		if err != nil {
			t.Fatal(err)
		}
		if got := re.Match(c.text); got != c.want {
			t.Errorf("%+v %q: %v", c.flags, c.text, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, p := range []string{`(`, `[a`, `\1`, `[[:nope:]]`, `a{2000}`, `a\`, `[b-a]`} {
		if _, err := posix.Compile(p, posix.Extended, posix.Flags{}); err == nil {
			t.Errorf("%q compiles", p)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, p := range []string{`a\(b*\)\1`, `[[:alpha:]]+|^$`, `((a|b)*c){2,3}`, `\<x\>`, `[^]-z]`, `(.*)*\1`} {
		f.Add(p, "aab cab", true)
		f.Add(p, "x", false)
	}
	f.Fuzz(func(t *testing.T, pattern, text string, extended bool) {
		if len(pattern) > 60 || len(text) > 40 {
			return
		}
		syntax := posix.Basic
		if extended {
			syntax = posix.Extended
		}
		re, err := posix.Compile(pattern, syntax, posix.Flags{})
		if err != nil {
			return
		}
		start := time.Now()
		for _, m := range re.All(text, -1) {
			if m[0] < 0 || m[1] < m[0] || m[1] > len(text) {
				t.Fatalf("%q in %q: %v", pattern, text, m)
			}
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Fatalf("%q in %q took %v", pattern, text, d)
		}
	})
}
