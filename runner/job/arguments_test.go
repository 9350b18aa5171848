package job

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestSplitArguments(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \n\t ", nil},
		{"a  b\tc\nd", []string{"a", "b", "c", "d"}},
		{`"a b" c`, []string{"a b", "c"}},
		{`--x="a b"c d`, []string{"--x=a bc", "d"}},
		{`"" x`, []string{"", "x"}},
		{`"say ""hi""" x`, []string{`say "hi"`, "x"}},
		{`\"a b\"`, []string{`"a`, `b"`}},
		{`"a \"b\" c"`, []string{`a "b" c`}},
		{`\d+ C:\dir\ x\\`, []string{`\d+`, `C:\dir\`, `x\\`}},
		{`a\\"b c"`, []string{`a\b c`}},
		{`-c 'echo "hi there"; exit'`, []string{"-c", `echo "hi there"; exit`}},
		{`it's fine`, []string{"it's", "fine"}},
		{`'not closed`, []string{"'not", "closed"}},
		{`'a'b c`, []string{"'a'b", "c"}},
		{`"open to the end`, []string{"open to the end"}},
		{`é "ü ö"`, []string{"é", "ü ö"}},
	} {
		if got := splitArguments(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

// A quoted list comes apart as it was put together.
func FuzzSplitArguments(f *testing.F) {
	f.Add("a", `b "c`, `\`)
	f.Add("", "'", `x\\"`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		_ = splitArguments(a + b + c)
		want := []string{a, b, c}
		var quoted []string
		for _, arg := range want {
			if strings.ContainsFunc(arg, unicode.IsControl) {
				return
			}
			// A backslash before the closing quote would make it a letter.
			tail := arg[len(strings.TrimRight(arg, `\`)):]
			arg = strings.ReplaceAll(arg, `"`, `""`)
			if strings.Contains(arg, `\"`) {
				return
			}
			quoted = append(quoted, `"`+arg+tail+`"`)
		}
		if got := splitArguments(strings.Join(quoted, " ")); !slices.Equal(got, want) {
			t.Errorf("%q gives %q", quoted, got)
		}
	})
}
