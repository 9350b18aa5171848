package worker

import (
	"strings"
	"unicode"
)

// maxTrap bounds a trap's text, in which a guest chooses the names.
const maxTrap = 2000

// Plain makes one line of a guest's words that cannot do anything in a log or
// terminal: no control characters, and neither `::` nor `##[`, which start
// workflow commands.
func Plain(text string) string {
	if len(text) > maxTrap {
		text = text[:maxTrap] + "…"
	}
	text = strings.ToValidUTF8(text, "?")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, text)
	for strings.Contains(text, "::") {
		text = strings.ReplaceAll(text, "::", ": :")
	}
	return strings.ReplaceAll(text, "##[", "# #[")
}
