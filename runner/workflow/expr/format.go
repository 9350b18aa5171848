package expr

import (
	"fmt"
	"strconv"
	"strings"
)

// callFormat fills {0}, {1} … of its first parameter; {{ and }} are braces. A
// parameter that is not referred to is not evaluated.
func callFormat(e *evaluator, n *node) (value, int, error) {
	f, err := e.eval(n.kids[0])
	if err != nil {
		return value{}, 0, err
	}
	format := f.text()
	args := make([]*string, len(n.kids)-1)
	b := e.builder(n)
	for rest := format; rest != ""; {
		brace := strings.IndexAny(rest, "{}")
		if brace < 0 {
			b.put(rest)
			break
		}
		if brace+1 < len(rest) && rest[brace+1] == rest[brace] {
			b.put(rest[:brace+1])
			rest = rest[brace+2:]
			continue
		}
		arg, spec, length, ok := placeholder(rest[brace:])
		if !ok {
			return value{}, 0, e.fail(n, "The following format string is invalid: "+clip(format),
				"A placeholder is written {0}, a brace {{ or }}", nil)
		}
		if arg >= len(args) {
			return value{}, 0, e.fail(n, "The following format string references more arguments than were supplied: "+clip(format),
				fmt.Sprintf("{%d} is used and %d given", arg, len(args)), nil)
		}
		b.put(rest[:brace])
		if err := e.formatArg(n, b, args, arg, spec); err != nil {
			return value{}, 0, err
		}
		rest = rest[brace+length:]
	}
	if b.err != nil {
		return value{}, 0, b.err
	}
	return stringResult(b.String())
}

func (e *evaluator) formatArg(n *node, b *builder, args []*string, i int, spec string) error {
	if args[i] == nil {
		v, err := e.eval(n.kids[i+1])
		if err != nil {
			return err
		}
		if spec != "" {
			return e.fail(n, fmt.Sprintf("The format specifiers '%s' are not valid for objects of type '%s'", spec, v.kind),
				"A placeholder is written {0}", nil)
		}
		s := v.text()
		args[i] = &s
	}
	return b.add(*args[i])
}

// placeholder reads "{0}" or "{0:spec}" at the start of s; length is how much
// of s it is.
func placeholder(s string) (arg int, spec string, length int, ok bool) {
	i := 1
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	n, err := strconv.ParseUint(s[1:i], 10, 8)
	if s[0] != '{' || err != nil || i >= len(s) {
		return 0, "", 0, false
	}
	if s[i] == '}' {
		return int(n), "", i + 1, true
	}
	if s[i] != ':' {
		return 0, "", 0, false
	}
	var b strings.Builder
	for i++; i < len(s); i++ {
		if s[i] == '}' {
			if i+1 >= len(s) || s[i+1] != '}' {
				return int(n), b.String(), i + 1, true
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return 0, "", 0, false
}
