package config

import (
	"regexp"
	"strings"
)

// Blank stands where a secret was.
const Blank = "********"

var urlPassword = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*):[^\s/@]+@`)

// Redact blanks the passwords of the URLs in s.
func Redact(s string) string {
	return urlPassword.ReplaceAllString(s, "${1}:"+Blank+"@")
}

// secretNames are parts of the names of variables whose values are not shown.
// Rather one too many than one too few.
var secretNames = []string{"TOKEN", "SECRET", "PASS", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "COOKIE", "SESSION", "PWD", "DSN", "SIGNATURE"}

// SecretName reports whether a variable of this name is likely to hold a secret.
func SecretName(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range secretNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// optionValue is NAME=value in options of a command line, as a whole or its value
// in quotes.
var optionValue = regexp.MustCompile(`"(\w+)=[^"]*"|'(\w+)=[^']*'|(\w+)=("[^"]*"|'[^']*'|\S+)`)

// redactOptions blanks the values of variables in a text of options
// (--env TOKEN=…) whose names say that they are secrets.
func redactOptions(text string) string {
	return optionValue.ReplaceAllStringFunc(text, func(option string) string {
		name, _, _ := strings.Cut(option, "=")
		if !SecretName(strings.Trim(name, `"'`)) {
			return option
		}
		return strings.TrimLeft(name, `"'`) + "=" + Blank
	})
}

// redacted is m as it may be shown.
func redacted(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for name, value := range m {
		if SecretName(name) && value != "" {
			value = Blank
		}
		out[name] = Redact(value)
	}
	return out
}
