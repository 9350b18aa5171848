package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Strings are compared as .NET's OrdinalIgnoreCase does: every character is
// replaced by its simple upper case, and the results are compared as UTF-16.

func upper(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	case r == 'ı' || r == 'ſ': // never equal to an ASCII letter
		return r
	}
	return unicode.ToUpper(r)
}

// fold gives a form of s that is the same for all strings that are equal
// without case.
func fold(s string) string { return strings.Map(upper, s) }

func equalFold(a, b string) bool { return a == b || compareFold(a, b) == 0 }

func compareFold(a, b string) int {
	for a != "" && b != "" {
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			if ua, ub := upper(ra), upper(rb); ua != ub {
				return utf16Order(ua) - utf16Order(ub)
			}
		}
		a, b = a[na:], b[nb:]
	}
	return len(a) - len(b)
}

// utf16Order puts characters beyond U+FFFF where their surrogates sort: before
// U+E000.
func utf16Order(r rune) int {
	switch {
	case r > 0xFFFF:
		return int(r)
	case r >= 0xE000:
		return int(r) + 0x200000
	}
	return int(r)
}

func hasPrefixFold(s, prefix string) bool { return strings.HasPrefix(fold(s), fold(prefix)) }
func hasSuffixFold(s, suffix string) bool { return strings.HasSuffix(fold(s), fold(suffix)) }
func containsFold(s, part string) bool    { return strings.Contains(fold(s), fold(part)) }
