package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// minNumber is the length from which a number is masked: years, ports and exit
// codes that someone keeps as a secret are shorter and are in every log.
const minNumber = 6

// common has words, in lower case, that are kept as secrets because there is no
// better place for a setting, and that every log is full of.
var common = map[string]struct{}{
	"true": {}, "false": {}, "null": {}, "none": {}, "undefined": {}, "enabled": {},
	"disabled": {}, "default": {}, "debug": {}, "info": {}, "warn": {}, "warning": {},
	"error": {}, "main": {}, "master": {}, "latest": {}, "http": {}, "https": {},
	"localhost": {}, "test": {}, "127.0.0.1": {}, "0.0.0.0": {},
}

// maskable reports whether value can be told from ordinary text: at least
// minPattern bytes, more than one character that is repeated, no short number,
// none of the common words. White space around it does not count.
func maskable(value string) bool {
	v := strings.TrimSpace(value)
	if len(v) < minPattern || strings.Trim(v, v[:1]) == "" {
		return false
	}
	if len(v) < minNumber && strings.Trim(v, "0123456789") == "" {
		return false
	}
	_, ok := common[strings.ToLower(v)]
	return !ok
}

// forms yields every text to be masked for value; possibly some of them twice.
// None is shorter than minPattern.
func forms(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		each := func(v string) bool {
			if !maskable(v) {
				return true
			}
			for _, encode := range encoders {
				for _, form := range encode(v) {
					if len(form) >= minPattern && !yield(form) {
						return false
					}
				}
			}
			return true
		}
		// Tools encode a value with or without what surrounds it (a file's
		// last line end, say); the plain form needs only the inner part.
		if !each(strings.TrimSpace(value)) {
			return
		}
		if !strings.ContainsAny(value, "\r\n") {
			return
		}
		for line := range strings.FieldsFuncSeq(value, isLineEnd) {
			if !each(strings.TrimSpace(line)) {
				return
			}
		}
	}
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

// encoders are the ways in which a value is printed. A form that is the value
// itself costs nothing: the masker keeps one of each.
var encoders = []func(string) []string{
	plain, base64Cores, base64Wrapped, urlForms, jsonForms, xmlForms, shellForms,
}

func plain(v string) []string {
	if strings.Contains(v, "\n") {
		return []string{v, strings.ReplaceAll(v, "\r\n", "\n"), strings.ReplaceAll(strings.ReplaceAll(v, "\r\n", "\n"), "\n", "\r\n")}
	}
	return []string{v}
}

// base64Cores are the characters that v's bits alone decide when v stands at
// each of the three positions within base64's groups of three bytes, wherever in
// a longer text it stands (user:password of an Authorization header, say), in
// the standard alphabet and that of URLs.
func base64Cores(v string) []string {
	out := make([]string, 0, 12)
	for offset := range 3 {
		padded := append(make([]byte, offset, offset+len(v)), v...)
		first := (offset*8 + 5) / 6
		last := len(padded) * 8 / 6
		if last-first < minPattern {
			continue
		}
		std := base64.RawStdEncoding.EncodeToString(padded)
		alt := base64.RawURLEncoding.EncodeToString(padded)
		// With the last character, too, where nothing follows v.
		out = append(out, std[first:last], std[first:], alt[first:last], alt[first:])
	}
	return out
}

// base64Wrapped are the lines of v's base64 as base64(1) and PEM print it, for a
// value that is too long for one line.
func base64Wrapped(v string) []string {
	var out []string
	encoded := base64.RawStdEncoding.EncodeToString([]byte(v))
	// The last character may hold bits of what follows, such as a line end.
	encoded = encoded[:len(v)*8/6]
	for _, width := range []int{76, 64} {
		if len(encoded) <= width {
			continue
		}
		for rest := encoded; rest != ""; {
			n := min(width, len(rest))
			// A short last line would be found by chance.
			if n >= 2*minPattern {
				out = append(out, rest[:n])
			}
			rest = rest[n:]
		}
	}
	return out
}

// urlForms are v in a query, in a path, as encodeURIComponent and as curl and
// Python's quote leave it; hexadecimal digits in either case.
func urlForms(v string) []string {
	const sub = "-_.~"
	forms := []string{
		url.QueryEscape(v),
		url.PathEscape(v),
		percent(v, sub),
		percent(v, sub+"/"),
		percent(v, sub+"!*'()"),
		percent(v, sub+"!$&'()*+,;="), // user information (RFC 3986, 3.2.1)
		percent(v, sub+"$&+,;="),      // the same, as Go prints it
	}
	for _, f := range forms[:len(forms):len(forms)] {
		forms = append(forms, lowerHex(f))
	}
	return forms
}

// percent encodes all but letters, digits and what is in keep.
func percent(v, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func lowerHex(v string) string {
	b := []byte(v)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
			i += 2
		}
	}
	return string(b)
}

// jsonForms are v inside a JSON text, as encoders that escape much, little, and
// everything but ASCII write it.
func jsonForms(v string) []string {
	strict := jsonText(v, true)
	loose := jsonText(v, false)
	return []string{
		strict, loose,
		strings.ReplaceAll(loose, "/", `\/`),
		asciiJSON(loose),
		// JSON within JSON, as in a logged request with a body.
		jsonText(loose, false),
	}
}

func jsonText(v string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if err := e.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(b.String(), "\n"), `"`), `"`)
}

func asciiJSON(v string) string {
	var b strings.Builder
	for _, r := range v {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			b.WriteString(unicodeEscape(hi) + unicodeEscape(lo))
		default:
			b.WriteString(unicodeEscape(r))
		}
	}
	return b.String()
}

func unicodeEscape(r rune) string {
	h := strconv.FormatInt(int64(r), 16)
	return `\u` + strings.Repeat("0", 4-len(h)) + h
}

func xmlForms(v string) []string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(v)); err != nil {
		return nil
	}
	return []string{
		b.String(),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(v),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(v),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(v),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(v),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;").Replace(v),
	}
}

// shellForms are v as `set -x` and printf %q print it.
func shellForms(v string) []string {
	var quoted strings.Builder
	for _, r := range v {
		if strings.ContainsRune(" \t!\"#$&'()*,;<>?[\\]^`{|}~", r) {
			quoted.WriteByte('\\')
		}
		quoted.WriteRune(r)
	}
	ansi := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(v)
	double := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(v)
	return []string{
		strings.ReplaceAll(v, "'", `'\''`),
		strings.ReplaceAll(v, "'", `'"'"'`),
		quoted.String(),
		ansi,
		double,
	}
}
