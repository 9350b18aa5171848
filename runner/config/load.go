package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A loader fills a Loaded and keeps what is wrong, so that everything is said
// at once.
type loader struct {
	out      *Loaded
	file     string
	table    []key
	problems []Problem
}

func (l *loader) problem(where, key, format string, args ...any) {
	l.problems = append(l.problems, Problem{Where: where, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) warn(format string, args ...any) {
	l.out.Warnings = append(l.out.Warnings, fmt.Sprintf(format, args...))
}

func (l *loader) at(n *yaml.Node) string { return origin{l.file, n.Line}.String() }

// document reads the file's text.
func (l *loader) document(data []byte) {
	var doc, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		l.syntax(data, err)
		return
	}
	switch err := documents.Decode(&second); {
	case err == nil:
		l.problem(l.at(&second), "", "a second document begins after ---: write everything into one")
		return
	case !errors.Is(err, io.EOF):
		l.syntax(data, err)
		return
	}
	if doc.Kind == 0 || isNull(doc.Content[0]) {
		return
	}
	if !bounded(&doc, new(int), 0) {
		l.problem(l.file, "", "the file is too large or too deep once its aliases are expanded, or an alias contains itself")
		return
	}
	root := resolve(doc.Content[0])
	if root.Kind != yaml.MappingNode {
		l.problem(l.at(root), "", "expected a mapping of sections (log, runner, …), found %s", nodeKind(root))
		return
	}
	ignored := &ignoredKeys{}
	l.mapping("", root, ignored)
	ignored.warn(l)
}

func (l *loader) syntax(data []byte, err error) {
	where, text := l.file, err.Error()
	var le *yaml.LoadError
	if errors.As(err, &le) {
		if le.Mark.Line > 0 {
			where = origin{l.file, le.Mark.Line}.String()
		}
		text = le.Message
		if indentedByTab(data, le.Mark.Line) {
			text += " (the line is indented by a tab: YAML wants spaces)"
		}
	}
	l.problem(where, "", "this is not YAML: %s", text)
}

// indentedByTab reports whether there is a tab in the white space before the text
// of a line; the first is 1.
func indentedByTab(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	text := lines[line-1]
	return bytes.IndexByte(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t') >= 0
}

// mapping reads the keys of a section; prefix is "" or ends in a dot.
func (l *loader) mapping(prefix string, node *yaml.Node, ignored *ignoredKeys) {
	lines := map[string]int{}
	for name, value := range pairs(node) {
		path := prefix + name.Value
		if first, twice := lines[path]; twice {
			l.problem(l.at(name), path, "is set twice, first in line %d", first)
			continue
		}
		lines[path] = name.Line
		l.entry(path, name, value, ignored)
	}
}

func (l *loader) entry(path string, name, value *yaml.Node, ignored *ignoredKeys) {
	if k := l.find(path); k != nil {
		if isNull(value) {
			return // a key without a value keeps its default
		}
		if err := k.set(&l.out.Config, value); err != nil {
			l.problem(l.at(value), path, "%v", err)
			return
		}
		l.out.from[path] = origin{l.file, value.Line}
		return
	}
	if ignored.add(path, name, value) {
		return
	}
	if l.section(path) {
		switch {
		case isNull(value):
		case value.Kind == yaml.MappingNode:
			l.mapping(path+".", value, ignored)
		default:
			l.problem(l.at(value), path, "expected a mapping, found %s", nodeKind(value))
		}
		return
	}
	l.problem(l.at(name), path, "unknown key%s", didYouMean(path, l.paths()))
}

func (l *loader) find(path string) *key {
	for i := range l.table {
		if l.table[i].path == path {
			return &l.table[i]
		}
	}
	return nil
}

// section reports whether keys lie below path.
func (l *loader) section(path string) bool {
	below := func(p string) bool { return strings.HasPrefix(p, path+".") }
	for _, k := range l.table {
		if below(k.path) {
			return true
		}
	}
	for _, u := range unsupported() {
		if below(u.path) {
			return true
		}
	}
	return false
}

// paths are all keys and the names of the sections.
func (l *loader) paths() []string {
	var out []string
	add := func(path string) {
		out = append(out, strings.TrimSuffix(path, ".*"))
		if s, _, _ := strings.Cut(path, "."); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, k := range l.table {
		add(k.path)
	}
	for _, u := range unsupported() {
		add(u.path)
	}
	return out
}

// ignoredKeys collects the unsupported keys of a file by their reasons.
type ignoredKeys struct {
	reasons []string
	keys    map[string][]string
}

// add notes path, or what lies below it, when it is unsupported.
func (g *ignoredKeys) add(path string, name, value *yaml.Node) bool {
	reason, ok := ignoredReason(path)
	if !ok {
		return false
	}
	switch {
	case isNull(value):
	case value.Kind == yaml.MappingNode && len(value.Content) > 0:
		for n, v := range pairs(value) {
			g.add(path+"."+n.Value, n, v)
		}
	default:
		if g.keys == nil {
			g.keys = map[string][]string{}
		}
		if g.keys[reason] == nil {
			g.reasons = append(g.reasons, reason)
		}
		g.keys[reason] = append(g.keys[reason], fmt.Sprintf("%s (line %d)", path, name.Line))
	}
	return true
}

func ignoredReason(path string) (string, bool) {
	for _, u := range unsupported() {
		if below, ok := strings.CutSuffix(u.path, ".*"); ok {
			if path == below || strings.HasPrefix(path, below+".") {
				return u.reason, true
			}
		} else if path == u.path {
			return u.reason, true
		}
	}
	return "", false
}

func (g *ignoredKeys) warn(l *loader) {
	for _, reason := range g.reasons {
		l.warn("%s: not supported here and ignored: %s: %s", l.file, strings.Join(g.keys[reason], ", "), reason)
	}
}

// defaultFetchTimeout is also the time below which a fetch is likely to be given
// up while the server is still assigning a task.
const (
	defaultFetchTimeout = 60 * time.Second
	offlineAfter        = 60 * time.Second
)

// relations checks what one key alone cannot tell.
func (l *loader) relations() {
	r := &l.out.Runner
	if r.FetchIntervalMax < r.FetchInterval {
		l.warn("%s is %s, less than runner.fetch_interval: %s is used for both",
			l.name("runner.fetch_interval_max"), duration(r.FetchIntervalMax), duration(r.FetchInterval))
		r.FetchIntervalMax = r.FetchInterval
	}
	if r.FetchIntervalMax > offlineAfter {
		l.warn("%s is %s: a server shows a runner that is silent for %s as offline",
			l.name("runner.fetch_interval_max"), duration(r.FetchIntervalMax), duration(offlineAfter))
	}
	if r.FetchTimeout < defaultFetchTimeout {
		l.warn("%s is %s: a server that takes longer to assign a task loses it; %s is safer",
			l.name("runner.fetch_timeout"), duration(r.FetchTimeout), duration(defaultFetchTimeout))
	}
	if r.LogReportMaxLatency >= r.LogReportInterval {
		l.warn("%s is %s, not less than runner.log_report_interval (%s): it has no effect",
			l.name("runner.log_report_max_latency"), duration(r.LogReportMaxLatency), duration(r.LogReportInterval))
	}
	l.containers()
	l.wasmOnly()
	if p := &l.out.Poll; p.Wake != "" && p.WakeSecretFile == "" {
		l.problem(l.out.from["poll.wake"].String(), "poll.wake_secret_file", "the webhook needs a secret: without one, anybody could wake the runner; put one into a file and name it here")
	}
}

// wasmOnly is relations for the mode wasm-only, in which the runner executes no
// program and speaks to no engine.
func (l *loader) wasmOnly() {
	c := &l.out.Config
	if c.Sandbox.Mode != WASMOnly {
		return
	}
	if c.Health.Script != "" {
		l.problem(l.place("health.script"), "health.script", "a script cannot be run, because sandbox.mode is wasm-only: no program but the runner itself is executed")
	}
	if c.Container.RequireDocker {
		l.warn("%s has no effect, because sandbox.mode is wasm-only: no container engine is spoken to", l.name("container.require_docker"))
	}
}

// place is what has set a key.
func (l *loader) place(path string) string {
	if from, ok := l.out.from[path]; ok {
		return from.String()
	}
	return l.file
}

// containers is relations for the container sandbox.
func (l *loader) containers() {
	c := &l.out.Container
	_, pullIsSet := l.out.from["container.pull"]
	switch {
	case c.ForcePull && !pullIsSet:
		c.Pull = "always"
	case c.ForcePull && c.Pull != "always":
		l.warn("%s has no effect, because container.pull is %s", l.name("container.force_pull"), c.Pull)
	}
	if c.WorkdirParent == "" {
		return
	}
	// act_runner's files may leave out the first slash.
	if !filepath.IsAbs(c.WorkdirParent) {
		c.WorkdirParent = string(filepath.Separator) + c.WorkdirParent
	}
	if !c.BindWorkdir {
		l.warn("%s has an effect only with container.bind_workdir: in containers, workspaces are below /workspace", l.name("container.workdir_parent"))
	}
}

// name is a key with the place that set it.
func (l *loader) name(path string) string {
	if from, ok := l.out.from[path]; ok {
		return from.String() + ": " + path
	}
	return path
}

// pairs are the keys and the resolved values of a mapping.
func pairs(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], resolve(node.Content[i+1])) {
				return
			}
		}
	}
}

// The bounds of a file with its aliases expanded; no configuration comes near.
const (
	maxNodes = 100_000
	maxDepth = 64
)

// bounded reports whether n, its aliases expanded, is a tree of sane size. A few
// lines of aliases can stand for more nodes than fit in memory, or for
// infinitely many.
func bounded(n *yaml.Node, count *int, depth int) bool {
	*count++
	if *count > maxNodes || depth > maxDepth {
		return false
	}
	if n.Kind == yaml.AliasNode {
		return bounded(n.Alias, count, depth+1)
	}
	for _, child := range n.Content {
		if !bounded(child, count, depth+1) {
			return false
		}
	}
	return true
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// nodeKind says in words what a node is.
func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	}
	return fmt.Sprintf("the text %q", Redact(n.Value))
}
