package workflow

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// Bounds on what a file may unfold to when its aliases are followed.
const (
	maxVisits = 200_000 // nodes
	maxDepth  = 100     // levels
)

// reader walks the YAML nodes of one file and collects what is wrong. It goes
// on after a problem, so that one run reports all of them.
type reader struct {
	file     string
	lines    []string
	payload  bool // what a server has already resolved is not asked for again
	errs     []Problem
	warnings []Problem
	visits   int
	full     bool // maxVisits has been reported
}

// entry is one key of a mapping, with the node it was written at.
type entry struct {
	key string
	at  *yaml.Node
	val *yaml.Node
}

func posOf(n *yaml.Node) Pos {
	if n == nil {
		return Pos{}
	}
	return Pos{n.Line, n.Column}
}

func (r *reader) errorf(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, Problem{File: r.file, Pos: posOf(n), Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) warnf(n *yaml.Node, format string, args ...any) {
	r.warnings = append(r.warnings, Problem{File: r.file, Pos: posOf(n), Msg: fmt.Sprintf(format, args...), Warning: true})
}

// err gives the errors in the order of the file, or nil.
func (r *reader) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	all := append(r.errs, r.warnings...)
	sortProblems(all)
	return Errors(all)
}

func sortProblems(p []Problem) {
	sort.SliceStable(p, func(i, j int) bool {
		a, b := p[i].Pos, p[j].Pos
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
}

// deref follows aliases. It returns nil, once with an error, when the file
// unfolds to too much.
func (r *reader) deref(n *yaml.Node) *yaml.Node {
	if r.visits++; r.visits > maxVisits {
		if !r.full {
			r.full = true
			r.errorf(n, "the file is too large: its aliases unfold to more than %d values", maxVisits)
		}
		return nil
	}
	for i := 0; n != nil && n.Kind == yaml.AliasNode; i++ {
		if i > maxDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == 0 || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// describe says what a node is, for "expected …, found …".
func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	v := n.Value
	if len(v) > 40 {
		v = v[:40] + "…"
	}
	return strconv.Quote(v)
}

// mapping gives the entries of a mapping with its merge keys (<<) applied;
// nothing for null. Anything else is an error that says what was expected.
func (r *reader) mapping(n *yaml.Node, path string) []entry {
	return r.mappingAt(n, path, 0)
}

func (r *reader) mappingAt(n *yaml.Node, path string, depth int) []entry {
	n = r.deref(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "%s: expected a mapping, found %s", orFile(path), describe(n))
		return nil
	}
	if depth > maxDepth {
		r.errorf(n, "%s: merged mappings are nested deeper than %d", path, maxDepth)
		return nil
	}
	own := make(map[string]*yaml.Node, len(n.Content)/2)
	list := make([]entry, 0, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := r.deref(n.Content[i]), n.Content[i+1]
		if k == nil {
			return list
		}
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merged = append(merged, v)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			r.errorf(k, "%s: expected a name as the key, found %s", orFile(path), describe(k))
			continue
		}
		if first := own[k.Value]; first != nil {
			r.errorf(n.Content[i], "%s: the key %q is given twice; the first is in line %d", orFile(path), k.Value, first.Line)
			continue
		}
		own[k.Value] = n.Content[i]
		list = append(list, entry{k.Value, n.Content[i], v})
	}
	for _, m := range merged {
		list = r.merge(list, own, m, path, depth)
	}
	return list
}

// merge adds the entries of one merge key's value that are not there yet.
func (r *reader) merge(list []entry, have map[string]*yaml.Node, m *yaml.Node, path string, depth int) []entry {
	sources := []*yaml.Node{m}
	if d := r.deref(m); d != nil && d.Kind == yaml.SequenceNode {
		sources = d.Content
	}
	for _, s := range sources {
		for _, e := range r.mappingAt(s, path+".<<", depth+1) {
			if have[e.key] == nil {
				have[e.key] = e.at
				list = append(list, e)
			}
		}
	}
	return list
}

// fields is what a mapping with known keys may have.
type fields map[string]func(v *yaml.Node, path string)

// read calls the function of every key that is there. Unknown keys are
// warnings; the names in required are errors when missing.
func (r *reader) read(n *yaml.Node, path string, f fields, required ...string) {
	r.readEntries(n, r.mapping(n, path), path, f, required...)
}

func (r *reader) readEntries(n *yaml.Node, list []entry, path string, f fields, required ...string) {
	seen := make(map[string]bool, len(list))
	for _, e := range list {
		seen[e.key] = true
		read, ok := f[e.key]
		if !ok {
			r.unknownKey(e, path, f)
			continue
		}
		read(e.val, join(path, e.key))
	}
	if d := r.deref(n); !isNull(d) && d.Kind != yaml.MappingNode {
		return // said already
	}
	for _, k := range required {
		if !seen[k] {
			r.errorf(n, "%s: the key %q is missing", orFile(path), k)
		}
	}
}

func orFile(path string) string {
	if path == "" {
		return "the workflow"
	}
	return path
}

func (r *reader) unknownKey(e entry, path string, f fields) {
	names := make([]string, 0, len(f))
	for k := range f {
		if k != "true" { // `on`, as an old YAML reader writes it back
			names = append(names, k)
		}
	}
	sort.Strings(names)
	where := ""
	if path != "" {
		where = path + ": "
	}
	if near := expr.Nearest(e.key, names); near != "" {
		r.warnf(e.at, "%sunknown key %q is ignored; did you mean %q?", where, e.key, near)
		return
	}
	r.warnf(e.at, "%sunknown key %q is ignored; known here: %s", where, e.key, strings.Join(names, ", "))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// text gives the text of a scalar as it is written; "" for null.
func (r *reader) text(n *yaml.Node, path string) string {
	d := r.deref(n)
	switch {
	case isNull(d):
		return ""
	case d.Kind != yaml.ScalarNode:
		r.errorf(n, "%s: expected a text, found %s", path, describe(d))
		return ""
	}
	return d.Value
}

// texts gives a list of texts; one scalar is a list of one.
func (r *reader) texts(n *yaml.Node, path string) []string {
	d := r.deref(n)
	switch {
	case isNull(d):
		return nil
	case d.Kind == yaml.ScalarNode:
		return []string{d.Value}
	case d.Kind != yaml.SequenceNode:
		r.errorf(n, "%s: expected a text or a list of texts, found %s", path, describe(d))
		return nil
	}
	list := make([]string, 0, len(d.Content))
	for i, c := range d.Content {
		list = append(list, r.text(c, fmt.Sprintf("%s[%d]", path, i)))
	}
	return list
}

// into stores a text that may hold expressions, checked for the key.
func (r *reader) into(dst *string, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		*dst = r.text(n, path)
		r.check(n, path, key)
	}
}

// literal stores a text in which ${{ }} has no meaning.
func (r *reader) literal(dst *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) { *dst = r.text(n, path) }
}

