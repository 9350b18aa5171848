package job

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// pair is one entry of a command file.
type pair struct{ name, value string }

// parseEnvFile reads a command file of the kind of GITHUB_ENV, GITHUB_OUTPUT and
// GITHUB_STATE: lines of name=value, and name<<DELIMITER followed by the value's
// lines and a line that is DELIMITER. Whichever of "=" and "<<" comes first
// decides. Entries come in the file's order, a name possibly more than once. A
// byte order mark is skipped, and lines may end with "\r\n".
//
// The rules are those of GitHub's runner (docs: "Workflow commands", "Environment
// files").
func parseEnvFile(data []byte) ([]pair, error) {
	var pairs []pair
	f := envFile{text: strings.ToValidUTF8(string(trimBOM(data)), string(utf8.RuneError))}
	for f.next() {
		if f.line == "" {
			continue
		}
		eq, here := strings.IndexByte(f.line, '='), strings.Index(f.line, "<<")
		var p pair
		var err error
		switch {
		case eq >= 0 && (here < 0 || eq < here):
			p = pair{f.line[:eq], f.line[eq+1:]}
		case here >= 0:
			p, err = f.heredoc(f.line[:here], f.line[here+2:])
		default:
			err = f.errorf("expected name=value or name<<DELIMITER, found %s", excerpt(f.line))
		}
		if err == nil && p.name == "" {
			err = f.errorf("the name before \"=\" is empty")
		}
		if err != nil {
			return pairs, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// envFile walks over the lines of a command file.
type envFile struct {
	text string // what is not read yet
	line string // the current line without its end
	crlf bool   // it ended with "\r\n"
	n    int    // its number, from 1
}

func (f *envFile) next() bool {
	if f.text == "" {
		return false
	}
	f.n++
	f.line, f.text, _ = strings.Cut(f.text, "\n")
	f.line, f.crlf = strings.CutSuffix(f.line, "\r")
	return true
}

// heredoc reads the lines up to the delimiter. In a file whose lines end with
// "\r\n" the value's do not.
func (f *envFile) heredoc(name, delimiter string) (pair, error) {
	if name == "" || delimiter == "" {
		return pair{}, f.errorf("name<<DELIMITER needs a name and a delimiter, found %s", excerpt(f.line))
	}
	start, crlf := f.n, f.crlf
	var value strings.Builder
	for first := true; f.next(); first = false {
		if f.line == delimiter {
			return pair{name, value.String()}, nil
		}
		if !first {
			value.WriteByte('\n')
		}
		value.WriteString(f.line)
		if f.crlf && !crlf {
			value.WriteByte('\r')
		}
	}
	return pair{}, fmt.Errorf("line %d: the delimiter %s that ends the value of %s is missing",
		start, excerpt(delimiter), excerpt(name))
}

func (f *envFile) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{f.n}, args...)...)
}

// parsePathFile reads the entries of a GITHUB_PATH file, one a line.
func parsePathFile(data []byte) []string {
	var dirs []string
	f := envFile{text: string(trimBOM(data))}
	for f.next() {
		if f.line != "" {
			dirs = append(dirs, f.line)
		}
	}
	return dirs
}

func trimBOM(data []byte) []byte {
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
}

// excerpt quotes text for a message, cut to a length that is read at a glance.
func excerpt(s string) string {
	const limit = 80
	if len(s) <= limit {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…", s[:runeBound([]byte(s[:limit]))])
}
