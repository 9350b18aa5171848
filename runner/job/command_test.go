package job

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, c := range []struct {
		in   string
		want *command
	}{
		{"::error::boom", &command{name: "error", data: "boom"}},
		{"::ERROR::boom", &command{name: "error", data: "boom"}},
		{"  \t::error::boom", &command{name: "error", data: "boom"}},
		{"x ::error::boom", nil},
		{"::error", nil},
		{"::::", nil},
		{":: error::x", nil},
		{"::error file=a.go,line=3::boom", &command{name: "error", args: []pair{{"file", "a.go"}, {"line", "3"}}, data: "boom"}},
		{"::error  file=a.go , line=3 ::boom", &command{name: "error", args: []pair{{"file", "a.go "}, {"line", "3"}}, data: "boom"}},
		{"::error file=,line::boom", &command{name: "error", args: []pair{{"file", ""}}, data: "boom"}},
		{"::error file=a%3Ab%2Cc%25::x%0Ay%0D%25%3A", &command{name: "error", args: []pair{{"file", "a:b,c%"}}, data: "x\ny\r%%3A"}},
		{"::debug::%250A", &command{name: "debug", data: "%0A"}},
		{"::set-output name=a::b::c", &command{name: "set-output", args: []pair{{"name", "a"}}, data: "b::c"}},
		{"::endgroup::", &command{name: "endgroup"}},
		{"##[group]x", &command{name: "group", data: "x"}},
		{"##[error file=a;line=1]b%5D%3B", &command{name: "error", args: []pair{{"file", "a"}, {"line", "1"}}, data: "b];"}},
		{"##[group", nil},
		{"##group]", nil},
		{"", nil},
		{"::", nil},
	} {
		got, ok := parseCommand([]byte(c.in))
		if ok != (c.want != nil) {
			t.Errorf("%q: ok = %v", c.in, ok)
			continue
		}
		if ok && !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%q: got %+v, want %+v", c.in, got, *c.want)
		}
		if ok && !maybeCommand([]byte(c.in)) {
			t.Errorf("%q: the quick check misses it", c.in)
		}
	}
}

func TestCommandArg(t *testing.T) {
	c := command{args: []pair{{"Name", "1"}, {"x", "2"}, {"name", "3"}}}
	if got := c.arg("NAME"); got != "3" {
		t.Errorf("got %q", got)
	}
	if got := c.arg("none"); got != "" {
		t.Errorf("got %q", got)
	}
}

// FuzzCommand: no panic, the quick check has no false negatives, and what a
// toolkit escapes comes back.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"::error file=a,line=1::x", "##[group]a", "::::", "  ::a b=%25::%0A"} {
		f.Add(s)
	}
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	escapeProperty := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := parseCommand([]byte(s)); ok {
			if !maybeCommand([]byte(s)) {
				t.Fatalf("the quick check misses %q", s)
			}
			if c.name == "" || c.name != strings.ToLower(c.name) {
				t.Fatalf("%q: name %q", s, c.name)
			}
		}
		value := strings.TrimSpace(s)
		c, ok := parseCommand([]byte("::x k=" + escapeProperty.Replace(value) + "::" + escape.Replace(s)))
		if !ok || c.data != s || c.arg("k") != value {
			t.Fatalf("%q came back as %+v", s, c)
		}
	})
}
