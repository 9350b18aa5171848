package runner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"otelrunner/runner/workflow/expr"

	"go.yaml.in/yaml/v4"
)

// plainNode is a copy of n that has what an alias stands for in its place.
func plainNode(n *yaml.Node) *yaml.Node {
	at := n
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.ShortTag(), Value: n.Value, Line: at.Line, Column: at.Column}
	for _, child := range n.Content {
		out.Content = append(out.Content, plainNode(child))
	}
	return out
}

// payload is the workflow with one job and one combination, as a server sends
// it. What the engine says about a place in it is true for the file: each key
// and value has kept its line.
func (p *execPlan) payload(l *leg) ([]byte, error) {
	root := plainNode(l.job.flow.file.root)
	jobs := child(root, "jobs")
	node := child(jobs, l.job.ID)
	if node == nil {
		return nil, fmt.Errorf("the job %s is not found in the file", l.job.ID)
	}
	jobs.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: l.job.ID, Line: l.job.Pos.Line, Column: l.job.Pos.Column}, node}
	remove(node, "needs")
	set(node, "name", textNode(literal(l.name)))
	set(node, "if", textNode("always()")) // it has been decided
	if l.combo.Values != nil {
		matrix, err := matrixNode(l.combo.Values)
		if err != nil {
			return nil, err
		}
		set(child(node, "strategy"), "matrix", matrix)
	}
	var w placedWriter
	w.node(root)
	return []byte(w.b.String()), nil
}

// matrixNode has a list of one value for each key.
func matrixNode(values *expr.Object) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for key, value := range values.All() {
		text, err := json.Marshal([]any{plainValue(value)})
		if err != nil {
			return nil, fmt.Errorf("matrix.%s: %w", key, err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
			return nil, fmt.Errorf("matrix.%s: %w", key, err)
		}
		out.Content = append(out.Content, textNode(key), nowhere(plainNode(doc.Content[0])))
	}
	return out, nil
}

// nowhere takes the places of a node away.
func nowhere(n *yaml.Node) *yaml.Node {
	n.Line, n.Column = 0, 0
	for _, c := range n.Content {
		nowhere(c)
	}
	return n
}

// plainValue is v with its texts made literal: they have been evaluated.
func plainValue(v any) any {
	switch v := expr.Plain(v).(type) {
	case string:
		return literal(v)
	case []any:
		for i := range v {
			v[i] = plainValue(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plainValue(v[k])
		}
		return v
	default:
		return v
	}
}

// literal writes a text so that it is not evaluated (again).
func literal(text string) string { return strings.ReplaceAll(text, "${{", "${{ '${{' }}") }

// child is the value of a key of a mapping, or nil. Keys are compared without
// case, as the ids of jobs are.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return n.Content[i+1]
		}
	}
	return merged(n, key)
}

// merged is the value that a mapping has from a merge key.
func merged(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := []*yaml.Node{n.Content[i+1]}
		if from[0].Kind == yaml.SequenceNode {
			from = from[0].Content
		}
		for _, m := range from {
			if found := child(m, key); found != nil {
				return found
			}
		}
	}
	return nil
}

func set(n *yaml.Node, key string, value *yaml.Node) {
	remove(n, key)
	n.Content = append(n.Content, textNode(key), value)
}

// remove takes a key away, also where it comes from a merge key.
func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch {
		case n.Content[i].Tag == "!!merge" && n.Content[i+1].Kind == yaml.MappingNode:
			remove(n.Content[i+1], key)
		case n.Content[i].Tag == "!!merge":
			for _, m := range n.Content[i+1].Content {
				remove(m, key)
			}
		case strings.EqualFold(n.Content[i].Value, key):
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// placedWriter writes nodes in YAML's flow style, each at the line (and as far as
// there is room, the column) that it says it is at.
type placedWriter struct {
	b            strings.Builder
	line, column int // of the next byte, less 1
}

func (w *placedWriter) put(text string) {
	w.b.WriteString(text) // no text has a line's end
	w.column += len(text)
}

// to goes to a place. What has none, or is to be before what has been written
// (the target of an alias), stays here.
func (w *placedWriter) to(line, column int) {
	if line-1 > w.line {
		w.b.WriteString(strings.Repeat("\n", line-1-w.line))
		w.line, w.column = line-1, 0
	}
	if line-1 == w.line && column-1 > w.column {
		w.put(strings.Repeat(" ", column-1-w.column))
	}
}

func (w *placedWriter) node(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		w.to(n.Line, n.Column-1)
		w.put("{")
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.scalar(n.Content[i])
			w.put(": ")
			w.node(n.Content[i+1])
			w.put(", ")
		}
		w.put("}")
	case yaml.SequenceNode:
		w.to(n.Line, n.Column-1)
		w.put("[")
		for _, c := range n.Content {
			w.node(c)
			w.put(", ")
		}
		w.put("]")
	default:
		w.scalar(n)
	}
}

// scalar writes a text in quotes, and a number, a boolean or nothing as it is.
func (w *placedWriter) scalar(n *yaml.Node) {
	w.to(n.Line, n.Column)
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!merge":
		w.put(n.Value)
	case "!!null":
		w.put("null")
	default:
		w.put(quoted(n.Value))
	}
}

// quoted is a text in YAML's double quotes, which know JSON's escapes.
func quoted(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string can always be written
	return strings.TrimSuffix(b.String(), "\n")
}
