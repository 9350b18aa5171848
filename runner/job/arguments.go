package job

import "strings"

// splitArguments cuts the text of `with.args` into arguments, as GitHub's runner
// does: at white space that is not within double quotes; a backslash counts only
// before a double quote, which it makes an ordinary letter, and two double quotes
// within quotes are one. Gitea's runner takes single quotes too: they count here
// where they begin an argument and end one.
func splitArguments(text string) []string {
	var args []string
	for rest := strings.TrimLeft(text, space); rest != ""; rest = strings.TrimLeft(rest, space) {
		var arg string
		if inner, after, ok := singleQuoted(rest); ok {
			arg, rest = inner, after
		} else {
			arg, rest = nextArgument(rest)
		}
		args = append(args, arg)
	}
	return args
}

const space = " \t\r\n"

// singleQuoted takes an argument that is wholly within single quotes.
func singleQuoted(text string) (arg, rest string, ok bool) {
	if text[0] != '\'' {
		return "", text, false
	}
	arg, rest, ok = strings.Cut(text[1:], "'")
	if !ok || rest != "" && !strings.ContainsRune(space, rune(rest[0])) {
		return "", text, false
	}
	return arg, rest, true
}

// nextArgument takes the argument that text begins with.
func nextArgument(text string) (arg, rest string) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\\':
			n := len(text[i:]) - len(strings.TrimLeft(text[i:], `\`))
			i += n
			if i == len(text) || text[i] != '"' {
				b.WriteString(strings.Repeat(`\`, n))
				continue
			}
			b.WriteString(strings.Repeat(`\`, n/2))
			if n%2 == 1 {
				b.WriteByte('"')
				i++
			}
			continue
		case c == '"' && quoted && strings.HasPrefix(text[i:], `""`):
			b.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(space, c) >= 0:
			return b.String(), text[i:]
		default:
			b.WriteByte(c)
		}
		i++
	}
	return b.String(), ""
}