// boolean stores "true", "false" or a text with an expression.
func (r *reader) boolean(dst *string, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		s := strings.TrimSpace(r.text(n, path))
		switch strings.ToLower(s) {
		case "true", "false":
			s = strings.ToLower(s)
		case "":
		default:
			if !expr.HasExpression(s) {
				r.errorf(n, "%s: expected true, false or an expression, found %q", path, s)
			}
		}
		*dst = s
		r.check(n, path, key)
	}
}

// number stores a number that is not negative, or a text with an expression.
func (r *reader) number(dst *string, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		s := strings.TrimSpace(r.text(n, path))
		if s != "" && !expr.HasExpression(s) {
			if f, err := strconv.ParseFloat(s, 64); err != nil || !(f >= 0) || math.IsInf(f, 0) {
				r.errorf(n, "%s: expected a number or an expression, found %q", path, s)
			}
		}
		*dst = s
		r.check(n, path, key)
	}
}

// vars reads a mapping of names to texts, or one expression. itemKey is the
// availability of the values, wholeKey that of a whole expression.
func (r *reader) vars(dst *Vars, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		dst.Pos = posOf(n)
		if d := r.deref(n); d != nil && d.Kind == yaml.ScalarNode && expr.HasExpression(d.Value) {
			dst.Expr = d.Value
			r.check(n, path, key)
			return
		}
		dst.List = r.varList(n, path, key)
	}
}

func (r *reader) varList(n *yaml.Node, path, key string) []Var {
	entries := r.mapping(n, path)
	list := make([]Var, 0, len(entries))
	for _, e := range entries {
		p := join(path, e.key)
		v := Var{Name: e.key, Value: r.text(e.val, p), Kind: kindOf(r.deref(e.val)), Pos: posOf(e.val)}
		r.check(e.val, p, key)
		list = append(list, v)
	}
	return list
}

func kindOf(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return "Null"
	}
	return expr.KindOf(scalar(n))
}

// plain turns a node into nil, bool, float64, string, []any or *expr.Object.
func (r *reader) plain(n *yaml.Node, path string) any { return r.plainAt(n, path, 0) }

func (r *reader) plainAt(n *yaml.Node, path string, depth int) any {
	d := r.deref(n)
	if d == nil {
		return nil
	}
	if depth > maxDepth {
		r.errorf(n, "%s: values are nested deeper than %d levels", path, maxDepth)
		return nil
	}
	switch d.Kind {
	case yaml.SequenceNode:
		items := make([]any, 0, len(d.Content))
		for _, c := range d.Content {
			if r.full {
				break
			}
			items = append(items, r.plainAt(c, path, depth+1))
		}
		return items
	case yaml.MappingNode:
		o := &expr.Object{}
		for _, e := range r.mapping(d, path) {
			if r.full {
				break
			}
			o.Set(e.key, r.plainAt(e.val, join(path, e.key), depth+1))
		}
		return o
	}
	return scalar(d)
}

// scalar reads a scalar by the core schema of YAML 1.2: 1_000, yes and dates
// are texts.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		if f, ok := coreNumber(n.Value); ok {
			return f
		}
	}
	return n.Value
}

func coreNumber(s string) (float64, bool) {
	if strings.Contains(s, "_") {
		return 0, false
	}
	switch {
	case strings.HasPrefix(s, "0x"), strings.HasPrefix(s, "0o"):
		n, err := strconv.ParseUint(s, 0, 64)
		return float64(n), err == nil
	case strings.HasPrefix(s, "0b"):
		return 0, false
	}
	switch strings.ToLower(s) {
	case ".inf", "+.inf":
		return math.Inf(1), true
	case "-.inf":
		return math.Inf(-1), true
	case ".nan":
		return math.NaN(), true
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}
