package sed_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"otelrunner/sandbox/wasm/guest/sed"
)

type input struct{ texts []string }

func (i *input) Next() (io.Reader, string, error) {
	if len(i.texts) == 0 {
		return nil, "", io.EOF
	}
	text := i.texts[0]
	i.texts = i.texts[1:]
	return strings.NewReader(text), "-", nil
}

func edit(t *testing.T, script, text string) string {
	t.Helper()
	s, err := sed.Parse(script, false)
	if err != nil {
		t.Fatalf("%q: %v", script, err)
	}
	var out bytes.Buffer
	if _, err := s.Run(&input{[]string{text}}, &out, sed.Options{}); err != nil {
		t.Fatalf("%q: %v", script, err)
	}
	return out.String()
}

// The expected texts are GNU sed 4.8's.
func TestEdit(t *testing.T) {
	for _, c := range []struct{ script, in, want string }{
		{"s/a*/x/g", "baaac", "xbxcx"},
		{"s/b*/-/2", "abc\n", "a-c\n"},
		{`s/\(.\)\(.\)/\2\1/`, "abc\n", "bac\n"},
		{`s/.*/[&] \&/`, "a\n", "[a] &\n"},
		{`s/a/\n/`, "xay\n", "x\ny\n"},
		{`s,a\,b,X,`, "a,b\n", "X\n"},
		{"s/[/]/X/", "a/b\n", "aXb\n"},
		{`s/\w\+/\u&/g`, "ab cd\n", "Ab Cd\n"},
		{"2,3d", "1\n2\n3\n4\n", "1\n4\n"},
		{"2,1d", "1\n2\n3\n", "1\n3\n"},
		{"/2/,/2/d", "1\n2\n3\n2\n4\n", "1\n4\n"},
		{"0,/a/d", "a\na\n", "a\n"},
		{"$!N;P;D", "1\n2\n3\n", "1\n2\n3\n"},
		{"1!G;h;$!d", "1\n2\n3\n", "3\n2\n1\n"},
		{"/x/{s/x/y/;b};s/$/!/", "x\na\n", "y\na!\n"},
		{"2q", "1\n2\n3\n", "1\n2\n"},
		{"a\\\nfoo\\\nbar", "1\n", "1\nfoo\nbar\n"},
		{"2{i\\\nx\n}", "1\n2\n", "1\nx\n2\n"},
		{"2,3c\\\nX", "1\n2\n3\n4\n", "1\nX\n4\n"},
		{"y/abc/xyz/", "cab\n", "zxy\n"},
		{"s/a/b/;ta;s/$/ no/;:a", "a\nc\n", "b\nc no\n"},
		{"=", "a\n", "1\na\n"},
		{"l;d", "a\tb\\\n", "a\\tb\\\\$\n"},
		{"p", "no newline", "no newline\nno newline"},
		{"x;1d;$G", "1\n2\n", "1\n2\n"},
	} {
		if got := edit(t, c.script, c.in); got != c.want {
			t.Errorf("sed %q of %q: %q, want %q", c.script, c.in, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, script := range []string{"s/a/b", "k", "{p", "p}", "b nowhere", "s/a/b/0", "y/ab/c/", ":", "1,p", "s/a/\\1/", "0p", "w", "s/a/b/e"} {
		if _, err := sed.Parse(script, false); err == nil {
			t.Errorf("%q parses", script)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"s/a/b/g;p", "1,$!{N;D}", "y/a/b/;tx;:x", "a\\\ntext", "/[/]/I,+2d", "s|\\||x|w out"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(_ *testing.T, script string, extended bool) {
		_, _ = sed.Parse(script, extended)
	})
}
