// Package label is the vocabulary of a runner's labels: what a runner offers
// (`name:scheme:arg`) and how a job's `runs-on` picks one of them.
package label

import (
	"fmt"
	"slices"
	"strings"
)

// Scheme says in which sandbox the jobs of a label run.
type Scheme string

// The known schemes.
const (
	Host   Scheme = "host"   // name:host, on the machine itself
	Docker Scheme = "docker" // name:docker://IMAGE, in a container
	Wasm   Scheme = "wasm"   // name:wasm, in a WebAssembly sandbox
)

// Label is one label of a runner. The server is told the name only; the rest is
// the runner's own business.
type Label struct {
	Name   string
	Scheme Scheme
	Arg    string // Docker: the image. Wasm: what follows "wasm://", mostly "". Host: always "".
}

// Parse reads a label as it is written in a configuration, a flag or a
// registration file. A text without a scheme is a host label, and since names
// may contain colons ("pool:a") all of it is the name. What looks like a
// scheme but is none is an error rather than a name: a mistyped
// "docker://" must not make jobs run on the bare host.
func Parse(text string) (Label, error) {
	s := strings.TrimSpace(text)
	l := Label{Name: s, Scheme: Host}
	if name, scheme, arg, ok := cutURL(s); ok {
		l = Label{Name: name, Scheme: Scheme(scheme), Arg: arg}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		switch Scheme(s[i+1:]) {
		case Host, Wasm, Docker:
			l = Label{Name: s[:i], Scheme: Scheme(s[i+1:])}
		}
	}
	return l, l.check(text)
}

// cutURL splits name:scheme://arg at the first "://". An image may hold
// further colons, a scheme none.
func cutURL(s string) (name, scheme, arg string, ok bool) {
	before, arg, ok := strings.Cut(s, "://")
	if !ok {
		return "", "", "", false
	}
	if i := strings.LastIndexByte(before, ':'); i >= 0 {
		return before[:i], before[i+1:], arg, true
	}
	return "", before, arg, true
}

func (l Label) check(text string) error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("label %q: %s", text, fmt.Sprintf(format, a...))
	}
	switch {
	case l.Name == "":
		return bad("it has no name: write name:host, name:docker://IMAGE or name:wasm")
	case strings.ContainsAny(l.Name, ",\r\n\t"):
		return bad("a name cannot contain commas or control characters")
	case l.Scheme == Docker && l.Arg == "":
		return bad("it names no image: write %s:docker://IMAGE", l.Name)
	case l.Scheme == Host && l.Arg != "":
		return bad("host takes nothing after it: write %s:host", l.Name)
	case l.Scheme != Host && l.Scheme != Docker && l.Scheme != Wasm:
		return bad("unknown scheme %q: write %s:host, %s:docker://IMAGE or %s:wasm", l.Scheme, l.Name, l.Name, l.Name)
	case l.Scheme == Docker && strings.ContainsAny(l.Arg, " \t"):
		return bad("the image %q contains a space", l.Arg)
	}
	return nil
}

// String is the form that Parse reads.
func (l Label) String() string {
	switch {
	case l.Scheme == Docker, l.Scheme == Wasm && l.Arg != "":
		return l.Name + ":" + string(l.Scheme) + "://" + l.Arg
	case l.Scheme == "":
		return l.Name + ":" + string(Host)
	}
	return l.Name + ":" + string(l.Scheme)
}

// List is all labels of a runner, in the order in which they were given.
type List []Label

// ParseList reads every text; an empty one is skipped. A name that comes twice
// with different schemes is an error, with the same one it is dropped.
func ParseList(texts []string) (List, error) {
	var list List
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue
		}
		l, err := Parse(text)
		if err != nil {
			return nil, err
		}
		if old, ok := list.Find(l.Name); ok {
			if old != l {
				return nil, fmt.Errorf("label %q: the name %q is already taken by %q; keep one of them", text, l.Name, old)
			}
			continue
		}
		list = append(list, l)
	}
	return list, nil
}

// Find returns the label of that exact name: the server matches names exactly.
func (list List) Find(name string) (Label, bool) {
	i := slices.IndexFunc(list, func(l Label) bool { return l.Name == name })
	if i < 0 {
		return Label{}, false
	}
	return list[i], true
}

// Names returns what the server is told.
func (list List) Names() []string {
	names := make([]string, len(list))
	for i, l := range list {
		names[i] = l.Name
	}
	return names
}

// Strings returns the full texts, as a registration file holds them.
func (list List) Strings() []string {
	texts := make([]string, len(list))
	for i, l := range list {
		texts[i] = l.String()
	}
	return texts
}

// Pick returns the label under which a job with this `runs-on` runs: that of its
// first entry. The runner must carry all entries; the error names those that
// it does not carry.
func (list List) Pick(runsOn []string) (Label, error) {
	if len(runsOn) == 0 {
		return Label{}, fmt.Errorf("the job has no runs-on; this runner offers %s", quoted(list.Names()))
	}
	var missing []string
	for _, name := range runsOn {
		if _, ok := list.Find(name); !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return Label{}, fmt.Errorf("runs-on asks for %s, which this runner does not carry; it has %s",
			quoted(missing), quoted(list.Names()))
	}
	l, _ := list.Find(runsOn[0])
	return l, nil
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "no labels"
	}
	return `"` + strings.Join(names, `", "`) + `"`
}
