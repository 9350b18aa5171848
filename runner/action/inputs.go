package action

import (
	"fmt"
	"slices"
	"strings"
)

// Inputs is what a step gives to an action, with its defaults filled in.
type Inputs struct {
	// Values has every input that the action declares or the step gives, by
	// the action's spelling of its name. A value that came from the action
	// may hold expressions; Default says which.
	Values map[string]string
	// Default has the names of Values that the step did not give.
	Default map[string]bool
	// Warnings are sentences for the job's log: deprecated, missing and
	// unexpected inputs.
	Warnings []string
}

// Resolve joins the inputs that a step gives (its `with`, evaluated) with what
// the action declares.
//
// Names are compared without regard to case, as on GitHub. What is required and
// missing is a warning and not an error: GitHub leaves it to the action, and so
// do actions that are in use. What the action does not know is handed on, with
// GitHub's warning; args and entrypoint of a docker action are no inputs.
func (m *Metadata) Resolve(with map[string]string) Inputs {
	in := Inputs{Values: map[string]string{}, Default: map[string]bool{}}
	given := make(map[string]string, len(with))
	for _, name := range sortedKeys(with) {
		given[strings.ToLower(name)] = name
	}
	for _, d := range m.Inputs {
		key := strings.ToLower(d.Name)
		name, ok := given[key]
		delete(given, key)
		switch {
		case ok:
			in.Values[d.Name] = with[name]
			if d.DeprecationMessage != "" {
				in.warnf("Input '%s' has been deprecated with message: %s", d.Name, d.DeprecationMessage)
			}
		default:
			in.Values[d.Name] = d.Default
			in.Default[d.Name] = true
			if d.Required && !d.HasDefault {
				in.warnf("Input '%s' is required by %s and not given; add it to the step's 'with'", d.Name, m.title())
			}
		}
	}
	m.unexpected(&in, with, given)
	return in
}

func (m *Metadata) unexpected(in *Inputs, with, rest map[string]string) {
	var names []string
	for key, name := range rest {
		if m.Runs.Using == DockerImage && (key == "args" || key == "entrypoint") ||
			m.Runs.Using == WASMModule && key == "args" {
			continue
		}
		in.Values[name] = with[name]
		names = append(names, "'"+name+"'")
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	valid := make([]string, len(m.Inputs))
	for i, d := range m.Inputs {
		valid[i] = "'" + d.Name + "'"
	}
	in.warnf("Unexpected input(s) %s, valid inputs are [%s]", strings.Join(names, ", "), strings.Join(valid, ", "))
}

func (in *Inputs) warnf(format string, args ...any) {
	in.Warnings = append(in.Warnings, fmt.Sprintf(format, args...))
}

func (m *Metadata) title() string {
	if m.Name != "" {
		return fmt.Sprintf("the action %q", m.Name)
	}
	return "the action"
}

// EnvName is the environment variable that holds an input for the toolkit's
// getInput: spaces become underscores, letters capitals, and nothing else
// changes (a hyphen stays).
func EnvName(input string) string {
	return "INPUT_" + strings.ToUpper(strings.ReplaceAll(input, " ", "_"))
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
