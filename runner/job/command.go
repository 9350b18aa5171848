package job

import (
	"bytes"
	"strings"
)

// command is a workflow command that a step printed.
type command struct {
	// name is in lower case: commands are told apart without regard to it.
	name string
	// args are the properties in order, unescaped.
	args []pair
	// data is the message, unescaped: it may have several lines.
	data string
}

// arg returns the property called name, the last one if there are several, or "".
func (c *command) arg(name string) string {
	value := ""
	for _, a := range c.args {
		if strings.EqualFold(a.name, name) {
			value = a.value
		}
	}
	return value
}

// maybeCommand reports whether line may be a command: a check for the hot path,
// cheap, without false negatives.
func maybeCommand(line []byte) bool {
	for i, c := range line {
		switch c {
		case ' ', '\t', '\v', '\f':
			continue
		case ':':
			return i+1 < len(line) && line[i+1] == ':'
		case '#':
			return i+2 < len(line) && line[i+1] == '#' && line[i+2] == '['
		}
		return false
	}
	return false
}

// parseCommand reads one of the two forms
//
//	::name key=value,key=value::message
//	##[name key=value;key=value]message
//
// at the beginning of a line, after white space. Whether there is a command of
// that name is not looked at. The first form is the documented one (docs:
// "Workflow commands"); the second is its predecessor, which toolkits still
// print.
func parseCommand(line []byte) (command, bool) {
	text := bytes.TrimLeft(line, " \t\v\f")
	if rest, ok := bytes.CutPrefix(text, []byte("::")); ok {
		head, data, found := strings.Cut(string(rest), "::")
		if !found {
			return command{}, false
		}
		return newCommand(head, data, ",", unescapeProperty, unescapeData)
	}
	if rest, ok := bytes.CutPrefix(text, []byte("##[")); ok {
		head, data, found := strings.Cut(string(rest), "]")
		if !found {
			return command{}, false
		}
		return newCommand(head, data, ";", unescapeLegacy, unescapeLegacy)
	}
	return command{}, false
}

func newCommand(head, data, separator string, property, message *strings.Replacer) (command, bool) {
	name, rest, _ := strings.Cut(head, " ")
	if name == "" || strings.ContainsAny(name, ":\t") {
		return command{}, false
	}
	c := command{name: strings.ToLower(name), data: message.Replace(data)}
	for _, p := range strings.Split(strings.TrimSpace(rest), separator) {
		key, value, ok := strings.Cut(p, "=")
		if key = strings.TrimSpace(key); ok && key != "" {
			c.args = append(c.args, pair{key, property.Replace(value)})
		}
	}
	return c, true
}

// The escapes that toolkits write. A Replacer makes one pass, so that "%250A" is
// "%0A" and not a line's end. They are safe for concurrent use.
var (
	unescapeData     = strings.NewReplacer("%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n", "%25", "%")
	unescapeProperty = strings.NewReplacer("%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n",
		"%3A", ":", "%3a", ":", "%2C", ",", "%2c", ",", "%25", "%")
	unescapeLegacy = strings.NewReplacer("%3B", ";", "%3b", ";", "%0D", "\r", "%0d", "\r",
		"%0A", "\n", "%0a", "\n", "%5D", "]", "%5d", "]", "%25", "%")
)
