package job

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvFile(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []pair
		err      string
	}{
		{"empty", "", nil, ""},
		{"one", "a=b\n", []pair{{"a", "b"}}, ""},
		{"no end of line", "a=b", []pair{{"a", "b"}}, ""},
		{"empty value", "a=\n", []pair{{"a", ""}}, ""},
		{"equals in value", "a=b=c\n", []pair{{"a", "b=c"}}, ""},
		{"arrows in value", "a=b<<c\n", []pair{{"a", "b<<c"}}, ""},
		{"spaces stay", "a = b \n", []pair{{"a ", " b "}}, ""},
		{"twice", "a=1\na=2\n", []pair{{"a", "1"}, {"a", "2"}}, ""},
		{"blank lines", "\n\na=b\n\n", []pair{{"a", "b"}}, ""},
		{"heredoc", "a<<EOF\n1\n2\nEOF\nb=c\n", []pair{{"a", "1\n2"}, {"b", "c"}}, ""},
		{"empty heredoc", "a<<EOF\nEOF\n", []pair{{"a", ""}}, ""},
		{"blank line heredoc", "a<<EOF\n\nEOF\n", []pair{{"a", ""}}, ""},
		{"two blank lines heredoc", "a<<EOF\n\n\nEOF\n", []pair{{"a", "\n"}}, ""},
		{"heredoc with equals", "a<<E=F\nx=y\nE=F\n", []pair{{"a", "x=y"}}, ""},
		{"delimiter without newline", "a<<EOF\nx\nEOF", []pair{{"a", "x"}}, ""},
		{"indented delimiter is text", "a<<EOF\n EOF\nEOF\n", []pair{{"a", " EOF"}}, ""},
		{"crlf", "a=b\r\nc<<EOF\r\n1\r\n2\r\nEOF\r\n", []pair{{"a", "b"}, {"c", "1\n2"}}, ""},
		{"cr in a value of an lf file", "a<<EOF\n1\r\n2\nEOF\n", []pair{{"a", "1\r\n2"}}, ""},
		{"bom", "\xef\xbb\xbfa=b\n", []pair{{"a", "b"}}, ""},
		{"invalid utf-8", "a=\xff\n", []pair{{"a", "\uFFFD"}}, ""},
		{"no form", "a=b\nnope\n", []pair{{"a", "b"}}, `line 2: expected name=value or name<<DELIMITER, found "nope"`},
		{"no name", "=b\n", nil, `line 1: the name before "=" is empty`},
		{"no name heredoc", "<<EOF\nEOF\n", nil, `line 1: name<<DELIMITER needs a name and a delimiter`},
		{"no delimiter", "a<<\n", nil, `line 1: name<<DELIMITER needs a name and a delimiter`},
		{"no end", "x=1\na<<EOF\n1\n", []pair{{"x", "1"}}, `line 2: the delimiter "EOF" that ends the value of "a" is missing`},
		{"long line cut", strings.Repeat("x", 500), nil, strings.Repeat("x", 80) + `"…`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseEnvFile([]byte(c.in))
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestPathFile(t *testing.T) {
	got := parsePathFile([]byte("\xef\xbb\xbf/a b\r\n\n/c"))
	if want := []string{"/a b", "/c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzEnvFile: no panic, no empty name, and what is written as a heredoc comes
// back as it is.
func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"a=b\n", "a<<E\nx\nE\n", "\xef\xbb\xbfa=b\r\n", "a<<E\n", "<<\n=\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		pairs, _ := parseEnvFile(in)
		for _, p := range pairs {
			if p.name == "" {
				t.Fatalf("empty name from %q", in)
			}
		}
		value := strings.ToValidUTF8(strings.ReplaceAll(string(in), "\r", ""), "")
		back, err := parseEnvFile([]byte("k<<DELIMITER_" + "7f3a\n" + value + "\nDELIMITER_7f3a\n"))
		if strings.Contains(value, "DELIMITER_7f3a") {
			return
		}
		if err != nil || len(back) != 1 || back[0].value != value {
			t.Fatalf("%q came back as %q, %v", value, back, err)
		}
	})
}
