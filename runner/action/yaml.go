package action

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow"
)

// maxNodes bounds how many nodes are visited, so that aliases of aliases cannot
// make a small file endless.
const maxNodes = 100_000

// field is a key and its value; value is nil where the file has null.
type field struct{ key, value *yaml.Node }

// at is where to point in an error.
func (f field) at() *yaml.Node {
	if f.value != nil {
		return f.value
	}
	return f.key
}

func (p *metadataParser) errorf(n *yaml.Node, format string, args ...any) error {
	e := &MetadataError{File: p.file, Msg: fmt.Sprintf(format, args...)}
	if n != nil {
		e.Line, e.Column = n.Line, n.Column
	}
	return e
}

func (p *metadataParser) warnf(n *yaml.Node, format string, args ...any) {
	p.meta.Warnings = append(p.meta.Warnings, p.errorf(n, format, args...).Error())
}

func (p *metadataParser) warnUnknown(k *yaml.Node, section string) {
	p.warnf(k, "%sthe key %q is not known and has no effect", section, k.Value)
}

func (p *metadataParser) warnOthers(fields map[string]field, known ...string) {
	var others []*yaml.Node
	for key, f := range fields {
		if key != "using" && !slices.Contains(known, key) {
			others = append(others, f.key)
		}
	}
	slices.SortFunc(others, func(a, b *yaml.Node) int { return (a.Line-b.Line)*4096 + a.Column - b.Column })
	for _, k := range others {
		p.warnf(k, "runs: %q has no effect in an action that uses %s", k.Value, p.meta.Runs.Using)
	}
}

// document parses the text into its top node; nil for an empty one.
func (p *metadataParser) document(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	if err := yaml.Load(data, &doc); err != nil {
		return nil, p.yamlError(err)
	}
	if doc.Kind == yaml.DocumentNode {
		if len(doc.Content) == 0 {
			return nil, nil
		}
		return p.deref(doc.Content[0])
	}
	return p.deref(&doc)
}

func (p *metadataParser) yamlError(err error) error {
	var load *yaml.LoadError
	if errors.As(err, &load) {
		return &MetadataError{File: p.file, Line: load.Mark.Line, Column: load.Mark.Column, Msg: "is not YAML: " + strings.TrimPrefix(load.Message, "yaml: ")}
	}
	return p.errorf(nil, "is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// deref follows an alias, and gives nil for null.
func (p *metadataParser) deref(n *yaml.Node) (*yaml.Node, error) {
	for depth := 0; n != nil && n.Kind == yaml.AliasNode; depth++ {
		if depth > 20 {
			return nil, p.errorf(n, "the alias *%s points at itself", n.Value)
		}
		n = n.Alias
	}
	if p.nodes++; p.nodes > maxNodes {
		return nil, p.errorf(n, "has more than %d nodes when its aliases are followed", maxNodes)
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	return n, nil
}

// eachKey calls f for each pair of a mapping in order; nil has none. A value
// that is null is nil.
func (p *metadataParser) eachKey(n *yaml.Node, what string, f func(key string, k, v *yaml.Node) error) error {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return p.errorf(n, "%s: expected a mapping, found %s", what, kindName(n))
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, err := p.deref(n.Content[i])
		if err != nil {
			return err
		}
		if k == nil || k.Kind != yaml.ScalarNode {
			return p.errorf(n.Content[i], "%s: expected a name for a key, found %s", what, kindName(k))
		}
		if seen[k.Value] {
			return p.errorf(k, "%s: the key %q stands twice", what, k.Value)
		}
		seen[k.Value] = true
		v, err := p.deref(n.Content[i+1])
		if err != nil {
			return err
		}
		if err := f(k.Value, k, v); err != nil {
			return err
		}
	}
	return nil
}

// text gives a scalar as it is written: true, 1.0 and 0x10 stay so.
func (p *metadataParser) text(n *yaml.Node, what string) (string, error) {
	if n == nil {
		return "", nil
	}
	if n.Kind != yaml.ScalarNode {
		return "", p.errorf(n, "%s: expected a text, found %s", what, kindName(n))
	}
	return n.Value, nil
}

func (p *metadataParser) boolean(n *yaml.Node, what string) (bool, error) {
	text, err := p.text(n, what)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(text) {
	case "", "false", "no", "off":
		return false, nil
	case "true", "yes", "on":
		return true, nil
	}
	return false, p.errorf(n, "%s: expected true or false, found %q", what, text)
}

// list reads a sequence of texts.
func (p *metadataParser) list(n *yaml.Node, what string) ([]string, error) {
	if n == nil {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, p.errorf(n, "%s: expected a list, found %s", what, kindName(n))
	}
	list := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		v, err := p.deref(item)
		if err != nil {
			return nil, err
		}
		s, err := p.text(v, what)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// vars reads a mapping of names to texts.
func (p *metadataParser) vars(n *yaml.Node, what string) (workflow.Vars, error) {
	var vars workflow.Vars
	if n == nil {
		return vars, nil
	}
	vars.Pos = position(n)
	if n.Kind == yaml.ScalarNode && isExpression(n.Value) {
		vars.Expr = strings.TrimSpace(n.Value)
		return vars, nil
	}
	err := p.eachKey(n, what, func(key string, k, v *yaml.Node) error {
		text, err := p.text(v, what+" "+key)
		if err != nil {
			return err
		}
		at := field{key: k, value: v}.at()
		vars.List = append(vars.List, workflow.Var{Name: key, Value: text, Kind: scalarKind(v), Pos: position(at)})
		return nil
	})
	return vars, err
}

func isExpression(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "${{") && strings.HasSuffix(s, "}}")
}

func position(n *yaml.Node) workflow.Pos { return workflow.Pos{Line: n.Line, Column: n.Column} }

func scalarKind(n *yaml.Node) string {
	switch {
	case n == nil:
		return "Null"
	case n.Tag == "!!bool":
		return "Boolean"
	case n.Tag == "!!int", n.Tag == "!!float":
		return "Number"
	}
	return "String"
}

func kindName(n *yaml.Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return fmt.Sprintf("the text %q", n.Value)
	}
	return "something else"
}
