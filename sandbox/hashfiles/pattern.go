package hashfiles

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what a pattern selects.
type kind uint8

const (
	kindFolder kind = 1 << iota
	kindFile
	kindAll = kindFolder | kindFile
)

func (k kind) any() bool { return k != 0 }

// globstar is a segment that stands for any number of folders.
const globstar = "**"

// pattern is one line, made absolute.
type pattern struct {
	negate     bool
	onlyFolder bool // it ends with a separator
	segments   []string
	windows    bool
	literals   int // how many segments at the start have no glob
}

// parse reads the lines of patterns.
func parse(texts []string, o Options) ([]pattern, error) {
	var list []pattern
	for _, text := range texts {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			p, err := parseLine(line, o)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
			if p.onlyFolder || p.segments[len(p.segments)-1] != globstar {
				below := p
				below.onlyFolder = false
				below.segments = append(slices.Clone(p.segments), "*", globstar)
				list = append(list, below)
			}
		}
	}
	return list, nil
}

func parseLine(line string, o Options) (pattern, error) {
	p := pattern{windows: o.Windows}
	text := line
	for strings.HasPrefix(text, "!") {
		p.negate = !p.negate
		text = strings.TrimSpace(text[1:])
	}
	if text == "" {
		return p, fmt.Errorf("hash files: pattern %q is empty", line)
	}
	if o.Windows {
		text = strings.ReplaceAll(text, `\`, "/")
	}
	p.onlyFolder = strings.HasSuffix(text, "/")
	var base []string // literal names before what the pattern says itself
	switch {
	case text == "~" || strings.HasPrefix(text, "~/"):
		if o.Home == "" {
			return p, fmt.Errorf("hash files: pattern %q: the home folder is not known", line)
		}
		base, text = split(o.Home, o.Windows), text[1:]
	case text == "." || strings.HasPrefix(text, "./"):
		base, text = split(o.Dir, o.Windows), text[1:]
	case strings.HasPrefix(text, "/"), o.Windows && len(text) > 1 && text[1] == ':':
	default:
		base = split(o.Dir, o.Windows)
	}
	for _, name := range base {
		p.segments = append(p.segments, escape(name))
	}
	for segment := range strings.SplitSeq(text, "/") {
		switch segment {
		case "":
			continue
		case ".", "..":
			return p, fmt.Errorf("hash files: pattern %q: . and .. are not allowed but for ./ at the start", line)
		}
		p.segments = append(p.segments, segment)
	}
	if len(p.segments) == 0 {
		return p, fmt.Errorf("hash files: pattern %q selects the whole file system", line)
	}
	p.literals = len(base)
	for _, segment := range p.segments[len(base):] {
		if _, ok := literal(segment, o.Windows); !ok {
			break
		}
		p.literals++
	}
	return p, nil
}

// split returns the names of a path.
func split(path string, windows bool) []string {
	if windows {
		path = strings.ReplaceAll(path, `\`, "/")
	}
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// escape makes a name a glob that matches only it.
func escape(name string) string {
	var b strings.Builder
	for _, c := range name {
		if strings.ContainsRune(`*?[\`, c) {
			b.WriteByte('[')
			if c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(c)
			b.WriteByte(']')
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// selects reports what the patterns make of a path: later ones override.
func selects(patterns []pattern, path []string) kind {
	var result kind
	for _, p := range patterns {
		k := p.match(path)
		if p.negate {
			result &^= k
		} else {
			result |= k
		}
	}
	return result
}

// mayHold reports whether something below a folder could be selected.
func mayHold(patterns []pattern, path []string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return !p.negate && p.matchStart(path) })
}

func (p pattern) match(path []string) kind {
	if !matchSegments(p.segments, path, p.windows, false) {
		return 0
	}
	if p.onlyFolder {
		return kindFolder
	}
	return kindAll
}

func (p pattern) matchStart(path []string) bool {
	return matchSegments(p.segments, path, p.windows, true)
}

// matchSegments matches a path, or with partial whether the path can be the
// start of one that matches. Each pair of positions is looked at once.
func matchSegments(segments, path []string, windows, partial bool) bool {
	// reach[i] says that segments[:i] can match what has been read of path.
	reach := make([]bool, len(segments)+1)
	next := make([]bool, len(segments)+1)
	reach[0] = true
	skip := func(r []bool) {
		for i, segment := range segments {
			if r[i] && segment == globstar {
				r[i+1] = true
			}
		}
	}
	skip(reach)
	for _, name := range path {
		clear(next)
		for i, segment := range segments {
			switch {
			case !reach[i]:
			case segment == globstar:
				next[i] = true
			case matchName(segment, name, windows):
				next[i+1] = true
			}
		}
		skip(next)
		reach, next = next, reach
	}
	if partial {
		return slices.Contains(reach, true)
	}
	return reach[len(segments)]
}

// starts returns the paths of the file system, relative to root, where the
// search begins: the literal start of each pattern that does not exclude, but for
// those below another's.
func starts(patterns []pattern, root []string) []string {
	var all [][]string
	for _, p := range patterns {
		if p.negate {
			continue
		}
		names := make([]string, 0, p.literals)
		for _, segment := range p.segments[:p.literals] {
			name, _ := literal(segment, p.windows)
			names = append(names, name)
		}
		all = append(all, names)
	}
	var result []string
	seen := map[string]bool{}
	for _, names := range all {
		covered := slices.ContainsFunc(all, func(other []string) bool {
			return len(other) < len(names) && hasPrefix(names, other, patterns)
		})
		name, ok := below(names, root, patterns)
		if covered || !ok || seen[name] {
			continue
		}
		seen[name] = true
		result = append(result, name)
	}
	return result
}

// below returns a path relative to root; root itself where the path leads to it.
func below(names, root []string, patterns []pattern) (string, bool) {
	switch {
	case hasPrefix(names, root, patterns):
		if len(names) == len(root) {
			return ".", true
		}
		return strings.Join(names[len(root):], "/"), true
	case hasPrefix(root, names, patterns):
		return ".", true
	}
	return "", false
}

func hasPrefix(names, prefix []string, patterns []pattern) bool {
	if len(names) < len(prefix) {
		return false
	}
	windows := len(patterns) > 0 && patterns[0].windows
	for i := range prefix {
		if names[i] != prefix[i] && (!windows || !strings.EqualFold(names[i], prefix[i])) {
			return false
		}
	}
	return true
}
